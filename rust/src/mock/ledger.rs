//! What the server was asked and what became of it: for tests, logs and reconciliation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::http::Request;
use super::script::UsageReply;
use crate::clock;
use crate::secret::is_secret_header;

/// Requests that are kept.
const KEPT: usize = 10_000;

/// Sums over all requests, also those that the ledger no longer keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MockCounts {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that are not over yet.
    pub open_requests: u64,
    /// The most requests that were open at once.
    pub most_open_requests: u64,
    /// Connections that are open.
    pub open_connections: u64,
    /// Requests that are over, by how they ended.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Pieces of text that streams have sent.
    pub chunks: u64,
    /// Bytes that were sent.
    pub bytes_sent: u64,
    /// Tokens that complete answers have reported.
    pub prompt_tokens: u64,
    /// Tokens that complete answers have reported.
    pub completion_tokens: u64,
    /// Part of the prompts.
    pub cached_tokens: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer was sent whole.
    Complete,
    /// A fault cut it short.
    Broken,
    /// The client closed the connection first.
    ClientClosed,
    /// The server was stopped first.
    Stopped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Broken => "broken",
            Self::ClientClosed => "client_closed",
            Self::Stopped => "stopped",
        }
    }
}

/// What is known of the answer so far.
#[derive(Clone, Debug, Default)]
struct Progress {
    dialect: Option<&'static str>,
    prefix: String,
    model: String,
    stream: bool,
    rule: Option<usize>,
    fault: Option<String>,
    status: Option<u16>,
    chunks: u64,
    bytes_sent: u64,
    usage: Option<UsageReply>,
    /// How and when.
    end: Option<(Outcome, u64)>,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    started_ms: u64,
    progress: Mutex<Progress>,
}

/// All entries and sums.
#[derive(Debug)]
pub(super) struct Ledger {
    start: Instant,
    entries: Mutex<VecDeque<Arc<Entry>>>,
    counts: Mutex<MockCounts>,
    log: Option<Mutex<std::fs::File>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(super) fn new(log: Option<std::fs::File>) -> Self {
        Self {
            start: clock::now(),
            entries: Mutex::default(),
            counts: Mutex::default(),
            log: log.map(Mutex::new),
        }
    }

    /// Enters a request; what follows is told to the record.
    pub(super) fn enter(&self, request: Request) -> Record<'_> {
        let started_ms = clock::millis(self.start.elapsed());
        let entry = Arc::new(Entry { request, started_ms, progress: Mutex::default() });
        let number = {
            let mut counts = lock(&self.counts);
            counts.requests += 1;
            counts.open_requests += 1;
            counts.most_open_requests = counts.most_open_requests.max(counts.open_requests);
            counts.requests
        };
        let mut entries = lock(&self.entries);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Arc::clone(&entry));
        Record { ledger: self, entry, number }
    }

    /// Counts a connection while the guard lives.
    pub(super) fn connected(&self) -> Connected<'_> {
        lock(&self.counts).open_connections += 1;
        Connected(self)
    }

    pub(super) fn counts(&self) -> MockCounts {
        lock(&self.counts).clone()
    }

    pub(super) fn requests(&self) -> Vec<Json> {
        let entries: Vec<Arc<Entry>> = lock(&self.entries).iter().cloned().collect();
        entries.iter().map(|entry| entry.to_json()).collect()
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Connected<'a>(&'a Ledger);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        lock(&self.0.counts).open_connections -= 1;
    }
}

/// The entry of a request that is being answered. Dropping it ends the entry.
#[derive(Debug)]
pub(super) struct Record<'a> {
    ledger: &'a Ledger,
    entry: Arc<Entry>,
    /// Counts from 1.
    number: u64,
}

