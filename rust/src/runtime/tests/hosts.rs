//! What Rust hosts build upon: calls, runs as streams and futures, providers of their own, limits.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::*;

use crate::chat::{ChatRequest, ChatResponse, Usage};
use crate::error::ErrorKind;
use crate::futures::{BoxFuture, BoxStream};
use crate::llm::{Chunk, Provider, ProviderError};
use crate::providers::FailureKind;
use crate::value;
use crate::value::to_json;
use crate::{ConnectionSettings, Mock, Secret, Variables};

/// What may move between threads, and what may be shared by them.
#[test]
fn everything_of_the_interface_may_move_between_threads() {
    fn sendable<T: Send>(_: T) {}
    fn shareable<T: Send + Sync>() {}
    shareable::<Runtime>();
    shareable::<Program>();
    shareable::<Run>();
    shareable::<Value>();
    shareable::<Error>();
    shareable::<Emit>();
    shareable::<Metrics>();
    shareable::<HostRequest>();
    shareable::<RuntimeBuilder>();
    let runtime = runtime();
    sendable(runtime.run());
    sendable(runtime.call::<String>("echo", ("x",)));
    sendable(runtime.call_raw("echo", ("x",)));
    sendable(async {
        let run = runtime.start("main", ()).unwrap();
        run.events(1).await;
        run.outcome().await;
        run.end_or_request().await;
        run.await
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Echo {
    value: Vec<u8>,
}

#[tokio::test]
async fn arguments_are_tuples_maps_structs_or_none() {
    let runtime = runtime();
    let echoed: Vec<u8> = runtime.call("echo", Echo { value: vec![1, 2] }).await.unwrap();
    assert_eq!(echoed, [1, 2]);
    let named = BTreeMap::from([("value", "x")]);
    assert_eq!(runtime.call::<String>("echo", named).await.unwrap(), "x");
    assert_eq!(
        runtime.call::<Value>("echo", (value!({"a": [1]}),)).await.unwrap()["a"][0],
        1.into()
    );
    for (args, message) in [
        (Args::default(), "`echo`: needs `value: Any`"),
        ((1, 2).into_args().unwrap(), "`echo`: takes 1 arguments, found 2"),
    ] {
        let error = runtime.call::<Value>("echo", args).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Arguments, message));
    }
}

#[tokio::test]
async fn call_raw_gives_the_result_itself() {
    let runtime = runtime();
    let raw = runtime.call_raw("fail", ("no",)).await.unwrap();
    assert_eq!(raw, Value::err("no".into()));
    let error = runtime.call::<i64>("fail", ("no",)).await.unwrap_err();
    assert!(matches!(&error, Error::Run(RunError::Program { value, .. }) if *value == "no".into()));
    assert_eq!(runtime.call_raw("echo", (1,)).await.unwrap(), 1.into());
    let error = runtime.call_raw("crash", ()).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Panic, "Panic: on purpose"));
    assert_eq!(error.trace().first().unwrap().function, "crash");
    let area = runtime.call::<Value>("area", (value!({"variant": "Other", "data": ["x"]}),)).await;
    assert_eq!(to_json(&area.unwrap())["variant"], "Other");
}

#[tokio::test]
async fn a_run_is_a_stream_of_emits_and_a_future_of_its_result() {
    let runtime = runtime();
    let mut run = runtime.start("count", (3,)).unwrap();
    let mut seen = Vec::new();
    while let Some(emit) = run.next().await {
        seen.push(emit.payload.to_string());
    }
    assert_eq!(seen, ["0", "1", "2"]);
    assert_eq!(run.await.unwrap(), 3.into());
    // One who looks at the result alone need not take the emits, more than wait at a time.
    let run = runtime.start("count", (5000,)).unwrap();
    assert_eq!(run.await.unwrap(), 5000.into());
    let run = runtime.start("fail", ("no",)).unwrap();
    for _ in 0..2 {
        assert_eq!(run.result().await.unwrap_err().to_string(), "no");
    }
}

