//! Calls that fail: what the error says, what it keeps to itself, what is counted.

use std::time::Duration;

use super::server::{Reply, Server};
use super::{KEY, SECONDS, call, call_with, client, recorder, settings};
use crate::config::{Layer, ProviderKind};
use crate::llm::{Call, CallOptions, Client, LlmError, TransportOptions};

async fn failure(call: Call) -> LlmError {
    client().execute(call, vec![]).await.unwrap_err()
}

/// A URL where nothing listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_wrong_key_names_connection_and_cause_and_hides_the_key() {
    let body = format!(
        r#"{{"error": {{"message": "Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}}}"#
    );
    let headers = "content-type: application/json\r\nx-request-id: req-9\r\n";
    let server = Server::start(vec![Reply::with(401, headers, &body)]).await;
    let recorder = recorder();
    let error = client().execute(call(&server.url), vec![recorder.clone()]).await.unwrap_err();
    assert_eq!(error.message, "cloud: 401 authentication: Incorrect API key provided: ***");
    assert_eq!(error.failure.kind.word(), "authentication");
    assert_eq!(error.failure.class, None);
    assert_eq!(error.failure.request_id.as_deref(), Some("req-9"));
    assert_eq!((error.attempts, error.model.as_str()), (1, "Fast"));
    assert!(!format!("{error:?}").contains("canary"));
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!(counters.errors["authentication"], 1);
    assert_eq!((counters.calls, counters.successes, counters.in_flight), (1, 0, 0));
}

#[tokio::test]
async fn a_planted_secret_is_scrubbed_from_every_part_of_an_error() {
    let encoded = "sk-canary%2F0123456789";
    let bodies = [
        format!("<html>{}{KEY}", "x".repeat(490)), // cut in the middle of the key
        format!(r#"{{"error": {{"message": "m", "code": "{KEY}", "param": "{KEY}"}}}}"#),
        format!(r#"{{"error": {{"message": "{KEY} {encoded}"}}}}"#),
    ];
    let more = format!(
        r#"{{"api_key": "{KEY}", "headers": {{"X-Auth": "Bearer sk-canary/0123456789"}}}}"#
    );
    for body in bodies {
        let headers = format!("x-request-id: {KEY}\r\n");
        let server = Server::start(vec![Reply::with(400, &headers, &body)]).await;
        let error = failure(call_with(settings(ProviderKind::OpenAi, &server.url, &more))).await;
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("canary"), "{shown}");
    }
    let server = Server::start(vec![Reply::json(200, &format!("{}{KEY}", "x".repeat(110)))]).await;
    let error = failure(call_with(settings(ProviderKind::OpenAi, &server.url, &more))).await;
    let shown = format!("{error:?} {error}");
    assert!(
        !shown.contains("canary") && error.failure.kind.word() == "invalid_response",
        "{shown}"
    );
}

#[tokio::test]
async fn a_request_does_not_show_its_secrets() {
    use crate::chat::{ChatRequest, Tools};
    use crate::providers::{Quirks, dialect};
    let call = call("http://127.0.0.1:9");
    let chat = ChatRequest {
        model: "m".to_owned(),
        messages: Vec::new(),
        sampling: call.sampling.clone(),
        output: None,
        tools: Tools::default(),
        stream: false,
    };
    let dialect = dialect(ProviderKind::OpenAi);
    let request = dialect.encode(&chat, &call.settings, &Quirks::default()).unwrap();
    assert!(!format!("{request:?} {call:?}").contains("canary"));
}

#[tokio::test]
async fn unusable_bodies_are_invalid_responses() {
    for (body, says) in [
        ("<html>busy</html>", "the answer is no JSON"),
        ("", "the answer is no JSON"),
        ("[]", "the answer"),
        (r#"{"choices": []}"#, "the answer has no choices"),
        (r#"{"object": "list"}"#, "the answer has no choices"),
    ] {
        let server = Server::start(vec![Reply::json(200, body)]).await;
        let error = failure(call(&server.url)).await;
        assert_eq!(error.failure.kind.word(), "invalid_response", "{body}");
        assert!(error.message.starts_with("cloud: ") && error.message.contains(says), "{error}");
        assert_eq!(error.failure.class, None, "{body}");
    }
}

#[tokio::test]
async fn odd_types_of_unimportant_fields_do_not_spoil_an_answer() {
    let body = r#" {"id": 7, "model": null, "choices": [{"index": 0.0, "finish_reason": null,
        "message": {"content": [{"type": "text", "text": "a"}, {"type": "x"}, {"type": "text", "text": "b"}],
        "refusal": null, "tool_calls": []}}]}"#;
    let server = Server::start(vec![Reply::json(200, &format!("\u{feff}\n\n{body}"))]).await;
    let answer = client().execute(call(&server.url), vec![]).await.unwrap();
    assert_eq!(
        (answer.response.text.as_str(), answer.response.finish_reason.as_str()),
        ("ab", "stop")
    );
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let reply = Reply::with(307, "location: http://elsewhere.example/v1/chat/completions\r\n", "");
    let server = Server::start(vec![reply]).await;
    let error = failure(call(&server.url)).await;
    assert_eq!(error.failure.kind.word(), "invalid_request");
    let expected = "cloud: 307 invalid request: the server redirects to http://elsewhere.example, \
                    and redirects are not followed: check `base_url`";
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn an_unreachable_server_is_a_network_error() {
    let recorder = recorder();
    let call = call(&nowhere().await);
    let error = client().execute(call, vec![recorder.clone()]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "network");
    assert!(error.message.starts_with("cloud: network: "), "{error}");
    assert!(error.message.contains("refused"), "{error}");
    assert!(error.failure.class.is_some());
    assert_eq!(recorder.snapshot().counters("cloud").unwrap().errors["network"], 1);
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_body_is_a_network_error() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n";
    let server = Server::start(vec![Reply::raw(format!("{head}{{\"choices\""))]).await;
    let error = failure(call(&server.url)).await;
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("network", None));
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_headers_ends_with_phase_response() {
    let server = Server::start(vec![Reply::default().then_stall()]).await;
    let error = failure(call(&server.url)).await;
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("response")));
    assert_eq!(error.timeout, Some(SECONDS(30)));
    let expected =
        "cloud: timeout: no answer within 30 s; raise `timeout` if the model needs longer";
    assert_eq!(error.message, expected);
}

