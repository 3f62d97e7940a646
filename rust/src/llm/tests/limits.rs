//! Rate limits over HTTP on a paused clock: who waits, for how long, and what frees the next one.

use std::sync::Arc;

use super::server::{Reply, Server};
use super::{KEY, SECONDS, call_with, recorder, settings};
use crate::clock;
use crate::config::{ProviderKind, RateLimitConfig};
use crate::llm::{Answer, Call, CallOptions, Client, LlmError, TransportOptions};
use crate::metrics::Recorder;
use crate::wire::ServerLimit;

const ANSWER: &str = r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4}}"#;
const FIRST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Ham\"}}]}\n\n";

fn client() -> Client {
    let options = CallOptions { retry_jitter: 0.0, ..CallOptions::default() };
    Client::new(TransportOptions::default(), options)
}

fn call(url: &str, limits: &str) -> Call {
    let more = format!(r#"{{"api_key": "{KEY}", "rate_limit": {{{limits}}}}}"#);
    call_with(settings(ProviderKind::OpenAi, url, &more))
}

fn limits(json: &str) -> RateLimitConfig {
    serde_json::from_str(json).unwrap()
}

fn answers(count: usize) -> Vec<Reply> {
    vec![Reply::json(200, ANSWER); count]
}

/// Starts a call beside the test; calls arrive in the order in which they are started.
async fn start(
    client: &Client,
    call: Call,
    recorder: &Arc<Recorder>,
) -> tokio::task::JoinHandle<Result<Answer, LlmError>> {
    let (client, recorders) = (client.clone(), vec![Arc::clone(recorder)]);
    let task = tokio::spawn(async move { client.execute(call, recorders).await });
    tokio::task::yield_now().await;
    task
}

fn queued(recorder: &Recorder) -> u64 {
    recorder.snapshot().counters("cloud").unwrap().queued
}

/// C-80, C-81, C-86, C-89, T-10, T-11: two models on one connection share its limit.
#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_wait_for_the_window() {
    let server = Server::start(answers(4)).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let two = r#""requests_per_minute": 2"#;
    let mut tasks = Vec::new();
    for name in ["Fast", "Slow", "Fast", "Slow"] {
        let mut call = call(&server.url, two);
        call.origin.model = name.to_owned();
        tasks.push(start(&client, call, &recorder).await);
    }
    assert_eq!(queued(&recorder), 2);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let at: Vec<_> = server.received().iter().map(|s| (s.at - began).as_secs()).collect();
    assert_eq!(at, [0, 0, 60, 60]);
    let metrics = recorder.snapshot();
    let waited = metrics.distribution("cloud", "queue_time_ms").unwrap();
    assert_eq!(waited.count, 4);
    assert!((120_000.0..120_100.0).contains(&waited.sum), "{}", waited.sum);
    assert_eq!((queued(&recorder), metrics.counters("Slow").unwrap().attempts), (0, 2));
}

/// C-85: a stream holds its slot until it is closed.
#[tokio::test(start_paused = true)]
async fn a_slow_stream_holds_its_slot_until_it_is_dropped() {
    let mut replies = vec![Reply::events(&[FIRST]).then_stall()];
    replies.extend(answers(1));
    let server = Server::start(replies).await;
    let (client, recorder) = (client(), recorder());
    let one = r#""concurrent_requests": 1"#;
    let stream = client.stream(call(&server.url, one), vec![]).await.unwrap();
    let waiting = start(&client, call(&server.url, one), &recorder).await;
    tokio::time::sleep(SECONDS(500)).await;
    assert_eq!((queued(&recorder), server.received().len()), (1, 1));
    drop(stream);
    waiting.await.unwrap().unwrap();
}

/// S-9, R12: the next one starts within 100 ms.
#[tokio::test(start_paused = true)]
async fn closing_a_stream_frees_its_slot_at_once() {
    let mut replies = vec![Reply::events(&[FIRST]).then_stall()];
    replies.extend(answers(1));
    let server = Server::start(replies).await;
    let (client, recorder) = (client(), recorder());
    let one = r#""concurrent_requests": 1"#;
    let mut stream = client.stream(call(&server.url, one), vec![]).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    let waiting = start(&client, call(&server.url, one), &recorder).await;
    let closed = clock::now();
    drop(stream);
    server.hung_up().await;
    waiting.await.unwrap().unwrap();
    assert!(closed.elapsed() < std::time::Duration::from_millis(100), "{:?}", closed.elapsed());
}

