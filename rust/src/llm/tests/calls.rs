//! Whole answers over HTTP: what is sent, what comes back, what is counted.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::server::{Reply, Server};
use super::{KEY, call, call_with, client, layer, recorder, settings, user};
use crate::chat::OutputSchema;
use crate::config::{ProviderKind, merge};
use crate::llm::{Call, CallOptions, Client, TransportOptions};
use crate::log::{Log, LogLevel, LogRecord};
use crate::providers::FailureKind;

const ANSWER: &str = r#"{"id": "chatcmpl-1", "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}}"#;

fn answer() -> Reply {
    Reply::with(200, "content-type: application/json\r\nx-request-id: req-1\r\n", ANSWER)
}

fn refusal(param: &str, message: &str) -> Reply {
    let error = json!({"error": {"message": message, "type": "invalid_request_error",
        "param": param, "code": "unsupported_parameter"}});
    Reply::json(400, &error.to_string())
}

fn limited(call: Call) -> Call {
    let mut call = call;
    call.sampling.max_tokens = Some(50);
    call
}

fn typed(call: Call) -> Call {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    Call { output: Some(OutputSchema::new("T".to_owned(), schema).into()), ..call }
}

#[tokio::test]
async fn a_plain_call_reports_everything_about_its_answer() {
    let server = Server::start(vec![answer()]).await;
    let recorder = recorder();
    let found = client().execute(call(&server.url), vec![recorder.clone()]).await.unwrap();
    assert_eq!(found.response.text, "Hi.");
    assert_eq!(found.response.finish_reason, "stop");
    assert_eq!(found.response.request_id.as_deref(), Some("req-1"));
    assert_eq!((found.connection.as_str(), found.attempts), ("cloud", 1));
    assert_eq!(found.model, "gpt-4o-mini-2024-07-18");
    assert_eq!((found.usage.tokens_in, found.usage.tokens_out), (10, 4));
    assert!(!found.usage.is_estimated);
    let expected = (8.0 * 0.15 + 2.0 * 0.075 + 4.0 * 0.6) / 1e6;
    assert!((found.cost.unwrap() - expected).abs() < 1e-15);

    let sent = server.received().remove(0);
    assert_eq!(sent.path, "/v1/chat/completions");
    let messages = json!([{"role": "user", "content": "Hello"}]);
    assert_eq!(sent.body, json!({"model": "gpt-4o-mini", "messages": messages}));

    let metrics = recorder.snapshot();
    assert_eq!(metrics.tokens_by_connection("cloud"), 14);
    assert_eq!(metrics.tokens_by_model("Fast"), 14);
    assert_eq!(metrics.tokens_by_model("Slow"), 0);
    assert_eq!(metrics.tokens_by_base("gpt-4o-mini-2024-07-18"), 14);
    let counters = metrics.counters("cloud").unwrap();
    assert_eq!((counters.calls, counters.successes, counters.in_flight), (1, 1, 0));
    assert_eq!((counters.attempts, counters.rounds, counters.retries), (1, 1, 0));
    assert_eq!(counters.bytes_in, ANSWER.len() as u64);
}

#[tokio::test]
async fn later_headers_win_over_earlier_ones() {
    let server = Server::start(vec![answer()]).await;
    let program = layer(&format!(
        r#"{{"base_url": "{}", "api_key": "{KEY}", "organization": "org", "project": "proj",
            "headers": {{"X-Team": "search", "x-trace": "on", "Authorization": "Basic abc"}}}}"#,
        server.url
    ));
    let host = layer(r#"{"headers": {"X-TRACE": "off", "User-Agent": "mine"}}"#);
    let layers = [("program", &program), ("override", &host)];
    let settings = merge("cloud", ProviderKind::OpenAi, &layers).unwrap();
    client().execute(call_with(settings), vec![]).await.unwrap();
    let sent = server.received().remove(0);
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "mine"),
        ("authorization", "Basic abc"),
        ("openai-organization", "org"),
        ("openai-project", "proj"),
        ("x-team", "search"),
        ("x-trace", "off"),
    ] {
        assert_eq!(sent.header(name), [value], "{name}");
    }
}

