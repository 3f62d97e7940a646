//! What do many calls at once cost on top of HTTP itself, and how fast are streams? The same questions to one mock server on loopback, asked with bare
//! reqwest and through `Runtime::call`, in turns; the last line is JSON for `benches/run.py`. Processor time is that of the process without the server,
//! whose own share is shown beside it.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark reports, and takes the time"
)]

mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use concerto::mock::{MockOptions, MockServer};
use concerto::{Program, Runtime};
use serde_json::{Value, json};
use shared::{Outcome, ask, bare_client, cpu, environment, program_path, pull};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
/// Calls of a round.
const CALLS: usize = 4_000;
/// How many at once.
const CONCURRENCY: [usize; 3] = [1, 64, 512];
/// Streams at once, and chunks of each.
const STREAMS: [(usize, usize); 2] = [(50, 2_000), (500, 200)];

/// A way to ask.
#[derive(Clone)]
enum Way {
    Bare(reqwest::Client, String),
    Ours(Arc<Runtime>),
}

#[derive(serde::Deserialize)]
struct Pulled {
    count: usize,
    end: String,
}

impl Way {
    async fn ask(&self) -> Outcome<()> {
        match self {
            Self::Bare(client, url) => ask(client, url).await.map(drop),
            Self::Ours(runtime) => Ok(runtime.call::<String>("ask", ("Hi",)).await.map(drop)?),
        }
    }

    async fn pull(&self, prompt: &str) -> Outcome<usize> {
        match self {
            Self::Bare(client, url) => pull(client, url, prompt).await,
            Self::Ours(runtime) => {
                let pulled: Pulled = runtime.call("pull", (prompt.to_owned(), 0)).await?;
                if pulled.end == "done" { Ok(pulled.count) } else { Err(pulled.end.into()) }
            }
        }
    }
}

/// What a round took.
struct Round {
    seconds: f64,
    /// Of all but the server, and of the server.
    cpu: (f64, f64),
    /// Microseconds of each call.
    latencies: Vec<f64>,
}

fn main() -> Outcome<()> {
    let Some(path) = program_path() else {
        println!("nothing to do: give the compiled form of benches/programs/load.conc");
        return Ok(());
    };
    let rules: Vec<Value> = STREAMS.iter().map(|(_, chunks)| {
        json!({"match": {"contains": format!("{chunks} chunks")}, "reply": {"repeat": {"text": "{n} ", "count": chunks}}})
    }).collect();
    let script = Some(json!({ "rules": rules }).to_string());
    let mut server = MockServer::start(&MockOptions { script, ..Default::default() })?;
    let runtime = Runtime::builder(Program::load(path)?).env(environment(&server.url())).build()?;
    let ways = [
        ("bare reqwest", Way::Bare(bare_client()?, server.url())),
        ("Runtime::call", Way::Ours(Arc::new(runtime))),
    ];
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = threads.block_on(measure(&ways));
    server.stop();
    println!("{}", outcome?);
    Ok(())
}

async fn measure(ways: &[(&str, Way)]) -> Outcome<Value> {
    let (mut calls, mut streams) = (Vec::new(), Vec::new());
    for together in CONCURRENCY {
        let total = if together == 1 { CALLS / 4 } else { CALLS };
        let mut rounds: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        for round in 0..=ROUNDS {
            for (index, (_, way)) in ways.iter().enumerate() {
                let measured = many_calls(way, together, total).await?;
                if round > 0 {
                    rounds[index].push(measured);
                }
            }
        }
        for ((name, _), rounds) in ways.iter().zip(&rounds) {
            calls.push(json!({
                "way": name, "together": together,
                "latency_us": each(rounds, |round| median(&round.latencies)),
                "cpu_ms_per_1000": each(rounds, |round| round.cpu.0 * 1e6 / total as f64),
                "mock_ms_per_1000": each(rounds, |round| round.cpu.1 * 1e6 / total as f64),
                "per_second": each(rounds, |round| total as f64 / round.seconds),
            }));
        }
    }
    for (together, chunks) in STREAMS {
        let mut rounds: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        for round in 0..=ROUNDS {
            for (index, (_, way)) in ways.iter().enumerate() {
                let measured = many_streams(way, together, chunks).await?;
                if round > 0 {
                    rounds[index].push(measured);
                }
            }
        }
        let total = (together * chunks) as f64;
        for ((name, _), rounds) in ways.iter().zip(&rounds) {
            streams.push(json!({
                "way": name, "together": together, "chunks": chunks,
                "chunks_per_second": each(rounds, |round| total / round.seconds),
                "cpu_us_per_chunk": each(rounds, |round| round.cpu.0 * 1e6 / total),
                "mock_us_per_chunk": each(rounds, |round| round.cpu.1 * 1e6 / total),
            }));
        }
    }
    Ok(json!({"calls": calls, "streams": streams}))
}

fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// So many calls, so many of them at once.
async fn many_calls(way: &Way, together: usize, total: usize) -> Outcome<Round> {
    let next = Arc::new(AtomicUsize::new(0));
    let (before, start) = (cpu(), Instant::now());
    let mut running = JoinSet::new();
    for _ in 0..together {
        let (way, next) = (way.clone(), Arc::clone(&next));
        running.spawn(async move {
            let mut latencies = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < total {
                let start = Instant::now();
                way.ask().await?;
                latencies.push(start.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = running.join_next().await {
        latencies.extend(done??);
    }
    Ok(round(before, start, latencies))
}

/// So many streams at once.
async fn many_streams(way: &Way, together: usize, chunks: usize) -> Outcome<Round> {
    let (before, start) = (cpu(), Instant::now());
    let mut running = JoinSet::new();
    for _ in 0..together {
        let way = way.clone();
        running.spawn(async move { way.pull(&format!("{chunks} chunks")).await });
    }
    while let Some(done) = running.join_next().await {
        let count = done??;
        if count != chunks {
            return Err(format!("{count} chunks came, {chunks} were sent").into());
        }
    }
    Ok(round(before, start, Vec::new()))
}

fn round(before: (f64, f64), start: Instant, latencies: Vec<f64>) -> Round {
    let seconds = start.elapsed().as_secs_f64();
    let (all, mock) = cpu();
    let mock_used = mock - before.1;
    Round { seconds, cpu: (all - before.0 - mock_used, mock_used), latencies }
}