/// C-88: those behind move up in order, and nothing is charged.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_the_queue_leaves_it() {
    let server = Server::start(answers(3)).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let one = r#""requests_per_minute": 1"#;
    let first = start(&client, call(&server.url, one), &recorder).await;
    let second = start(&client, call(&server.url, one), &recorder).await;
    let third = start(&client, call(&server.url, one), &recorder).await;
    first.await.unwrap().unwrap();
    second.abort();
    third.await.unwrap().unwrap();
    let at: Vec<_> = server.received().iter().map(|s| (s.at - began).as_secs()).collect();
    assert_eq!((at, queued(&recorder)), (vec![0, 60], 0));
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.cancelled, counters.attempts, counters.successes), (1, 2, 2));
}

/// C-88, C-60, E-2
#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_may_run_out_in_the_queue() {
    let server = Server::start(answers(2)).await;
    let (client, recorder) = (client(), recorder());
    let one = r#""requests_per_minute": 1"#;
    client.execute(call(&server.url, one), vec![]).await.unwrap();
    let late = Call { deadline: Some(SECONDS(5)), ..call(&server.url, one) };
    let error = client.execute(late, vec![recorder.clone()]).await.unwrap_err();
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("queue")));
    assert_eq!((error.attempts, error.timeout), (0, Some(SECONDS(5))));
    let expected = "cloud: timeout: the rate limits let the call not start within 5 s; raise `@timeout` if the model may take longer";
    assert_eq!(error.message, expected);
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.attempts, counters.rounds, counters.queued), (0, 0, 0));
}

