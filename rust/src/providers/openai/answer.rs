//! Answers: whole ones, and streams of chunks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::super::answer::{Calls, Draft, count, cut_off, lenient, unusable};
use super::super::classify::inside_ok;
use super::super::{Failure, StreamDecoder, answer};
use crate::chat::{ChatRequest, ChatResponse, Usage};
use crate::wire::SseEvent;

/// Most events of a stream have no usage, so it stands apart: the rest is moved often.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    id: Option<Word<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    model: Option<Word<'a>>,
    choices: Option<Vec<Choice<'a>>>,
    #[serde(deserialize_with = "lenient")]
    usage: Option<Box<Counted>>,
    x_groq: Option<Groq>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Groq {
    #[serde(deserialize_with = "lenient")]
    usage: Option<Box<Counted>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Option<Content<'a>>,
    delta: Option<Content<'a>>,
    #[serde(deserialize_with = "lenient")]
    finish_reason: Option<Word<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Content<'a> {
    content: Option<Json>,
    #[serde(borrow, deserialize_with = "lenient")]
    refusal: Option<Word<'a>>,
    tool_calls: Option<Json>,
}

/// A string, not copied where it has no escapes: a stream repeats ids that nobody needs twice.
#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl Word<'_> {
    fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

/// Tokens as reported.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Counted {
    prompt_tokens: Option<Json>,
    completion_tokens: Option<Json>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Option<Json>,
    #[serde(deserialize_with = "lenient")]
    prompt_tokens_details: Option<Details>,
    #[serde(deserialize_with = "lenient")]
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    cached_tokens: Option<Json>,
    cache_write_tokens: Option<Json>,
    reasoning_tokens: Option<Json>,
}

impl Content<'_> {
    /// A string, nothing, or parts of which those of type `text` count.
    fn take_text(&mut self) -> String {
        match self.content.take() {
            Some(Json::String(text)) => text,
            Some(Json::Array(parts)) => parts
                .iter()
                .filter(|part| answer::word(part, "type") == Some("text"))
                .filter_map(|part| answer::word(part, "text"))
                .collect(),
            _ => String::new(),
        }
    }

    fn calls(&self) -> impl Iterator<Item = CallPart<'_>> {
        self.tool_calls.as_ref().and_then(Json::as_array).into_iter().flatten().map(CallPart::read)
    }
}

/// A call or a piece of one.
struct CallPart<'a> {
    index: Option<u64>,
    id: &'a str,
    name: &'a str,
    arguments: String,
}

impl<'a> CallPart<'a> {
    fn read(json: &'a Json) -> Self {
        let text = |pointer: &str| json.pointer(pointer).and_then(Json::as_str).unwrap_or("");
        // A few servers send an object instead of its text.
        let arguments = match json.pointer("/function/arguments") {
            Some(Json::String(text)) => text.clone(),
            Some(object @ Json::Object(_)) => object.to_string(),
            _ => String::new(),
        };
        let (id, name) = (text("/id"), text("/function/name"));
        Self { index: count(json, "/index"), id, name, arguments }
    }
}

/// Reads an answer or an event, unless it is an error object.
fn read<'a>(text: &'a str, what: &str) -> Result<Answer<'a>, Failure> {
    let error_object = || inside_ok(&serde_json::from_str(text).unwrap_or_default());
    match serde_json::from_str::<Answer<'_>>(text) {
        Ok(answer) if answer.error.is_none() => Ok(answer),
        Ok(answer) => error_object().map_or(Ok(answer), Err),
        // Its form is none of ours, but it may still be an error object.
        Err(error) if error.is_data() => Err(error_object()
            .unwrap_or_else(|| unusable(&format!("{what} has an unknown form ({error})"), text))),
        Err(error) => Err(unusable(&format!("{what} is no JSON ({error})"), text)),
    }
}