impl Record<'_> {
    pub(super) fn request(&self) -> &Request {
        &self.entry.request
    }

    /// The id that the answer carries.
    pub(super) fn id(&self) -> String {
        format!("req_mock_{}", self.number)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.entry.progress)
    }

    /// What kind of request it is.
    pub(super) fn routed(&self, dialect: &'static str, prefix: &str) {
        let mut progress = self.progress();
        progress.dialect = Some(dialect);
        prefix.clone_into(&mut progress.prefix);
    }

    /// What was asked, and what answers it.
    pub(super) fn matched(&self, model: &str, stream: bool, rule: Option<usize>) {
        let mut progress = self.progress();
        model.clone_into(&mut progress.model);
        (progress.stream, progress.rule) = (stream, rule);
    }

    pub(super) fn faulty(&self, fault: impl std::fmt::Debug) {
        self.progress().fault = Some(snake(&format!("{fault:?}")));
    }

    pub(super) fn status(&self, status: u16) {
        self.progress().status = Some(status);
        *lock(&self.ledger.counts).statuses.entry(status).or_default() += 1;
    }

    pub(super) fn sent(&self, bytes: u64, chunks: u64) {
        let mut progress = self.progress();
        progress.bytes_sent += bytes;
        progress.chunks += chunks;
    }

    /// The answer is whole and has reported this usage.
    pub(super) fn reported(&self, usage: UsageReply) {
        self.progress().usage = Some(usage);
    }

    /// The request is over.
    pub(super) fn end(self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&self, outcome: Outcome) {
        let ended_ms = clock::millis(self.ledger.start.elapsed());
        let done = {
            let mut progress = self.progress();
            if progress.end.is_some() {
                return;
            }
            progress.end = Some((outcome, ended_ms));
            progress.clone()
        };
        let mut counts = lock(&self.ledger.counts);
        counts.open_requests -= 1;
        *counts.outcomes.entry(outcome.word()).or_default() += 1;
        counts.chunks += done.chunks;
        counts.bytes_sent += done.bytes_sent;
        if let Some(usage) = done.usage {
            counts.prompt_tokens += usage.prompt_tokens;
            counts.completion_tokens += usage.completion_tokens;
            counts.cached_tokens += usage.cached_tokens;
        }
        drop(counts);
        if let Some(log) = &self.ledger.log {
            use std::io::Write;
            let line = format!("{}\n", self.entry.to_json());
            let _ = lock(log).write_all(line.as_bytes()); // a full disk must not stop the server
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.close(Outcome::Stopped);
    }
}

impl Entry {
    fn to_json(&self) -> Json {
        let request = &self.request;
        let progress = lock(&self.progress).clone();
        let headers: Map<String, Json> = request
            .headers
            .iter()
            .map(|(name, value)| {
                let shown = if is_secret_header(name) { "***" } else { value };
                (name.clone(), json!(shown))
            })
            .collect();
        let body = serde_json::from_slice(&request.body).unwrap_or(Json::Null);
        let usage = progress.usage.map(|usage| {
            json!({
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
            })
        });
        json!({
            "method": request.method,
            "path": request.path,
            "query": masked(&request.query),
            "headers": headers,
            "body": body,
            "dialect": progress.dialect,
            "prefix": progress.prefix,
            "model": progress.model,
            "stream": progress.stream,
            "rule": progress.rule,
            "fault": progress.fault,
            "status": progress.status,
            "chunks": progress.chunks,
            "bytes_sent": progress.bytes_sent,
            "usage": usage,
            "outcome": progress.end.map_or("open", |(outcome, _)| outcome.word()),
            "started_ms": self.started_ms,
            "ended_ms": progress.end.map(|(_, at)| at),
        })
    }
}

/// A query without the values of keys.
fn masked(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if is_secret_header(name) => format!("{name}=***"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// `StallBody` → `stall_body`
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_a_query_are_masked() {
        assert_eq!(masked("alt=sse&key=AIza-canary"), "alt=sse&key=***");
        assert_eq!(masked(""), "");
    }

    #[test]
    fn faults_are_named_as_in_scripts() {
        assert_eq!(snake("StallBody"), "stall_body");
    }
}
