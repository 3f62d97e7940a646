//! Ollama's own protocol: `/api/chat` and `/api/generate`.

use serde_json::{Value as Json, json};

use super::{
    Answer, Dialect, Framing, Question, Refusal, bearer, given, last_user_message, list, set, text,
};
use crate::mock::http::Request;

#[derive(Debug)]
pub(super) struct Ollama;

const CREATED: &str = "1970-01-01T00:00:00Z";

impl Dialect for Ollama {
    fn word(&self) -> &'static str {
        "ollama"
    }

    fn key<'a>(&self, request: &'a Request) -> Option<&'a str> {
        bearer(request)
    }

    fn question(&self, request: &Request, body: &Json) -> Question {
        let is_generate = request.path.ends_with("/api/generate");
        let prompt = if is_generate {
            text(body, "prompt").unwrap_or("").to_owned()
        } else {
            last_user_message(list(body, "messages"))
        };
        Question {
            model: text(body, "model").unwrap_or("").to_owned(),
            prompt,
            stream: body.get("stream").and_then(Json::as_bool).unwrap_or(true),
            schema: match given(body, "format") {
                Some(schema @ Json::Object(_)) => Some(schema.clone()),
                Some(Json::String(_)) => Some(json!({"type": "object"})),
                _ => None,
            },
            forced: None,
            wants_usage: true,
            other_shape: is_generate,
        }
    }

    fn problem(&self, _request: &Request, _body: &Json, question: &Question) -> Option<Refusal> {
        question.model.is_empty().then(|| Refusal::bad("model is required"))
    }

    fn error(&self, refusal: &Refusal, _id: &str) -> Json {
        let usual = match refusal.status {
            401 => "unauthorized",
            402 => "payment required",
            404 => "model not found, try pulling it first",
            429 => "too many requests",
            503 => "server busy, please try again.  maximum pending requests exceeded",
            500.. => "an error was encountered while running the model",
            _ => "invalid request",
        };
        json!({ "error": refusal.text(usual) })
    }

    fn whole(&self, question: &Question, answer: &Answer<'_>) -> Json {
        let text = answer.refusal.map_or_else(|| answer.pieces.concat(), str::to_owned);
        let mut whole = object(question, answer, &text, &tool_calls(answer));
        if let Some(thinking) = answer.thinking {
            set_thinking(&mut whole, thinking);
        }
        finish(&mut whole, answer);
        whole
    }

    fn stream_type(&self, _question: &Question) -> &'static str {
        "application/x-ndjson"
    }

    fn framing<'a>(&self, question: &'a Question, answer: &'a Answer<'a>) -> Box<dyn Framing + 'a> {
        Box::new(Lines { question, answer })
    }

    fn models(&self) -> Json {
        let details = json!({"parent_model": "", "format": "gguf", "family": "mock", "families": ["mock"], "parameter_size": "0", "quantization_level": "F16"});
        json!({"models": [{"name": "mock", "model": "mock", "modified_at": CREATED, "size": 0, "digest": "mock", "details": details}]})
    }
}

fn tool_calls(answer: &Answer<'_>) -> Vec<Json> {
    let calls = answer.tool_calls.iter().enumerate();
    calls
        .map(|(index, call)| {
            json!({"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.object()}})
        })
        .collect()
}

/// One object of an answer, which is not the last.
fn object(question: &Question, answer: &Answer<'_>, content: &str, calls: &[Json]) -> Json {
    let mut whole = json!({"model": answer.model, "created_at": CREATED});
    if question.other_shape {
        set(&mut whole, "response", content);
    } else {
        let mut message = json!({"role": "assistant", "content": content});
        if !calls.is_empty() {
            set(&mut message, "tool_calls", calls);
        }
        set(&mut whole, "message", message);
    }
    set(&mut whole, "done", false);
    whole
}

fn set_thinking(whole: &mut Json, thinking: &str) {
    match whole.get_mut("message") {
        Some(message) => set(message, "thinking", thinking),
        None => set(whole, "thinking", thinking),
    }
}

/// Makes an object the last one.
fn finish(whole: &mut Json, answer: &Answer<'_>) {
    let reason = match answer.finish {
        "tool_calls" | "content_filter" => "stop",
        other => other,
    };
    set(whole, "done", true);
    set(whole, "done_reason", reason);
    for duration in ["total_duration", "load_duration"] {
        set(whole, duration, 1_000_000);
    }
    if let Some(usage) = answer.usage {
        set(whole, "prompt_eval_count", usage.prompt_tokens);
        set(whole, "prompt_eval_duration", 1_000_000);
        set(whole, "eval_count", usage.completion_tokens);
        set(whole, "eval_duration", 1_000_000);
    }
}

struct Lines<'a> {
    question: &'a Question,
    answer: &'a Answer<'a>,
}

impl Lines<'_> {
    fn object(&self, content: &str, calls: &[Json]) -> Json {
        object(self.question, self.answer, content, calls)
    }
}

impl Framing for Lines<'_> {
    fn begin(&mut self, out: &mut Vec<String>) {
        if let Some(thinking) = self.answer.thinking {
            let mut whole = self.object("", &[]);
            set_thinking(&mut whole, thinking);
            out.push(format!("{whole}\n"));
        }
        if let Some(refusal) = self.answer.refusal {
            self.text(refusal, out);
        }
    }

    fn text(&mut self, piece: &str, out: &mut Vec<String>) {
        out.push(format!("{}\n", self.object(piece, &[])));
    }

    fn end(&mut self, out: &mut Vec<String>) {
        for call in tool_calls(self.answer) {
            out.push(format!("{}\n", self.object("", &[call])));
        }
        let mut last = self.object("", &[]);
        finish(&mut last, self.answer);
        out.push(format!("{last}\n"));
    }

    fn error(&mut self, body: &Json, out: &mut Vec<String>) {
        out.push(format!("{body}\n"));
    }

    fn raw(&mut self, data: &str, out: &mut Vec<String>) {
        out.push(format!("{data}\n"));
    }
}
