//! Answers: whole ones, and streams, whose events have the same form.

use serde_json::Value as Json;

use super::super::answer::{self, Calls, Draft, count, cut_off, items, read, unusable, word};
use super::super::{Failure, StreamDecoder};
use super::NAME;
use crate::chat::{ChatRequest, ChatResponse, Original, Usage};
use crate::wire::SseEvent;

/// Words for an answer that was stopped because of its content.
const FILTERED: [&str; 8] = [
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "ESCALATION",
    "MODEL_ARMOR",
];
/// Words for an answer that failed.
const FAILED: [&str; 7] = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
    "OTHER",
    "NO_IMAGE",
];

pub(super) fn whole(chat: &ChatRequest, raw: &str) -> Result<ChatResponse, Failure> {
    let json = read(raw, "the answer")?;
    let mut reader = Reader::new(chat);
    let text = reader.take(&json);
    if !reader.has_candidate && reader.blocked.is_none() {
        let failure = unusable("the answer has no candidates", raw);
        return Err(Failure { usage: reader.usage, request_id: reader.id, ..failure });
    }
    reader.conclude().map(|response| ChatResponse { text, ..response })
}

/// Reads one stream, or the one event that a whole answer is.
pub(super) struct Reader {
    has_candidate: bool,
    has_text: bool,
    /// The service's word for the end of the answer, and what it says about it.
    finish: Option<(String, Option<String>)>,
    /// The service's word for refusing the prompt.
    blocked: Option<String>,
    model: Option<String>,
    id: Option<String>,
    usage: Option<Usage>,
    parts: Vec<Json>,
    calls: Calls,
}

impl Reader {
    pub(super) fn new(chat: &ChatRequest) -> Self {
        Self {
            has_candidate: false,
            has_text: false,
            finish: None,
            blocked: None,
            model: None,
            id: None,
            usage: None,
            parts: Vec::new(),
            calls: Calls::new(chat),
        }
    }

    /// Reads an answer or a piece of one; gives the text that it adds.
    fn take(&mut self, json: &Json) -> String {
        let text = |json: &Json, key: &str| word(json, key).map(str::to_owned);
        self.model = self.model.take().or_else(|| text(json, "modelVersion"));
        self.id = self.id.take().or_else(|| text(json, "responseId"));
        // Each report is the total so far.
        self.usage = json.get("usageMetadata").and_then(usage).or(self.usage);
        let feedback = json.get("promptFeedback");
        self.blocked = feedback.and_then(|f| text(f, "blockReason")).or(self.blocked.take());
        let Some(candidate) = items(json, "candidates").next() else { return String::new() };
        self.has_candidate = true;
        if let Some(reason) = text(candidate, "finishReason") {
            self.finish = Some((reason, text(candidate, "finishMessage")));
        }
        let mut added = String::new();
        for part in candidate.get("content").into_iter().flat_map(|content| items(content, "parts"))
        {
            let is_thought = part.get("thought").and_then(Json::as_bool).unwrap_or(false);
            if let Some(text) = word(part, "text").filter(|_| !is_thought) {
                added.push_str(text);
            }
            if let Some(call) = part.get("functionCall") {
                let args = call.get("args").filter(|args| !args.is_null());
                let args = args.map_or_else(String::new, Json::to_string);
                self.calls.push(word(call, "id"), word(call, "name").unwrap_or(""), args);
            }
            self.parts.push(part.clone());
        }
        self.has_text |= !added.is_empty();
        added
    }

    /// The answer without its text.
    fn conclude(&mut self) -> Result<ChatResponse, Failure> {
        let tool_calls = self.calls.take();
        let parts = std::mem::take(&mut self.parts);
        let original = Original { dialect: NAME, json: parts.into() };
        let (reason, said) = self.finish.take().unwrap_or_else(|| ("STOP".to_owned(), None));
        let refused = self.blocked.take().or_else(|| Some(reason.clone()).filter(|r| is_filter(r)));
        let is_failed = FAILED.contains(&reason.as_str()) && tool_calls.is_empty();
        let failed = is_failed.then(|| match said {
            Some(said) => format!("the model ended with {reason}: {said}"),
            None => format!("the model ended with {reason}"),
        });
        let ours = match reason.as_str() {
            _ if refused.is_some() => "content_filter",
            _ if !tool_calls.is_empty() => "tool_calls",
            "STOP" => "stop",
            "MAX_TOKENS" | "CONTINUATION" => "length",
            other => other,
        };
        let response = ChatResponse {
            text: String::new(),
            original: Some(original).filter(|_| !tool_calls.is_empty()),
            tool_calls,
            finish_reason: ours.to_owned(),
            model: self.model.take(),
            request_id: self.id.take(),
            usage: self.usage,
        };
        let (refusal, category) = (refused.clone(), refused);
        Draft { response, has_text: self.has_text, refusal, category, failed }.conclude()
    }
}