/// C-59: a server whose queue of connections is full; another one is neither accepted nor refused.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_made_ends_with_phase_connect() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _queued = std::net::TcpStream::connect(address).unwrap();
    for (limit, within) in [(SECONDS(2), "2 s"), (SECONDS(60), "10 s")] {
        let call = Call { timeout: limit, ..call(&format!("http://{address}")) };
        let error = failure(call).await;
        assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("connect")));
        assert_eq!(error.message, format!("cloud: timeout: no connection within {within}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_has_phase_body_and_names_the_limit_of_the_call() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{";
    let server = Server::start(vec![Reply::raw(head).then_stall()]).await;
    let settings = settings(ProviderKind::Ollama, &server.url, r#"{"timeout": 90}"#);
    let call = Call { timeout: Duration::from_millis(2500), ..call_with(settings) };
    let error = failure(call).await;
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("body")));
    assert!(error.message.contains("within 2.5 s") && error.message.contains("loads"), "{error}");
}

#[tokio::test]
async fn a_field_that_a_model_refuses_is_named_with_the_model() {
    let body = r#"{"error": {"message": "this is not supported", "param": "temperature", "code": "unsupported_value"}}"#;
    let server = Server::start(vec![Reply::json(400, body)]).await;
    let error = failure(call(&server.url)).await;
    let expected = "cloud: 400 invalid request: this is not supported (field `temperature`, model `gpt-4o-mini`)";
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn a_wrong_path_points_at_the_base_url() {
    let server = Server::start(vec![Reply::json(404, r#"{"detail": "Not Found"}"#)]).await;
    let error = failure(call(&server.url)).await;
    let expected = "cloud: 404 model not found: Not Found (model `gpt-4o-mini`; if the model exists, check `base_url`)";
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn a_long_message_is_one_line_of_at_most_600_characters() {
    let text = format!("a\\nb\\u0007{}", "é".repeat(900));
    let body = format!(r#"{{"error": {{"message": "{text}"}}}}"#);
    let server = Server::start(vec![Reply::json(500, &body)]).await;
    let error = failure(call(&server.url)).await;
    assert_eq!(error.message.chars().count(), 600);
    assert!(error.message.starts_with(r"cloud: 500 server error: a\nb\u{7}é"), "{error}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn an_unreadable_ca_bundle_is_a_configuration_error_and_no_attempt() {
    let options = TransportOptions {
        ca_bundle: Some("/nowhere/ca.pem".to_owned()),
        ..TransportOptions::default()
    };
    let recorder = recorder();
    let call = call("https://127.0.0.1:9");
    let error = Client::new(options, CallOptions::default())
        .execute(call, vec![recorder.clone()])
        .await
        .unwrap_err();
    assert_eq!((error.failure.kind.word(), error.attempts), ("config", 0));
    assert_eq!(error.field.as_deref(), Some("ca_bundle"));
    assert!(error.message.contains("/nowhere/ca.pem"), "{error}");
    assert_eq!(recorder.snapshot().counters("cloud").unwrap().attempts, 0);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_counts_as_cancelled() {
    let server = Server::start(vec![Reply::default().then_stall()]).await;
    let (client, recorder) = (client(), recorder());
    let mut waiting = Box::pin(client.execute(call(&server.url), vec![recorder.clone()]));
    while server.received().is_empty() {
        tokio::select! { _ = &mut waiting => panic!("no answer can come"), () = tokio::task::yield_now() => {} }
    }
    assert_eq!(recorder.snapshot().counters("cloud").unwrap().in_flight, 1);
    drop(waiting);
    server.hung_up().await;
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.calls, counters.cancelled, counters.in_flight), (1, 1, 0));
}

#[test]
fn layers_show_no_secret() {
    let layer: Layer =
        super::layer(&format!(r#"{{"api_key": "{KEY}", "headers": {{"X": "{KEY}"}}}}"#));
    assert!(!format!("{layer:?}").contains("canary"));
}
