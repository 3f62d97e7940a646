//! Streamed answers over HTTP.

use super::server::{Reply, Server};
use super::{SECONDS, call, call_with, client, recorder, settings};
use crate::clock;
use crate::config::ProviderKind;
use crate::llm::{Call, LlmError, ResponseStream};
use crate::metrics::Counters;

const ONE: &str = "data: {\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"delta\":{\"content\":\"Ham\"}}]}\n\n";
const TWO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"burg\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":17}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn open(call: Call) -> ResponseStream {
    client().stream(call, vec![]).await.unwrap()
}

async fn text(stream: &mut ResponseStream) -> Result<String, (String, LlmError)> {
    let mut whole = String::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(chunk) => whole.push_str(&chunk.text),
            Err(error) => return Err((whole, error)),
        }
    }
    Ok(whole)
}

fn counters(recorder: &crate::metrics::Recorder) -> Counters {
    recorder.snapshot().counters("cloud").unwrap().clone()
}

#[tokio::test]
async fn chunks_come_in_order_and_the_usage_is_counted_at_the_end() {
    let server = Server::start(vec![Reply::events(&[ONE, TWO, STOP, USAGE, DONE])]).await;
    let recorder = recorder();
    let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        chunks.push((chunk.index, chunk.text));
    }
    assert_eq!(chunks, [(0, "Ham".to_owned()), (1, "burg".to_owned())]);
    assert!(stream.next().await.is_none(), "the end stays the end");
    let sent = server.received().remove(0);
    assert_eq!(sent.header("accept"), ["text/event-stream"]);
    assert_eq!(sent.body["stream_options"]["include_usage"], true);
    let metrics = recorder.snapshot();
    assert_eq!(metrics.tokens_by_connection("cloud"), 29);
    assert_eq!(metrics.tokens_by_base("gpt-4o-mini-2024-07-18"), 29);
    let counted = counters(&recorder);
    assert_eq!((counted.calls, counted.successes, counted.chunks), (1, 1, 2));
    assert_eq!(metrics.distribution("cloud", "time_to_first_chunk_ms").unwrap().count, 1);
}

// providers.md 2.3
#[tokio::test]
async fn a_connection_that_breaks_after_the_end_marker_is_no_failure() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
    for (events, is_good) in [(vec![ONE, TWO, STOP], true), (vec![ONE, TWO], false)] {
        let reply = Reply::raw(format!("{head}{}", events.concat()));
        let server = Server::start(vec![reply]).await;
        let mut stream = open(call(&server.url)).await;
        match text(&mut stream).await {
            Ok(whole) => assert!(is_good && whole == "Hamburg", "{whole}"),
            Err((whole, error)) => {
                assert!(!is_good && whole == "Hamburg", "{error}");
                assert_eq!(error.interrupted.unwrap().cause, "network");
            }
        }
    }
}

#[tokio::test]
async fn a_cut_stream_keeps_its_text_and_names_the_cause() {
    let server = Server::start(vec![Reply::events(&[ONE, TWO])]).await;
    let recorder = recorder();
    let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
    let (before, error) = text(&mut stream).await.unwrap_err();
    assert_eq!(before, "Hamburg");
    assert_eq!(error.failure.kind.word(), "stream_interrupted");
    let interrupted = error.interrupted.clone().unwrap();
    assert_eq!((interrupted.cause, interrupted.chunks), ("network", 2));
    assert_eq!(interrupted.partial_text, "Hamburg");
    assert_eq!(error.failure.request_id.as_deref(), Some("req-7"));
    assert!(error.message.starts_with("cloud: stream interrupted after 2 chunks: "), "{error}");
    assert!(stream.next().await.is_none());
    // "Hello": 5 bytes and 4 for the message; "Hamburg": 7 bytes.
    let counted = counters(&recorder);
    assert_eq!((counted.tokens.tokens_in, counted.tokens.tokens_out), (6, 2));
    assert_eq!(counted.cost.estimated_tokens, 8);
    assert_eq!((counted.errors["stream_interrupted"], counted.in_flight), (1, 0));
}

