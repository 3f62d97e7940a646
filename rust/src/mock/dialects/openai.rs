//! OpenAI chat completions, as every compatible server speaks it.

use serde_json::{Value as Json, json};

use super::{
    Answer, Dialect, Framing, Question, Refusal, ToolCall, bearer, content_text, given,
    is_tool_name, last_user_message, list, reasoning, set, strict, text,
};
use crate::mock::http::Request;
use crate::mock::script::UsageReply;

#[derive(Debug)]
pub(in crate::mock) struct OpenAi;

impl Dialect for OpenAi {
    fn word(&self) -> &'static str {
        "openai"
    }

    fn key<'a>(&self, request: &'a Request) -> Option<&'a str> {
        bearer(request).or_else(|| request.header("api-key")) // Azure's
    }

    fn question(&self, _request: &Request, body: &Json) -> Question {
        let forced = body.pointer("/tool_choice/function/name").and_then(Json::as_str);
        let forced = forced.and_then(|name| {
            let tools = list(body, "tools").iter().filter_map(|tool| tool.get("function"));
            let tool = tools.into_iter().find(|tool| text(tool, "name") == Some(name))?;
            Some((name.to_owned(), tool.get("parameters").cloned().unwrap_or_default()))
        });
        Question {
            model: text(body, "model").unwrap_or("").to_owned(),
            prompt: last_user_message(list(body, "messages")),
            stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
            schema: body.pointer("/response_format/json_schema/schema").cloned(),
            forced,
            wants_usage: body.pointer("/stream_options/include_usage") == Some(&json!(true)),
            other_shape: false,
        }
    }

    fn problem(&self, _request: &Request, body: &Json, question: &Question) -> Option<Refusal> {
        let model = question.model.as_str();
        if model.is_empty() {
            return Some(Refusal::param("model", None, "you must provide a model parameter"));
        }
        let messages = list(body, "messages");
        if messages.is_empty() {
            return Some(Refusal::param("messages", None, "'messages' is missing or empty"));
        }
        if reasoning::is_responses_only(model) {
            let message = "This is not a chat model and thus not supported in the v1/chat/completions endpoint. \
                           Did you mean to use v1/responses?";
            return Some(Refusal { status: 404, ..Refusal::param("model", None, message) });
        }
        reasoning::refused_field(model, text(body, "reasoning_effort"), body)
            .or_else(|| reasoning::refuses_system(model, messages))
            .or_else(|| out_of_range(body))
            .or_else(|| unanswered(messages))
            .or_else(|| wrong_format(model, body, messages))
            .or_else(|| wrong_tools(body))
    }

    fn error(&self, refusal: &Refusal, _id: &str) -> Json {
        error(refusal)
    }

    fn whole(&self, question: &Question, answer: &Answer<'_>) -> Json {
        let content = answer.pieces.concat();
        let is_silent =
            content.is_empty() && (!answer.tool_calls.is_empty() || answer.refusal.is_some());
        let content = if is_silent { Json::Null } else { json!(content) };
        let mut message =
            json!({"role": "assistant", "content": content, "refusal": answer.refusal});
        if let Some(thinking) = answer.thinking {
            set(&mut message, "reasoning_content", json!(thinking));
        }
        if !answer.tool_calls.is_empty() {
            set(
                &mut message,
                "tool_calls",
                answer.tool_calls.iter().map(tool_call).collect::<Vec<Json>>(),
            );
        }
        let mut whole = json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": 0, "model": answer.model,
            "choices": [{
                "index": 0, "message": message, "logprobs": null,
                "finish_reason": finish(answer, question),
            }],
        });
        if let Some(usage) = answer.usage {
            set(&mut whole, "usage", usage_json(usage));
        }
        whole
    }

    fn framing<'a>(&self, question: &'a Question, answer: &'a Answer<'a>) -> Box<dyn Framing + 'a> {
        let model = Json::from(answer.model.as_ref());
        // The frame of a chunk is the same for all: only the delta differs.
        let head = format!(
            r#"data: {{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":0,"model":{model},"choices":[{{"index":0,"delta":"#
        );
        Box::new(Chunks { question, answer, head })
    }

    fn models(&self) -> Json {
        json!({"object": "list", "data": [{"id": "mock", "object": "model", "created": 0, "owned_by": "concerto"}]})
    }
}

