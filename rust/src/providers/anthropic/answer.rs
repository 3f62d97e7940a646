//! Answers: whole ones, and streams of events.

use serde_json::{Value as Json, json};

use super::super::answer::{self, Calls, Draft, count, cut_off, items, put, read, unusable, word};
use super::super::{Failure, StreamDecoder};
use super::NAME;
use super::request::respond_name;
use crate::chat::{ChatRequest, ChatResponse, Original, ToolCall, Usage};
use crate::wire::SseEvent;

pub(super) fn whole(chat: &ChatRequest, raw: &str) -> Result<ChatResponse, Failure> {
    let mut json = read(raw, "the answer")?;
    let Some(Json::Array(blocks)) = json.get_mut("content").map(Json::take) else {
        return Err(unusable("the answer has no content", raw));
    };
    let mut counts = Counts::default();
    counts.add(json.get("usage"));
    let mut ending = Ending::default();
    ending.read(&json);
    let text = blocks.iter().filter_map(text_of).collect::<String>();
    let mut response = ChatResponse {
        text,
        model: word(&json, "model").map(str::to_owned),
        request_id: word(&json, "id").map(str::to_owned),
        usage: counts.usage(),
        ..ChatResponse::default()
    };
    let awaited = Awaited::by(chat);
    if let Some(answer) = awaited.typed(&blocks) {
        response.text = answer;
    }
    let has_text = !response.text.is_empty();
    ending.conclude(awaited, blocks, response, has_text)
}

fn text_of(block: &Json) -> Option<&str> {
    (word(block, "type") == Some("text")).then(|| word(block, "text")).flatten()
}

/// What a request makes of the calls in its answer.
#[derive(Debug)]
struct Awaited {
    /// Name of the tool whose arguments are a typed answer.
    respond: Option<String>,
    calls: Calls,
}

impl Awaited {
    fn by(chat: &ChatRequest) -> Self {
        Self { respond: chat.output.as_deref().map(respond_name), calls: Calls::new(chat) }
    }

    /// The typed answer that came as the arguments of its own tool.
    fn typed(&self, blocks: &[Json]) -> Option<String> {
        let name = self.respond.as_deref()?;
        blocks.iter().find(|block| is_call(block) && word(block, "name") == Some(name)).map(input)
    }

    fn calls(mut self, blocks: &[Json]) -> Vec<ToolCall> {
        for block in blocks.iter().filter(|block| is_call(block)) {
            self.calls.push(word(block, "id"), word(block, "name").unwrap_or(""), input(block));
        }
        self.calls.take()
    }
}

fn is_call(block: &Json) -> bool {
    word(block, "type") == Some("tool_use")
}

/// Arguments as text; a text is one already, since it was no JSON.
fn input(call: &Json) -> String {
    match call.get("input") {
        Some(Json::String(raw)) => raw.clone(),
        Some(object) => object.to_string(),
        None => String::new(),
    }
}

/// Token numbers as the service counts them: its input leaves out what went through the cache.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    /// Later numbers are totals: they replace earlier ones.
    fn add(&mut self, usage: Option<&Json>) {
        let Some(usage) = usage else { return };
        let later = |own: &mut Option<u64>, pointer: &str| *own = count(usage, pointer).or(*own);
        later(&mut self.input, "/input_tokens");
        later(&mut self.output, "/output_tokens");
        later(&mut self.read, "/cache_read_input_tokens");
        later(&mut self.written, "/cache_creation_input_tokens");
        later(&mut self.thinking, "/output_tokens_details/thinking_tokens");
    }

    fn usage(&self) -> Option<Usage> {
        let (cached, written) = (self.read.unwrap_or(0), self.written.unwrap_or(0));
        let whole = self.input.map(|input| input + cached + written);
        Some(Usage {
            tokens_cached: cached,
            cache_written: written,
            reasoning: self.thinking.unwrap_or(0),
            ..answer::usage(whole, self.output)?
        })
    }
}

/// Why an answer ended.
#[derive(Debug, Default)]
struct Ending {
    reason: Option<String>,
    explanation: Option<String>,
    category: Option<String>,
}

impl Ending {
    /// From an answer, or the delta that ends a stream.
    fn read(&mut self, json: &Json) {
        let text = |pointer: &str| json.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        self.reason = text("/stop_reason").or(self.reason.take());
        self.explanation = text("/stop_details/explanation").or(self.explanation.take());
        self.category = text("/stop_details/category").or(self.category.take());
    }

