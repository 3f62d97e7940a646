//! OpenAI chat completions, which most other servers speak too.
//!
//! Reference: the API reference of OpenAI, "Chat Completions", read on 2026-11-23; differences of compatible servers are from their
//! documentation and recorded traffic (`tests/cassettes/compat`).

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::classify::{http_error, inside_ok};
use super::quirks::Refused;
use super::strict::strict;
use super::{Dialect, Failure, FailureKind, Quirks, RetryClass, StreamDecoder};
use crate::chat::{ChatRequest, ChatResponse, Message, Role, Usage};
use crate::config::{ConnectionSettings, ProviderKind};
use crate::secret::Secret;
use crate::wire::{HttpRequest, HttpResponse, SseEvent};

/// Numbers of tokens above this are absurd and ignored.
const MAX_TOKENS: u64 = 1_000_000_000;

/// The codec.
#[derive(Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn encode(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
    ) -> Result<HttpRequest, Failure> {
        let body = serde_json::to_vec(&body(chat, to, quirks))
            .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))?;
        Ok(HttpRequest {
            url: crate::config::join_url(&to.base_url, "chat/completions"),
            headers: headers(to),
            body: Bytes::from(body),
        })
    }

    fn decode(&self, answer: &HttpResponse) -> Result<ChatResponse, Failure> {
        if !(200..300).contains(&answer.status) {
            return Err(http_error(answer.status, &answer.headers, &answer.body));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let trimmed = text.trim_start_matches('\u{feff}').trim();
        whole(read(trimmed, "the answer")?, trimmed)
    }

    fn learn(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
        is_second: bool,
        failure: &Failure,
    ) -> Option<Quirks> {
        let limit_field = limit_field(to, &chat.model, quirks);
        Refused { chat, kind: to.kind, quirks, limit_field, is_second }.next(failure)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Box::<Reader>::default()
    }
}

fn headers(to: &ConnectionSettings) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    if let Some(key) = &to.api_key {
        let value = Secret::new(format!("Bearer {}", key.expose()));
        headers.push(("authorization".to_owned(), value));
    }
    if matches!(to.kind, ProviderKind::OpenAi | ProviderKind::Custom) {
        let own = [("openai-organization", &to.organization), ("openai-project", &to.project)];
        for (name, value) in own {
            headers.extend(value.as_ref().map(|value| (name.to_owned(), Secret::new(value))));
        }
    }
    headers
}

fn body(chat: &ChatRequest, to: &ConnectionSettings, quirks: &Quirks) -> Json {
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("model", Some(json!(chat.model)));
    put("messages", Some(messages(chat, to.kind, quirks)));
    let sampling = &chat.sampling;
    put("temperature", sampling.temperature.map(Json::from));
    put("top_p", sampling.top_p.map(Json::from));
    put(limit_field(to, &chat.model, quirks), sampling.max_tokens.map(Json::from));
    put("stop", (!sampling.stop.is_empty()).then(|| json!(sampling.stop)));
    put("seed", sampling.seed.map(Json::from));
    put("response_format", response_format(chat, to.kind, quirks));
    if chat.stream {
        put("stream", Some(json!(true)));
        let options = json!({"include_usage": true});
        put("stream_options", (!quirks.no_stream_options).then_some(options));
    }
    Json::Object(body)
}

/// A rule by number, not a list, so that new models work: `o` and a digit, `gpt-` and 5 or more.
fn is_reasoning_family(model: &str) -> bool {
    let number = |text: &str| -> Option<u32> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    match model.strip_prefix("gpt-") {
        Some(rest) => number(rest).is_some_and(|n| n >= 5),
        None => model.strip_prefix('o').is_some_and(|rest| number(rest).is_some()),
    }
}

/// Which field carries the limit of the answer.
fn limit_field(to: &ConnectionSettings, model: &str, quirks: &Quirks) -> &'static str {
    let is_swapped = quirks.swapped_limit.iter().any(|id| id == model);
    if wants_completion_tokens(to, model) == is_swapped {
        "max_tokens"
    } else {
        "max_completion_tokens"
    }
}

fn wants_completion_tokens(to: &ConnectionSettings, model: &str) -> bool {
    let at_home = crate::config::url_host(&to.base_url).as_deref() == Some("api.openai.com");
    to.kind == ProviderKind::OpenAi && (at_home || is_reasoning_family(model))
}

