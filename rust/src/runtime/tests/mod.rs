//! The Rust host: handlers of emits and of requests, runs in the background, what hosts in other languages build upon.

mod hosts;
#[cfg(feature = "interleave")]
mod interleavings;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::engine::emits::EmitMode;
use crate::engine::requests::{Refusal, RequestKind};
use crate::log::LogLevel;

const PROGRAM: &[u8] = include_bytes!("../../../../tests/golden/hosts/host.conc-ir");

type Kept<T> = Arc<Mutex<Vec<T>>>;

fn builder() -> RuntimeBuilder {
    Runtime::builder(Program::from_bytes(PROGRAM).unwrap())
}

fn runtime() -> Runtime {
    builder().build().unwrap()
}

async fn ask(runtime: &Runtime, channel: &str, payload: i64) -> serde_json::Value {
    runtime.call("ask", (channel, payload)).await.unwrap()
}

/// The handler of a closure that is told of nothing but the payload.
async fn doubling(_channel: String, payload: Value) -> Result<Value, BoxError> {
    let Value::Int(number) = payload else { return Err("no number".into()) };
    tokio::task::yield_now().await;
    Ok(Value::Int(2 * number))
}

// EM-11: the most specific handler answers, and a second one replaces the first.
#[tokio::test]
async fn the_most_specific_handler_answers() {
    let runtime = runtime();
    let named = |name: &'static str| {
        move |channel: String, _: Value| async move { Ok(format!("{name} {channel}").into()) }
    };
    runtime.on_emit("*", named("all"));
    runtime.on_emit("a:*", named("some"));
    runtime.on_emit("a:b", named("first"));
    runtime.on_emit("a:b", named("one"));
    for (channel, expected) in [("a:b", "one a:b"), ("a:c", "some a:c"), ("b", "all b")] {
        assert_eq!(ask(&runtime, channel, 1).await, expected);
    }
    runtime.off("a:b");
    assert_eq!(ask(&runtime, "a:b", 1).await, "some a:b");
}

// EM-9
#[tokio::test]
async fn a_request_fails_in_the_program_without_ending_the_run() {
    let runtime = runtime();
    let nobody = serde_json::json!(["no_listener", "nobody answers on the channel `x`"]);
    assert_eq!(ask(&runtime, "x", 1).await, nobody);
    runtime.on_emit("x", |_: String, _: Value| async { Err("no idea".into()) });
    assert_eq!(ask(&runtime, "x", 1).await, serde_json::json!(["handler", "no idea"]));
    runtime.on_emit("plan", |_: String, _: Value| async { Ok(Value::Int(5)) });
    let error = runtime.call::<serde_json::Value>("plan", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "the reply on `plan` does not fit: expected an object, got 5");
}