#[tokio::test]
async fn a_failure_before_the_first_text_is_the_error_of_opening() {
    let event = "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n";
    let raw = "{\"error\": {\"message\": \"busy\", \"type\": \"overloaded_error\"}}";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req-7\r\nconnection: close\r\n\r\n";
    for reply in [Reply::events(&[event]), Reply::raw(format!("{head}{raw}"))] {
        let server = Server::start(vec![reply]).await;
        let error = client().stream(call(&server.url), vec![]).await.unwrap_err();
        assert_eq!(error.failure.kind.word(), "server_error");
        assert_eq!(error.failure.detail, Some("overloaded"));
        assert_eq!(error.failure.request_id.as_deref(), Some("req-7"));
    }
    let headers = "content-type: application/json\r\nx-request-id: req-8\r\nretry-after: 7\r\n";
    let server =
        Server::start(vec![Reply::with(429, headers, r#"{"error": {"message": "slow"}}"#)]).await;
    let error = client().stream(call(&server.url), vec![]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "rate_limit");
    assert_eq!(error.failure.retry_after, Some(SECONDS(7)));
    assert_eq!(error.failure.request_id.as_deref(), Some("req-8"));
}

#[tokio::test]
async fn an_empty_stream_is_a_network_error_that_may_be_retried() {
    let server = Server::start(vec![Reply::events(&[])]).await;
    let error = client().stream(call(&server.url), vec![]).await.unwrap_err();
    assert_eq!(error.failure.kind.word(), "network");
    assert!(error.failure.class.is_some());
}

#[tokio::test]
async fn plain_json_is_one_chunk() {
    let body = r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}}"#;
    let headers = "content-type: Application/JSON; charset=utf-8\r\n";
    let server = Server::start(vec![Reply::with(200, headers, body)]).await;
    let recorder = recorder();
    let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
    assert_eq!(text(&mut stream).await.unwrap(), "Hi.");
    assert_eq!(recorder.snapshot().tokens_by_model("Fast"), 5);
}

#[tokio::test]
async fn a_custom_endpoint_may_refuse_stream_options_once() {
    let no = r#"{"error": {"message": "stream_options: extra fields are not permitted"}}"#;
    let events = || Reply::events(&[ONE, STOP, DONE]);
    let replies = vec![Reply::json(400, no), events(), events()];
    let server = Server::start(replies).await;
    let client = client();
    for _ in 0..2 {
        let call = call_with(settings(ProviderKind::Custom, &server.url, "{}"));
        let mut stream = client.stream(call, vec![]).await.unwrap();
        assert_eq!(text(&mut stream).await.unwrap(), "Ham");
    }
    let asked = server.received().into_iter().map(|s| s.body.get("stream_options").is_some());
    assert_eq!(asked.collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
async fn dropping_a_stream_closes_its_socket_and_counts_what_was_received() {
    let pieces = [ONE, TWO].concat();
    let server = Server::start(vec![Reply::events(&[&pieces]).then_stall()]).await;
    let recorder = recorder();
    let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    drop(stream);
    server.hung_up().await;
    let counted = counters(&recorder);
    assert_eq!((counted.cancelled, counted.in_flight), (1, 0));
    // Both chunks had arrived: "Hamburg" is 7 bytes.
    assert_eq!((counted.tokens.tokens_in, counted.tokens.tokens_out), (6, 2));
}

#[tokio::test(start_paused = true)]
async fn silence_in_a_stream_ends_with_phase_idle() {
    let server = Server::start(vec![Reply::events(&[ONE]).then_stall()]).await;
    let mut stream = open(call(&server.url)).await;
    let (before, error) = text(&mut stream).await.unwrap_err();
    assert_eq!((before.as_str(), error.failure.phase), ("Ham", Some("idle")));
    assert_eq!(error.interrupted.unwrap().cause, "timeout");
}

#[tokio::test(start_paused = true)]
async fn headers_without_a_chunk_in_time_have_phase_idle() {
    let server = Server::start(vec![Reply::events(&[]).then_stall()]).await;
    let error = client().stream(call(&server.url), vec![]).await.unwrap_err();
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("idle")));
}

#[tokio::test(start_paused = true)]
async fn a_slow_program_does_not_use_up_the_time_of_the_server() {
    let server = Server::start(vec![Reply::events(&[ONE]).then_stall()]).await;
    let mut stream = open(call(&server.url)).await;
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    tokio::time::advance(SECONDS(3600)).await;
    let before = clock::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(before.elapsed() >= SECONDS(30), "{:?}", before.elapsed());
    assert!(error.message.contains("sent nothing within 30 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_keeps_alive_is_given_up_after_ten_limits() {
    let server =
        Server::start(vec![Reply::events(&[ONE]).then_repeat(": ping\n\n", SECONDS(29))]).await;
    let mut stream = open(call(&server.url)).await;
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    let before = clock::now();
    let error = stream.next().await.unwrap().unwrap_err();
    let waited = before.elapsed();
    assert!(waited >= SECONDS(300) && waited < SECONDS(301), "{waited:?}");
    assert_eq!(error.failure.phase, Some("idle"));
    assert!(error.message.contains("nothing but keep-alives within 300 s"), "{error}");
}

/// S-6: at most 64 chunks wait for the program; what has arrived is billed.
#[tokio::test]
async fn a_slow_program_has_at_most_64_chunks_waiting() {
    let piece = "data: {\"choices\":[{\"delta\":{\"content\":\"four\"}}]}\n\n";
    let many = piece.repeat(1000);
    let server = Server::start(vec![Reply::events(&[&many, STOP, DONE])]).await;
    let recorder = recorder();
    let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text, "four");
    // Reading goes on as soon as half of them are taken, and never beyond 64.
    for taken in 2..=100 {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stream.next().await.unwrap().unwrap().index, taken - 1);
    }
    drop(stream);
    let tokens = counters(&recorder).tokens.tokens_out;
    assert!((100 + 31..=100 + 64).contains(&tokens), "{tokens}");
}

/// S-1, S-4, S-6: a slow program gets every chunk, in order, with the time of its arrival.
#[tokio::test(start_paused = true)]
async fn read_ahead_loses_and_reorders_nothing() {
    let texts: Vec<String> = (0..500).map(|number| format!("{number} ")).collect();
    let events = texts.iter().map(|text| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    });
    let body = events.collect::<String>();
    let server = Server::start(vec![Reply::events(&[&body, STOP, DONE])]).await;
    let mut stream = open(call(&server.url)).await;
    let mut found = Vec::new();
    while let Some(chunk) = stream.next().await {
        found.push(chunk.unwrap().text);
        if found.len() % 100 == 0 {
            tokio::time::sleep(SECONDS(100)).await;
        }
    }
    assert_eq!(found, texts);
}