pub(super) fn whole(chat: &ChatRequest, raw: &str) -> Result<ChatResponse, Failure> {
    let answer = read(raw, "the answer")?;
    let choice = answer.choices.and_then(|choices| choices.into_iter().next());
    let Some((reason, mut message)) = choice.and_then(|c| Some((c.finish_reason, c.message?)))
    else {
        return Err(unusable("the answer has no choices", raw));
    };
    let text = message.take_text();
    let mut calls = Calls::new(chat);
    // A call without a name is of a kind that was not declared.
    for call in message.calls().filter(|call| !call.name.is_empty()) {
        calls.push(Some(call.id), call.name, call.arguments);
    }
    let has_text = !text.is_empty();
    let response = ChatResponse {
        text,
        tool_calls: calls.take(),
        model: answer.model.map(Word::into_owned),
        request_id: answer.id.map(Word::into_owned),
        usage: answer.usage.as_deref().and_then(Counted::usage),
        ..ChatResponse::default()
    };
    let refusal = message.refusal.map(Word::into_owned);
    judge(response, has_text, reason.as_ref().map(|reason| &*reason.0), refusal)
}

/// Finish reasons in our words; unknown ones pass.
fn judge(
    response: ChatResponse,
    has_text: bool,
    reason: Option<&str>,
    refusal: Option<String>,
) -> Result<ChatResponse, Failure> {
    let reason = reason.unwrap_or("stop");
    let ours = match reason {
        "eos" | "eos_token" => "stop",
        "model_length" => "length",
        "function_call" => "tool_calls",
        other => other,
    };
    let failed =
        (reason == "error").then(|| "the server ended the answer with an error".to_owned());
    let response = ChatResponse { finish_reason: ours.to_owned(), ..response };
    let refusal = refusal.filter(|refusal| !refusal.is_empty());
    Draft { response, has_text, refusal, failed, ..Draft::default() }.conclude()
}

impl Counted {
    /// Numbers that cannot be are ignored.
    fn usage(&self) -> Option<Usage> {
        let number = |json: &Option<Json>| json.as_ref().and_then(answer::whole);
        let (prompt, completion) = (&self.prompt_tokens_details, &self.completion_tokens_details);
        let cached = prompt.as_ref().and_then(|details| number(&details.cached_tokens));
        let written = prompt.as_ref().and_then(|details| number(&details.cache_write_tokens));
        let reasoning = completion.as_ref().and_then(|details| number(&details.reasoning_tokens));
        let cached = cached.or_else(|| number(&self.prompt_cache_hit_tokens));
        Some(Usage {
            tokens_cached: cached.unwrap_or(0),
            cache_written: written.unwrap_or(0),
            reasoning: reasoning.unwrap_or(0),
            ..answer::usage(number(&self.prompt_tokens), number(&self.completion_tokens))?
        })
    }
}

/// Reads one stream.
pub(super) struct Reader {
    done: bool,
    finish: Option<String>,
    has_text: bool,
    refusal: String,
    model: Option<String>,
    id: Option<String>,
    usage: Option<Usage>,
    calls: Calls,
    parts: Parts,
}

/// Calls that come in pieces.
#[derive(Default)]
struct Parts {
    /// By the server's index, and by how many calls came under it.
    open: BTreeMap<(u64, usize), Part>,
    last: (u64, usize),
}

#[derive(Default)]
struct Part {
    id: String,
    name: String,
    arguments: String,
}

impl Parts {
    /// Pieces go by their index. Where a server sends none, or the same one for all, a new id begins the next call.
    fn add(&mut self, piece: &CallPart<'_>) {
        let mut place = match piece.index {
            Some(index) if index == self.last.0 => self.last,
            Some(index) => {
                let count = self.open.range((index, 0)..=(index, usize::MAX)).count();
                (index, count.saturating_sub(1))
            }
            None => self.last,
        };
        let is_new_id = self
            .open
            .get(&place)
            .is_some_and(|own| !piece.id.is_empty() && !own.id.is_empty() && own.id != piece.id);
        if is_new_id {
            place.1 += 1;
        }
        self.last = place;
        let part = self.open.entry(place).or_default();
        if part.id.is_empty() {
            piece.id.clone_into(&mut part.id);
        }
        if part.name.is_empty() {
            piece.name.clone_into(&mut part.name);
        }
        part.arguments.push_str(&piece.arguments);
    }
}

impl Reader {
    pub(super) fn new(chat: &ChatRequest) -> Self {
        Self {
            done: false,
            finish: None,
            has_text: false,
            refusal: String::new(),
            model: None,
            id: None,
            usage: None,
            calls: Calls::new(chat),
            parts: Parts::default(),
        }
    }
}

