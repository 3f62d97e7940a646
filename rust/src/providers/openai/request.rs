//! The body of a request.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value as Json, json};

use super::super::Quirks;
use super::super::quirks::Fields;
use super::super::told::{self, wire_name};
use super::strict::strict;
use crate::chat::{ChatRequest, Message, Role, Sent, ToolCall, ToolChoice, ToolSpec};
use crate::config::{ConnectionSettings, ProviderKind, names_host};
use crate::models_table;

/// Names of the sampling fields; a newer one for the limit is in [`limit_field`].
pub(super) const FIELDS: Fields = Fields {
    temperature: "temperature",
    top_p: "top_p",
    max_tokens: "max_tokens",
    stop: "stop",
    seed: "seed",
};

/// A body, written as it is walked: a tree of JSON on the way would cost more than the writing.
pub(super) struct Body<'a> {
    pub(super) chat: &'a ChatRequest,
    pub(super) to: &'a ConnectionSettings,
    pub(super) quirks: &'a Quirks,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { chat, to, quirks } = *self;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", &chat.model)?;
        body.serialize_entry("messages", &Messages { chat, kind: to.kind, quirks })?;
        let sampling = &chat.sampling;
        put(&mut body, FIELDS.temperature, sampling.temperature)?;
        put(&mut body, FIELDS.top_p, sampling.top_p)?;
        put(&mut body, limit_field(to, &chat.model, quirks), sampling.max_tokens)?;
        put(&mut body, FIELDS.stop, (!sampling.stop.is_empty()).then_some(&sampling.stop))?;
        put(&mut body, seed_field(to), sampling.seed)?;
        put(&mut body, "response_format", response_format(chat, to.kind, quirks))?;
        if !chat.tools.specs.is_empty() {
            let tools: Vec<Json> =
                chat.tools.specs.iter().map(|spec| tool(spec, to.kind)).collect();
            body.serialize_entry("tools", &tools)?;
            put(&mut body, "tool_choice", chat.tools.choice.as_ref().map(tool_choice))?;
            put(&mut body, "parallel_tool_calls", chat.tools.parallel)?;
        }
        if chat.stream {
            body.serialize_entry("stream", &true)?;
            let options = json!({"include_usage": true});
            put(&mut body, "stream_options", (!quirks.no_stream_options).then_some(options))?;
        }
        body.end()
    }
}

/// An entry, if there is a value.
fn put<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

/// A rule by number, not a list, so that new models work: `o` and a digit, `gpt-` and 5 or more (C-51).
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
pub(super) fn limit_field(to: &ConnectionSettings, model: &str, quirks: &Quirks) -> &'static str {
    let is_swapped = quirks.swapped_limit.iter().any(|id| id == model);
    if wants_completion_tokens(to, model) == is_swapped {
        "max_tokens"
    } else {
        "max_completion_tokens"
    }
}

fn wants_completion_tokens(to: &ConnectionSettings, model: &str) -> bool {
    let at_home = names_host(&to.base_url, "api.openai.com");
    to.kind == ProviderKind::OpenAi && (at_home || is_reasoning_family(model))
}

/// Mistral has another word and refuses the usual one.
fn seed_field(to: &ConnectionSettings) -> &'static str {
    if names_host(&to.base_url, "api.mistral.ai") { "random_seed" } else { FIELDS.seed }
}

struct Messages<'a> {
    chat: &'a ChatRequest,
    kind: ProviderKind,
    quirks: &'a Quirks,
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { chat, kind, quirks } = *self;
        // Where the server gets no schema, the model must be told.
        let mut messages =
            told::messages(chat, kind == ProviderKind::Custom && quirks.schema_level > 0);
        if kind != ProviderKind::OpenAi {
            messages = one_system_message(messages);
        }
        let has_system = messages.iter().any(|message| message.role == Role::System);
        let no_system = has_system
            && kind == ProviderKind::OpenAi
            && models_table::rejects(&chat.model, "system");
        serializer.collect_seq(messages.iter().map(|own| Written { own, kind, no_system }))
    }
}

/// One message.
struct Written<'a> {
    own: &'a Message,
    kind: ProviderKind,
    no_system: bool,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let role = match self.own.role {
            Role::System if self.no_system => "user",
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let Message { content, calls, answers, .. } = self.own;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("role", role)?;
        put(&mut out, "tool_call_id", answers.as_ref().map(|answered| &answered.call.id))?;
        // Some chat templates fail on null; OpenAI is the only one known to prefer it.
        let is_nothing = content.is_empty() && !calls.is_empty();
        let is_null = is_nothing && self.kind == ProviderKind::OpenAi;
        out.serialize_entry("content", &(!is_null).then_some(content))?;
        let calls: Vec<Json> = calls.iter().map(call).collect();
        put(&mut out, "tool_calls", (!calls.is_empty()).then_some(calls))?;
        out.end()
    }
}

