//! Failed attempts that are made again, over HTTP on a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::{Reply, Server};
use super::{KEY, SECONDS, call_with, recorder, settings};
use crate::clock;
use crate::config::ProviderKind;
use crate::llm::{Call, CallOptions, Client, LlmError, TransportOptions};
use crate::log::{Log, LogLevel, LogSink};

const MS: fn(u64) -> Duration = Duration::from_millis;
const ANSWER: &str = r#"{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 4}}"#;
const FIRST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Ham\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn answer() -> Reply {
    Reply::json(200, ANSWER)
}

fn busy() -> Reply {
    Reply::json(500, r#"{"error": {"message": "busy"}}"#)
}

fn refused(headers: &str, body: &str) -> Reply {
    Reply::with(429, headers, body)
}

/// Records of the level `warn` and up, and a client without jitter that writes them.
fn logged() -> (Client, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let sink: LogSink = Arc::new(move |record| kept.lock().unwrap().push(record.to_string()));
    let log = Log::new(LogLevel::Warn, sink);
    let options = CallOptions { retry_jitter: 0.0, log, ..CallOptions::default() };
    (Client::new(TransportOptions::default(), options), lines)
}

fn client() -> Client {
    logged().0
}

fn call(url: &str, retry: &str) -> Call {
    let more = format!(r#"{{"api_key": "{KEY}", "retry": {{{retry}}}}}"#);
    call_with(settings(ProviderKind::OpenAi, url, &more))
}

const THREE: &str = r#""max_attempts": 3, "backoff": "exponential""#;

async fn failure(replies: Vec<Reply>, retry: &str) -> (LlmError, usize, Duration) {
    let server = Server::start(replies).await;
    let began = clock::now();
    let error = client().execute(call(&server.url, retry), vec![]).await.unwrap_err();
    (error, server.received().len(), began.elapsed())
}

/// C-67, C-69, C-75, C-77, C-78, T-12
#[tokio::test(start_paused = true)]
async fn attempts_are_exact_and_the_last_error_says_how_many() {
    let last = Reply::json(503, r#"{"error": {"message": "still busy"}}"#);
    let server = Server::start(vec![busy(), busy(), last, answer()]).await;
    let (client, lines) = logged();
    let (recorder, began) = (recorder(), clock::now());
    let call = call(&server.url, THREE);
    let error = client.execute(call, vec![recorder.clone()]).await.unwrap_err();
    assert_eq!(error.message, "cloud: 503 server error: still busy (after 3 attempts)");
    assert_eq!((error.attempts, error.failure.detail), (3, Some("overloaded")));
    assert!((MS(3000)..MS(3010)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let sent = server.received();
    assert_eq!(sent.len(), 3);
    for later in &sent[1..] {
        assert_eq!(later.body, sent[0].body);
        assert_eq!(later.header("idempotency-key"), sent[0].header("idempotency-key"));
    }
    assert_eq!(sent[0].header("idempotency-key").len(), 1);
    let metrics = recorder.snapshot();
    let counters = metrics.counters("cloud").unwrap();
    assert_eq!((counters.calls, counters.attempts, counters.retries), (1, 3, 2));
    assert_eq!((counters.rounds, counters.errors["server_error"]), (1, 1));
    assert_eq!(metrics.distribution("cloud", "attempt_ms").unwrap().count, 3);
    let expected = [
        "concerto warn: cloud (Fast): attempt 1 of 3 failed (server_error); next in 1.000 s",
        "concerto warn: cloud (Fast): attempt 2 of 3 failed (server_error); next in 2.000 s",
    ];
    assert_eq!(*lines.lock().unwrap(), expected);
}

/// C-77: only where a second attempt can follow, one per round, for openai and custom.
#[tokio::test(start_paused = true)]
async fn an_idempotency_key_belongs_to_a_round() {
    let server = Server::start(vec![answer(), busy(), answer(), answer(), answer()]).await;
    let client = client();
    client.execute(call(&server.url, r#""max_attempts": 1"#), vec![]).await.unwrap();
    let mut session = client.begin(call(&server.url, r#""max_attempts": 2"#), vec![]);
    assert_eq!(session.round().await.unwrap().attempts, 2);
    assert_eq!(session.round().await.unwrap().attempts, 3);
    let more = r#"{"retry": {"max_attempts": 2}}"#;
    let local = call_with(settings(ProviderKind::Ollama, &server.url, more));
    client.execute(local, vec![]).await.unwrap();
    let keys = server.received().into_iter();
    let keys: Vec<_> =
        keys.map(|s| s.header("idempotency-key").first().map(|k| (*k).to_owned())).collect();
    assert_eq!((&keys[0], &keys[4]), (&None, &None));
    assert!(keys[1].is_some() && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
}

/// C-71: each place of the server's wish; the latest answer counts.
#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_to_wait() {
    let json = "content-type: application/json\r\n";
    let date = httpdate::fmt_http_date(clock::wall() + SECONDS(40));
    for (header, body, least, most) in [
        ("retry-after-ms: 2500\r\nretry-after: 9\r\n".to_owned(), "{}", MS(2500), MS(2600)),
        ("retry-after: 7\r\n".to_owned(), "{}", SECONDS(7), MS(7100)),
        (format!("retry-after: {date}\r\n"), "{}", SECONDS(30), SECONDS(41)),
        (
            "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6s\r\n".to_owned(),
            "{}",
            SECONDS(6),
            MS(6100),
        ),
        (
            String::new(),
            r#"{"error": {"message": "Please try again in 5.5s"}}"#,
            MS(5500),
            MS(5600),
        ),
        ("retry-after: soon\r\n".to_owned(), "{}", MS(1000), MS(1100)),
        (String::new(), "<html>", MS(1000), MS(1100)),
    ] {
        let replies = vec![refused(&format!("{json}{header}"), body), answer()];
        let server = Server::start(replies).await;
        let began = clock::now();
        client().execute(call(&server.url, THREE), vec![]).await.unwrap();
        let waited = began.elapsed();
        assert!(waited >= least && waited < most, "{header}{body}: {waited:?}");
    }
    let replies = vec![refused("retry-after: 9\r\n", ""), busy(), answer()];
    let server = Server::start(replies).await;
    let began = clock::now();
    client().execute(call(&server.url, THREE), vec![]).await.unwrap();
    assert!((SECONDS(11)..MS(11_100)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

/// C-71: longer than the written cap, or than 300 s without one.
#[tokio::test(start_paused = true)]
async fn a_wish_that_is_too_long_fails_at_once() {
    for (retry, wish) in [(r#""max_attempts": 3, "max_delay_ms": 5000"#, 6), (THREE, 301)] {
        let replies = vec![refused(&format!("retry-after: {wish}\r\n"), "{}"), answer()];
        let (error, requests, waited) = failure(replies, retry).await;
        assert_eq!((error.failure.kind.word(), requests), ("rate_limit", 1));
        assert_eq!(error.failure.retry_after, Some(SECONDS(wish)));
        assert!(error.failure.class.is_some(), "another try could help (E-2)");
        assert!(waited < SECONDS(1), "{waited:?}");
    }
}

/// C-72, C-74
#[tokio::test(start_paused = true)]
async fn what_another_try_cannot_help_is_tried_once() {
    let quota = r#"{"error": {"message": "used up", "type": "insufficient_quota"}}"#;
    for (reply, kind) in [
        (Reply::json(401, "{}"), "authentication"),
        (Reply::json(403, "{}"), "permission_denied"),
        (Reply::json(400, "{}"), "invalid_request"),
        (Reply::json(404, "{}"), "model_not_found"),
        (Reply::json(402, "{}"), "quota_exceeded"),
        (Reply::json(429, quota), "quota_exceeded"),
        (Reply::json(501, "{}"), "server_error"),
        (Reply::with(500, "x-should-retry: false\r\n", "{}"), "server_error"),
        (Reply::json(200, "<html>"), "invalid_response"),
    ] {
        let (error, requests, _) = failure(vec![reply, answer()], THREE).await;
        assert_eq!((error.failure.kind.word(), error.attempts, requests), (kind, 1, 1));
        assert!(!error.message.contains("attempts"), "{error}");
    }
}

/// C-72: what is tried again, also what never was an answer.
#[tokio::test(start_paused = true)]
async fn what_another_try_may_help_is_tried_again() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{";
    for reply in [
        Reply::json(408, "{}"),
        Reply::json(409, "{}"),
        Reply::json(425, "{}"),
        Reply::json(429, "{}"),
        Reply::json(498, "{}"),
        Reply::with(502, "content-type: text/html\r\n", "<html><h1>Bad Gateway</h1></html>"),
        Reply::json(503, ""),
        Reply::json(524, "{}"),
        Reply::json(529, "{}"),
        Reply::with(400, "x-should-retry: true\r\n", "{}"),
        Reply::default(),          // closed without a byte
        Reply::raw("HTTP/1.1 20"), // closed in the head
        Reply::raw(cut),           // closed in the body
        Reply::raw("nonsense\r\n\r\n"),
        Reply::default().then_stall(),
        Reply::raw(cut).then_stall(),
    ] {
        let server = Server::start(vec![reply.clone(), answer()]).await;
        let answer = client().execute(call(&server.url, THREE), vec![]).await;
        assert_eq!(answer.unwrap_or_else(|e| panic!("{reply:?}: {e}")).attempts, 2, "{reply:?}");
    }
}

/// C-67: `retry_on` decides, also over `x-should-retry: true`.
#[tokio::test(start_paused = true)]
async fn only_listed_classes_are_tried_again() {
    let only = r#""max_attempts": 2, "retry_on": ["timeout"]"#;
    let wished = Reply::with(503, "x-should-retry: true\r\n", "{}");
    for reply in [Reply::json(429, "{}"), busy(), wished] {
        assert_eq!(failure(vec![reply, answer()], only).await.1, 1);
    }
    let server = Server::start(vec![Reply::default().then_stall(), answer()]).await;
    client().execute(call(&server.url, only), vec![]).await.unwrap();
}

/// C-76: as a whole, not field by field.
#[tokio::test(start_paused = true)]
async fn the_policy_of_a_model_replaces_that_of_its_connection() {
    let server = Server::start(vec![busy(), busy(), answer()]).await;
    let own = serde_json::from_str(r#"{"max_attempts": 2}"#).unwrap();
    let call = Call { retry: Some(own), ..call(&server.url, THREE) };
    let began = clock::now();
    let error = client().execute(call, vec![]).await.unwrap_err();
    assert_eq!((error.attempts, server.received().len()), (2, 2));
    assert!(began.elapsed() < MS(500), "no delay was written: {:?}", began.elapsed());
}

/// C-73: a delay that would end too late is not begun.
#[tokio::test(start_paused = true)]
async fn a_retry_that_would_come_too_late_fails_at_once() {
    let server = Server::start(vec![busy(), busy(), answer()]).await;
    let call = Call { deadline: Some(MS(2500)), ..call(&server.url, THREE) };
    let began = clock::now();
    let error = client().execute(call, vec![]).await.unwrap_err();
    assert_eq!((error.failure.kind.word(), error.attempts), ("server_error", 2));
    assert!((MS(1000)..MS(1100)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

/// C-60: the attempt in flight is dropped, and nothing is tried again.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_bounds_all_its_attempts() {
    let replies = vec![busy(), Reply::default().then_stall(), answer()];
    let server = Server::start(replies).await;
    let call = Call { deadline: Some(SECONDS(5)), ..call(&server.url, THREE) };
    let began = clock::now();
    let error = client().execute(call, vec![]).await.unwrap_err();
    assert_eq!((error.failure.kind.word(), error.failure.phase), ("timeout", Some("call")));
    assert_eq!((error.timeout, error.attempts, error.failure.class), (Some(SECONDS(5)), 2, None));
    assert!((SECONDS(5)..MS(5100)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let expected = "cloud: timeout: the call did not end within 5 s; raise `@timeout` if the model may take longer (after 2 attempts)";
    assert_eq!(error.message, expected);
    server.hung_up().await;
}

/// C-60: of all rounds together.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_goes_on_between_rounds() {
    let server = Server::start(vec![answer(), Reply::default().then_stall()]).await;
    let call = Call { deadline: Some(SECONDS(20)), ..call(&server.url, THREE) };
    let mut session = client().begin(call, vec![]);
    session.round().await.unwrap();
    tokio::time::advance(SECONDS(15)).await;
    let began = clock::now();
    let error = session.round().await.unwrap_err();
    assert_eq!(error.failure.phase, Some("call"));
    assert!((SECONDS(4)..MS(5100)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

/// S-2, S-12: before the first text a stream is like a call; after it nothing is repeated.
#[tokio::test(start_paused = true)]
async fn a_stream_is_tried_again_until_its_first_text() {
    let event = "data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n";
    let replies = vec![
        busy(),
        Reply::events(&[event]),
        Reply::events(&[]),
        Reply::events(&[": hello\n\n"]).then_stall(),
        Reply::events(&[FIRST, STOP]),
    ];
    let server = Server::start(replies).await;
    let recorder = recorder();
    let call = call(&server.url, r#""max_attempts": 5"#);
    let mut stream = client().stream(call, vec![recorder.clone()]).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    assert!(stream.next().await.is_none());
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.attempts, counters.retries, counters.successes), (5, 4, 1));
    assert_eq!(recorder.snapshot().distribution("cloud", "attempt_ms").unwrap().count, 5);

    let server = Server::start(vec![busy(), Reply::events(&[FIRST]), answer()]).await;
    let call = super::retries::call(&server.url, THREE);
    let mut stream = client().stream(call, vec![]).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text, "Ham");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.failure.kind.word(), error.attempts), ("stream_interrupted", 2));
    assert!(error.message.ends_with(" (after 2 attempts)"), "{error}");
    assert!(stream.next().await.is_none());
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_to_be_tried_again_is_cancelled() {
    let server = Server::start(vec![busy(), answer()]).await;
    let recorder = recorder();
    let call = call(&server.url, r#""max_attempts": 2, "initial_delay_ms": 60000"#);
    let waiting = client().execute(call, vec![recorder.clone()]).await;
    drop(waiting);
    let server = Server::start(vec![busy(), answer()]).await;
    let call = super::retries::call(&server.url, r#""max_attempts": 2, "initial_delay_ms": 60000"#);
    let client = client();
    let waiting = client.execute(call, vec![recorder.clone()]);
    assert!(tokio::time::timeout(SECONDS(30), waiting).await.is_err());
    let counters = recorder.snapshot().counters("cloud").unwrap().clone();
    assert_eq!((counters.cancelled, counters.in_flight, server.received().len()), (1, 0, 1));
}

/// C-75: a long text of the server is cut, the number of attempts is not.
#[tokio::test(start_paused = true)]
async fn the_number_of_attempts_is_never_cut_off() {
    let long =
        || Reply::json(500, &format!(r#"{{"error": {{"message": "{}"}}}}"#, "é".repeat(900)));
    let (error, ..) = failure(vec![long(), long()], r#""max_attempts": 2"#).await;
    assert_eq!(error.message.chars().count(), 600);
    assert!(error.message.ends_with("... (after 2 attempts)"), "{error}");
}

/// E-13, E-11: what each level shows, without secrets.
#[tokio::test]
async fn the_log_shows_requests_and_no_secrets() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    for level in [LogLevel::Debug, LogLevel::Trace] {
        let kept = Arc::clone(&lines);
        let sink: LogSink = Arc::new(move |record| kept.lock().unwrap().push(record.to_string()));
        let options = CallOptions { log: Log::new(level, sink), ..CallOptions::default() };
        let client = Client::new(TransportOptions::default(), options);
        let body = format!(r#"{{"error": {{"message": "{KEY}{}"}}}}"#, "x".repeat(9000));
        let events = Reply::events(&[FIRST, STOP]);
        let server = Server::start(vec![Reply::json(400, &body), events]).await;
        let call = || call(&server.url, "");
        client.execute(call(), vec![]).await.unwrap_err();
        let mut stream = client.stream(call(), vec![]).await.unwrap();
        while stream.next().await.is_some() {}
        drop(server);
    }
    let lines = lines.lock().unwrap();
    let shown = lines.join("\n");
    assert!(!shown.contains("canary"), "{shown}");
    let debug: Vec<_> = lines.iter().filter(|line| line.contains("concerto debug")).collect();
    assert!(debug[0].contains("cloud (Fast): POST http://127.0.0.1:"), "{}", debug[0]);
    assert!(debug[1].starts_with("concerto debug: cloud (Fast): 400 after "), "{}", debug[1]);
    let trace: Vec<_> = lines.iter().filter(|line| line.contains("concerto trace")).collect();
    assert!(trace[0].contains(r#""content":"Hello""#), "{}", trace[0]);
    assert!(trace[1].contains(r#"{"error": {"message": "***xxx"#), "{}", trace[1]);
    assert!(trace[1].len() < 4200, "{}", trace[1].len());
    assert!(trace[3].contains(r#"{"content":"Ham"}"#), "{}", trace[3]);
    assert!(trace.iter().all(|line| !line.contains('\n')));
}
