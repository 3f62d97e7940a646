//! The floor of the comparison, and the Rust host beside it: one way, one workload per process. `run.py` starts it in turn with the rivals and reads
//! the JSON that it prints: `per_call` in seconds, `rate` per second, `cpu_per_1000` in seconds.
//!
//! The bare loops run on one tokio thread: send JSON, read JSON, take the text.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark reports, and takes the time"
)]

#[path = "../shared/mod.rs"]
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use concerto::{Emit, Program, Runtime};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use shared::{Outcome, ask, bare_client, cpu, environment, program_path, pull};
use tokio::task::JoinSet;

/// Questions one after another; a tenth more warms up.
const SEQUENCE: usize = 2_000;
/// Questions of a burst.
const BURST: usize = 10_240;

#[derive(Clone)]
enum Way {
    Hyper(Box<Client<HttpConnector, Full<Bytes>>>, String),
    Reqwest(reqwest::Client, String),
    Host(Runtime, Arc<AtomicUsize>),
}

impl Way {
    fn new(name: &str, url: &str, program: &str) -> Outcome<Self> {
        Ok(match name {
            "hyper" => {
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                Self::Hyper(
                    Box::new(Client::builder(TokioExecutor::new()).build(connector)),
                    url.to_owned(),
                )
            }
            "reqwest" => Self::Reqwest(bare_client()?, url.to_owned()),
            _ => {
                let runtime =
                    Runtime::builder(Program::load(program)?).env(environment(url)).build()?;
                let count = Arc::new(AtomicUsize::new(0));
                let counter = Arc::clone(&count);
                let _ = runtime.on("text", move |_: &Emit| {
                    counter.fetch_add(1, Ordering::Relaxed);
                });
                Self::Host(runtime, count)
            }
        })
    }

    async fn ask(&self, typed: bool) -> Outcome<()> {
        match self {
            Self::Hyper(client, url) => bare_hyper(client, url).await,
            Self::Reqwest(client, url) if typed => typed_reqwest(client, url).await,
            Self::Reqwest(client, url) => ask(client, url).await.map(drop),
            Self::Host(runtime, _) if typed => {
                Ok(runtime.call::<Value>("describe", (WHO,)).await.map(drop)?)
            }
            Self::Host(runtime, _) => Ok(runtime.call::<String>("ask", ("Hi",)).await.map(drop)?),
        }
    }

    async fn pull(&self, prompt: &str) -> Outcome<()> {
        match self {
            Self::Reqwest(client, url) => pull(client, url, prompt).await.map(drop),
            Self::Host(runtime, _) => Ok(runtime.call::<()>("tell", (prompt,)).await?),
            Self::Hyper(..) => Err("hyper has no streams here".into()),
        }
    }
}

const WHO: &str = "Who is this person? Answer with name, age and tags.";

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "decoding is what is measured")]
struct Person {
    name: String,
    age: i64,
    tags: Vec<String>,
}

async fn bare_hyper(client: &Client<HttpConnector, Full<Bytes>>, url: &str) -> Outcome<()> {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    let request = hyper::Request::post(format!("{url}/chat/completions"))
        .header("authorization", "Bearer sk-bench")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(&body)?)))?;
    let answer = client.request(request).await?;
    let answer: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    text.map(drop).ok_or_else(|| "an answer without text".into())
}

async fn typed_reqwest(client: &reqwest::Client, url: &str) -> Outcome<()> {
    let properties = json!({"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}});
    let schema = json!({"type": "object", "properties": properties, "required": ["name", "age", "tags"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "Person", "strict": true, "schema": schema}});
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": WHO}], "response_format": format});
    let request =
        client.post(format!("{url}/chat/completions")).header("authorization", "Bearer sk-bench");
    let request =
        request.header("content-type", "application/json").body(serde_json::to_vec(&body)?);
    let answer: Value =
        serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    let _: Person = serde_json::from_str(text.ok_or("an answer without text")?)?;
    Ok(())
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().collect();
    let (Some(program), Some(at)) = (program_path(), args.iter().position(|arg| arg == "--way"))
    else {
        println!("nothing to do: benches/compare/run.py gives the arguments");
        return Ok(());
    };
    let [_, name, workload, url, slow_url] = &args[at..at + 5] else {
        return Err("five arguments".into());
    };
    let delayed = workload.ends_with("-50]");
    let way = Way::new(name, if delayed { slow_url } else { url }, &program)?;
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure(&way, workload))?;
    println!("{outcome}");
    Ok(())
}

async fn measure(way: &Way, workload: &str) -> Outcome<Value> {
    match workload {
        "sequence" | "typed" => one_by_one(way, workload == "typed").await,
        "concurrent[64-0]" | "concurrent[64-50]" => at_once(way, 64).await,
        "concurrent[512-0]" | "concurrent[512-50]" => at_once(way, 512).await,
        "streams[50-2000]" => streams(way, 50, 2_000).await,
        "streams[500-200]" => streams(way, 500, 200).await,
        "first" => way.ask(false).await.map(|()| json!({})),
        other => Err(format!("no workload {other}").into()),
    }
}

async fn one_by_one(way: &Way, typed: bool) -> Outcome<Value> {
    let mut times = Vec::with_capacity(SEQUENCE);
    for number in 0..SEQUENCE + SEQUENCE / 10 {
        let start = Instant::now();
        way.ask(typed).await?;
        if number >= SEQUENCE / 10 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(
        json!({"per_call": times[SEQUENCE / 2], "p95": times[SEQUENCE * 95 / 100], "peak_mib": shared::memory()}),
    )
}

async fn at_once(way: &Way, width: usize) -> Outcome<Value> {
    burst(way, width, width).await?;
    let (before, start) = (cpu().0, Instant::now());
    burst(way, width, BURST).await?;
    Ok(rate(start, before, BURST))
}

async fn burst(way: &Way, width: usize, total: usize) -> Outcome<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..width {
        let (way, next) = (way.clone(), Arc::clone(&next));
        running.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < total {
                way.ask(false).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

async fn streams(way: &Way, together: usize, chunks: usize) -> Outcome<Value> {
    let (before, start) = (cpu().0, Instant::now());
    let mut running = JoinSet::new();
    for _ in 0..together {
        let way = way.clone();
        running.spawn(async move { way.pull(&format!("stream {chunks}")).await });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    let mut outcome = rate(start, before, together * chunks);
    if let Way::Host(_, count) = way {
        outcome["delivered"] = json!(count.load(Ordering::Relaxed));
    }
    Ok(outcome)
}

fn rate(start: Instant, before: f64, count: usize) -> Value {
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu().0 - before);
    json!({"rate": count as f64 / seconds, "cpu_per_1000": cpu / count as f64 * 1e3})
}
