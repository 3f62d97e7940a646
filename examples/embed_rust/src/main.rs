//! Runs `deploy.conc-ir` and answers what it asks: `concerto build deploy.conc && cargo run`, with `-- --mock` without a key.

#![expect(clippy::print_stdout, reason = "a program of the command line")]

use std::time::Duration;

use concerto::{Program, Runtime, Value};
use futures_util::StreamExt;
use serde::Serialize;

/// The reply to `await emit("approve", ..)`, which the program expects as a `Decision`.
#[derive(Serialize)]
struct Decision {
    approved: bool,
    reason: Option<String>,
}

async fn approve(plan: Value) -> Result<Value, concerto::BoxError> {
    let lines = plan.as_str().map_or(0, |text| text.lines().count());
    let reason = (lines > 20).then(|| format!("a plan of {lines} lines is too long"));
    Ok(serde_json::to_value(Decision { approved: reason.is_none(), reason })?.into())
}

#[tokio::main]
async fn main() -> Result<(), concerto::Error> {
    let runtime = Runtime::builder(Program::load("deploy.conc-ir")?)
        .mock(std::env::args().any(|arg| arg == "--mock"))
        .execution_timeout(Duration::from_secs(120))
        .max_tokens(10_000)
        .build()?;
    runtime.on_emit("approve", |_channel: String, plan: Value| approve(plan));
    let mut run = runtime.start("deploy", ("the new search",))?;
    while let Some(emit) = run.next().await {
        println!("[{}] {}", emit.channel, emit.payload);
    }
    println!("{}", run.await?);
    println!("{} tokens", runtime.get_metrics().total_tokens());
    Ok(())
}
