//! OpenAI chat completions, as a server.

use std::io;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Shared;
use super::http::{Connection, Request};
use super::script::{Fault, Reply, UsageReply};
use crate::mock_reply;

/// Pieces of a stream that are sent at once where nothing delays them.
const BATCH: usize = 64;

/// Answers one request.
pub(super) async fn answer(
    shared: &Shared,
    request: &Request,
    out: &mut Connection,
) -> io::Result<()> {
    if request.method == "GET" && request.path.ends_with("/models") {
        let list = json!({"object": "list", "data": [{"id": "mock", "object": "model", "created": 0, "owned_by": "concerto"}]});
        return out.send(200, "application/json", &[], list.to_string().as_bytes()).await;
    }
    if request.method != "POST" || !request.path.ends_with("/chat/completions") {
        let text = format!("no such path: {} {}", request.method, request.path);
        return refuse(out, 404, &text, "invalid_request_error", None, None, &[]).await;
    }
    if let Some(wanted) = &shared.script.api_key {
        let given = request.headers.iter().find(|(name, _)| name == "authorization");
        if given.map(|(_, value)| value.as_str()) != Some(format!("Bearer {wanted}").as_str()) {
            let text = "Incorrect API key provided.";
            return refuse(
                out,
                401,
                text,
                "invalid_request_error",
                Some("invalid_api_key"),
                None,
                &[],
            )
            .await;
        }
    }
    let body: Json = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => {
            let text = format!("We could not parse the JSON body of your request: {error}");
            return refuse(out, 400, &text, "invalid_request_error", None, None, &[]).await;
        }
    };
    match problem(&body) {
        Some((text, param)) => {
            refuse(
                out,
                400,
                &text,
                "invalid_request_error",
                Some("unsupported_value"),
                Some(param),
                &[],
            )
            .await
        }
        None => complete(shared, &body, out).await,
    }
}

/// What the real service would refuse.
fn problem(body: &Json) -> Option<(String, &'static str)> {
    let text = |key: &str| body.get(key).and_then(Json::as_str);
    if text("model").is_none_or(str::is_empty) {
        return Some(("you must provide a model parameter".to_owned(), "model"));
    }
    if body.get("messages").and_then(Json::as_array).is_none_or(Vec::is_empty) {
        return Some(("'messages' is missing or empty".to_owned(), "messages"));
    }
    let reasons = text("model").is_some_and(|model| {
        let mut letters = model.chars();
        letters.next() == Some('o') && letters.next().is_some_and(|c| c.is_ascii_digit())
    });
    if reasons && body.get("max_tokens").is_some() {
        let text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Some((text.to_owned(), "max_tokens"));
    }
    None
}

async fn refuse(
    out: &mut Connection,
    status: u16,
    message: &str,
    ty: &str,
    code: Option<&str>,
    param: Option<&str>,
    headers: &[(String, String)],
) -> io::Result<()> {
    let body = json!({"error": {"message": message, "type": ty, "param": param, "code": code}});
    out.send(status, "application/json", headers, body.to_string().as_bytes()).await
}

/// What the answer will say.
struct Plan {
    model: String,
    pieces: Vec<String>,
    finish: String,
    usage: UsageReply,
}

async fn complete(shared: &Shared, body: &Json, out: &mut Connection) -> io::Result<()> {
    let model = body.get("model").and_then(Json::as_str).unwrap_or("").to_owned();
    let prompt = last_user_message(body);
    let stream = body.get("stream").and_then(Json::as_bool).unwrap_or(false);
    let reply = shared.script.reply(&model, &prompt, stream);
    let latency = reply.latency_ms.map_or(shared.latency, Duration::from_millis);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Some(error) = &reply.error {
        let message =
            error.message.clone().unwrap_or_else(|| format!("mock error {}", error.status));
        if let Some(body) = &error.body {
            return out
                .send(error.status, "application/json", &reply.headers, body.to_string().as_bytes())
                .await;
        }
        return refuse(out, error.status, &message, "mock_error", None, None, &reply.headers).await;
    }
    match reply.fault {
        Some(Fault::NotJson) => {
            return out.send(200, "application/json", &reply.headers, b"this is not JSON").await;
        }
        Some(Fault::Html) => {
            return out
                .send(
                    502,
                    "text/html",
                    &reply.headers,
                    b"<html><body>502 Bad Gateway</body></html>",
                )
                .await;
        }
        _ => {}
    }
    let pieces = pieces(body, &prompt, &reply, stream);
    let usage = reply.usage.unwrap_or(UsageReply {
        prompt_tokens: prompt.len() as u64,
        completion_tokens: 42,
        cached_tokens: 0,
    });
    let finish = reply.finish_reason.clone().unwrap_or_else(|| "stop".to_owned());
    let plan = Plan { model, pieces, finish, usage };
    if stream {
        send_stream(shared, body, &reply, &plan, out).await
    } else {
        send_whole(&reply, &plan, out).await
    }
}

