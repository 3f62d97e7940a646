//! What does a model call cost on top of HTTP itself? The same question to the same mock server on loopback, asked with bare reqwest, by one
//! `Runtime::call` per question, and by a program that asks in a loop. Rounds are interleaved; the last line is JSON for `benches/run.py`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reports, and takes the time"
)]

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use concerto::mock::{MockOptions, MockServer};
use concerto::{Program, Runtime};
use serde_json::{Value, json};

const CALLS: u32 = 200;
const ROUNDS: usize = 25;
const WARM_UP: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().find(|arg| arg.ends_with(".conc-ir"));
    let Some(path) = path else {
        println!("nothing to do: give the compiled form of benches/programs/calls.conc");
        return Ok(());
    };
    let mut server = MockServer::start(&MockOptions::default())?;
    let env = HashMap::from([
        ("BENCH_KEY".to_owned(), "sk-bench".to_owned()),
        ("BENCH_URL".to_owned(), server.url()),
    ]);
    let runtime = Runtime::builder(Program::load(path)?).env(env).build()?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = threads.block_on(measure(&server.url(), &runtime));
    server.stop();
    println!("{}", outcome?);
    Ok(())
}

/// Microseconds per call, one list of rounds for each way.
async fn measure(url: &str, runtime: &Runtime) -> Result<Value, Box<dyn Error>> {
    // The least work per request: the client of plain HTTP needs the choice all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build()?;
    let (mut bare, mut calls, mut looped) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            ask(&client, url).await?;
        }
        let bare_time = start.elapsed();

        let start = Instant::now();
        for _ in 0..CALLS {
            let _: String = runtime.call("ask", ("Hi",)).await?;
        }
        let call_time = start.elapsed();

        let start = Instant::now();
        let _: i64 = runtime.call("ask_often", ("Hi", CALLS)).await?;
        let loop_time = start.elapsed();

        if round >= WARM_UP {
            for (times, time) in
                [(&mut bare, bare_time), (&mut calls, call_time), (&mut looped, loop_time)]
            {
                times.push(time.as_secs_f64() * 1e6 / f64::from(CALLS));
            }
        }
    }
    Ok(json!({"bare reqwest": bare, "Runtime::call": calls, "a loop in a program": looped}))
}

/// The least that a client can do: send JSON, read JSON, take the text.
async fn ask(client: &reqwest::Client, url: &str) -> Result<String, Box<dyn Error>> {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    let request = client
        .post(format!("{url}/chat/completions"))
        .header("authorization", "Bearer sk-bench")
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body)?);
    let bytes = request.send().await?.error_for_status()?.bytes().await?;
    let answer: Value = serde_json::from_slice(&bytes)?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    Ok(text.ok_or("an answer without text")?.to_owned())
}