/// O-11: at once for those that wait, and the past minute stays charged.
#[tokio::test(start_paused = true)]
async fn changed_limits_hold_for_those_that_wait() {
    let server = Server::start(answers(5)).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(
            start(&client, call(&server.url, r#""requests_per_minute": 1"#), &recorder).await,
        );
    }
    tokio::time::sleep(SECONDS(10)).await;
    client.limit("cloud", Some(&limits(r#"{"requests_per_minute": 3}"#)), 1);
    tokio::time::sleep(SECONDS(10)).await;
    // Settings that are older than these change nothing.
    client.limit("cloud", Some(&limits(r#"{"requests_per_minute": 1}"#)), 0);
    tokio::time::sleep(SECONDS(45)).await;
    client.limit("cloud", None, 2);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let at: Vec<_> = server.received().iter().map(|s| (s.at - began).as_secs()).collect();
    assert_eq!(at, [0, 10, 10, 60, 65]);
}

/// C-90
#[tokio::test(start_paused = true)]
async fn the_queue_may_have_a_bound() {
    let server = Server::start(answers(3)).await;
    let options = CallOptions { max_queued_requests: Some(1), ..CallOptions::default() };
    let (client, recorder) = (Client::new(TransportOptions::default(), options), recorder());
    let one = r#""requests_per_minute": 1"#;
    let first = start(&client, call(&server.url, one), &recorder).await;
    let second = start(&client, call(&server.url, one), &recorder).await;
    let more = format!(
        r#"{{"api_key": "{KEY}", "rate_limit": {{{one}}}, "retry": {{"max_attempts": 3}}}}"#
    );
    let third = call_with(settings(ProviderKind::OpenAi, &server.url, &more));
    let error = client.execute(third, vec![]).await.unwrap_err();
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("rate_limit", Some("queue")));
    assert_eq!((error.attempts, error.failure.class), (0, None));
    let expected =
        "cloud: rate limit: 1 requests wait already, as many as `max_queued_requests` allows";
    assert_eq!(error.message, expected);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

/// C-86: a retry keeps the place of its call, so it starts before calls that came later.
#[tokio::test(start_paused = true)]
async fn a_retry_goes_before_later_calls() {
    let mut replies = vec![Reply::json(500, "{}")];
    replies.extend(answers(2));
    let server = Server::start(replies).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let one = r#""requests_per_minute": 1"#;
    let more = format!(
        r#"{{"api_key": "{KEY}", "rate_limit": {{{one}}},
            "retry": {{"max_attempts": 2, "initial_delay_ms": 30000}}}}"#
    );
    let failing = call_with(settings(ProviderKind::OpenAi, &server.url, &more));
    let failing = start(&client, failing, &recorder).await;
    let mut later = call(&server.url, one);
    later.messages = vec![super::user("Later")];
    let later = start(&client, later, &recorder).await;
    assert_eq!(failing.await.unwrap().unwrap().attempts, 2);
    later.await.unwrap().unwrap();
    let sent = server.received();
    let order: Vec<_> = sent
        .iter()
        .map(|s| ((s.at - began).as_secs(), s.body["messages"][0]["content"].as_str().unwrap()))
        .collect();
    assert_eq!(order, [(0, "Hello"), (60, "Hello"), (120, "Later")]);
}

/// C-82, C-83: "Hello" is charged 2 + 4 and 256 for its answer, and costs 14 in the end.
#[tokio::test(start_paused = true)]
async fn the_charge_of_an_answer_becomes_what_it_cost() {
    let server = Server::start(answers(4)).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    // Two estimates do not fit, but an estimate fits beside one answer: 262 + 14.
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(
            start(&client, call(&server.url, r#""tokens_per_minute": 280"#), &recorder).await,
        );
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let at: Vec<_> = server.received().iter().map(|s| (s.at - began).as_secs()).collect();
    // The third: 14 + 14 and an estimate are more than 280.
    assert_eq!(at, [0, 0, 60]);
}

/// C-84
#[tokio::test(start_paused = true)]
async fn a_request_that_is_larger_than_the_limit_goes_alone() {
    let server = Server::start(answers(2)).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let few = r#""tokens_per_minute": 10"#;
    let first = start(&client, call(&server.url, few), &recorder).await;
    let second = start(&client, call(&server.url, few), &recorder).await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let at: Vec<_> = server.received().iter().map(|s| (s.at - began).as_secs()).collect();
    assert_eq!(at, [0, 60]);
}

/// C-89: two connections never share a limit.
#[tokio::test(start_paused = true)]
async fn another_connection_has_its_own_limits() {
    let server = Server::start(answers(2)).await;
    let (client, began) = (client(), clock::now());
    for name in ["cloud", "other"] {
        let mut call = call(&server.url, r#""requests_per_minute": 1"#);
        Arc::make_mut(&mut call.settings).name = name.to_owned();
        client.execute(call, vec![]).await.unwrap();
    }
    assert!(began.elapsed() < SECONDS(1));
}

/// C-92: what good answers say about the server's limits is recorded, and changes none of ours.
#[tokio::test(start_paused = true)]
async fn limits_of_the_server_are_recorded_and_nothing_else() {
    let headers = "content-type: application/json\r\nx-ratelimit-limit-requests: 9\r\n\
                   x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0s\r\n";
    let events = format!(
        "HTTP/1.1 200 OK\r\nx-ratelimit-remaining-requests: 7\r\n\
                          content-type: text/event-stream\r\nconnection: close\r\n\r\n{FIRST}data: [DONE]\n\n"
    );
    let server = Server::start(vec![Reply::with(200, headers, ANSWER), Reply::raw(events)]).await;
    let (client, recorder, began) = (client(), recorder(), clock::now());
    let limit = |limit, remaining, resets_in| ServerLimit { limit, remaining, resets_in };
    let call = || call(&server.url, "");
    client.execute(call(), vec![Arc::clone(&recorder)]).await.unwrap();
    tokio::time::advance(SECONDS(60)).await;
    let told = recorder.snapshot().server_limits("cloud");
    let left = told["requests"].resets_in.unwrap();
    assert_eq!(told["requests"], limit(Some(9), Some(0), Some(left)));
    assert!((SECONDS(299)..=SECONDS(300)).contains(&left), "{left:?}");
    client.stream(call(), vec![Arc::clone(&recorder)]).await.unwrap();
    assert!(began.elapsed() < SECONDS(61), "nobody waits: {:?}", began.elapsed());
    recorder.reset();
    let metrics = recorder.snapshot();
    assert_eq!(metrics.server_limits("cloud")["requests"], limit(None, Some(7), None));
    assert!(
        metrics
            .to_prometheus()
            .contains("concerto_server_remaining{connection=\"cloud\",what=\"requests\"} 7\n")
    );
    assert_eq!(
        metrics.to_json()["connections"]["cloud"]["server_limits"]["requests"]["remaining"],
        7
    );
}
