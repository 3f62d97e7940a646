//! The desk program in a Rust host: `desk PROGRAM.conc-ir [BASE_URL]`. Try it with a provider on this machine:
//!
//! ```text
//! concerto build examples/desk/desk.conc -o target/desk.conc-ir
//! concerto mock --port 8080 --script examples/desk/mock.json
//! cargo run --features mock --example desk -- target/desk.conc-ir http://127.0.0.1:8080/v1
//! ```

#![allow(clippy::print_stdout, reason = "it talks to people")]

use std::time::Duration;

use concerto::{ConnectionConfig, Program, Runtime};
use serde::Deserialize;

#[derive(Deserialize)]
struct Verdict {
    area: String,
    urgent: bool,
}

#[tokio::main]
async fn main() -> Result<(), concerto::Error> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "desk.conc-ir".to_owned());
    let url = args.next().unwrap_or_else(|| "http://127.0.0.1:8080/v1".to_owned());

    let runtime = Runtime::builder(Program::load(path)?)
        .execution_timeout(Duration::from_secs(60))
        .build()?;
    runtime.override_connection(
        "cloud",
        ConnectionConfig { api_key: "test", base_url: &url, ..Default::default() },
    )?;
    let _text = runtime.on("text", |emit: &concerto::Emit| print!("{}", emit.payload));
    runtime.register_tool("Orders", "status", |args: concerto::ToolArgs| async move {
        Ok(format!("order {} is on its way", args.get::<String>("id")?).into())
    })?;

    let verdict: Verdict = runtime.call("answer", ("Where is order 7?",)).await?;
    println!("\n{} {}", verdict.area, verdict.urgent);
    let metrics = runtime.get_metrics();
    println!(
        "{} {}",
        metrics.tokens_by_connection("cloud").total(),
        metrics.estimated_cost("cloud").usd
    );
    Ok(())
}