fn last_user_message(body: &Json) -> String {
    let messages = body.get("messages").and_then(Json::as_array);
    let user = messages.into_iter().flatten().rev().find(|m| m.get("role") == Some(&json!("user")));
    match user.and_then(|message| message.get("content")) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str)).collect()
        }
        _ => String::new(),
    }
}

fn pieces(body: &Json, prompt: &str, reply: &Reply, stream: bool) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        if stream {
            text.split_inclusive(' ').map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        }
    };
    if let Some(chunks) = &reply.chunks {
        return chunks.clone();
    }
    if let Some(repeat) = &reply.repeat {
        return vec![repeat.text.clone(); repeat.count];
    }
    if let Some(text) = &reply.text {
        return words(text);
    }
    if let Some(json) = &reply.json {
        return words(&json.to_string());
    }
    match body.pointer("/response_format/json_schema/schema") {
        Some(schema) => words(&mock_reply::for_schema(schema).to_string()),
        None => words(&mock_reply::text(prompt)),
    }
}

fn usage_json(usage: &UsageReply) -> Json {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    })
}

async fn send_whole(reply: &Reply, plan: &Plan, out: &mut Connection) -> io::Result<()> {
    let body = json!({
        "id": "chatcmpl-mock", "object": "chat.completion", "created": 0, "model": plan.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": plan.pieces.concat(), "refusal": null},
            "logprobs": null,
            "finish_reason": plan.finish,
        }],
        "usage": usage_json(&plan.usage),
    });
    match reply.fault {
        Some(Fault::Stall) => stall().await,
        Some(fault @ (Fault::Cut | Fault::Reset)) => {
            out.break_off(fault == Fault::Reset);
            Ok(())
        }
        _ => out.send(200, "application/json", &reply.headers, body.to_string().as_bytes()).await,
    }
}

/// Until the other side gives up.
async fn stall() -> io::Result<()> {
    std::future::pending().await
}

async fn send_stream(
    shared: &Shared,
    body: &Json,
    reply: &Reply,
    plan: &Plan,
    out: &mut Connection,
) -> io::Result<()> {
    let model = Json::from(plan.model.as_str()).to_string();
    // The frame of a chunk is the same for all: only the delta differs.
    let head = format!(
        r#"data: {{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":0,"model":{model},"choices":[{{"index":0,"delta":"#
    );
    let tail = ",\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    out.begin_stream(200, &reply.headers).await?;
    out.send_piece(format!(r#"{head}{{"role":"assistant","content":""}}{tail}"#).as_bytes())
        .await?;
    let delay = reply.chunk_delay_ms.map_or(shared.chunk_delay, Duration::from_millis);
    let mut waiting = String::new();
    for (count, piece) in plan.pieces.iter().enumerate() {
        if reply.fault.is_some() && count == reply.after {
            break;
        }
        let content = Json::from(piece.as_str());
        waiting.push_str(&format!(r#"{head}{{"content":{content}}}{tail}"#));
        if !delay.is_zero() || (count + 1) % BATCH == 0 {
            out.send_piece(std::mem::take(&mut waiting).as_bytes()).await?;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
    if !waiting.is_empty() {
        out.send_piece(waiting.as_bytes()).await?;
    }
    match reply.fault {
        Some(Fault::Stall) => return stall().await,
        Some(Fault::Cut) => return out.end_stream().await,
        Some(_) => {
            out.break_off(true);
            return Ok(());
        }
        None => {}
    }
    let mut end = format!(
        "{head}{{}},\"logprobs\":null,\"finish_reason\":{}}}]}}\n\n",
        Json::from(plan.finish.as_str())
    );
    if body.pointer("/stream_options/include_usage") == Some(&json!(true)) {
        let usage = usage_json(&plan.usage);
        end.push_str(&format!(r#"data: {{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":0,"model":{model},"choices":[],"usage":{usage}}}"#));
        end.push_str("\n\n");
    }
    end.push_str("data: [DONE]\n\n");
    out.send_piece(end.as_bytes()).await?;
    out.end_stream().await
}
