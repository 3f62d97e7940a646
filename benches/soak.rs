//! Does anything get lost, doubled or left over, when very many calls meet very many faults? `make soak` runs it; it ends by itself.
//!
//! Streams: all at once against the mock server, which cuts, resets, stalls and refuses by a seeded chance. Each stream carries a sequence; what a program
//! was given must be the beginning of what was sent, and each must end exactly once. Then plain calls, while memory is watched. In the end the
//! runtime's metrics must agree with the server's ledger, and no socket, request or permit may be left.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark reports, and takes the time"
)]

mod shared;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use concerto::mock::{MockOptions, MockServer};
use concerto::{ConnectionConfig, Program, RateLimitConfig, Runtime};
use serde_json::{Value, json};
use shared::{Outcome, environment, memory, program_path, sockets};
use tokio::task::JoinSet;

/// Chunks of each stream, and the pause between them: all streams are open together.
const CHUNKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(500);
/// Calls that run together.
const TOGETHER: u64 = 64;

struct Options {
    streams: usize,
    calls: u64,
    seed: u64,
    limit: Duration,
}

impl Options {
    fn read() -> Outcome<Self> {
        let number = |name: &str, usual: u64| -> Outcome<u64> {
            let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
            args.next().map_or(Ok(usual), |text| Ok(text.replace('_', "").parse()?))
        };
        Ok(Self {
            streams: usize::try_from(number("--streams", 5_000)?)?,
            calls: number("--calls", 1_000_000)?,
            seed: number("--seed", 1)?,
            limit: Duration::from_secs(60 * number("--minutes", 30)?),
        })
    }
}

/// What a program was given of a stream.
#[derive(serde::Deserialize)]
struct Pulled {
    count: u64,
    in_order: bool,
    end: String,
}

fn main() -> Outcome<()> {
    let Some(path) = program_path() else {
        println!("nothing to do: give the compiled form of benches/programs/load.conc");
        return Ok(());
    };
    let options = Options::read()?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(async {
        let all = async {
            streams(&path, &options).await?;
            calls(&path, &options).await
        };
        let late = "the soak did not end in time; see --minutes";
        tokio::time::timeout(options.limit, all).await.map_err(|_| late)?
    })?;
    println!("nothing was lost, doubled or left over");
    Ok(())
}

/// A tenth of the streams, about, meets a fault.
fn script() -> String {
    let sequence = json!({"text": "{n} ", "count": CHUNKS});
    let mut rules = Vec::new();
    for (chance, fault, after) in [
        (0.01, "reset", 7),
        (0.01, "reset", 0),
        (0.01, "cut", 11),
        (0.01, "close", 3),
        (0.01, "error_event", 20),
        (0.01, "error_event", 0),
        (0.01, "malformed_event", 5),
        (0.005, "stall", 9),
        (0.005, "stall_body", 0),
        (0.005, "html", 0),
        (0.005, "empty", 0),
        (0.005, "oversized", 13),
    ] {
        let mut reply = json!({"repeat": sequence, "fault": fault});
        if after > 0 {
            reply["after"] = json!(after);
        }
        rules.push(json!({"chance": chance, "match": {"stream": true}, "reply": reply}));
    }
    for status in [429, 500, 503] {
        rules.push(json!({"chance": 0.01, "match": {"stream": true}, "reply": {"error": {"status": status}}}));
    }
    rules.push(json!({"chance": 0.05, "match": {"stream": true}, "reply": {"repeat": sequence, "bytewise": true}}));
    rules.push(json!({"match": {"stream": true}, "reply": {"repeat": sequence}}));
    json!({ "rules": rules }).to_string()
}

fn check(holds: bool, rule: &str, found: impl std::fmt::Debug) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("{rule}: {found:?}").into()) }
}

/// Makes the runtime; one permit for each of these.
fn runtime(path: &str, url: &str, permits: u64) -> Outcome<Runtime> {
    let runtime = Runtime::builder(Program::load(path)?).env(environment(url)).build()?;
    let rate_limit = RateLimitConfig { concurrent_requests: Some(permits), ..Default::default() };
    let config = ConnectionConfig { rate_limit: Some(rate_limit), ..Default::default() };
    runtime.override_connection("load", config)?;
    Ok(runtime)
}

async fn streams(path: &str, options: &Options) -> Outcome<()> {
    let server = MockServer::start(&MockOptions {
        script: Some(script()),
        chunk_delay: PAUSE,
        seed: options.seed,
        ..Default::default()
    })?;
    let before = sockets();
    let runtime = Arc::new(runtime(path, &server.url(), options.streams.max(1) as u64)?);
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..options.streams {
        let runtime = Arc::clone(&runtime);
        running.spawn(async move {
            let stop = if number % 10 == 0 { 1 + number % CHUNKS } else { 0 };
            let prompt = format!("stream {number}");
            let pulled: Result<Pulled, _> = runtime.call("pull", (prompt, stop as i64)).await;
            (number, pulled)
        });
    }
    let (mut peak, mut highest) = (0, memory());
    let mut given: BTreeMap<String, Pulled> = BTreeMap::new();
    while let Some(done) = running.join_next().await {
        let (number, pulled) = done?;
        given.insert(format!("stream {number}"), pulled?);
        if given.len() % 64 == 1 {
            peak = peak.max(server.counts().open_requests);
            highest = highest.max(memory());
        }
    }
    let took = start.elapsed();
    settle(|| server.counts().open_requests == 0).await?;
    prefixes(&server, &given)?;
    let ends = ends(&given);
    stream_metrics(&runtime, &server, &given, &ends)?;
    permits(&runtime, options).await?;
    drop(runtime);
    settle(|| server.counts().open_connections == 0).await?;
    settle(|| sockets() <= before).await?;
    println!(
        "{} streams in {:.1} s, at most {peak} open at once, at most {highest:.0} MiB; ends: {}",
        options.streams,
        took.as_secs_f64(),
        json!(ends),
    );
    Ok(())
}

