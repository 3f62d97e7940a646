//! What all codecs do with an answer once they have read it: tell a good one from a filtered or failed one, and give every call an id.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::{Failure, FailureKind, RetryClass};
use crate::chat::{ChatRequest, ChatResponse, ToolCall, Usage};

/// Numbers of tokens above this are absurd and ignored.
const MAX_TOKENS: u64 = 1_000_000_000;

/// An answer that was read, before it is judged.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Finish reason in our words; of a stream without its text, which was delivered already.
    pub(super) response: ChatResponse,
    /// Whether there was any text.
    pub(super) has_text: bool,
    /// What the model or its provider said instead of an answer.
    pub(super) refusal: Option<String>,
    /// The provider's word for the kind of content that it refused.
    pub(super) category: Option<String>,
    /// The provider gave up, and why.
    pub(super) failed: Option<String>,
}

impl Draft {
    /// The answer, if it is one. A filtered one is billed, so its failure carries the usage.
    pub(super) fn conclude(mut self) -> Result<ChatResponse, Failure> {
        let filtered = self.refusal.is_some() || self.response.finish_reason == "content_filter";
        if filtered && !self.has_text {
            let message = self
                .refusal
                .unwrap_or_else(|| "the provider's content filter stopped the answer".to_owned());
            let failure = Failure::new(FailureKind::ContentFiltered, message);
            return Err(Failure { code: self.category, ..with_usage(failure, self.response) });
        }
        if let Some(why) = self.failed.filter(|_| !self.has_text) {
            let failure = Failure::new(FailureKind::InvalidResponse, why);
            return Err(with_usage(failure, self.response));
        }
        let has_calls = !self.response.tool_calls.is_empty();
        if filtered {
            "content_filter".clone_into(&mut self.response.finish_reason);
        } else if has_calls && self.response.finish_reason == "stop" {
            "tool_calls".clone_into(&mut self.response.finish_reason);
        }
        self.response.model = self.response.model.filter(|model| !model.is_empty());
        Ok(self.response)
    }
}

fn with_usage(failure: Failure, response: ChatResponse) -> Failure {
    Failure { usage: response.usage, request_id: response.request_id, ..failure }
}

/// Gathers the calls of one answer.
#[derive(Debug)]
pub(super) struct Calls {
    round: usize,
    taken: Vec<String>,
    calls: Vec<ToolCall>,
}

impl Calls {
    pub(super) fn new(chat: &ChatRequest) -> Self {
        let earlier = chat.messages.iter().filter(|message| !message.calls.is_empty());
        let ids = earlier.clone().flat_map(|message| &message.calls).map(|call| call.id.clone());
        Self { round: earlier.clone().count() + 1, taken: ids.collect(), calls: Vec::new() }
    }

    /// Some servers give no id, or the same one again: results could not be told apart then.
    pub(super) fn push(&mut self, id: Option<&str>, name: &str, arguments: String) {
        let given = id.filter(|id| !id.is_empty() && !self.taken.iter().any(|own| own == id));
        let id = given.map_or_else(|| self.own_id(), str::to_owned);
        self.taken.push(id.clone());
        let name = name.to_owned();
        self.calls.push(ToolCall { id, is_own_id: given.is_none(), name, arguments });
    }

    fn own_id(&self) -> String {
        let mut id = format!("call_{}_{}", self.round, self.calls.len());
        while self.taken.contains(&id) {
            id.push('_');
        }
        id
    }

    pub(super) fn take(&mut self) -> Vec<ToolCall> {
        std::mem::take(&mut self.calls)
    }
}

/// A number of tokens at a place such as `/details/cached`.
pub(super) fn count(json: &Json, pointer: &str) -> Option<u64> {
    let number = pointer.split('/').skip(1).try_fold(json, |json, key| json.get(key))?;
    whole(number)
}

/// A number of tokens, however it is written; one that cannot be is absent.
pub(super) fn whole(number: &Json) -> Option<u64> {
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and not negative"
        )]
        Some(float as u64)
    });
    whole.filter(|n| *n <= MAX_TOKENS)
}

/// Usage of which the server gave at least one of the two main numbers.
pub(super) fn usage(tokens_in: Option<u64>, tokens_out: Option<u64>) -> Option<Usage> {
    if tokens_in.is_none() && tokens_out.is_none() {
        return None;
    }
    let (tokens_in, tokens_out) = (tokens_in.unwrap_or(0), tokens_out.unwrap_or(0));
    Some(Usage { tokens_in, tokens_out, ..Usage::default() })
}

/// A body or an event that cannot be read.
pub(super) fn unusable(what: &str, raw: &str) -> Failure {
    let raw: String = raw.chars().take(2000).collect();
    let shown: String = raw.chars().take(120).collect();
    Failure {
        raw,
        ..Failure::new(FailureKind::InvalidResponse, format!("{what}: {}", shown.escape_debug()))
    }
}

/// The body of an answer as text: some servers send a byte order mark or white space before it.
pub(super) fn body(bytes: &[u8]) -> Cow<'_, str> {
    fn trimmed(text: &str) -> &str {
        text.trim_start_matches('\u{feff}').trim()
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(trimmed(text)),
        Err(_) => Cow::Owned(trimmed(&String::from_utf8_lossy(bytes)).to_owned()),
    }
}

/// A field that is as good as absent if it has another form, since no one field of a compatible server should spoil an answer.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    source: D,
) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(source)?.get();
    // The usual form of what is absent, in each event of a stream: it is no error to be written.
    if raw == "null" { Ok(None) } else { Ok(serde_json::from_str(raw).ok()) }
}

/// Reads JSON, unless it is an error object.
pub(super) fn read(text: &str, what: &str) -> Result<Json, Failure> {
    let json: Json = serde_json::from_str(text)
        .map_err(|error| unusable(&format!("{what} is no JSON ({error})"), text))?;
    match super::classify::inside_ok(&json) {
        Some(failure) => Err(failure),
        None if json.is_object() => Ok(json),
        None => Err(unusable(&format!("{what} is no JSON object"), text)),
    }
}

/// A stream whose body ended too early.
pub(super) fn cut_off() -> Failure {
    Failure::new(FailureKind::Network, "the stream ended without its end marker")
        .retried_as(RetryClass::ServerError)
}

/// Sets a field of an object.
pub(super) fn put(object: &mut Json, key: &str, value: impl Into<Json>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

/// The text of a field; anything but a string is as good as absent.
pub(super) fn word<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Json::as_str)
}

/// The elements of a field; anything but an array is as good as empty.
pub(super) fn items<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}
