//! Anthropic's Messages.

use serde_json::{Map, Value as Json, json};

use super::{
    Answer, Dialect, Framing, Question, Refusal, bearer, given, is_tool_name, last_user_message,
    list, set, strict, text,
};
use crate::mock::http::Request;
use crate::mock::script::UsageReply;
use crate::mock::wait::RateHeaders;

#[derive(Debug)]
pub(super) struct Anthropic;

/// The version under which sampling fields do not exist.
const WITHOUT_SAMPLING: &str = "2026-10-21";

const FIELDS: [&str; 19] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "output_config",
    "output_format",
    "thinking",
    "stream",
    "metadata",
    "service_tier",
    "container",
    "context_management",
    "inference_geo",
];

/// Beginnings of the ids of models that refuse forced tools.
const NO_FORCED_TOOLS: [&str; 4] =
    ["claude-fable-5", "claude-mythos-", "claude-sonnet-5-5", "claude-opus-5-5"];

impl Dialect for Anthropic {
    fn word(&self) -> &'static str {
        "anthropic"
    }

    fn key<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.header("x-api-key").or_else(|| bearer(request))
    }

    fn question(&self, _request: &Request, body: &Json) -> Question {
        let forced = body.pointer("/tool_choice/name").and_then(Json::as_str).and_then(|name| {
            let mut tools = list(body, "tools").iter();
            let tool = tools.find(|tool| text(tool, "name") == Some(name))?;
            Some((name.to_owned(), tool.get("input_schema").cloned().unwrap_or_default()))
        });
        let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"));
        Question {
            model: text(body, "model").unwrap_or("").to_owned(),
            prompt: last_user_message(list(body, "messages")),
            stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
            schema: format.and_then(|format| format.get("schema")).cloned(),
            forced,
            wants_usage: true,
            other_shape: false,
        }
    }

    fn problem(&self, request: &Request, body: &Json, question: &Question) -> Option<Refusal> {
        let Some(version) = request.header("anthropic-version") else {
            return Some(Refusal::bad("anthropic-version: header is required"));
        };
        let is_count = request.path.ends_with("/count_tokens");
        let required: &[&str] =
            if is_count { &["model", "messages"] } else { &["model", "max_tokens", "messages"] };
        if let Some(field) = required.iter().find(|field| given(body, field).is_none()) {
            return Some(Refusal::bad(format!("{field}: Field required")));
        }
        let unknown = body.as_object().into_iter().flat_map(Map::keys);
        let mut unknown = unknown.filter(|name| !FIELDS.contains(&name.as_str()));
        if let Some(field) = unknown.next() {
            return Some(Refusal::bad(format!("{field}: Extra inputs are not permitted")));
        }
        if !is_count && body.get("max_tokens").and_then(Json::as_u64).is_none_or(|n| n == 0) {
            return Some(Refusal::bad("max_tokens: Input should be greater than or equal to 1"));
        }
        refused_sampling(version, &question.model, body)
            .or_else(|| wrong_messages(&question.model, list(body, "messages")))
            .or_else(|| wrong_tools(&question.model, body))
            .or_else(|| wrong_schema(body))
    }

    fn error(&self, refusal: &Refusal, id: &str) -> Json {
        let (ty, usual) = match refusal.status {
            401 => ("authentication_error", "invalid x-api-key"),
            402 => ("billing_error", "Your credit balance is too low to access the Anthropic API."),
            403 => (
                "permission_error",
                "Your API key does not have permission to use the specified resource.",
            ),
            404 => ("not_found_error", "model: not found"),
            409 => ("conflict_error", "The request conflicts with another one."),
            413 => ("request_too_large", "Request exceeds the maximum size"),
            429 => {
                ("rate_limit_error", "This request would exceed your organization's rate limit.")
            }
            504 => ("timeout_error", "Request timeout"),
            529 => ("overloaded_error", "Overloaded"),
            500.. => ("api_error", "Internal server error"),
            _ => ("invalid_request_error", "The request is invalid."),
        };
        let ty = refusal.ty.as_deref().unwrap_or(ty);
        let mut error = json!({"type": ty, "message": refusal.text(usual)});
        if let Some(code) = &refusal.code {
            set(&mut error, "details", json!({ "error_code": code }));
        }
        json!({"type": "error", "error": error, "request_id": id})
    }

    fn overloaded(&self) -> u16 {
        529
    }

    fn rate_headers(&self) -> RateHeaders {
        RateHeaders::Anthropic
    }

    fn id_header(&self) -> &'static str {
        "request-id"
    }

    fn whole(&self, _question: &Question, answer: &Answer<'_>) -> Json {
        let mut content = Vec::new();
        if let Some(thinking) = answer.thinking {
            content
                .push(json!({"type": "thinking", "thinking": thinking, "signature": "bW9jaw=="}));
        }
        let text = said(answer);
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text}));
        }
        content.extend(answer.tool_calls.iter().map(|call| {
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.object()})
        }));
        let mut message = message(answer, &content);
        set(&mut message, "stop_reason", json!(stop_reason(answer)));
        set(&mut message, "stop_details", stop_details(answer));
        set(&mut message, "usage", usage_json(answer.usage(), answer.usage().completion_tokens));
        message
    }

    fn framing<'a>(
        &self,
        _question: &'a Question,
        answer: &'a Answer<'a>,
    ) -> Box<dyn Framing + 'a> {
        Box::new(Events { answer, block: 0, padding: 0 })
    }

    fn count(&self, tokens: u64) -> Json {
        json!({ "input_tokens": tokens })
    }

    fn models(&self) -> Json {
        let model = json!({"id": "mock", "type": "model", "display_name": "Mock", "created_at": "1970-01-01T00:00:00Z"});
        json!({"data": [model], "has_more": false, "first_id": "mock", "last_id": "mock"})
    }
}

