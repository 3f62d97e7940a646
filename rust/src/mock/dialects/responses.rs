//! OpenAI's Responses protocol.

use serde_json::{Value as Json, json};

use super::openai::{error, strict_problem};
use super::{
    Answer, Dialect, Framing, Question, Refusal, bearer, given, last_user_message, list, reasoning,
    set, text,
};
use crate::mock::http::Request;

#[derive(Debug)]
pub(super) struct Responses;

/// Fields of the chat protocol that this one does not have.
const UNKNOWN: [&str; 9] = [
    "messages",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
];

impl Dialect for Responses {
    fn word(&self) -> &'static str {
        "responses"
    }

    fn key<'a>(&self, request: &'a Request) -> Option<&'a str> {
        bearer(request).or_else(|| request.header("api-key"))
    }

    fn question(&self, _request: &Request, body: &Json) -> Question {
        let prompt = match body.get("input") {
            Some(Json::String(text)) => text.clone(),
            _ => last_user_message(list(body, "input")),
        };
        let forced = body.pointer("/tool_choice/name").and_then(Json::as_str).and_then(|name| {
            let mut tools = list(body, "tools").iter();
            let tool = tools.find(|tool| text(tool, "name") == Some(name))?;
            Some((name.to_owned(), tool.get("parameters").cloned().unwrap_or_default()))
        });
        Question {
            model: text(body, "model").unwrap_or("").to_owned(),
            prompt,
            stream: body.get("stream").and_then(Json::as_bool).unwrap_or(false),
            schema: body.pointer("/text/format/schema").cloned(),
            forced,
            wants_usage: true,
            other_shape: false,
        }
    }

    fn problem(&self, _request: &Request, body: &Json, question: &Question) -> Option<Refusal> {
        for field in ["model", "input"] {
            if given(body, field).is_none() {
                let message = format!("Missing required parameter: '{field}'.");
                return Some(Refusal::param(field, Some("missing_required_parameter"), message));
            }
        }
        if let Some(field) = UNKNOWN.iter().find(|field| given(body, field).is_some()) {
            let message = format!("Unknown parameter: '{field}'.");
            return Some(Refusal::param(field, Some("unknown_parameter"), message));
        }
        let most = given(body, "max_output_tokens").and_then(Json::as_u64);
        if let Some(most) = most.filter(|most| *most < 16) {
            let message = format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {most} instead."
            );
            return Some(Refusal::param(
                "max_output_tokens",
                Some("integer_below_min_value"),
                message,
            ));
        }
        let effort = body.pointer("/reasoning/effort").and_then(Json::as_str);
        reasoning::refused_field(&question.model, effort, body)
            .or_else(|| unanswered(list(body, "input")))
            .or_else(|| wrong_schema(body))
    }

    fn error(&self, refusal: &Refusal, _id: &str) -> Json {
        error(refusal)
    }

    fn whole(&self, _question: &Question, answer: &Answer<'_>) -> Json {
        response(answer, "completed", &items(answer))
    }

    fn framing<'a>(
        &self,
        _question: &'a Question,
        answer: &'a Answer<'a>,
    ) -> Box<dyn Framing + 'a> {
        Box::new(Events { answer, number: 0, sent: String::new() })
    }

    fn models(&self) -> Json {
        super::openai::OpenAi.models()
    }
}

/// A call that no output answers.
fn unanswered(input: &[Json]) -> Option<Refusal> {
    let of_type = |wanted: &'static str| {
        let items = input.iter().filter(move |item| text(item, "type") == Some(wanted));
        items.filter_map(|item| text(item, "call_id"))
    };
    let mut calls = of_type("function_call");
    let open = calls.find(|id| !of_type("function_call_output").any(|answered| answered == *id))?;
    let message = format!("No tool output found for function call {open}.");
    Some(Refusal::param("input", None, message))
}

