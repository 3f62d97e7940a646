//! Every recorded answer of the protocols that are here (`tests/cassettes`): whole, byte by byte, and in random pieces. `cassette_requests` has the
//! requests.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value as Json;

use super::classify::http_error;
use super::{Dialect, Failure, FailureKind, RetryClass, anthropic, google, openai};
use crate::chat::{ChatRequest, ChatResponse, ToolCall, Usage};
use crate::llm::sse::Decoder;
use crate::wire::HttpResponse;

/// Protocols that have samples but that no kind of connection uses.
const UNUSED: [(&str, &str); 4] = [
    ("openai_responses", "all kinds that could use it speak chat completions"),
    ("ollama", "the kind ollama speaks chat completions at `/v1`"),
    ("anthropic_count", "tokens are estimated before a call, not asked for"),
    ("gemini_count", "tokens are estimated before a call, not asked for"),
];

fn dialect(name: &str) -> Option<&'static dyn Dialect> {
    match name {
        "openai_chat" => Some(&openai::OpenAi),
        "anthropic" => Some(&anthropic::Anthropic),
        "gemini" => Some(&google::Google),
        _ => None,
    }
}

pub(super) fn all() -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes/manifest.json");
    let manifest: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    manifest["samples"].as_array().unwrap().clone()
}

pub(super) fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap()
}

/// The samples of a kind, with their protocol.
pub(super) fn samples(kind: &str) -> Vec<(Json, &'static dyn Dialect)> {
    let wanted = all().into_iter().filter(|sample| sample["kind"] == kind);
    wanted
        .filter_map(|sample| dialect(text(&sample, "dialect")).map(|dialect| (sample, dialect)))
        .collect()
}

pub(super) fn bytes(sample: &Json) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes");
    std::fs::read(root.join(text(sample, "file"))).unwrap()
}

#[test]
fn no_sample_is_left_out_without_a_reason() {
    let mut counts = std::collections::BTreeMap::new();
    for sample in all() {
        let name = text(&sample, "dialect");
        assert!(dialect(name).is_some() || UNUSED.iter().any(|(own, _)| *own == name), "{name}");
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    let expected = [
        ("anthropic", 38),
        ("anthropic_count", 2),
        ("gemini", 35),
        ("gemini_count", 1),
        ("ollama", 15),
        ("openai_chat", 80),
        ("openai_responses", 7),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

fn check_usage(name: &str, expected: &Json, found: Option<Usage>) {
    let Some(wanted) = expected.get("usage") else { return };
    if wanted.is_null() {
        assert_eq!(found, None, "{name}");
        return;
    }
    let number = |key: &str| wanted[key].as_u64().unwrap();
    let usage = Usage {
        tokens_in: number("input"),
        tokens_out: number("output"),
        tokens_cached: number("cache_read"),
        cache_written: number("cache_write"),
        reasoning: number("reasoning"),
        is_estimated: false,
    };
    assert_eq!(found, Some(usage), "{name}");
}

fn check_calls(name: &str, expected: &Json, found: &[ToolCall]) {
    let expected = expected["tool_calls"].as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (call, wanted)) in found.iter().zip(expected).enumerate() {
        assert_eq!(call.name, text(wanted, "name"), "{name}");
        assert_eq!(Json::from(call.object().unwrap()), wanted["arguments"], "{name}");
        // Where the server gave no id, the codec makes one.
        let own = format!("call_1_{index}");
        assert_eq!(call.id, wanted["id"].as_str().unwrap_or(&own), "{name}");
        assert_eq!(call.is_own_id, wanted["id"].is_null(), "{name}");
    }
}

fn check_outcome(name: &str, expected: &Json, found: Result<ChatResponse, Failure>) {
    match (expected.get("error").and_then(Json::as_str), found) {
        (None, Ok(response)) => {
            assert_eq!(response.text, text(expected, "text"), "{name}");
            assert_eq!(response.finish_reason, text(expected, "finish"), "{name}");
            assert_eq!(response.model.as_deref(), expected["model"].as_str(), "{name}");
            check_calls(name, expected, &response.tool_calls);
            check_usage(name, expected, response.usage);
        }
        (Some(error), Err(failure)) => {
            assert_eq!(failure.kind.word(), error, "{name}: {failure:?}");
            if let Some(message) = expected.get("message").and_then(Json::as_str) {
                assert_eq!(failure.message, message, "{name}");
            }
            if let Some(detail) = expected.get("detail").and_then(Json::as_str) {
                assert_eq!(failure.detail, Some(detail), "{name}");
            }
            check_usage(name, expected, failure.usage);
        }
        (expected, found) => panic!("{name}: expected {expected:?}, found {found:?}"),
    }
}

#[test]
fn whole_answers() {
    for (sample, dialect) in samples("response") {
        let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
        let answer =
            HttpResponse { status, headers: Vec::new(), body: Bytes::from(bytes(&sample)) };
        let found = dialect.decode(&ChatRequest::default(), &answer);
        check_outcome(text(&sample, "file"), &sample["expect"], found);
    }
}

/// When the samples were made.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000) // 2026-11-23T10:00:00Z
}

fn answer(sample: &Json) -> HttpResponse {
    let raw = bytes(sample);
    let split = raw.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let head = std::str::from_utf8(&raw[..split]).unwrap();
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = fields.map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned())).collect();
    let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
    HttpResponse { status, headers, body: Bytes::from(raw[split + 2..].to_vec()) }
}