impl StreamDecoder for Reader {
    fn push(&mut self, event: &SseEvent) -> Result<String, Failure> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(String::new());
        }
        let part = read(data, "an event")?;
        let take = |own: &mut Option<String>, new: Option<Word<'_>>| {
            if own.is_none() {
                *own = new.map(Word::into_owned).filter(|text| !text.is_empty());
            }
        };
        take(&mut self.model, part.model);
        take(&mut self.id, part.id);
        let reported = part.usage.or_else(|| part.x_groq?.usage);
        let usage = reported.as_deref().and_then(Counted::usage);
        self.usage = usage.or(self.usage);
        let Some(choice) = part.choices.and_then(|choices| choices.into_iter().next()) else {
            // Not all servers say `[DONE]`; after the reason and the usage nothing else comes.
            self.done |= self.finish.is_some() && usage.is_some();
            return Ok(String::new());
        };
        // A later null does not erase the reason.
        self.finish = choice.finish_reason.map(Word::into_owned).or(self.finish.take());
        let Some(mut delta) = choice.delta.or(choice.message) else { return Ok(String::new()) };
        for piece in delta.calls() {
            self.parts.add(&piece);
        }
        self.refusal.push_str(delta.refusal.as_ref().map_or("", |refusal| &refusal.0));
        let text = delta.take_text();
        self.has_text |= !text.is_empty();
        Ok(text)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_whole(&self) -> bool {
        self.done || self.finish.is_some()
    }

    fn finish(&mut self) -> Result<ChatResponse, Failure> {
        if !self.is_whole() {
            return Err(cut_off());
        }
        for part in std::mem::take(&mut self.parts.open).into_values() {
            if !part.name.is_empty() {
                self.calls.push(Some(&part.id), &part.name, part.arguments);
            }
        }
        let response = ChatResponse {
            tool_calls: self.calls.take(),
            model: self.model.take(),
            request_id: self.id.take(),
            usage: self.usage,
            ..ChatResponse::default()
        };
        let refusal = Some(std::mem::take(&mut self.refusal));
        judge(response, self.has_text, self.finish.as_deref(), refusal)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(pieces: &[Json]) -> Vec<(String, String, String)> {
        let mut parts = Parts::default();
        for piece in pieces {
            parts.add(&CallPart::read(piece));
        }
        parts.open.into_values().map(|part| (part.id, part.name, part.arguments)).collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    // providers.md 2.3, 3.6: what ends a stream.
    #[test]
    fn a_stream_ends_with_its_usage_or_with_done() {
        let finish = r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#;
        let usage = r#"{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}"#;
        let filter = r#"{"choices": [], "prompt_filter_results": []}"#;
        for (events, is_done, is_good) in [
            (&[finish, usage][..], true, true),
            (&[finish][..], false, true),
            (&[finish, filter][..], false, true),
            (&["[DONE]"][..], true, true),
            (&[" [DONE] "][..], true, true),
            (&[usage][..], false, false),
            (&[filter][..], false, false),
            (&[][..], false, false),
        ] {
            let mut reader = Reader::new(&ChatRequest::default());
            for event in events {
                reader.push(&SseEvent { name: None, data: (*event).to_owned() }).unwrap();
            }
            assert_eq!(
                (reader.is_done(), reader.finish().is_ok()),
                (is_done, is_good),
                "{events:?}"
            );
        }
    }

    #[test]
    fn pieces_of_calls_find_their_call_however_servers_number_them() {
        let piece = |index: Json, id: &str, name: &str, arguments: &str| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
        let expected = [call("a", "f", "{\"x\":1}"), call("b", "g", "{}")];
        // By index, interleaved.
        let interleaved = [
            piece(json!(1), "b", "g", "{"),
            piece(json!(0), "a", "f", "{\"x\""),
            piece(json!(1), "", "", "}"),
            piece(json!(0), "a", "f", ":1}"),
        ];
        assert_eq!(parts(&interleaved), expected);
        // Without an index, and with 0 for all: a new id begins the next call.
        for index in [json!(null), json!(0)] {
            let followed = [
                piece(index.clone(), "a", "f", "{\"x\""),
                piece(index.clone(), "", "", ":1}"),
                piece(index, "b", "g", "{}"),
            ];
            assert_eq!(parts(&followed), expected);
        }
    }
}