    /// The answer with its calls and its finish reason in our words; unknown ones pass.
    fn conclude(
        self,
        awaited: Awaited,
        blocks: Vec<Json>,
        mut response: ChatResponse,
        has_text: bool,
    ) -> Result<ChatResponse, Failure> {
        // A typed answer ends the loop of calls, even beside other calls.
        let is_typed = awaited.typed(&blocks).is_some();
        let ours = match self.reason.as_deref().unwrap_or("stop") {
            "end_turn" | "stop_sequence" => "stop",
            "max_tokens" | "model_context_window_exceeded" => "length",
            "tool_use" if is_typed => "stop",
            "tool_use" => "tool_calls",
            "refusal" => "content_filter",
            other => other,
        };
        ours.clone_into(&mut response.finish_reason);
        if !is_typed {
            response.tool_calls = awaited.calls(&blocks);
        }
        if !response.tool_calls.is_empty() {
            response.original = Some(Original { dialect: NAME, json: blocks.into() });
        }
        let refusal = self.explanation.filter(|_| ours == "content_filter");
        let category = self.category;
        Draft { response, has_text, refusal, category, ..Draft::default() }.conclude()
    }
}

/// Reads one stream.
pub(super) struct Reader {
    awaited: Option<Awaited>,
    done: bool,
    has_text: bool,
    model: Option<String>,
    id: Option<String>,
    counts: Counts,
    ending: Ending,
    blocks: Vec<Json>,
    /// Arguments of the call that is being read.
    arguments: String,
}

impl Reader {
    pub(super) fn new(chat: &ChatRequest) -> Self {
        Self {
            awaited: Some(Awaited::by(chat)),
            done: false,
            has_text: false,
            model: None,
            id: None,
            counts: Counts::default(),
            ending: Ending::default(),
            blocks: Vec::new(),
            arguments: String::new(),
        }
    }

    /// Grows the last block: blocks do not overlap. Gives the text that came.
    fn grow(&mut self, delta: &Json) -> String {
        let piece = |key: &str| word(delta, key).unwrap_or("");
        let Some(block) = self.blocks.last_mut() else { return String::new() };
        match word(delta, "type") {
            Some("text_delta") => {
                append(block, "text", piece("text"));
                return piece("text").to_owned();
            }
            Some("thinking_delta") => append(block, "thinking", piece("thinking")),
            Some("signature_delta") => append(block, "signature", piece("signature")),
            Some("input_json_delta") => self.arguments.push_str(piece("partial_json")),
            Some("citations_delta") => {
                let mut all: Vec<Json> = items(block, "citations").cloned().collect();
                all.extend(delta.get("citation").cloned());
                put(block, "citations", all);
            }
            _ => {}
        }
        String::new()
    }

    /// Closes a call; a typed answer that comes as one is text.
    fn stop_block(&mut self) -> String {
        let arguments = std::mem::take(&mut self.arguments);
        let Some(block) = self.blocks.last_mut() else { return String::new() };
        if !is_call(block) {
            return String::new();
        }
        if !arguments.trim().is_empty() {
            // What is no JSON stays text, for whoever runs the call to complain about.
            let input: Json =
                serde_json::from_str(&arguments).unwrap_or_else(|_| arguments.clone().into());
            put(block, "input", input);
        }
        let block = std::slice::from_ref(&*block);
        self.awaited.as_ref().and_then(|awaited| awaited.typed(block)).unwrap_or_default()
    }
}

/// Adds to a text within a block.
fn append(block: &mut Json, key: &str, more: &str) {
    match block.get_mut(key) {
        Some(Json::String(text)) => text.push_str(more),
        _ => put(block, key, more),
    }
}

