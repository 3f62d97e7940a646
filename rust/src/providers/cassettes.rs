//! Every recorded sample of the dialects that are here (`tests/cassettes`): whole, byte by byte, and in random pieces.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value as Json;

use super::openai::OpenAi;
use super::{Dialect, Failure, FailureKind};
use crate::chat::{ChatRequest, ChatResponse, Message, OutputSchema, Role, Sampling, Tools, Usage};
use crate::config::{Layer, ProviderKind, merge};
use crate::llm::sse::Decoder;
use crate::secret::Secret;
use crate::wire::HttpResponse;

fn samples(kind: &str) -> Vec<Json> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes");
    let manifest: Json =
        serde_json::from_str(&std::fs::read_to_string(root.join("manifest.json")).unwrap())
            .unwrap();
    let all = manifest["samples"].as_array().unwrap().clone();
    let wanted = |s: &Json| s["dialect"] == "openai_chat" && s["kind"] == kind;
    let found: Vec<Json> = all.into_iter().filter(wanted).collect();
    assert!(found.len() > 4, "the cassettes are there");
    found
}

fn bytes(sample: &Json) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes");
    std::fs::read(root.join(sample["file"].as_str().unwrap())).unwrap()
}

fn check_usage(name: &str, expected: &Json, found: Option<Usage>) {
    let Some(wanted) = expected.get("usage") else { return };
    if wanted.is_null() {
        assert_eq!(found, None, "{name}");
        return;
    }
    let found = found.unwrap_or_else(|| panic!("{name}: no usage"));
    let numbers = [
        ("input", found.tokens_in),
        ("output", found.tokens_out),
        ("cache_read", found.tokens_cached),
        ("cache_write", found.cache_written),
        ("reasoning", found.reasoning),
    ];
    for (key, number) in numbers {
        assert_eq!(wanted[key], Json::from(number), "{name}: {key}");
    }
}

fn check_outcome(name: &str, expected: &Json, found: Result<ChatResponse, Failure>) {
    match (expected.get("error").and_then(Json::as_str), found) {
        (None, Ok(response)) => {
            assert_eq!(response.text, expected["text"].as_str().unwrap(), "{name}");
            assert_eq!(response.finish_reason, expected["finish"].as_str().unwrap(), "{name}");
            assert_eq!(response.model.as_deref(), expected["model"].as_str(), "{name}");
            check_usage(name, expected, response.usage);
        }
        (Some(error), Err(failure)) => {
            assert_eq!(failure.kind.word(), error, "{name}: {failure:?}");
            if let Some(message) = expected.get("message").and_then(Json::as_str) {
                assert_eq!(failure.message, message, "{name}");
            }
            check_usage(name, expected, failure.usage);
        }
        (expected, found) => panic!("{name}: expected {expected:?}, found {found:?}"),
    }
}

#[test]
fn whole_answers() {
    for sample in samples("response") {
        let name = sample["file"].as_str().unwrap();
        let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
        let answer =
            HttpResponse { status, headers: Vec::new(), body: Bytes::from(bytes(&sample)) };
        check_outcome(name, &sample["expect"], OpenAi.decode(&plain(), &answer));
    }
}

#[test]
fn error_answers() {
    for sample in samples("error") {
        let name = sample["file"].as_str().unwrap();
        let raw = bytes(&sample);
        let split = raw.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let head = std::str::from_utf8(&raw[..split]).unwrap();
        let headers = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned()))
            .collect();
        let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
        let body = Bytes::from(raw[split + 2..].to_vec());
        let failure = OpenAi.decode(&plain(), &HttpResponse { status, headers, body }).unwrap_err();
        let expected = &sample["expect"];
        assert_eq!(failure.kind.word(), expected["error"].as_str().unwrap(), "{name}: {failure:?}");
        let class = failure.class.map(|class| match class {
            super::RetryClass::RateLimit => "rate_limit",
            super::RetryClass::ServerError => "server_error",
            super::RetryClass::Timeout => "timeout",
        });
        assert_eq!(class, expected["retry_class"].as_str(), "{name}");
        let wish = failure.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap());
        assert_eq!(wish, expected["retry_after_ms"].as_u64(), "{name}");
        assert_eq!(failure.detail, expected.get("detail").and_then(Json::as_str), "{name}");
    }
}

/// Reads a stream in the given pieces, as the call layer does.
fn read_stream(pieces: &[&[u8]]) -> (String, Result<ChatResponse, Failure>) {
    let (mut sse, mut reader) = (Decoder::default(), OpenAi.stream_decoder(&plain()));
    let mut text = String::new();
    let mut events = Vec::new();
    for piece in pieces {
        sse.push(piece, &mut events).unwrap();
    }
    let block = sse.finish(&mut events);
    for event in &events {
        match reader.push(event) {
            Ok(more) => text.push_str(&more),
            Err(failure) => return (text, Err(failure)),
        }
        if reader.is_done() {
            break;
        }
    }
    if let Some(failure) = block
        .and_then(|block| serde_json::from_str(block.trim()).ok())
        .and_then(|json| super::classify::inside_ok(&json))
    {
        return (text, Err(failure));
    }
    let ended = reader.finish().map(|response| ChatResponse { text: text.clone(), ..response });
    (text, ended)
}