/// Waits for what others do at once.
async fn settle(holds: impl Fn() -> bool) -> Outcome<()> {
    for _ in 0..1_000 {
        if holds() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("something is left over: {} sockets are open", sockets()).into())
}

/// What came is the beginning of what was sent.
fn prefixes(server: &MockServer, given: &BTreeMap<String, Pulled>) -> Outcome<()> {
    let mut requests = 0;
    for request in server.requests() {
        let prompt = request.pointer("/body/messages/0/content").and_then(Value::as_str);
        let pulled = prompt.and_then(|prompt| given.get(prompt)).ok_or("an unknown request")?;
        let sent = request["chunks"].as_u64().unwrap_or(0);
        let shown = (prompt, sent, pulled.count, &pulled.end);
        requests += 1;
        check(pulled.in_order, "a stream is out of order", shown)?;
        check(pulled.count <= sent, "more was delivered than was sent", shown)?;
        let whole = request["outcome"] == "complete" && request["status"] == 200;
        let is_done = pulled.end == "done";
        check(!is_done || (whole && pulled.count == sent), "a good end of a part", shown)?;
        let is_good = whole && request["fault"].is_null();
        check(!is_good || is_done || pulled.end == "left", "a bad end of a whole", shown)?;
    }
    check(requests == given.len(), "each stream is one request", requests)
}

fn ends(given: &BTreeMap<String, Pulled>) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    for pulled in given.values() {
        *ends.entry(pulled.end.clone()).or_default() += 1;
    }
    ends
}

/// Each stream has ended once, and as the program saw it.
fn stream_metrics(
    runtime: &Runtime,
    server: &MockServer,
    given: &BTreeMap<String, Pulled>,
    ends: &BTreeMap<String, u64>,
) -> Outcome<()> {
    let metrics = runtime.get_metrics();
    let counters = metrics.counters("load").ok_or("no counters")?;
    let end = |name: &str| ends.get(name).copied().unwrap_or(0);
    let streams = given.len() as u64;
    let errors: u64 = counters.errors.values().sum();
    let terminal = counters.successes + errors + counters.cancelled;
    check(counters.calls == streams && terminal == streams, "each call ends once", counters)?;
    check(counters.in_flight == 0 && counters.queued == 0, "nothing is in flight", counters)?;
    check(counters.successes == end("done"), "successes", counters)?;
    check(counters.cancelled == end("left"), "streams that were left", counters)?;
    for (kind, count) in &counters.errors {
        check(*count == end(kind), "errors of a kind", (kind, count))?;
    }
    let received: u64 = given.values().map(|pulled| pulled.count).sum();
    check(counters.chunks == received, "chunks that were delivered", (counters, received))?;
    check(counters.attempts == server.counts().requests, "attempts are requests", counters)
}

/// All permits are there again: as many calls as there are permits, twice.
async fn permits(runtime: &Arc<Runtime>, options: &Options) -> Outcome<()> {
    for _ in 0..2 {
        let mut running = JoinSet::new();
        for _ in 0..options.streams.min(1_000) {
            let runtime = Arc::clone(runtime);
            running.spawn(async move { runtime.call::<String>("ask", ("Hi",)).await });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
    }
    Ok(())
}

async fn calls(path: &str, options: &Options) -> Outcome<()> {
    let server = MockServer::start(&MockOptions::default())?;
    let before = sockets();
    let runtime = Arc::new(runtime(path, &server.url(), TOGETHER)?);
    let next = Arc::new(AtomicU64::new(0));
    let tenth = (options.calls / 10).max(1);
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..TOGETHER {
        let (runtime, next, total) = (Arc::clone(&runtime), Arc::clone(&next), options.calls);
        running.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < total {
                runtime.call::<String>("ask", ("Hi",)).await?;
            }
            Ok::<(), concerto::Error>(())
        });
    }
    let mut early = None;
    while !running.is_empty() {
        tokio::select! {
            done = running.join_next() => if let Some(done) = done { done??; },
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        if early.is_none() && next.load(Ordering::Relaxed) >= tenth {
            early = Some(memory());
        }
    }
    let took = start.elapsed();
    let (early, late) = (early.unwrap_or_else(memory), memory());
    settle(|| server.counts().open_requests == 0).await?;
    call_metrics(&runtime, &server, options.calls)?;
    drop(runtime);
    settle(|| server.counts().open_connections == 0).await?;
    settle(|| sockets() <= before).await?;
    println!(
        "{} calls in {:.1} s; {early:.1} MiB after a tenth, {late:.1} MiB after all ({:+.1} %)",
        options.calls,
        took.as_secs_f64(),
        100.0 * (late / early - 1.0),
    );
    check(late <= early * 1.05, "memory grows by more than 5 %", (early, late))
}

/// The runtime and the server have counted the same.
fn call_metrics(runtime: &Runtime, server: &MockServer, calls: u64) -> Outcome<()> {
    let metrics = runtime.get_metrics();
    let counters = metrics.counters("load").ok_or("no counters")?;
    let ledger = server.counts();
    let ours = (counters.calls, counters.successes, counters.attempts);
    check(ours == (calls, calls, calls), "calls, successes, attempts", ours)?;
    check(ledger.requests == calls, "requests", &ledger)?;
    let tokens = counters.tokens;
    let agree =
        (tokens.tokens_in, tokens.tokens_out) == (ledger.prompt_tokens, ledger.completion_tokens);
    check(agree, "tokens", (tokens, &ledger))
}