#[tokio::test]
async fn a_connection_without_a_key_sends_no_authentication() {
    let server = Server::start(vec![answer()]).await;
    let settings = settings(ProviderKind::Ollama, &server.url, r#"{"organization": "org"}"#);
    client().execute(call_with(settings), vec![]).await.unwrap();
    let sent = server.received().remove(0);
    assert!(sent.header("authorization").is_empty());
    assert!(sent.header("openai-organization").is_empty(), "only openai and custom send it");
    assert_eq!(sent.header("user-agent"), [concat!("concerto/", env!("CARGO_PKG_VERSION"))]);
}

#[tokio::test]
async fn missing_and_absurd_usage_is_estimated() {
    for usage in [
        r#"null"#,
        r#"{"prompt_tokens": -1, "completion_tokens": 3.5}"#,
        r#"{"prompt_tokens": 5000000000, "completion_tokens": 5000000000}"#,
    ] {
        let body =
            format!(r#"{{"choices": [{{"message": {{"content": "12345"}}}}], "usage": {usage}}}"#);
        let server = Server::start(vec![Reply::json(200, &body)]).await;
        let answer = client().execute(call(&server.url), vec![]).await.unwrap();
        // "Hello" is 5 bytes, and 4 for the message; the answer is 5 bytes.
        assert_eq!((answer.usage.tokens_in, answer.usage.tokens_out), (6, 2), "{usage}");
        assert!(answer.usage.is_estimated, "{usage}");
        assert_eq!(answer.model, "gpt-4o-mini", "the id that was asked for");
    }
}

#[tokio::test]
async fn half_of_a_usage_is_completed_by_an_estimate() {
    let usage = r#"{"prompt_tokens": 0, "completion_tokens": 40}"#;
    let body =
        format!(r#"{{"choices": [{{"message": {{"content": "12345"}}}}], "usage": {usage}}}"#);
    let server = Server::start(vec![Reply::json(200, &body)]).await;
    let answer = client().execute(call(&server.url), vec![]).await.unwrap();
    assert_eq!((answer.usage.tokens_in, answer.usage.tokens_out), (6, 40));
    assert!(answer.usage.is_estimated);
}

#[tokio::test]
async fn an_unpriced_answer_of_a_priced_id_costs_what_the_id_costs() {
    let body = ANSWER.replace("gpt-4o-mini-2024-07-18", "deployment-7");
    let server = Server::start(vec![Reply::json(200, &body)]).await;
    let recorder = recorder();
    let answer = client().execute(call(&server.url), vec![recorder.clone()]).await.unwrap();
    assert!(answer.cost.is_some());
    assert_eq!(recorder.snapshot().tokens_by_base("deployment-7"), 14);
    assert_eq!(recorder.snapshot().estimated_cost("cloud").unpriced_tokens, 0);
}

#[tokio::test]
async fn the_other_field_for_the_token_limit_is_tried_once_and_remembered() {
    let refusal = refusal("max_tokens", "Use 'max_completion_tokens' instead of 'max_tokens'.");
    let server = Server::start(vec![refusal, answer(), answer()]).await;
    let (client, recorder) = (client(), recorder());
    for _ in 0..2 {
        let call = limited(call(&server.url));
        assert_eq!(client.execute(call, vec![recorder.clone()]).await.unwrap().attempts, 1);
    }
    let fields = server.received().into_iter().map(|sent| {
        let body = sent.body.as_object().unwrap();
        body.keys().find(|key| key.starts_with("max_")).unwrap().clone()
    });
    let fields: Vec<_> = fields.collect();
    assert_eq!(fields, ["max_tokens", "max_completion_tokens", "max_completion_tokens"]);
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.attempts, counters.rounds, counters.retries), (2, 2, 0));
}

#[tokio::test]
async fn the_field_that_was_not_sent_and_a_value_out_of_range_switch_nothing() {
    for (param, message) in [
        ("max_completion_tokens", "Unsupported parameter: 'max_completion_tokens'."),
        ("max_tokens", "max_tokens must be at least 1, got -186."),
        ("temperature", "Unsupported value: 'temperature' does not support 0.2."),
    ] {
        let server = Server::start(vec![refusal(param, message), answer()]).await;
        let error = client().execute(limited(call(&server.url)), vec![]).await.unwrap_err();
        assert_eq!(error.failure.kind.word(), "invalid_request", "{param}");
        assert_eq!(error.failure.param.as_deref(), Some(param));
        assert_eq!(server.received().len(), 1, "{param}");
    }
}

#[tokio::test]
async fn a_switch_that_does_not_help_is_not_remembered() {
    let no = || refusal("max_tokens", "Unsupported parameter: 'max_tokens'.");
    let server = Server::start(vec![no(), no(), answer()]).await;
    let client = client();
    client.execute(limited(call(&server.url)), vec![]).await.unwrap_err();
    client.execute(limited(call(&server.url)), vec![]).await.unwrap();
    assert!(server.received()[2].body.get("max_tokens").is_some());
}

#[tokio::test]
async fn calls_that_learn_the_same_at_once_all_succeed() {
    let no = || refusal("max_tokens", "Unsupported parameter: 'max_tokens'.");
    // Both first requests are refused before either call tries again.
    let server = Server::start(vec![no(), no(), answer(), answer()]).await;
    let client = client();
    let first = client.execute(limited(call(&server.url)), vec![]);
    let second = client.execute(limited(call(&server.url)), vec![]);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(
        (first.unwrap().response.text, second.unwrap().response.text),
        ("Hi.".into(), "Hi.".into())
    );
}

#[tokio::test]
async fn a_custom_endpoint_gets_the_schema_in_simpler_ways_until_it_takes_one() {
    let no = |message: &str| Reply::json(400, &json!({"error": {"message": message}}).to_string());
    let replies = vec![no("json_schema is unknown"), no("unsupported"), answer(), answer()];
    let server = Server::start(replies).await;
    let client = client();
    for _ in 0..2 {
        let call = typed(call_with(settings(ProviderKind::Custom, &server.url, "{}")));
        client.execute(call, vec![]).await.unwrap();
    }
    let bodies: Vec<_> = server.received().into_iter().map(|sent| sent.body).collect();
    let types: Vec<_> =
        bodies.iter().map(|body| body["response_format"]["type"].as_str()).collect();
    assert_eq!(types, [Some("json_schema"), Some("json_object"), None, None]);
    assert_eq!(bodies[0]["response_format"]["json_schema"]["strict"], true);
    for told in &bodies[1..] {
        let system = told["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("JSON") && system.contains(r#""properties""#), "{system}");
    }
}

#[tokio::test]
async fn kind_openai_does_not_fall_back_from_a_schema() {
    let no = refusal("response_format", "Invalid schema for response_format 'T'.");
    let server = Server::start(vec![no, answer()]).await;
    let error = client().execute(typed(call(&server.url)), vec![]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "invalid_request");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn what_was_learned_about_one_server_is_not_held_against_another() {
    let no = || refusal("max_tokens", "Unsupported parameter: 'max_tokens'.");
    let (one, other) =
        (Server::start(vec![no(), answer()]).await, Server::start(vec![answer()]).await);
    let client = client();
    client.execute(limited(call(&one.url)), vec![]).await.unwrap();
    client.execute(limited(call(&other.url)), vec![]).await.unwrap();
    assert!(other.received()[0].body.get("max_tokens").is_some());
}

#[tokio::test]
async fn rounds_of_one_call_are_counted_together() {
    let server = Server::start(vec![answer(), answer()]).await;
    let recorder = recorder();
    let mut session = client().begin(call(&server.url), vec![recorder.clone()]);
    let first = session.round().await.unwrap();
    assert_eq!((first.rounds, first.attempts, first.usage.tokens_in), (1, 1, 10));
    session.say([super::user("Again")]);
    assert_eq!(recorder.snapshot().counters("cloud").unwrap().in_flight, 1);
    let second = session.round().await.unwrap();
    assert_eq!((second.rounds, second.attempts), (2, 2));
    assert_eq!((second.usage.tokens_in, second.usage.tokens_out), (20, 8));
    assert!((second.cost.unwrap() - 2.0 * first.cost.unwrap()).abs() < 1e-15);
    session.fail(FailureKind::Schema);
    assert_eq!(server.received()[1].body["messages"][1]["content"], "Again");
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.calls, counters.rounds, counters.attempts), (1, 2, 2));
    assert_eq!((counters.retries, counters.errors["schema"], counters.in_flight), (0, 1, 0));
}

// providers.md 7.1
#[tokio::test]
async fn a_prompt_that_ollama_cuts_is_told_of() {
    let answer = r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 4}}"#;
    for (kind, letters, is_warned) in [
        (ProviderKind::Ollama, 1000, true),
        (ProviderKind::Ollama, 780, false),
        (ProviderKind::Custom, 1000, false),
    ] {
        let server = Server::start(vec![Reply::json(200, answer)]).await;
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let sink = move |record: &LogRecord| kept.lock().unwrap().push(record.message.clone());
        let log_options = Log::new(LogLevel::Warn, Arc::new(sink));
        let options = CallOptions { log: log_options, ..CallOptions::default() };
        let client = Client::new(TransportOptions::default(), options);
        let messages = vec![user(&"x".repeat(letters))];
        let call = Call { messages, ..call_with(settings(kind, &server.url, "{}")) };
        client.execute(call, vec![]).await.unwrap();
        let warnings = log.lock().unwrap().clone();
        let expected = "cloud (Fast): the server counted 100 tokens where about 254 were sent";
        assert_eq!(warnings.iter().any(|text| text.starts_with(expected)), is_warned);
        assert_eq!(warnings.len(), usize::from(is_warned), "{warnings:?}");
    }
}