fn messages(chat: &ChatRequest, kind: ProviderKind, quirks: &Quirks) -> Json {
    let mut messages: Vec<Message> = chat.messages.clone();
    // Where the server gets no schema, the model must be told.
    let told =
        chat.output.as_ref().filter(|_| kind == ProviderKind::Custom && quirks.schema_level > 0);
    if let Some(output) = told {
        let content = format!(
            "Answer with one JSON value only, without any other text. It must fit this JSON Schema:\n{}",
            output.json
        );
        let at = messages.iter().take_while(|m| m.role == Role::System).count();
        messages.insert(at, Message { role: Role::System, content });
    }
    if kind != ProviderKind::OpenAi {
        messages = one_system_message(messages);
    }
    let no_system = kind == ProviderKind::OpenAi
        && ["o1-mini", "o1-preview"].iter().any(|prefix| chat.model.starts_with(prefix));
    messages
        .into_iter()
        .map(|message| {
            let role =
                if no_system && message.role == Role::System { Role::User } else { message.role };
            json!({"role": role.word(), "content": message.content})
        })
        .collect()
}

/// Some chat templates refuse a second system message.
fn one_system_message(messages: Vec<Message>) -> Vec<Message> {
    let (system, mut rest): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.role == Role::System);
    if !system.is_empty() {
        let content = system.into_iter().map(|m| m.content).collect::<Vec<_>>().join("\n\n");
        rest.insert(0, Message { role: Role::System, content });
    }
    rest
}