/// `claude-FAMILY-MAJOR[-MINOR][-DATE]`, before version 4 with the family behind the numbers.
fn version(model: &str) -> Option<(u32, u32)> {
    let parts = model.strip_prefix("claude-")?.split('-').filter(|part| part.len() < 3);
    let mut numbers = parts.filter_map(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

fn refused_sampling(api: &str, model: &str, body: &Json) -> Option<Refusal> {
    let has = |field: &str| given(body, field).is_some();
    let version = version(model).unwrap_or((0, 0));
    let refused = ["temperature", "top_p", "top_k"].into_iter().find(|field| has(field));
    if let Some(field) = refused.filter(|_| api == WITHOUT_SAMPLING) {
        return Some(Refusal::bad(format!("{field}: Extra inputs are not permitted")));
    }
    if let Some(field) = refused.filter(|_| version >= (4, 7)) {
        return Some(Refusal::bad(format!("`{field}` is deprecated for this model.")));
    }
    if version >= (4, 5) && has("temperature") && has("top_p") {
        return Some(Refusal::bad(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ));
    }
    let temperature = given(body, "temperature").and_then(Json::as_f64)?;
    (!(0.0..=1.0).contains(&temperature)).then(|| Refusal::bad("temperature: range: 0..1"))
}

fn wrong_messages(model: &str, messages: &[Json]) -> Option<Refusal> {
    if messages.is_empty() {
        return Some(Refusal::bad("messages: at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = text(message, "role").unwrap_or("");
        if !["user", "assistant"].contains(&role) {
            let text = format!("messages.{index}.role: Input should be 'user' or 'assistant'");
            return Some(Refusal::bad(text));
        }
        let blocks = list(message, "content").iter().filter(|b| text(b, "type") == Some("text"));
        let is_blank = match message.get("content") {
            Some(Json::String(content)) => content.trim().is_empty(),
            _ => blocks.into_iter().any(|b| text(b, "text").is_none_or(|t| t.trim().is_empty())),
        };
        if is_blank {
            return Some(Refusal::bad("messages: text content blocks must be non-empty"));
        }
    }
    if messages.first().and_then(|message| text(message, "role")) != Some("user") {
        return Some(Refusal::bad("messages: first message must use the \"user\" role"));
    }
    let last = messages.last().and_then(|message| text(message, "role"));
    if last == Some("assistant") && version(model).is_some_and(|version| version >= (4, 6)) {
        let message = "This model does not support assistant message prefill. The conversation must end with a user message.";
        return Some(Refusal::bad(message));
    }
    unanswered(messages)
}

/// A call of a tool whose result is not in the next message.
fn unanswered(messages: &[Json]) -> Option<Refusal> {
    let blocks = |message: Option<&Json>, ty: &str, id: &str| -> Vec<String> {
        let blocks = message.map_or(&[] as &[Json], |message| list(message, "content"));
        let blocks = blocks.iter().filter(|block| text(block, "type") == Some(ty));
        blocks.filter_map(|block| text(block, id)).map(str::to_owned).collect()
    };
    messages.iter().enumerate().find_map(|(index, message)| {
        let results = blocks(messages.get(index + 1), "tool_result", "tool_use_id");
        let calls = blocks(Some(message), "tool_use", "id");
        let open: Vec<String> = calls.into_iter().filter(|id| !results.contains(id)).collect();
        if open.is_empty() {
            return None;
        }
        Some(Refusal::bad(format!(
            "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. \
             Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
            open.join(", ")
        )))
    })
}

fn wrong_tools(model: &str, body: &Json) -> Option<Refusal> {
    let tools = list(body, "tools");
    let mut blocks = list(body, "messages").iter().flat_map(|message| list(message, "content"));
    let uses_tools = blocks.any(|block| text(block, "type") == Some("tool_use"));
    if tools.is_empty() && uses_tools {
        let message = "Requests which include `tool_use` or `tool_result` blocks must define tools";
        return Some(Refusal::bad(message));
    }
    let choice = body.pointer("/tool_choice/type").and_then(Json::as_str);
    let is_forced = matches!(choice, Some("any" | "tool"));
    if is_forced && NO_FORCED_TOOLS.iter().any(|prefix| model.starts_with(prefix)) {
        let message = "tool_choice: forced tool use is not supported for this model";
        return Some(Refusal::bad(message));
    }
    tools.iter().enumerate().find_map(|(index, tool)| {
        let name = text(tool, "name").unwrap_or("");
        let schema = tool.get("input_schema");
        if !is_tool_name(name, 128, b"_-") {
            return Some(Refusal::bad(format!(
                "tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        if schema.and_then(|schema| text(schema, "type")) != Some("object") {
            let text = format!("tools.{index}.custom.input_schema.type: Input should be 'object'");
            return Some(Refusal::bad(text));
        }
        let strictly = tool.get("strict") == Some(&Json::Bool(true));
        let problem = schema.filter(|_| strictly).and_then(strict::anthropic)?;
        Some(Refusal::bad(format!("tools.{index}.custom.input_schema: {problem}")))
    })
}

fn wrong_schema(body: &Json) -> Option<Refusal> {
    let schema = body.pointer("/output_config/format/schema")?;
    let problem = strict::anthropic(schema)?;
    Some(Refusal::bad(format!("output_config.format.schema: {problem}")))
}

/// The text; a refusal is said in the text too.
fn said(answer: &Answer<'_>) -> String {
    answer.refusal.map_or_else(|| answer.pieces.concat(), str::to_owned)
}

fn stop_reason<'a>(answer: &Answer<'a>) -> &'a str {
    match answer.finish {
        _ if answer.refusal.is_some() => "refusal",
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    }
}

fn stop_details(answer: &Answer<'_>) -> Json {
    if stop_reason(answer) != "refusal" {
        return Json::Null;
    }
    json!({"type": "refusal", "category": null, "explanation": answer.refusal})
}

/// The message with its frame; how it stops and what it used is filled in later.
fn message(answer: &Answer<'_>, content: &[Json]) -> Json {
    json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": answer.model,
        "content": content, "stop_reason": null, "stop_sequence": null, "stop_details": null,
    })
}

fn usage_json(usage: UsageReply, output: u64) -> Json {
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
        "inference_geo": "not_available",
    })
}

struct Events<'a> {
    answer: &'a Answer<'a>,
    block: usize,
    padding: usize,
}