fn wrong_schema(body: &Json) -> Option<Refusal> {
    if let Some(format) = body.pointer("/text/format")
        && let Some(problem) = strict_problem(format.get("strict"), format.get("schema"))
            .filter(|_| text(format, "type") == Some("json_schema"))
    {
        let name = text(format, "name").unwrap_or("");
        let message = format!("Invalid schema for response_format '{name}': {problem}");
        return Some(Refusal::param("text.format.schema", Some("invalid_json_schema"), message));
    }
    list(body, "tools").iter().find_map(|tool| {
        let problem = strict_problem(tool.get("strict"), tool.get("parameters"))?;
        let name = text(tool, "name").unwrap_or("");
        let message = format!("Invalid schema for function '{name}': {problem}");
        Some(Refusal::param("tools", Some("invalid_function_parameters"), message))
    })
}

/// The items of a whole answer.
fn items(answer: &Answer<'_>) -> Vec<Json> {
    let mut items = Vec::new();
    if let Some(thinking) = answer.thinking {
        let summary = json!([{"type": "summary_text", "text": thinking}]);
        items.push(json!({"id": "rs_mock", "type": "reasoning", "summary": summary}));
    }
    if answer.pieces.len() > 0 || answer.refusal.is_some() {
        items.push(message("completed", &[part(answer, &answer.pieces.concat())]));
    }
    let calls = answer.tool_calls.iter().enumerate();
    items.extend(calls.map(|(n, call)| function_call(n, call, "completed", &call.arguments)));
    items
}