#[test]
fn streams_in_any_pieces() {
    let mut dice = fastrand::Rng::with_seed(7);
    for sample in samples("stream") {
        let name = sample["file"].as_str().unwrap();
        let raw = bytes(&sample);
        let mut ways: Vec<Vec<&[u8]>> = vec![vec![&raw], raw.chunks(1).collect()];
        for _ in 0..20 {
            let mut rest: &[u8] = &raw;
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(dice.usize(1..=rest.len().min(40)));
                pieces.push(piece);
                rest = more;
            }
            ways.push(pieces);
        }
        for pieces in ways {
            let (text, ended) = read_stream(&pieces);
            let expected = &sample["expect"];
            if let Some(before) = expected.get("text_before").and_then(Json::as_str) {
                assert_eq!(text, before, "{name}");
            }
            // After text was delivered a failure is an interruption; what broke it is the cause.
            let interrupted = expected["error"] == "stream_interrupted";
            match ended {
                Err(failure) if interrupted => {
                    let cause = match failure.kind {
                        FailureKind::RateLimited => "rate_limit",
                        FailureKind::Network => "network",
                        FailureKind::InvalidResponse => "invalid_response",
                        _ => "server_error",
                    };
                    assert_eq!(cause, expected["cause"].as_str().unwrap(), "{name}");
                }
                ended => check_outcome(name, expected, ended),
            }
        }
    }
}

fn plain() -> ChatRequest {
    neutral(&serde_json::json!({"model": "m", "messages": []}))
}

fn settings(kind: ProviderKind) -> crate::config::ConnectionSettings {
    let fields = serde_json::json!({"api_key": "sk-test"});
    let layer = Layer::from_json("c", fields.as_object().unwrap()).unwrap();
    merge("c", kind, &[("program", &layer)]).unwrap()
}

fn neutral(body: &Json) -> ChatRequest {
    let messages = body["messages"].as_array().unwrap().iter().filter_map(|m| {
        let role = match m["role"].as_str()? {
            "system" => Role::System,
            "assistant" => Role::Assistant,
            _ => Role::User,
        };
        Some(Message { role, ..Message::user(m["content"].as_str()?) })
    });
    let number = |key: &str| body.get(key).and_then(Json::as_f64);
    let schema = body.pointer("/response_format/json_schema");
    ChatRequest {
        model: body["model"].as_str().unwrap().to_owned(),
        messages: messages.collect(),
        sampling: Sampling {
            temperature: number("temperature"),
            top_p: number("top_p"),
            max_tokens: body.get("max_completion_tokens").and_then(Json::as_u64),
            stop: body.get("stop").map_or(Vec::new(), |s| {
                s.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
            }),
            seed: body.get("seed").and_then(Json::as_i64),
        },
        output: schema.map(|s| OutputSchema {
            name: s["name"].as_str().unwrap().to_owned(),
            json: s["schema"].clone(),
        }),
        tools: Tools::default(),
        stream: body.get("stream") == Some(&Json::Bool(true)),
    }
}

#[test]
fn requests() {
    for name in ["chat_request", "chat_request_stream", "chat_request_schema"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes/openai");
        let text = std::fs::read_to_string(root.join(format!("{name}.json"))).unwrap();
        let expected: Json = serde_json::from_str(&text).unwrap();
        let chat = neutral(&expected);
        let request =
            OpenAi.encode(&chat, &settings(ProviderKind::OpenAi), &Default::default()).unwrap();
        assert_eq!(request.url, "https://api.openai.com/v1/chat/completions");
        let key = Secret::new("Bearer sk-test");
        assert_eq!(request.headers, [("authorization".to_owned(), key)]);
        let mut found: Json = serde_json::from_slice(&request.body).unwrap();
        // A schema that is strict already stays as it is, whatever the order of its keywords.
        if let Some(schema) = found.pointer_mut("/response_format/json_schema/schema") {
            assert_eq!(Some(&*schema), expected.pointer("/response_format/json_schema/schema"));
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn servers_get_the_limit_that_they_know() {
    let mut chat = neutral(&serde_json::json!({"model": "m", "messages": []}));
    chat.sampling.max_tokens = Some(5);
    for (kind, model, url, field) in [
        (ProviderKind::OpenAi, "gpt-4o", None, "max_completion_tokens"),
        (ProviderKind::OpenAi, "gpt-4o", Some("http://127.0.0.1:1"), "max_tokens"),
        (ProviderKind::OpenAi, "o3", Some("http://127.0.0.1:1"), "max_completion_tokens"),
        (ProviderKind::Custom, "o3", Some("http://127.0.0.1:1"), "max_tokens"),
    ] {
        let mut fields = serde_json::json!({"api_key": "sk-test"});
        if let Some(url) = url {
            fields["base_url"] = url.into();
        }
        let layer = Layer::from_json("c", fields.as_object().unwrap()).unwrap();
        let to = merge("c", kind, &[("program", &layer)]).unwrap();
        chat.model = model.to_owned();
        let request = OpenAi.encode(&chat, &to, &Default::default()).unwrap();
        let body: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body.get(field), Some(&Json::from(5)), "{kind:?} {model} {url:?}");
    }
}