impl StreamDecoder for Reader {
    fn push(&mut self, event: &SseEvent) -> Result<String, Failure> {
        let mut json = read(event.data.trim(), "an event")?;
        let mut text = String::new();
        match word(&json, "type") {
            Some("message_start") => {
                let message = json.get("message").unwrap_or(&Json::Null);
                self.model = word(message, "model").map(str::to_owned);
                self.id = word(message, "id").map(str::to_owned);
                self.counts.add(message.get("usage"));
            }
            Some("content_block_start") => {
                let block = json.get_mut("content_block").map(Json::take);
                // Whatever is no object could not be grown.
                let block = block.filter(Json::is_object).unwrap_or_else(|| json!({}));
                text = text_of(&block).unwrap_or("").to_owned();
                self.blocks.push(block);
            }
            Some("content_block_delta") => {
                text = json.get("delta").map_or_else(String::new, |delta| self.grow(delta));
            }
            Some("content_block_stop") => text = self.stop_block(),
            Some("message_delta") => {
                self.counts.add(json.get("usage"));
                json.get("delta").into_iter().for_each(|delta| self.ending.read(delta));
            }
            Some("message_stop") => self.done = true,
            _ => {}
        }
        self.has_text |= !text.is_empty();
        Ok(text)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(&mut self) -> Result<ChatResponse, Failure> {
        let Some(awaited) = self.awaited.take().filter(|_| self.done) else {
            return Err(cut_off());
        };
        let response = ChatResponse {
            model: self.model.take(),
            request_id: self.id.take(),
            usage: self.counts.usage(),
            ..ChatResponse::default()
        };
        let (ending, blocks) = (std::mem::take(&mut self.ending), std::mem::take(&mut self.blocks));
        ending.conclude(awaited, blocks, response, self.has_text)
    }

    fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::OutputSchema;

    fn typed_chat() -> ChatRequest {
        let output = Some(OutputSchema::new("T".to_owned(), json!({})).into());
        ChatRequest { output, ..ChatRequest::default() }
    }

    fn answer(reason: &str, blocks: &Json) -> String {
        json!({"content": blocks, "stop_reason": reason}).to_string()
    }

    // M-40, M-44: the arguments of `respond_T` are the answer, and end the loop.
    #[test]
    fn a_typed_answer_by_tool_is_text() {
        let blocks = json!([
            {"type": "text", "text": "Here it is."},
            {"type": "tool_use", "id": "t1", "name": "other", "input": {}},
            {"type": "tool_use", "id": "t2", "name": "respond_T", "input": {"n": 1}}
        ]);
        let found = whole(&typed_chat(), &answer("tool_use", &blocks)).unwrap();
        let expected = ChatResponse {
            text: "{\"n\":1}".to_owned(),
            finish_reason: "stop".to_owned(),
            ..ChatResponse::default()
        };
        assert_eq!(found, expected);
        // Without a schema it is a call like any other.
        let found = whole(&ChatRequest::default(), &answer("tool_use", &blocks)).unwrap();
        assert_eq!((found.text.as_str(), found.tool_calls.len()), ("Here it is.", 2));
        assert_eq!(found.finish_reason, "tool_calls");
    }

    #[test]
    fn a_streamed_typed_answer_by_tool_is_text() {
        let mut reader = Reader::new(&typed_chat());
        let start = json!({"type": "tool_use", "id": "t", "name": "respond_T", "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": "{\"n\": 1}"});
        let mut text = String::new();
        for event in [
            json!({"type": "content_block_start", "index": 0, "content_block": start}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
            json!({"type": "message_stop"}),
        ] {
            let event = SseEvent { name: None, data: event.to_string() };
            text.push_str(&reader.push(&event).unwrap());
        }
        assert_eq!(text, "{\"n\":1}");
        assert_eq!(reader.finish().unwrap().finish_reason, "stop");
    }

    // C-54, C-55, providers.md 1.3
    #[test]
    fn finish_reasons_in_our_words() {
        for (reason, expected) in [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
            ("pause_turn", "pause_turn"),
        ] {
            let blocks = json!([{"type": "text", "text": "x"}]);
            let found = whole(&ChatRequest::default(), &answer(reason, &blocks)).unwrap();
            assert_eq!(found.finish_reason, expected);
        }
    }

    #[test]
    fn a_refusal_carries_its_category() {
        let details = json!({"category": "cyber", "explanation": "No."});
        let body = json!({"content": [], "stop_reason": "refusal", "stop_details": details});
        let failure = whole(&ChatRequest::default(), &body.to_string()).unwrap_err();
        assert_eq!(failure.kind.word(), "content_filtered");
        assert_eq!((failure.message.as_str(), failure.code.as_deref()), ("No.", Some("cyber")));
    }

    // S-18: an early end uses what came so far, the stub of the output included.
    #[test]
    fn usage_is_known_from_the_start() {
        let mut reader = Reader::new(&ChatRequest::default());
        let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1});
        let event = json!({"type": "message_start", "message": {"usage": usage}}).to_string();
        reader.push(&SseEvent { name: None, data: event }).unwrap();
        let expected = Usage { tokens_in: 7, tokens_out: 1, tokens_cached: 2, ..Usage::default() };
        assert_eq!(reader.usage(), Some(expected));
    }
}