fn is_filter(reason: &str) -> bool {
    FILTERED.contains(&reason) || reason.starts_with("IMAGE_")
}

/// The service counts thoughts apart from the answer.
fn usage(json: &Json) -> Option<Usage> {
    let number = |key: &str| count(json, key);
    let add = |first: Option<u64>, second: Option<u64>| match (first, second) {
        (None, None) => None,
        (first, second) => Some(first.unwrap_or(0) + second.unwrap_or(0)),
    };
    let thoughts = number("/thoughtsTokenCount");
    let tokens_in = add(number("/promptTokenCount"), number("/toolUsePromptTokenCount"));
    let tokens_out = add(number("/candidatesTokenCount"), thoughts);
    Some(Usage {
        tokens_cached: number("/cachedContentTokenCount").unwrap_or(0),
        reasoning: thoughts.unwrap_or(0),
        ..answer::usage(tokens_in, tokens_out)?
    })
}

impl StreamDecoder for Reader {
    fn push(&mut self, event: &SseEvent) -> Result<String, Failure> {
        let json = read(event.data.trim(), "an event")?;
        Ok(self.take(&json))
    }

    /// The event that says why an answer ended is the last one.
    fn is_done(&self) -> bool {
        self.finish.is_some() || self.blocked.is_some()
    }

    fn finish(&mut self) -> Result<ChatResponse, Failure> {
        if self.is_done() { self.conclude() } else { Err(cut_off()) }
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(reason: &str, parts: &Json) -> Result<ChatResponse, Failure> {
        let body = json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]});
        whole(&ChatRequest::default(), &body.to_string())
    }

    // C-54, C-55, providers.md 1.3
    #[test]
    fn finish_reasons_in_our_words() {
        let text = json!([{"text": "x"}]);
        let call = json!([{"functionCall": {"name": "f"}}]);
        for (reason, parts, expected) in [
            ("STOP", &text, "stop"),
            ("MAX_TOKENS", &text, "length"),
            ("CONTINUATION", &text, "length"),
            ("SAFETY", &text, "content_filter"),
            ("IMAGE_SAFETY", &text, "content_filter"),
            ("OTHER", &text, "OTHER"),
            ("NEW_WORD", &text, "NEW_WORD"),
            ("STOP", &call, "tool_calls"),
            ("MAX_TOKENS", &call, "tool_calls"),
            ("OTHER", &call, "tool_calls"),
        ] {
            assert_eq!(answer(reason, parts).unwrap().finish_reason, expected, "{reason}");
        }
        for reason in FILTERED {
            let failure = answer(reason, &json!([])).unwrap_err();
            assert_eq!(failure.kind.word(), "content_filtered");
            assert_eq!(failure.code.as_deref(), Some(reason));
        }
        for reason in FAILED {
            let failure = answer(reason, &json!([])).unwrap_err();
            assert_eq!(failure.kind.word(), "invalid_response");
            assert_eq!(failure.message, format!("the model ended with {reason}"));
        }
    }

    // providers.md 6.5: no parts, no content, parts of unknown kinds.
    #[test]
    fn odd_shapes_are_survived() {
        for candidate in [
            json!({"finishReason": "MAX_TOKENS"}),
            json!({"finishReason": "MAX_TOKENS", "content": null}),
            json!({"finishReason": "MAX_TOKENS", "content": {"role": "model"}}),
            json!({"finishReason": "MAX_TOKENS", "content": {"parts": [{"executableCode": {}}]}}),
        ] {
            let body = json!({"candidates": [candidate]}).to_string();
            let found = whole(&ChatRequest::default(), &body).unwrap();
            assert_eq!((found.text.as_str(), found.finish_reason.as_str()), ("", "length"));
        }
        for body in [json!({}), json!({"candidates": []}), json!({"candidates": {}}), json!([])] {
            let failure = whole(&ChatRequest::default(), &body.to_string()).unwrap_err();
            assert_eq!(failure.kind.word(), "invalid_response", "{body}");
        }
    }
}