#[tokio::test]
async fn dropping_a_run_or_a_call_cancels_it() {
    let runtime = runtime();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let (began, mut begun) = tokio::sync::watch::channel(0);
    runtime.on_emit("x", move |_: String, _: Value| {
        let guard = Dropped(Arc::clone(&count));
        began.send_modify(|times| *times += 1);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(Value::Nil)
        }
    });
    let run = runtime.start("ask", ("x",)).unwrap();
    begun.wait_for(|times| *times == 1).await.unwrap();
    drop(run);
    while dropped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let run = runtime.start("ask", ("x",)).unwrap();
    begun.wait_for(|times| *times == 2).await.unwrap();
    run.cancel();
    assert_eq!(run.await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn blocking_calls_inside_of_an_async_runtime_are_an_error() {
    let runtime = runtime();
    assert_eq!(runtime.blocking().call::<i64>("echo", (1,)).unwrap(), 1);
    assert_eq!(runtime.blocking().call_raw("echo", (1,)).unwrap(), 1.into());
    let inside = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = inside.block_on(async { runtime.blocking().run() }).unwrap_err();
    assert!(matches!(error, Error::InsideAsync));
}

#[tokio::test]
async fn a_handler_that_panics_fails_as_one_that_gives_an_error() {
    let runtime = runtime();
    runtime.on("n", |_: &Emit| panic!("oh"));
    let error = runtime.call::<i64>("count", (1,)).await.unwrap_err();
    assert_eq!(error.to_string(), "a handler of the host failed: it panicked: oh");
    runtime.off("n");
    runtime.on_emit("x", |_: String, _: Value| async { panic!("no {}", 1) });
    assert_eq!(ask(&runtime, "x", 1).await, serde_json::json!(["handler", "it panicked: no 1"]));
}

// C-91: a virtual clock does not stand still for ever while a handler waits for a run of the same clock.
#[test]
fn a_handler_may_wait_for_a_run_that_waits_for_time() {
    const HOUR: u64 = 3_600;
    let pause = |runtime: &Runtime| {
        runtime.blocking().call::<()>("pause", (HOUR * 1000,)).unwrap();
        let run = runtime.blocking().start("pause", (HOUR * 1000,)).unwrap();
        assert!(run.outcome_blocking(Duration::from_secs(30)).unwrap().is_ok());
    };
    let clock = Clock::new_virtual();
    let runtime = builder().clock(clock.clone()).build().unwrap();
    // Of emits, also one within the other, and of requests, where the handler is a future within the run.
    let (inner, depth) = (runtime.clone(), AtomicUsize::new(0));
    runtime.on("n", move |_: &Emit| {
        // The runs that it starts emit on the same channel.
        if depth.fetch_add(1, Ordering::SeqCst) < 2 {
            pause(&inner);
        }
        depth.fetch_sub(1, Ordering::SeqCst);
    });
    assert_eq!(runtime.blocking().call::<i64>("count", (2,)).unwrap(), 2);
    // Two emits, two pauses for each, and within the first of them two for each of its emits.
    assert_eq!(clock.elapsed().as_secs(), 2 * (2 + 4) * HOUR);
    runtime.off("n");
    let inner = runtime.clone();
    runtime.on_emit("x", move |_: String, payload: Value| {
        let inner = inner.clone();
        async move {
            inner.call::<()>("pause", (HOUR * 1000,)).await?;
            Ok(payload)
        }
    });
    assert_eq!(runtime.blocking().call::<i64>("ask", ("x", 7)).unwrap(), 7);
    assert_eq!(clock.elapsed().as_secs(), 13 * HOUR);
}

#[tokio::test]
async fn options_are_a_value() {
    let config = RuntimeConfig {
        env: Variables::lookup(|name| (name == "BOX_KEY").then(|| "sk-canary".to_owned())),
        max_call_depth: 7,
        connection_overrides: BTreeMap::from([("box".to_owned(), serde_json::Map::new())]),
        ..RuntimeConfig::default()
    };
    assert!(!format!("{config:?}").contains("canary"));
    let config = RuntimeConfig { worker_threads: Some(1), mock: Mock::Usual, ..config };
    // One value for several runtimes, with threads of their own: those of the test serve nothing then.
    for _ in 0..2 {
        let runtime = builder().config(config.clone()).build().unwrap();
        assert_eq!(runtime.call::<i64>("count", (3,)).await.unwrap(), 3);
        let run = runtime.start("count", (3,)).unwrap();
        drop(runtime);
        let emits = run.emits(1).await.unwrap();
        assert_eq!(emits.len(), 1, "the threads live as long as the run");
        assert_eq!(run.await.unwrap(), 3.into());
    }
    let options = serde_json::json!({"worker_threads": 3, "max_tokens": null, "seed": 9});
    let config = RuntimeConfig::from_json(options.as_object().unwrap()).unwrap();
    assert_eq!((config.worker_threads, config.max_tokens, config.seed), (Some(3), None, Some(9)));
    for (config, words) in [
        (RuntimeConfig { worker_threads: Some(0), ..config.clone() }, "1 to 1024"),
        (RuntimeConfig { mock: Mock::Usual, replay: Some("t".into()), ..config }, "the only one"),
    ] {
        let Err(error) = builder().config(config).build() else { panic!() };
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Answers in pieces, after some failures.
struct Scripted {
    failures: Mutex<Vec<ProviderError>>,
    asked: Kept<ChatRequest>,
}

impl Scripted {
    fn answering(asked: &Kept<ChatRequest>, failures: Vec<ProviderError>) -> Self {
        Self { failures: Mutex::new(failures), asked: Arc::clone(asked) }
    }

    fn fails(&self, request: &ChatRequest) -> Result<(), ProviderError> {
        self.asked.lock().unwrap().push(request.clone());
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }
}

fn end(text: &str) -> ChatResponse {
    let usage = Some(Usage { tokens_in: 30, tokens_out: 12, ..Usage::default() });
    let (text, finish_reason) = (text.to_owned(), "stop".to_owned());
    ChatResponse { text, finish_reason, usage, ..ChatResponse::default() }
}

impl Provider for Scripted {
    fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatResponse, ProviderError>> {
        Box::pin(async move {
            self.fails(&request)?;
            Ok(end(if request.output.is_some() { r#"{"title": "t"}"# } else { "one two" }))
        })
    }

    fn stream(&self, request: ChatRequest) -> BoxStream<'_, Result<Chunk, ProviderError>> {
        let first = self.fails(&request).map(|()| Chunk::Text("one ".to_owned()));
        let rest = [Ok(Chunk::Text("two".to_owned())), Ok(Chunk::End(Box::new(end(""))))];
        let chunks: Vec<_> = std::iter::once(first).chain(rest).collect();
        Box::pin(futures_util::stream::iter(chunks))
    }
}

#[tokio::test]
async fn a_provider_of_the_host_answers_its_connection() {
    let asked: Kept<ChatRequest> = Arc::default();
    let provider = Scripted::answering(&asked, Vec::new());
    let runtime = builder().offline(true).provider("box", provider).build().unwrap();
    assert_eq!(runtime.call::<String>("write", ("Hi",)).await.unwrap(), "one two");
    assert_eq!(runtime.call::<Value>("planned", ("Hi",)).await.unwrap()["title"], "t".into());
    let chunks: Kept<String> = Arc::default();
    let kept = Arc::clone(&chunks);
    runtime.on("chunk", move |emit: &Emit| kept.lock().unwrap().push(emit.payload.to_string()));
    assert_eq!(runtime.call::<String>("stream", ("Hi",)).await.unwrap(), "one two");
    assert_eq!(*chunks.lock().unwrap(), ["one ", "two"]);
    let asked = asked.lock().unwrap();
    let first = asked.first().unwrap();
    let said: Vec<_> = first.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!((first.model.as_str(), said), ("m-large", vec!["Be brief.", "Hi"]));
    assert_eq!(runtime.get_metrics().tokens_by_connection("box").total(), 3 * 42);
    let unknown = builder().provider("bix", Scripted::answering(&Arc::default(), Vec::new()));
    let Err(error) = unknown.build() else { panic!() };
    assert!(error.to_string().contains("`bix`, which is no connection"), "{error}");
}

#[tokio::test]
async fn failures_of_a_provider_of_the_host_are_retried_like_others() {
    let wait = Duration::from_secs(7);
    let limited = ProviderError::new(FailureKind::RateLimited, "slow down").retry_after(wait);
    let refused = ProviderError::new(FailureKind::InvalidRequest, "not that");
    for (failures, expected, seconds, asks) in [
        (vec![limited.clone()], Ok("one two"), 7, 2),
        (vec![refused], Err("invalid_request"), 0, 1),
        (vec![limited.clone(), limited], Err("rate_limit"), 7, 2),
    ] {
        for function in ["write", "stream"] {
            let (asked, clock) = (Kept::<ChatRequest>::default(), Clock::new_virtual());
            let provider = Scripted::answering(&asked, failures.clone());
            let builder = builder().clock(clock.clone()).provider("box", provider);
            let runtime = builder.build().unwrap();
            let retry = crate::RetryConfig { max_attempts: Some(2), ..Default::default() };
            let config = ConnectionConfig { retry: Some(retry), ..Default::default() };
            runtime.override_connection("box", config).unwrap();
            let outcome = runtime.call::<String>(function, ("Hi",)).await;
            let kind = outcome.map_err(|error| error.llm_error().unwrap().kind.clone());
            assert_eq!(kind.as_deref().map_err(String::as_str), expected, "{function}");
            assert_eq!((clock.elapsed().as_secs(), asked.lock().unwrap().len()), (seconds, asks));
        }
    }
}

#[tokio::test]
async fn limits_of_tokens_and_cost_end_a_run() {
    let made = |limited: fn(RuntimeBuilder) -> RuntimeBuilder| {
        let price = PriceConfig { input: 1e6, output: 1e6, cached: None };
        let provider = Scripted::answering(&Arc::default(), Vec::new());
        limited(builder().price("m-*", price).provider("box", provider)).build().unwrap()
    };
    for (runtime, limit) in [
        (made(|builder| builder.max_tokens(41)), "max_tokens"),
        (made(|builder| builder.max_cost_usd(41.5)), "max_cost_usd"),
    ] {
        for function in ["write", "stream"] {
            let error = runtime.call::<String>(function, ("Hi",)).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the run exceeded its limit `{limit}`"));
        }
    }
    let enough = made(|builder| builder.max_tokens(42).max_cost_usd(42.0));
    for _ in 0..2 {
        assert_eq!(enough.call::<String>("write", ("Hi",)).await.unwrap(), "one two", "each run");
    }
}

/// Waits until as many as possible are asked at a time.
struct Counting {
    open: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl Provider for Counting {
    fn complete(&self, _: ChatRequest) -> BoxFuture<'_, Result<ChatResponse, ProviderError>> {
        Box::pin(async move {
            self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            self.open.fetch_sub(1, Ordering::SeqCst);
            Ok(end("done"))
        })
    }
}

#[tokio::test]
async fn only_so_many_requests_are_under_way_at_a_time() {
    for (bound, expected) in [(None, 5), (Some(2), 2)] {
        let most = Arc::new(AtomicUsize::new(0));
        let provider = Counting { open: AtomicUsize::new(0), most: Arc::clone(&most) };
        let mut builder = builder().provider("box", provider);
        if let Some(bound) = bound {
            builder = builder.max_concurrent_requests(bound);
        }
        let runtime = builder.build().unwrap();
        let calls = (0..5).map(|_| runtime.call::<String>("write", ("Hi",)));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.unwrap(), "done");
        }
        assert_eq!(most.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn values_are_made_from_types_of_the_host_and_read_by_path() {
    let map = BTreeMap::from([("a", Some(1)), ("b", None)]);
    let value = Value::from(map);
    assert_eq!(
        (&value["a"], &value["b"], &value["c"]),
        (&Value::some(1.into()), &Value::None, &Value::Nil)
    );
    let list: Value = ["x", "y"].into_iter().collect();
    assert_eq!((list[1].as_str(), list.item(2)), (Some("y"), None));
    let json = r#"{"n":[1,2.5,true,null,"t"]}"#;
    let read: Value = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    let parts = &read["n"];
    assert_eq!(
        (parts[0].as_int(), parts[0].as_float(), parts[1].as_float()),
        (Some(1), Some(1.0), Some(2.5))
    );
    assert_eq!(
        (parts[2].as_bool(), parts[3] == Value::Nil, parts[4].as_int()),
        (Some(true), true, None)
    );
    assert_eq!(value!([1, {"a": "b"}]).to_string(), r#"[1, {"a": "b"}]"#);
    assert_eq!(Value::from(()), Value::Nil);
}

// 10 rule 1: read from a file, laid over a connection, seen again as they are in force.
#[test]
fn settings_of_a_connection_are_data_of_the_host() {
    let runtime = builder().env_allow([]).build().unwrap();
    assert_eq!(runtime.connection_settings("none"), None);
    let declared = runtime.connection_settings("box").unwrap();
    assert_eq!(declared.base_url.as_deref(), Some("http://127.0.0.1:1/v1"));
    assert_eq!((declared.timeout, declared.timeout_ms, declared.api_key), (Some(30), None, None));
    let file = r#"{"api_key": "sk-canary-1", "timeout_ms": 1500, "models": {"fast": "m-small"}, "headers": {"X-Team": "ads"}}"#;
    let given: ConnectionSettings = serde_json::from_str(file).unwrap();
    runtime.override_connection_settings("box", &given).unwrap();
    let used = runtime.connection_settings("box").unwrap();
    assert_eq!(used.api_key.as_ref().map(Secret::expose), Some("sk-canary-1"));
    assert_eq!((used.timeout, used.timeout_ms), (None, Some(1500)));
    assert_eq!(used.default_model.as_deref(), Some("m-large"), "what is not given stays");
    let shown = format!("{used:?}{}", serde_json::to_string(&used).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    // What is in force in one runtime can be put in force in another one.
    let other = builder().build().unwrap();
    other.override_connection_settings("box", &used).unwrap();
    assert_eq!(other.connection_settings("box").unwrap(), used);
    let wrong = ConnectionSettings { timeout: Some(0), ..ConnectionSettings::default() };
    let error = runtime.override_connection_settings("box", &wrong).unwrap_err();
    assert_eq!(error.to_string(), "connection `box`: `timeout` must be 1 to 86400, found 0");
    assert_eq!(runtime.blocking().run().unwrap_err().to_string(), error.to_string());
}

// 8.4 (6): not after a timer. The fastest of ten tells that without an eye on the load of the machine.
#[cfg(feature = "mock")]
#[tokio::test]
async fn a_run_that_is_dropped_closes_its_request_at_once() {
    use crate::mock::{MockOptions, MockServer};

    let script = Some(r#"{"rules": [{"reply": {"fault": "stall"}}]}"#.to_owned());
    let mut server = MockServer::start(&MockOptions { script, ..Default::default() }).unwrap();
    let runtime = runtime();
    let url = server.url();
    let here = ConnectionConfig { base_url: &url, ..Default::default() };
    runtime.override_connection("box", here).unwrap();
    let open = async |count: u64| {
        while server.counts().open_requests != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let run = runtime.start("write", ("hello",)).unwrap();
        open(1).await;
        let dropped = crate::clock::now();
        drop(run);
        open(0).await;
        fastest = fastest.min(crate::clock::now() - dropped);
    }
    assert_eq!(server.counts().outcomes.get("client_closed"), Some(&10));
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    server.stop();
}