impl Events<'_> {
    /// An event, with the spaces behind it that the real service sends.
    fn event(&mut self, ty: &str, data: &str, out: &mut Vec<String>) {
        self.padding = (self.padding + 5) % 13;
        out.push(format!("event: {ty}\ndata: {data}{:1$}\n\n", "", self.padding));
    }

    fn open(&mut self, block: &Json, out: &mut Vec<String>) {
        let data =
            json!({"type": "content_block_start", "index": self.block, "content_block": block});
        self.event("content_block_start", &data.to_string(), out);
    }

    fn delta(&mut self, delta: &str, out: &mut Vec<String>) {
        let index = self.block;
        let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
        self.event("content_block_delta", &data, out);
    }

    fn close(&mut self, out: &mut Vec<String>) {
        let data = json!({"type": "content_block_stop", "index": self.block});
        self.event("content_block_stop", &data.to_string(), out);
        self.block += 1;
    }

    fn has_text(&self) -> bool {
        self.answer.pieces.len() > 0 || self.answer.refusal.is_some()
    }
}

impl Framing for Events<'_> {
    fn begin(&mut self, out: &mut Vec<String>) {
        let mut message = message(self.answer, &[]);
        set(&mut message, "usage", usage_json(self.answer.usage(), 1));
        let start = json!({"type": "message_start", "message": message});
        self.event("message_start", &start.to_string(), out);
        if let Some(thinking) = self.answer.thinking {
            self.open(&json!({"type": "thinking", "thinking": "", "signature": ""}), out);
            let delta = json!({"type": "thinking_delta", "thinking": thinking});
            self.delta(&delta.to_string(), out);
            let delta = json!({"type": "signature_delta", "signature": "bW9jaw=="});
            self.delta(&delta.to_string(), out);
            self.close(out);
        }
        if self.has_text() {
            self.open(&json!({"type": "text", "text": ""}), out);
        }
        self.event("ping", r#"{"type": "ping"}"#, out);
        if let Some(refusal) = self.answer.refusal {
            self.text(refusal, out);
        }
    }

    fn text(&mut self, piece: &str, out: &mut Vec<String>) {
        self.delta(&format!(r#"{{"type":"text_delta","text":{}}}"#, Json::from(piece)), out);
    }

    fn end(&mut self, out: &mut Vec<String>) {
        if self.has_text() {
            self.close(out);
        }
        for call in &self.answer.tool_calls {
            self.open(
                &json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}),
                out,
            );
            let [first, second] = call.halves();
            for part in ["", first, second] {
                let delta = json!({"type": "input_json_delta", "partial_json": part});
                self.delta(&delta.to_string(), out);
            }
            self.close(out);
        }
        let usage = self.answer.usage();
        let data = json!({
            "type": "message_delta",
            "delta": {
                "stop_reason": stop_reason(self.answer), "stop_sequence": null,
                "stop_details": stop_details(self.answer),
            },
            "usage": usage_json(usage, usage.completion_tokens),
        });
        self.event("message_delta", &data.to_string(), out);
        self.event("message_stop", r#"{"type":"message_stop"}"#, out);
    }

    fn error(&mut self, body: &Json, out: &mut Vec<String>) {
        out.push(format!("event: error\ndata: {body}\n\n"));
    }

    fn raw(&mut self, data: &str, out: &mut Vec<String>) {
        out.push(format!("event: content_block_delta\ndata: {data}\n\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_ids() {
        assert_eq!(version("claude-haiku-4-5-20251001"), Some((4, 5)));
        assert_eq!(version("claude-sonnet-4-20250514"), Some((4, 0)));
        assert_eq!(version("claude-opus-5-5"), Some((5, 5)));
        assert_eq!(version("claude-3-5-haiku-20241022"), Some((3, 5)));
        assert_eq!(version("mock"), None);
    }
}