/// The usual error of each status, shared with the Responses protocol.
pub(super) fn error(refusal: &Refusal) -> Json {
    let (ty, code, usual) = match refusal.status {
        401 => ("invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided."),
        402 => (
            "insufficient_quota",
            Some("credit_balance_exhausted"),
            "Your organization has no prepaid credits left.",
        ),
        403 => (
            "request_forbidden",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        404 => (
            "invalid_request_error",
            Some("model_not_found"),
            "The model does not exist or you do not have access to it.",
        ),
        408 => ("timeout_error", None, "Request timed out."),
        429 if refusal.ty.as_deref() == Some("insufficient_quota") => (
            "insufficient_quota",
            Some("insufficient_quota"),
            "You exceeded your current quota, please check your plan and billing details.",
        ),
        429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests"),
        503 => (
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "That model is currently overloaded with other requests.",
        ),
        500.. => (
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!",
        ),
        _ => ("invalid_request_error", None, "The request is invalid."),
    };
    let code = if refusal.message.is_some() && refusal.status == 400 { None } else { code };
    json!({"error": {
        "message": refusal.text(usual),
        "type": refusal.ty.as_deref().unwrap_or(ty),
        "param": refusal.param,
        "code": refusal.code.as_deref().or(code),
    }})
}

fn out_of_range(body: &Json) -> Option<Refusal> {
    let value = given(body, "temperature").and_then(Json::as_f64)?;
    let message = format!(
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got {value} instead."
    );
    (value > 2.0).then(|| Refusal::param("temperature", Some("decimal_above_max_value"), message))
}

/// A call of a tool that no message answers before the next turn.
fn unanswered(messages: &[Json]) -> Option<Refusal> {
    for (index, message) in messages.iter().enumerate() {
        let calls = list(message, "tool_calls").iter().filter_map(|call| text(call, "id"));
        let answers: Vec<&str> = messages
            .iter()
            .skip(index + 1)
            .take_while(|next| text(next, "role") == Some("tool"))
            .filter_map(|next| text(next, "tool_call_id"))
            .collect();
        let open: Vec<&str> = calls.filter(|id| !answers.contains(id)).collect();
        if !open.is_empty() {
            let message = format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
                 The following tool_call_ids did not have response messages: {}",
                open.join(", ")
            );
            return Some(Refusal::param("messages", None, message));
        }
    }
    None
}

fn wrong_format(model: &str, body: &Json, messages: &[Json]) -> Option<Refusal> {
    let format = given(body, "response_format")?;
    match text(format, "type") {
        Some("json_object") => {
            let says = |message: &Json| {
                content_text(message.get("content")).to_ascii_lowercase().contains("json")
            };
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            (!messages.iter().any(says)).then(|| Refusal::param("messages", None, message))
        }
        Some("json_schema") => {
            if !reasoning::has_schemas(model) {
                let message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.";
                return Some(Refusal::param("response_format", None, message));
            }
            let form = format.get("json_schema")?;
            let name = text(form, "name").unwrap_or("");
            if !is_tool_name(name, 64, b"_-") {
                let message = format!(
                    "Invalid 'response_format.json_schema.name': '{name}' does not match '^[a-zA-Z0-9_-]+$'."
                );
                return Some(Refusal::param(
                    "response_format.json_schema.name",
                    Some("invalid_value"),
                    message,
                ));
            }
            let problem = strict_problem(form.get("strict"), form.get("schema"))?;
            let message = format!("Invalid schema for response_format '{name}': {problem}");
            Some(Refusal::param("response_format", None, message))
        }
        _ => None,
    }
}

/// What is wrong with a schema that must be kept strictly.
pub(super) fn strict_problem(strictly: Option<&Json>, schema: Option<&Json>) -> Option<String> {
    if strictly == Some(&Json::Bool(true)) {
        strict::openai(schema.unwrap_or(&Json::Null))
    } else {
        None
    }
}