// EM-12: all three are under way before the first is answered.
#[tokio::test]
async fn several_requests_are_answered_at_a_time() {
    let runtime = runtime();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = (Arc::clone(&open), Arc::clone(&most));
    runtime.on_emit("double", move |channel: String, payload: Value| {
        let (open, most) = (Arc::clone(&seen.0), Arc::clone(&seen.1));
        async move {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while most.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
            doubling(channel, payload).await
        }
    });
    assert_eq!(runtime.call::<Vec<i64>>("double", ()).await.unwrap(), [2, 4, 6]);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// Counts how many of its kind are dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// EM-13
#[tokio::test]
async fn a_withdrawn_request_drops_the_future_of_its_handler() {
    let runtime = runtime();
    let dropped = Arc::new(AtomicUsize::new(0));
    let (began, begun) = tokio::sync::watch::channel(false);
    let count = Arc::clone(&dropped);
    runtime.on_emit("slow", move |_: String, _: Value| {
        let guard = Dropped(Arc::clone(&count));
        began.send_replace(true);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(Value::Nil)
        }
    });
    runtime.on_emit("quick", move |_: String, _: Value| {
        let mut begun = begun.clone();
        async move {
            begun.wait_for(|has_begun| *has_begun).await?;
            Ok("quick".into())
        }
    });
    assert_eq!(runtime.call::<String>("first", ()).await.unwrap(), "quick");
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    // So does a run that is dropped itself.
    let run = runtime.call::<String>("ask", ("slow",));
    let gone = tokio::time::timeout(Duration::from_millis(20), run).await;
    assert!(gone.is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

// EM-9: the clock of the runtime decides.
#[tokio::test]
async fn a_reply_that_is_late_is_no_reply() {
    let clock = Clock::new_virtual();
    let runtime =
        builder().clock(clock.clone()).reply_timeout(Duration::from_secs(5)).build().unwrap();
    let time = clock.clone();
    runtime.on_emit("x", move |_: String, _: Value| {
        let time = time.clone();
        async move {
            time.advance(Duration::from_secs(6));
            std::future::pending().await
        }
    });
    let late = serde_json::json!(["timeout", "no reply on `x` within 5 s"]);
    assert_eq!(ask(&runtime, "x", 1).await, late);
}

// EM-9: the host shuts the channel.
#[tokio::test]
async fn requests_of_a_channel_that_is_shut_are_closed() {
    let runtime = runtime();
    let inside = runtime.clone();
    runtime.on_emit("x", move |_: String, _: Value| {
        inside.off("x");
        std::future::pending()
    });
    let closed = serde_json::json!(["closed", "the host has closed the channel `x`"]);
    assert_eq!(ask(&runtime, "x", 1).await, closed);
}

/// Answers by hand.
struct ByHand<F: FnMut(HostRequest)>(F);

impl<F: FnMut(HostRequest)> Observer for ByHand<F> {
    fn emit(&mut self, _: Emit) -> Result<(), BoxError> {
        Ok(())
    }

    fn print(&mut self, _: &str) -> Result<(), BoxError> {
        Ok(())
    }

    fn request(&mut self, request: HostRequest) -> Result<(), BoxError> {
        (self.0)(request);
        Ok(())
    }
}

fn ask_by_hand(runtime: &Runtime, answer: impl FnMut(HostRequest)) -> serde_json::Value {
    let args = ("x", 7).into_args().unwrap();
    let value = runtime.blocking().observe(Some("ask"), &args, &mut ByHand(answer)).unwrap();
    crate::value::to_json(&value)
}

// EM-12, EM-13
#[test]
fn a_host_answers_now_or_later_from_any_thread_or_never() {
    let records: Kept<String> = Arc::default();
    let kept = Arc::clone(&records);
    let sink = move |record: &crate::LogRecord| kept.lock().unwrap().push(record.to_string());
    let runtime = builder().log_level(LogLevel::Debug).log_sink(sink).build().unwrap();
    runtime.on_emit_by_host("x", 42);
    let now = ask_by_hand(&runtime, |request| {
        let kind = RequestKind::Emit { channel: "x".to_owned() };
        assert_eq!((request.token, &request.question.kind), (42, &kind));
        assert_eq!(request.question.expected, "Any");
        assert!(!request.is_withdrawn());
        let Value::Int(number) = request.question.payload else { panic!() };
        request.reply(Ok(Value::Int(number + 1)));
    });
    assert_eq!(now, 8);
    let mut answering = None;
    let later = ask_by_hand(&runtime, |request| {
        answering = Some(std::thread::spawn(move || request.reply(Ok("later".into()))));
    });
    answering.unwrap().join().unwrap();
    assert_eq!(later, "later");
    let never = ask_by_hand(&runtime, drop);
    assert_eq!(never, serde_json::json!(["closed", "the host has closed the channel `x`"]));
    let nobody = ask_by_hand(&runtime, |request| request.settle(Err(Refusal::NoListener)));
    assert_eq!(nobody[0], "no_listener");
    assert_eq!(*records.lock().unwrap(), [] as [String; 0]);
    let mut late = None;
    let runtime = runtime.clone();
    let inside = runtime.clone();
    ask_by_hand(&runtime, |request| {
        inside.off("x");
        late = Some(request);
    });
    let late = late.unwrap();
    assert!(late.is_withdrawn());
    late.reply(Ok(Value::Nil));
    let said = ["concerto debug: a reply to `x` came too late: the program does not wait any more"];
    assert_eq!(*records.lock().unwrap(), said);
}

#[tokio::test]
async fn handlers_answer_runs_in_the_background() {
    let runtime = runtime();
    runtime.on_emit("double", doubling);
    let run = runtime.start("double", Args::default()).unwrap();
    let outcome = run.outcome().await;
    assert_eq!(outcome.as_ref().as_ref().unwrap().to_string(), "[2, 4, 6]");
}

// EM-11: in order with the emits.
#[tokio::test]
async fn a_host_takes_the_requests_of_a_run_in_the_background() {
    let runtime = runtime();
    runtime.on_emit_by_host("x", 1);
    let run = runtime.start("ask", ("x", 5).into_args().unwrap()).unwrap();
    let first = run.events(10).await.unwrap();
    assert_eq!((first.emits.len(), first.requests.len()), (1, 0));
    assert_eq!((first.emits[0].run_id, first.emits[0].task_id), (run.id(), 1));
    let second = run.events(10).await.unwrap();
    assert_eq!((second.emits.len(), second.requests.len()), (0, 1));
    for request in second.requests {
        request.reply(Ok(6.into()));
    }
    assert!(run.events(10).await.is_none());
    assert_eq!(run.outcome().await.as_ref().as_ref().unwrap(), &Value::Int(6));
    // One who waits for the end alone is given them, too.
    let run = runtime.start("ask", ("x", 5).into_args().unwrap()).unwrap();
    let EndOrRequest::Request(request) = run.end_or_request().await else { panic!() };
    request.reply(Ok(7.into()));
    let EndOrRequest::End(outcome) = run.end_or_request().await else { panic!() };
    assert_eq!(outcome.as_ref().as_ref().unwrap(), &Value::Int(7));
}

/// Fails for some numbers.
struct Picky(Kept<String>);

impl EmitHandler for Picky {
    fn emit(&self, emit: &Emit) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(emit.payload.to_string());
        if emit.payload == Value::Int(1) { Err("not this one".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_handler_that_fails_ends_the_run_or_goes_to_the_log() {
    let (seen, records): (Kept<String>, Kept<String>) = Default::default();
    let raising = runtime();
    raising.on("n", Picky(Arc::clone(&seen)));
    let error = raising.call::<i64>("count", (3,)).await.unwrap_err();
    assert_eq!(error.to_string(), "a handler of the host failed: not this one");
    assert_eq!(seen.lock().unwrap().join(" "), "0 1");
    let kept = Arc::clone(&records);
    let sink = move |record: &crate::LogRecord| kept.lock().unwrap().push(record.to_string());
    let logging = builder().handler_errors(HandlerErrors::Log).log_sink(sink).build().unwrap();
    logging.on("n", Picky(Arc::clone(&seen)));
    assert_eq!(logging.call::<i64>("count", (3,)).await.unwrap(), 3);
    assert_eq!(seen.lock().unwrap().join(" "), "0 1 0 1 2");
    let said = ["concerto error: a handler of the channel `n` failed: not this one"];
    assert_eq!(*records.lock().unwrap(), said);
}

#[tokio::test]
async fn buffered_emits_come_when_they_are_many_or_old() {
    let mode = EmitMode::Buffered { interval: Duration::from_secs(1), size: 2 };
    let clock = Clock::new_virtual();
    let runtime = builder().emit_mode(mode).clock(clock.clone()).build().unwrap();
    let seen: Kept<(String, u64)> = Arc::default();
    let (kept, time) = (Arc::clone(&seen), clock.clone());
    runtime.on("n", move |emit: &Emit| {
        let at = time.elapsed().as_secs();
        kept.lock().unwrap().push((emit.payload.to_string(), at));
    });
    runtime.call::<i64>("count", (3,)).await.unwrap();
    let numbers: Vec<_> = seen.lock().unwrap().drain(..).map(|(n, _)| n).collect();
    assert_eq!(numbers, ["0", "1", "2"]);
    runtime.call::<()>("pause", (5000,)).await.unwrap();
    let expected = [("0".to_owned(), 1), ("1".to_owned(), 5)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_run_that_waits_takes_little_memory() {
    let runtime = runtime();
    let run = runtime.run();
    let size = std::mem::size_of_val(&run);
    assert!(size < 20 << 10, "{size} bytes");
}