/// S-5, S-6: what arrives while the program is busy has the time of its arrival.
#[tokio::test(start_paused = true)]
async fn a_chunk_knows_when_it_arrived() {
    let reply = Reply::events(&[ONE]).then_repeat(TWO, SECONDS(2));
    let server = Server::start(vec![reply]).await;
    let mut stream = open(call(&server.url)).await;
    stream.next().await.unwrap().unwrap();
    tokio::time::sleep(SECONDS(7)).await;
    let mut arrived = Vec::new();
    for _ in 0..3 {
        arrived.push(stream.next().await.unwrap().unwrap().elapsed_ms / 1000);
    }
    assert_eq!(arrived, [0, 2, 4]);
}

/// C-60: also of a stream that goes on, whatever the program does.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_ends_its_stream() {
    let server = Server::start(vec![Reply::events(&[ONE]).then_repeat(TWO, SECONDS(2))]).await;
    let call = Call { deadline: Some(SECONDS(5)), ..call(&server.url) };
    let began = clock::now();
    let mut stream = open(call).await;
    let (before, error) = text(&mut stream).await.unwrap_err();
    assert_eq!(before, "Hamburgburgburg");
    assert_eq!((error.failure.phase, error.timeout), (Some("call"), Some(SECONDS(5))));
    assert_eq!(error.interrupted.unwrap().cause, "timeout");
    assert!(began.elapsed() >= SECONDS(5) && began.elapsed() < SECONDS(6));
}

/// C-58: pings keep a stream alive for ten limits, and no longer.
#[tokio::test(start_paused = true)]
async fn pings_that_are_events_are_no_progress() {
    let reply = Reply::events(&[ONE]).then_repeat("event: ping\ndata: {}\n\n", SECONDS(29));
    let server = Server::start(vec![reply]).await;
    let mut stream = open(call(&server.url)).await;
    stream.next().await.unwrap().unwrap();
    let before = clock::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!((SECONDS(300)..SECONDS(301)).contains(&before.elapsed()), "{:?}", before.elapsed());
    assert_eq!((error.failure.phase, error.interrupted.unwrap().cause), (Some("idle"), "timeout"));
}

// providers.md 1.1, 2.3: the reason is the end marker; usage and `[DONE]` have a second to follow, whatever else is sent.
#[tokio::test(start_paused = true)]
async fn a_whole_answer_does_not_wait_for_the_end_of_its_body() {
    let whole = || Reply::events(&[ONE, TWO, STOP]);
    for reply in [whole().then_stall(), whole().then_repeat(": ping\n\n", SECONDS(1) / 3)] {
        let server = Server::start(vec![reply]).await;
        let recorder = recorder();
        let mut stream = client().stream(call(&server.url), vec![recorder.clone()]).await.unwrap();
        let began = clock::now();
        assert_eq!(text(&mut stream).await.unwrap(), "Hamburg");
        assert!(began.elapsed() < SECONDS(2), "{:?}", began.elapsed());
        let counted = counters(&recorder);
        assert_eq!((counted.successes, counted.cost.estimated_tokens), (1, 8));
    }
    // What follows in time counts.
    let late = whole().then_repeat(USAGE, SECONDS(1) / 2);
    let server = Server::start(vec![late]).await;
    let mut stream = open(call(&server.url)).await;
    assert_eq!(text(&mut stream).await.unwrap(), "Hamburg");
    assert_eq!(stream.answer().unwrap().usage.tokens_out, 17);
}