#[test]
fn error_answers() {
    for (sample, dialect) in samples("error") {
        let (name, expected) = (text(&sample, "file"), &sample["expect"]);
        let answer = answer(&sample);
        let failure = http_error(answer.status, &answer.headers, &answer.body, now());
        let class = failure.class.map(|class| match class {
            RetryClass::RateLimit => "rate_limit",
            RetryClass::ServerError => "server_error",
            RetryClass::Timeout => "timeout",
        });
        assert_eq!(failure.kind.word(), text(expected, "error"), "{name}: {failure:?}");
        assert_eq!(class, expected["retry_class"].as_str(), "{name}");
        let wish = failure.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap());
        assert_eq!(wish, expected["retry_after_ms"].as_u64(), "{name}");
        assert_eq!(failure.detail, expected.get("detail").and_then(Json::as_str), "{name}");
        assert!(!failure.message.is_empty(), "{name}");
        let by_dialect = dialect.decode(&ChatRequest::default(), &answer).unwrap_err();
        // Only what depends on the clock may differ.
        assert_eq!(Failure { retry_after: failure.retry_after, ..by_dialect }, failure, "{name}");
    }
}

/// Reads a stream in the given pieces, as the call layer does.
fn read_stream(dialect: &dyn Dialect, pieces: &[&[u8]]) -> (String, Result<ChatResponse, Failure>) {
    let (mut sse, mut reader) =
        (Decoder::default(), dialect.stream_decoder(&ChatRequest::default()));
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

/// The whole, byte by byte, and twenty ways at random.
fn ways<'a>(raw: &'a [u8], dice: &mut fastrand::Rng) -> Vec<Vec<&'a [u8]>> {
    let mut ways: Vec<Vec<&[u8]>> = vec![vec![raw], raw.chunks(1).collect()];
    for _ in 0..20 {
        let mut rest: &[u8] = raw;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(dice.usize(1..=rest.len().min(40)));
            pieces.push(piece);
            rest = more;
        }
        ways.push(pieces);
    }
    ways
}

#[test]
fn streams_in_any_pieces() {
    let mut dice = fastrand::Rng::with_seed(7);
    for (sample, dialect) in samples("stream") {
        let (name, expected) = (text(&sample, "file"), &sample["expect"]);
        let raw = bytes(&sample);
        for pieces in ways(&raw, &mut dice) {
            let (text_before, ended) = read_stream(dialect, &pieces);
            if let Some(before) = expected.get("text_before").and_then(Json::as_str) {
                assert_eq!(text_before, before, "{name}");
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
                    assert_eq!(cause, text(expected, "cause"), "{name}");
                    let detail = expected.get("detail").and_then(Json::as_str);
                    assert!(detail.is_none() || failure.detail == detail, "{name}");
                }
                ended => check_outcome(name, expected, ended),
            }
        }
    }
}

/// Some JSON that servers may send in place of what belongs there.
fn odd(dice: &mut fastrand::Rng) -> Json {
    match dice.u8(..8) {
        0 => Json::Null,
        1 => true.into(),
        2 => (-1).into(),
        3 => 1e300.into(),
        4 => "".into(),
        5 => "\u{0}🚢".into(),
        6 => Json::Array(vec![Json::Null, serde_json::json!({})]),
        _ => serde_json::json!({"error": {}, "type": 7, "index": "x"}),
    }
}

/// Replaces or removes one value somewhere inside.
fn spoil(json: &mut Json, dice: &mut fastrand::Rng) {
    if dice.u8(..6) == 0 {
        *json = odd(dice);
        return;
    }
    match json {
        Json::Object(map) if !map.is_empty() => {
            let index = dice.usize(..map.len());
            let key = map.keys().nth(index).unwrap().clone();
            if dice.u8(..6) == 0 {
                map.remove(&key);
            } else {
                spoil(&mut map[&key], dice);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let index = dice.usize(..items.len());
            spoil(&mut items[index], dice);
        }
        other => *other = odd(dice),
    }
}

// C-54: whatever stands in an answer, there is a response or a failure, never a panic.
#[test]
fn spoilt_answers_do_no_harm() {
    let mut dice = fastrand::Rng::with_seed(11);
    for (sample, dialect) in samples("response").into_iter().chain(samples("error")) {
        let answer = match text(&sample, "kind") {
            "response" => {
                HttpResponse { status: 200, headers: Vec::new(), body: Bytes::from(bytes(&sample)) }
            }
            _ => answer(&sample),
        };
        let Ok(whole) = serde_json::from_slice::<Json>(&answer.body) else { continue };
        for _ in 0..60 {
            let mut json = whole.clone();
            (0..dice.u8(1..4)).for_each(|_| spoil(&mut json, &mut dice));
            let body = Bytes::from(json.to_string());
            let found =
                dialect.decode(&ChatRequest::default(), &HttpResponse { body, ..answer.clone() });
            assert!(found.is_ok() || !found.unwrap_err().message.is_empty());
        }
    }
    for (sample, dialect) in samples("stream") {
        let (mut sse, mut events) = (Decoder::default(), Vec::new());
        sse.push(&bytes(&sample), &mut events).unwrap();
        sse.finish(&mut events);
        for _ in 0..60 {
            let mut reader = dialect.stream_decoder(&ChatRequest::default());
            for event in &events {
                let mut event = event.clone();
                if dice.u8(..3) == 0
                    && let Ok(mut json) = serde_json::from_str(&event.data)
                {
                    spoil(&mut json, &mut dice);
                    event.data = json.to_string();
                }
                if reader.push(&event).is_err() {
                    break;
                }
            }
            let _ = (reader.usage(), reader.finish());
        }
    }
}
