//! What the benchmarks share: the least that a client can do, and what the process has used so far (from `/proc`; 0 elsewhere).

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::error::Error;
use std::fs;

use serde_json::{Value, json};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Kernel ticks in a second, as `/proc` counts.
const TICKS: f64 = 100.0;

/// The environment of the programs in `benches/programs`.
pub fn environment(url: &str) -> std::collections::HashMap<String, String> {
    [("BENCH_KEY", "sk-bench"), ("BENCH_URL", url)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A client of plain HTTP; it needs the choice of a TLS backend all the same.
pub fn bare_client() -> Outcome<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().pool_max_idle_per_host(1024).build()?)
}

/// The compiled program among the arguments.
pub fn program_path() -> Option<String> {
    std::env::args().find(|arg| arg.ends_with(".conc-ir"))
}

fn post(
    client: &reqwest::Client,
    url: &str,
    prompt: &str,
    stream: bool,
) -> Outcome<reqwest::RequestBuilder> {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], "stream": stream});
    let request = client.post(format!("{url}/chat/completions"));
    let request = request.header("authorization", "Bearer sk-bench");
    Ok(request.header("content-type", "application/json").body(serde_json::to_vec(&body)?))
}

/// Send JSON, read JSON, take the text.
pub async fn ask(client: &reqwest::Client, url: &str) -> Outcome<String> {
    let response = post(client, url, "Hi", false)?.send().await?.error_for_status()?;
    let answer: Value = serde_json::from_slice(&response.bytes().await?)?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
    Ok(text.ok_or("an answer without text")?.to_owned())
}

/// Send JSON, split lines, read JSON, take each text; how many there were.
pub async fn pull(client: &reqwest::Client, url: &str, prompt: &str) -> Outcome<usize> {
    let mut response = post(client, url, prompt, true)?.send().await?.error_for_status()?;
    let (mut rest, mut count) = (Vec::new(), 0);
    while let Some(bytes) = response.chunk().await? {
        rest.extend_from_slice(&bytes);
        let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in rest[..end].split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data: ").filter(|data| *data != b"[DONE]") else {
                continue;
            };
            let event: Value = serde_json::from_slice(data)?;
            let text = event.pointer("/choices/0/delta/content").and_then(Value::as_str);
            count += usize::from(text.is_some_and(|text| !text.is_empty()));
        }
        rest.drain(..end);
    }
    Ok(count)
}

/// Seconds of processor time in a `stat` file.
fn cpu_of(path: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Seconds that the whole process has computed, and of them the mock server.
pub fn cpu() -> (f64, f64) {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_mock = threads.filter(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        name.trim() == "concerto-mock"
    });
    let mock = of_mock.map(|thread| cpu_of(&thread.path().join("stat").to_string_lossy()));
    (cpu_of("/proc/self/stat"), mock.sum())
}

/// Resident memory in MiB.
pub fn memory() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Open sockets.
pub fn sockets() -> usize {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}