fn wrong_tools(body: &Json) -> Option<Refusal> {
    let tools = list(body, "tools");
    if tools.is_empty() && given(body, "tool_choice").is_some() {
        let message = "'tool_choice' is only allowed when 'tools' are specified.";
        return Some(Refusal::param("tool_choice", None, message));
    }
    tools.iter().enumerate().find_map(|(index, tool)| {
        let function = tool.get("function")?;
        let name = text(function, "name").unwrap_or("");
        if !is_tool_name(name, 64, b"_-") {
            let message = format!(
                "Invalid 'tools[{index}].function.name': '{name}' does not match '^[a-zA-Z0-9_-]+$'."
            );
            return Some(Refusal::param("tools", Some("invalid_value"), message));
        }
        let problem = strict_problem(function.get("strict"), function.get("parameters"))?;
        let message = format!("Invalid schema for function '{name}': {problem}");
        Some(Refusal::param("tools", Some("invalid_function_parameters"), message))
    })
}

fn tool_call(call: &ToolCall) -> Json {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// A forced call ends with `stop`, as the real service does.
fn finish<'a>(answer: &Answer<'a>, question: &Question) -> &'a str {
    if answer.finish == "tool_calls" && question.forced.is_some() { "stop" } else { answer.finish }
}

fn usage_json(usage: UsageReply) -> Json {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    })
}

struct Chunks<'a> {
    question: &'a Question,
    answer: &'a Answer<'a>,
    head: String,
}

impl Chunks<'_> {
    /// Only streams that will report usage carry the field.
    fn usage_field(&self) -> &'static str {
        if self.question.wants_usage { ",\"usage\":null" } else { "" }
    }

    fn delta(&self, delta: &str, out: &mut Vec<String>) {
        let (head, usage) = (&self.head, self.usage_field());
        out.push(format!("{head}{delta},\"logprobs\":null,\"finish_reason\":null}}]{usage}}}\n\n"));
    }
}

impl Framing for Chunks<'_> {
    fn begin(&mut self, out: &mut Vec<String>) {
        let content = if self.answer.pieces.len() == 0 { "null" } else { "\"\"" };
        self.delta(&format!(r#"{{"role":"assistant","content":{content},"refusal":null}}"#), out);
        if let Some(thinking) = self.answer.thinking {
            self.delta(&format!(r#"{{"reasoning_content":{}}}"#, Json::from(thinking)), out);
        }
        if let Some(refusal) = self.answer.refusal {
            self.delta(&format!(r#"{{"refusal":{}}}"#, Json::from(refusal)), out);
        }
    }

    fn text(&mut self, piece: &str, out: &mut Vec<String>) {
        self.delta(&format!(r#"{{"content":{}}}"#, Json::from(piece)), out);
    }

    fn end(&mut self, out: &mut Vec<String>) {
        for (index, call) in self.answer.tool_calls.iter().enumerate() {
            let function = json!({"name": call.name, "arguments": ""});
            let opening = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]});
            self.delta(&opening.to_string(), out);
            for part in call.halves().into_iter().filter(|part| !part.is_empty()) {
                let more =
                    json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]});
                self.delta(&more.to_string(), out);
            }
        }
        let (head, usage) = (&self.head, self.usage_field());
        let finish = Json::from(finish(self.answer, self.question));
        out.push(format!(
            "{head}{{}},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}}}\n\n"
        ));
        if let Some(usage) = self.answer.usage.filter(|_| self.question.wants_usage) {
            let chunk = json!({
                "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 0,
                "model": self.answer.model, "choices": [], "usage": usage_json(usage),
            });
            out.push(format!("data: {chunk}\n\n"));
        }
        out.push("data: [DONE]\n\n".to_owned());
    }

    fn error(&mut self, body: &Json, out: &mut Vec<String>) {
        out.push(format!("data: {body}\n\n"));
    }

    fn raw(&mut self, data: &str, out: &mut Vec<String>) {
        out.push(format!("data: {data}\n\n"));
    }
}