fn call(call: &ToolCall) -> Json {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

/// Some chat templates refuse a second system message.
fn one_system_message(messages: Cow<'_, [Message]>) -> Cow<'_, [Message]> {
    if messages.iter().skip(1).all(|message| message.role != Role::System) {
        return messages;
    }
    let (system, mut rest): (Vec<_>, Vec<_>) =
        messages.into_owned().into_iter().partition(|message| message.role == Role::System);
    let content = system.into_iter().map(|m| m.content).collect::<Vec<_>>().join("\n\n");
    rest.insert(0, Message::system(content));
    Cow::Owned(rest)
}

/// `strict` is for OpenAI alone: other servers may refuse a field that they do not know.
fn tool(spec: &ToolSpec, kind: ProviderKind) -> Json {
    let mut function = Map::new();
    function.insert("name".to_owned(), spec.name.clone().into());
    function.insert("description".to_owned(), spec.description.clone().into());
    let wants_strict = spec.is_strict && kind == ProviderKind::OpenAi;
    if let Some(parameters) = &spec.parameters {
        let enforced = strict(parameters).filter(|_| wants_strict);
        if enforced.is_some() {
            function.insert("strict".to_owned(), true.into());
        }
        let schema = enforced.unwrap_or_else(|| parameters.clone());
        function.insert("parameters".to_owned(), schema);
    }
    json!({"type": "function", "function": function})
}

fn tool_choice(choice: &ToolChoice) -> Json {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::Never => json!("none"),
        ToolChoice::Any => json!("required"),
        ToolChoice::Only(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// What an answer must look like.
#[derive(Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: String,
    strict: bool,
    schema: &'a RawValue,
}

fn response_format<'a>(
    chat: &'a ChatRequest,
    kind: ProviderKind,
    quirks: &Quirks,
) -> Option<Format<'a>> {
    let output = chat.output.as_ref()?;
    match (kind, quirks.schema_level) {
        (ProviderKind::Custom, 1) => {
            return Some(Format { kind: "json_object", json_schema: None });
        }
        (ProviderKind::Custom, 2..) => return None,
        _ => {}
    }
    let Sent { is_strict, schema } = output.sent(|json| {
        let strict = strict(json);
        let schema = to_raw_value(strict.as_ref().unwrap_or(json)).unwrap_or_default();
        Sent { is_strict: strict.is_some(), schema }
    });
    let json_schema = JsonSchema { name: wire_name(&output.name), strict: *is_strict, schema };
    Some(Format { kind: "json_schema", json_schema: Some(json_schema) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatResponse, OutputSchema, Sampling, Tools};
    use crate::config::{Layer, merge};

    fn settings(kind: ProviderKind, url: Option<&str>) -> ConnectionSettings {
        let mut fields = json!({"api_key": "sk-test"});
        if let Some(url) = url {
            fields["base_url"] = url.into();
        }
        let layer = Layer::from_json("c", fields.as_object().unwrap()).unwrap();
        merge("c", kind, &[("program", &layer)]).unwrap()
    }

    const LOCAL: Option<&str> = Some("http://127.0.0.1:1");

    fn body(chat: &ChatRequest, to: &ConnectionSettings, quirks: &Quirks) -> Json {
        serde_json::to_value(Body { chat, to, quirks }).unwrap()
    }

    fn body_for(kind: ProviderKind, url: Option<&str>, chat: &ChatRequest) -> Json {
        body(chat, &settings(kind, url), &Quirks::default())
    }

    // C-51
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

    // C-51, providers.md 7.1, 8.1, 8.2
    #[test]
    fn servers_get_the_names_that_they_know() {
        let sampling = Sampling { max_tokens: Some(5), seed: Some(7), ..Sampling::default() };
        for (kind, model, url, limit, seed) in [
            (ProviderKind::OpenAi, "gpt-4o", None, "max_completion_tokens", "seed"),
            (ProviderKind::OpenAi, "gpt-4o", LOCAL, "max_tokens", "seed"),
            (ProviderKind::OpenAi, "o3", LOCAL, "max_completion_tokens", "seed"),
            (ProviderKind::Custom, "o3", LOCAL, "max_tokens", "seed"),
            (ProviderKind::Ollama, "gpt-oss", None, "max_tokens", "seed"),
            (
                ProviderKind::Custom,
                "m",
                Some("https://api.mistral.ai/v1"),
                "max_tokens",
                "random_seed",
            ),
        ] {
            let sampling = sampling.clone();
            let chat = ChatRequest { model: model.to_owned(), sampling, ..ChatRequest::default() };
            let expected = json!({"model": model, "messages": [], limit: 5, seed: 7});
            assert_eq!(body_for(kind, url, &chat), expected, "{kind:?} {model} {url:?}");
        }
    }

    // providers.md 3.1, 8.1: instructions by kind and model.
    #[test]
    fn instructions_stand_where_the_server_takes_them() {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let three = [message("system", "a"), message("user", "b"), message("system", "c")];
        let joined = [message("system", "a\n\nc"), message("user", "b")];
        let told = [message("user", "a"), message("user", "b"), message("user", "c")];
        for (kind, model, expected) in [
            (ProviderKind::OpenAi, "gpt-4o", &three[..]),
            (ProviderKind::OpenAi, "o1", &three[..]),
            (ProviderKind::OpenAi, "o1-mini-2024-09-12", &told[..]),
            (ProviderKind::OpenAi, "o1-preview", &told[..]),
            (ProviderKind::Custom, "o1-mini", &joined[..]),
            (ProviderKind::Ollama, "llama3.1", &joined[..]),
        ] {
            let messages = vec![Message::system("a"), Message::user("b"), Message::system("c")];
            let chat = ChatRequest { model: model.to_owned(), messages, ..ChatRequest::default() };
            assert_eq!(body_for(kind, LOCAL, &chat)["messages"], json!(expected), "{model}");
        }
    }

    // providers.md 3.3, 8.1
    #[test]
    fn tools_are_written_as_the_server_takes_them() {
        let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let spec = ToolSpec {
            name: "t".to_owned(),
            description: "d".to_owned(),
            parameters: Some(object.clone()),
            is_strict: true,
        };
        let call = ToolCall {
            id: "c".to_owned(),
            is_own_id: false,
            name: "t".to_owned(),
            arguments: "{broken".to_owned(),
        };
        let response = ChatResponse { tool_calls: vec![call], ..ChatResponse::default() };
        let tools = Tools { specs: vec![spec], ..Tools::default() };
        let messages = vec![Message::calling(&response)];
        let chat = ChatRequest { messages, tools, ..ChatRequest::default() };
        for (kind, content, is_strict) in [
            (ProviderKind::OpenAi, json!(null), true),
            (ProviderKind::Custom, json!(""), false),
            (ProviderKind::Ollama, json!(""), false),
        ] {
            let body = body_for(kind, LOCAL, &chat);
            assert_eq!(body["messages"][0]["content"], content, "{kind:?}");
            let calls = &body["messages"][0]["tool_calls"];
            assert_eq!(calls[0]["function"]["arguments"], "{broken", "{kind:?}");
            let function = &body["tools"][0]["function"];
            assert_eq!(function.get("strict").is_some(), is_strict, "{kind:?}");
            assert_eq!(function["parameters"] == object, !is_strict, "{kind:?}");
            assert_eq!(body.get("tool_choice"), None, "{kind:?}");
        }
        for (choice, expected) in [
            (ToolChoice::Auto, json!("auto")),
            (ToolChoice::Never, json!("none")),
            (ToolChoice::Any, json!("required")),
            (
                ToolChoice::Only("t".to_owned()),
                json!({"type": "function", "function": {"name": "t"}}),
            ),
        ] {
            assert_eq!(tool_choice(&choice), expected);
        }
    }

    // M-40, M-42
    #[test]
    fn typed_answers_by_kind_and_by_what_the_server_refused() {
        let json = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let output = Some(OutputSchema::new("Map<String, Int>".to_owned(), json.clone()).into());
        let chat = ChatRequest { output, ..ChatRequest::default() };
        let format = json!({"name": "Map_String__Int_", "strict": false, "schema": json});
        let native = json!({"type": "json_schema", "json_schema": format});
        for (kind, level, expected, is_told) in [
            (ProviderKind::OpenAi, 0, Some(native.clone()), false),
            (ProviderKind::Ollama, 0, Some(native.clone()), false),
            (ProviderKind::Custom, 0, Some(native), false),
            (ProviderKind::Custom, 1, Some(json!({"type": "json_object"})), true),
            (ProviderKind::Custom, 2, None, true),
        ] {
            let quirks = Quirks { schema_level: level, ..Quirks::default() };
            let body = body(&chat, &settings(kind, LOCAL), &quirks);
            assert_eq!(body.get("response_format"), expected.as_ref(), "{kind:?} {level}");
            assert_eq!(!body["messages"].as_array().unwrap().is_empty(), is_told, "{level}");
        }
    }
}