fn response_format(chat: &ChatRequest, kind: ProviderKind, quirks: &Quirks) -> Option<Json> {
    let output = chat.output.as_ref()?;
    match (kind, quirks.schema_level) {
        (ProviderKind::Custom, 1) => return Some(json!({"type": "json_object"})),
        (ProviderKind::Custom, 2..) => return None,
        _ => {}
    }
    let (schema, is_strict) =
        strict(&output.json).map_or((output.json.clone(), false), |s| (s, true));
    let format = json!({"name": output.name, "strict": is_strict, "schema": schema});
    Some(json!({"type": "json_schema", "json_schema": format}))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Answer {
    #[serde(deserialize_with = "word")]
    id: Option<String>,
    #[serde(deserialize_with = "word")]
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Json>,
    x_groq: Option<Groq>,
    error: Option<Json>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Groq {
    usage: Option<Json>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    message: Option<Content>,
    delta: Option<Content>,
    #[serde(deserialize_with = "word")]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Content {
    content: Option<Json>,
    #[serde(deserialize_with = "word")]
    refusal: Option<String>,
    tool_calls: Option<Json>,
}

/// A string; anything else is as good as absent, since no one field of a compatible server should spoil an answer.
fn word<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    Ok(match Json::deserialize(source)? {
        Json::String(text) => Some(text),
        _ => None,
    })
}

impl Content {
    /// A string, nothing, or parts of which those of type `text` count.
    fn take_text(&mut self) -> String {
        match self.content.take() {
            Some(Json::String(text)) => text,
            Some(Json::Array(parts)) => parts
                .iter()
                .filter(|part| part.get("type").and_then(Json::as_str) == Some("text"))
                .filter_map(|part| part.get("text").and_then(Json::as_str))
                .collect(),
            _ => String::new(),
        }
    }

    fn has_calls(&self) -> bool {
        self.tool_calls.as_ref().and_then(Json::as_array).is_some_and(|calls| !calls.is_empty())
    }
}

/// Reads an answer or an event, unless it is an error object.
fn read(text: &str, what: &str) -> Result<Answer, Failure> {
    let error_object = || inside_ok(&serde_json::from_str(text).unwrap_or_default());
    match serde_json::from_str::<Answer>(text) {
        Ok(answer) if answer.error.is_none() => Ok(answer),
        Ok(answer) => error_object().map_or(Ok(answer), Err),
        // Its form is none of ours, but it may still be an error object.
        Err(error) if error.is_data() => Err(error_object()
            .unwrap_or_else(|| unusable(&format!("{what} has an unknown form ({error})"), text))),
        Err(error) => Err(unusable(&format!("{what} is no JSON ({error})"), text)),
    }
}

fn unusable(what: &str, raw: &str) -> Failure {
    let raw: String = raw.chars().take(2000).collect();
    let shown: String = raw.chars().take(120).collect();
    Failure {
        raw,
        ..Failure::new(FailureKind::InvalidResponse, format!("{what}: {}", shown.escape_debug()))
    }
}

fn whole(answer: Answer, raw: &str) -> Result<ChatResponse, Failure> {
    let usage = answer.usage.as_ref().and_then(usage);
    let choice = answer.choices.and_then(|choices| choices.into_iter().next());
    let Some((reason, mut message)) = choice.and_then(|c| Some((c.finish_reason, c.message?)))
    else {
        return Err(unusable("the answer has no choices", raw));
    };
    let text = message.take_text();
    let reason = finish(reason.as_deref(), message.has_calls());
    let refusal = message.refusal.take().filter(|refusal| !refusal.is_empty());
    conclude(text, reason, refusal, answer.model, answer.id, usage)
}

/// Finish reasons in our words; unknown ones pass.
fn finish(reason: Option<&str>, has_calls: bool) -> String {
    let ours = match reason.unwrap_or("stop") {
        "eos" | "eos_token" => "stop",
        "model_length" => "length",
        "function_call" => "tool_calls",
        other => other,
    };
    if has_calls && ours == "stop" { "tool_calls".to_owned() } else { ours.to_owned() }
}

/// Tells a filtered or failed answer from a good one.
fn conclude(
    text: String,
    finish_reason: String,
    refusal: Option<String>,
    model: Option<String>,
    request_id: Option<String>,
    usage: Option<Usage>,
) -> Result<ChatResponse, Failure> {
    let filtered = refusal.is_some() || finish_reason == "content_filter";
    if filtered && text.is_empty() {
        let message = refusal
            .unwrap_or_else(|| "the provider's content filter stopped the answer".to_owned());
        return Err(Failure {
            usage,
            request_id,
            ..Failure::new(FailureKind::ContentFiltered, message)
        });
    }
    if finish_reason == "error" && text.is_empty() {
        let failure =
            Failure::new(FailureKind::InvalidResponse, "the server ended the answer with an error");
        return Err(Failure { usage, request_id, ..failure });
    }
    let finish_reason = if filtered { "content_filter".to_owned() } else { finish_reason };
    let model = model.filter(|model| !model.is_empty());
    Ok(ChatResponse { text, finish_reason, model, request_id, usage })
}

/// Tokens as reported; numbers that cannot be are ignored.
fn usage(json: &Json) -> Option<Usage> {
    let count = |pointer: &str| {
        let number = json.pointer(pointer)?;
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
    };
    let (tokens_in, tokens_out) = (count("/prompt_tokens"), count("/completion_tokens"));
    if tokens_in.is_none() && tokens_out.is_none() {
        return None;
    }
    Some(Usage {
        tokens_in: tokens_in.unwrap_or(0),
        tokens_out: tokens_out.unwrap_or(0),
        tokens_cached: count("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        cache_written: count("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
        reasoning: count("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
        is_estimated: false,
    })
}

/// Reads one stream.
#[derive(Default)]
struct Reader {
    done: bool,
    finish: Option<String>,
    has_text: bool,
    has_calls: bool,
    refusal: String,
    model: Option<String>,
    id: Option<String>,
    usage: Option<Usage>,
}

impl StreamDecoder for Reader {
    fn push(&mut self, event: &SseEvent) -> Result<String, Failure> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(String::new());
        }
        let part = read(data, "an event")?;
        let take = |own: &mut Option<String>, new: Option<String>| {
            if own.is_none() {
                *own = new.filter(|text| !text.is_empty());
            }
        };
        take(&mut self.model, part.model);
        take(&mut self.id, part.id);
        let reported = part.usage.or_else(|| part.x_groq?.usage);
        self.usage = reported.as_ref().and_then(usage).or(self.usage);
        let Some(choice) = part.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(String::new());
        };
        // A later null does not erase the reason.
        self.finish = choice.finish_reason.or(self.finish.take());
        let Some(mut delta) = choice.delta.or(choice.message) else { return Ok(String::new()) };
        self.has_calls |= delta.has_calls();
        self.refusal.push_str(delta.refusal.as_deref().unwrap_or(""));
        let text = delta.take_text();
        self.has_text |= !text.is_empty();
        Ok(text)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn finish(&mut self) -> Result<ChatResponse, Failure> {
        if !self.done && self.finish.is_none() {
            let failure =
                Failure::new(FailureKind::Network, "the stream ended without its end marker");
            return Err(failure.retried_as(RetryClass::ServerError));
        }
        let reason = finish(self.finish.as_deref(), self.has_calls);
        let refusal = Some(std::mem::take(&mut self.refusal)).filter(|refusal| !refusal.is_empty());
        // The text was delivered in pieces; a placeholder keeps an answer with text from counting as filtered.
        let text = if self.has_text { "…".to_owned() } else { String::new() };
        let mut response =
            conclude(text, reason, refusal, self.model.take(), self.id.take(), self.usage)?;
        response.text.clear();
        Ok(response)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_families_go_by_number() {
        for (model, expected) in [
            ("o1", true),
            ("o4-mini", true),
            ("gpt-5-mini", true),
            ("gpt-6.1-sol", true),
            ("gpt-10", true),
            ("gpt-4o", false),
            ("gpt-4.1", false),
            ("ollama", false),
            ("llama3.1", false),
        ] {
            assert_eq!(is_reasoning_family(model), expected, "{model}");
        }
    }
}