fn message(status: &str, content: &[Json]) -> Json {
    json!({"id": "msg_mock", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(answer: &Answer<'_>, text: &str) -> Json {
    match answer.refusal {
        Some(refusal) => json!({"type": "refusal", "refusal": refusal}),
        None => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
    }
}

fn function_call(number: usize, call: &super::ToolCall, status: &str, arguments: &str) -> Json {
    json!({
        "id": format!("fc_mock_{number}"), "type": "function_call", "status": status,
        "call_id": call.id, "name": call.name, "arguments": arguments,
    })
}

/// The outer object; `status` is `in_progress`, `completed` or `failed`.
fn response(answer: &Answer<'_>, status: &str, output: &[Json]) -> Json {
    let reason = match answer.finish {
        "length" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    };
    let is_over = status == "completed";
    let status = if is_over && reason.is_some() { "incomplete" } else { status };
    let details = reason.filter(|_| is_over).map(|reason| json!({"reason": reason}));
    let usage = answer.usage.filter(|_| is_over).map(|usage| {
        json!({
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        })
    });
    json!({
        "id": "resp_mock", "object": "response", "created_at": 0, "status": status,
        "background": false, "error": null, "incomplete_details": details, "instructions": null,
        "max_output_tokens": null, "model": answer.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "metadata": {},
    })
}

struct Events<'a> {
    answer: &'a Answer<'a>,
    number: u64,
    sent: String,
}

impl Events<'_> {
    fn event(&mut self, ty: &str, mut data: Json, out: &mut Vec<String>) {
        set(&mut data, "sequence_number", json!(self.number));
        self.number += 1;
        let mut whole = json!({ "type": ty });
        if let (Some(whole), Json::Object(data)) = (whole.as_object_mut(), data) {
            whole.extend(data);
        }
        out.push(format!("event: {ty}\ndata: {whole}\n\n"));
    }

    /// Where the message stands: behind the reasoning, if there is some.
    fn place(&self) -> usize {
        usize::from(self.answer.thinking.is_some())
    }

    fn has_message(&self) -> bool {
        self.answer.pieces.len() > 0 || self.answer.refusal.is_some()
    }

    fn end_message(&mut self, out: &mut Vec<String>) {
        let at = self.place();
        let place = json!({"item_id": "msg_mock", "output_index": at, "content_index": 0});
        let part = part(self.answer, &self.sent);
        let mut done = place.clone();
        let ty = if let Some(refusal) = self.answer.refusal {
            let mut delta = place.clone();
            set(&mut delta, "delta", json!(refusal));
            self.event("response.refusal.delta", delta, out);
            set(&mut done, "refusal", json!(refusal));
            "response.refusal.done"
        } else {
            set(&mut done, "text", json!(self.sent));
            set(&mut done, "logprobs", json!([]));
            "response.output_text.done"
        };
        self.event(ty, done, out);
        let mut part_done = place;
        set(&mut part_done, "part", part.clone());
        self.event("response.content_part.done", part_done, out);
        let item = message("completed", &[part]);
        self.event("response.output_item.done", json!({"output_index": at, "item": item}), out);
    }
}

impl Framing for Events<'_> {
    fn begin(&mut self, out: &mut Vec<String>) {
        for ty in ["response.created", "response.in_progress"] {
            let response = response(self.answer, "in_progress", &[]);
            self.event(ty, json!({ "response": response }), out);
        }
        if let Some(thinking) = self.answer.thinking {
            let summary = json!([{"type": "summary_text", "text": thinking}]);
            let item = json!({"id": "rs_mock", "type": "reasoning", "summary": summary});
            for ty in ["response.output_item.added", "response.output_item.done"] {
                self.event(ty, json!({"output_index": 0, "item": item}), out);
            }
        }
        if self.has_message() {
            let at = self.place();
            let item = message("in_progress", &[]);
            self.event(
                "response.output_item.added",
                json!({"output_index": at, "item": item}),
                out,
            );
            let part = match self.answer.refusal {
                Some(_) => json!({"type": "refusal", "refusal": ""}),
                None => part(self.answer, ""),
            };
            let added = json!({"item_id": "msg_mock", "output_index": at, "content_index": 0, "part": part});
            self.event("response.content_part.added", added, out);
        }
    }

    fn text(&mut self, piece: &str, out: &mut Vec<String>) {
        self.sent.push_str(piece);
        let delta = json!({
            "item_id": "msg_mock", "output_index": self.place(), "content_index": 0,
            "delta": piece, "logprobs": [],
        });
        self.event("response.output_text.delta", delta, out);
    }

    fn end(&mut self, out: &mut Vec<String>) {
        if self.has_message() {
            self.end_message(out);
        }
        let first = self.place() + usize::from(self.has_message());
        for (number, call) in self.answer.tool_calls.iter().enumerate() {
            let at = first + number;
            let id = format!("fc_mock_{number}");
            let item = function_call(number, call, "in_progress", "");
            self.event(
                "response.output_item.added",
                json!({"output_index": at, "item": item}),
                out,
            );
            for part in call.halves().into_iter().filter(|part| !part.is_empty()) {
                let delta = json!({"item_id": id, "output_index": at, "delta": part});
                self.event("response.function_call_arguments.delta", delta, out);
            }
            let done = json!({"item_id": id, "output_index": at, "name": call.name, "arguments": call.arguments});
            self.event("response.function_call_arguments.done", done, out);
            let item = function_call(number, call, "completed", &call.arguments);
            self.event("response.output_item.done", json!({"output_index": at, "item": item}), out);
        }
        let whole = response(self.answer, "completed", &items(self.answer));
        let is_whole = text(&whole, "status") == Some("completed");
        let ty = if is_whole { "response.completed" } else { "response.incomplete" };
        self.event(ty, json!({ "response": whole }), out);
    }

    fn error(&mut self, body: &Json, out: &mut Vec<String>) {
        let error = body.get("error").unwrap_or(body);
        let field = |name: &str| error.get(name).cloned().unwrap_or_default();
        let code = match field("code") {
            Json::Null => field("type"),
            code => code,
        };
        let data = json!({"code": code, "message": field("message"), "param": field("param")});
        self.event("error", data, out);
    }

    fn raw(&mut self, data: &str, out: &mut Vec<String>) {
        out.push(format!("event: response.output_text.delta\ndata: {data}\n\n"));
    }
}
