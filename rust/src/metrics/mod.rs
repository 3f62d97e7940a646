//! What calls used: tokens, counters, distributions, cost. [`Recorder`] counts, [`Metrics`] is a snapshot of it.

mod distribution;
mod prices;
mod prometheus;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde::Serialize;
use tokio::time::Instant;

use crate::chat::Usage;
use crate::clock::{self, Clock};
use crate::config::ProviderKind;
use crate::sync::Mutex;
use crate::wire::ServerLimit;

pub use distribution::{Distribution, Summary};
pub use prices::{PriceBook, table_date as price_table_date};

/// Tokens: `tokens_in` holds the whole prompt, cached tokens included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenUsage {
    /// Prompts.
    pub tokens_in: u64,
    /// Answers.
    pub tokens_out: u64,
    /// Part of the prompts that came from a cache.
    pub tokens_cached: u64,
}

impl TokenUsage {
    /// Prompts and answers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tokens_in.saturating_add(self.tokens_out)
    }

    fn add(&mut self, usage: &Usage) {
        self.tokens_in = self.tokens_in.saturating_add(usage.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(usage.tokens_out);
        self.tokens_cached = self.tokens_cached.saturating_add(usage.tokens_cached);
    }
}

impl PartialEq<u64> for TokenUsage {
    fn eq(&self, total: &u64) -> bool {
        self.total() == *total
    }
}

impl std::fmt::Display for TokenUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.total())
    }
}

/// What calls cost, as far as prices are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CostEstimate {
    /// US dollars for the tokens whose price is known.
    pub usd: f64,
    /// Tokens of unknown price; they add nothing to `usd`.
    pub unpriced_tokens: u64,
    /// Tokens whose number is an estimate.
    pub estimated_tokens: u64,
}

impl CostEstimate {
    /// Whether all prices and numbers are known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unpriced_tokens == 0 && self.estimated_tokens == 0
    }

    fn add(&mut self, cost: Option<f64>, usage: &Usage) {
        let tokens = usage.tokens_in.saturating_add(usage.tokens_out);
        match cost {
            Some(usd) => self.usd += usd,
            None => self.unpriced_tokens = self.unpriced_tokens.saturating_add(tokens),
        }
        if usage.is_estimated {
            self.estimated_tokens = self.estimated_tokens.saturating_add(tokens);
        }
    }
}

/// Everything that is counted for one connection or one model.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are those of the language reference")]
pub struct Counters {
    pub calls: u64,
    pub attempts: u64,
    pub retries: u64,
    pub rounds: u64,
    pub successes: u64,
    pub errors: BTreeMap<String, u64>,
    pub cancelled: u64,
    pub mocked: u64,
    pub cached: u64,
    pub in_flight: u64,
    pub queued: u64,
    pub chunks: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub tool_calls: u64,
    pub tokens: TokenUsage,
    pub cost: CostEstimate,
}

/// The distributions of one connection, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Distributions {
    queue_time: Distribution,
    latency: Distribution,
    attempt: Distribution,
    first_chunk: Distribution,
}

#[derive(Clone, Debug, Default)]
struct State {
    // Boxed, because a node of a tree has room for eleven, and each run has trees of its own.
    connections: BTreeMap<String, (Box<Counters>, Box<Distributions>)>,
    /// With the connection that the model is on; it is empty for models of unknown programs until they are called.
    models: BTreeMap<String, (String, Box<Counters>)>,
    bases: BTreeMap<String, TokenUsage>,
    /// By connection and by what is limited: the last that its server said, and when.
    server_limits: BTreeMap<String, BTreeMap<&'static str, (ServerLimit, Instant)>>,
    emits: u64,
    /// By tool and method.
    tools: BTreeMap<(String, String), ToolCounters>,
}

/// What is counted for one method of a tool, or for all that one model called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ToolCounters {
    /// Calls that ran.
    pub calls: u64,
    /// Those that ended with an error.
    pub errors: u64,
    /// How long all of them took.
    pub duration_ms: f64,
}

impl State {
    /// Counts for the connection and the model of a call.
    fn change(
        &mut self,
        origin: &Origin,
        count: impl Fn(&mut Counters),
        distribute: impl FnOnce(&mut Distributions),
    ) {
        if let Some((counters, distributions)) = self.connections.get_mut(&origin.connection) {
            count(counters);
            distribute(distributions);
        }
        if let Some((connection, counters)) = self.models.get_mut(&origin.model) {
            connection.clone_from(&origin.connection);
            count(counters);
        }
    }
}

/// Live counters. Cheap to update from many threads: one short lock per event.
#[derive(Debug)]
pub struct Recorder {
    connections: Vec<String>,
    /// Each with its connection.
    models: Vec<(String, String)>,
    prices: Arc<PriceBook>,
    clock: Clock,
    started: Instant,
    state: Mutex<State>,
}

/// Who a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the connection.
    pub connection: String,
    /// Name of the model in the program.
    pub model: String,
}

/// Whom tokens are billed to.
#[derive(Clone, Copy, Debug)]
pub struct Billed<'a> {
    /// The kind of provider.
    pub kind: ProviderKind,
    /// The id that was asked for, aliases resolved: its price counts.
    pub id: &'a str,
    /// The id that the server reported.
    pub base: &'a str,
}

/// Who answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The provider, or nobody.
    Provider,
    /// This process, made up (O-15).
    Mock,
    /// This process, from an earlier answer (`@cache`).
    Cache,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Success,
    /// With an error of this kind.
    Error(&'static str),
    /// Nobody waits for it any more.
    Cancelled,
}

impl Recorder {
    /// Counters at zero, for a program that declares these names, with the built-in prices.
    #[cfg(test)]
    #[must_use]
    pub fn new(connections: Vec<String>, models: Vec<String>) -> Self {
        let models = models.into_iter().map(|model| (model, String::new())).collect();
        Self::with_prices(connections, models, Arc::default(), Clock::system())
    }

    /// The same for models with the connections that they are on, and with prices of a host or a manifest.
    #[must_use]
    pub fn with_prices(
        connections: Vec<String>,
        models: Vec<(String, String)>,
        prices: Arc<PriceBook>,
        clock: Clock,
    ) -> Self {
        let started = clock.now();
        let recorder =
            Self { connections, models, prices, clock, started, state: Mutex::default() };
        recorder.locked(|state| *state = recorder.empty());
        recorder
    }

    fn empty(&self) -> State {
        State {
            connections: self.connections.iter().map(|n| (n.clone(), Default::default())).collect(),
            server_limits: self
                .connections
                .iter()
                .map(|name| (name.clone(), BTreeMap::new()))
                .collect(),
            models: self
                .models
                .iter()
                .map(|(model, connection)| (model.clone(), (connection.clone(), Box::default())))
                .collect(),
            ..State::default()
        }
    }

    /// A recorder at zero for one run of the same program.
    #[must_use]
    pub fn for_run(&self) -> Arc<Self> {
        let (connections, models) = (self.connections.clone(), self.models.clone());
        let (prices, clock) = (Arc::clone(&self.prices), self.clock.clone());
        Arc::new(Self::with_prices(connections, models, prices, clock))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One change of what is counted for a call, at one point in time.
    fn change(
        &self,
        origin: &Origin,
        count: impl Fn(&mut Counters),
        distribute: impl FnOnce(&mut Distributions),
    ) {
        self.locked(|state| state.change(origin, count, distribute));
    }

    fn both(&self, origin: &Origin, count: impl Fn(&mut Counters)) {
        self.change(origin, count, |_| {});
    }

    /// An emit was sent.
    pub fn emitted(&self) {
        self.locked(|state| state.emits += 1);
    }

    /// A model has called a method of a tool.
    pub fn tool_called(&self, origin: &Origin, method: (&str, &str), is_error: bool, ms: f64) {
        self.locked(|state| {
            state.change(origin, |counters| counters.tool_calls += 1, |_| {});
            let key = (method.0.to_owned(), method.1.to_owned());
            let counters = state.tools.entry(key).or_default();
            counters.calls += 1;
            counters.errors += u64::from(is_error);
            counters.duration_ms += ms;
        });
    }

    /// A call begins.
    pub fn call_started(&self, origin: &Origin) {
        self.both(origin, |counters| {
            counters.calls += 1;
            counters.in_flight += 1;
        });
    }

    /// A call ends.
    pub fn call_ended(&self, origin: &Origin, end: &End, latency_ms: f64, by: By) {
        let count = |counters: &mut Counters| {
            counters.in_flight = counters.in_flight.saturating_sub(1);
            counters.mocked += u64::from(by == By::Mock);
            counters.cached += u64::from(by == By::Cache);
            match end {
                End::Success => counters.successes += 1,
                End::Error(kind) => *counters.errors.entry((*kind).to_owned()).or_default() += 1,
                End::Cancelled => counters.cancelled += 1,
            }
        };
        self.change(origin, count, |d| d.latency.add(latency_ms));
    }

    /// An attempt begins to wait for its turn.
    pub fn queued(&self, origin: &Origin) {
        self.both(origin, |counters| counters.queued += 1);
    }

    /// An attempt that waited was admitted, or gave up.
    pub fn unqueued(&self, origin: &Origin) {
        self.both(origin, |counters| counters.queued = counters.queued.saturating_sub(1));
    }

    /// An attempt begins, after this time in the queue. The first of a round begins the round too, so that no round is without one.
    pub fn attempt_started(&self, origin: &Origin, first_of_round: bool, queue_ms: f64) {
        let count = |counters: &mut Counters| {
            counters.attempts += 1;
            counters.rounds += u64::from(first_of_round);
            counters.retries += u64::from(!first_of_round);
        };
        self.change(origin, count, |d| d.queue_time.add(queue_ms));
    }

    /// A request of this size goes out.
    pub fn sent(&self, origin: &Origin, bytes: u64) {
        self.both(origin, |counters| counters.bytes_out = counters.bytes_out.saturating_add(bytes));
    }

    /// An attempt is over.
    pub fn attempt_ended(&self, origin: &Origin, milliseconds: f64) {
        self.change(origin, |_| {}, |d| d.attempt.add(milliseconds));
    }

    /// Bytes of an answer arrived.
    pub fn received(&self, origin: &Origin, bytes: u64, chunks: u64) {
        self.both(origin, |counters| {
            counters.bytes_in = counters.bytes_in.saturating_add(bytes);
            counters.chunks += chunks;
        });
    }

    /// A server said something about its own limits (C-92).
    pub fn told(&self, origin: &Origin, limits: &[(&'static str, ServerLimit)]) {
        let now = self.clock.now();
        self.locked(|state| {
            if let Some(own) = state.server_limits.get_mut(&origin.connection) {
                own.extend(limits.iter().map(|(what, told)| (*what, (*told, now))));
            }
        });
    }

    /// The first chunk of a stream arrived.
    pub fn first_chunk(&self, origin: &Origin, milliseconds: f64) {
        self.change(origin, |_| {}, |d| d.first_chunk.add(milliseconds));
    }

    /// Tokens were used. Gives their cost in US dollars, if the price is known.
    pub fn used(&self, origin: &Origin, billed: &Billed<'_>, usage: &Usage) -> Option<f64> {
        let cost = self.prices.price(billed.kind, billed.id).map(|price| price.cost(usage));
        let count = |counters: &mut Counters| {
            counters.tokens.add(usage);
            counters.cost.add(cost, usage);
        };
        self.locked(|state| {
            state.change(origin, count, |_| {});
            match state.bases.get_mut(billed.base) {
                Some(base) => base.add(usage),
                None => state.bases.entry(billed.base.to_owned()).or_default().add(usage),
            }
        });
        cost
    }

    /// A consistent snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Metrics {
        let mut state = self.locked(|state| state.clone());
        for (told, at) in state.server_limits.values_mut().flat_map(BTreeMap::values_mut) {
            let since = self.clock.since(*at);
            told.resets_in = told.resets_in.map(|time| time.saturating_sub(since));
        }
        let elapsed_ms = clock::millis(self.clock.since(self.started));
        Metrics { elapsed_ms, state: Arc::new(state) }
    }

    /// Sets everything to zero; calls in flight stay in flight and belong to the new period.
    pub fn reset(&self) {
        self.locked(|state| {
            let mut fresh = self.empty();
            let keep = |counters: &mut Counters, old: Option<&Counters>| {
                counters.in_flight = old.map_or(0, |old| old.in_flight);
                counters.queued = old.map_or(0, |old| old.queued);
                // At any time, calls = successes + errors + cancelled + in flight.
                counters.calls = counters.in_flight;
            };
            for (name, (counters, _)) in &mut fresh.connections {
                keep(counters, state.connections.get(name).map(|(old, _)| &**old));
            }
            for (name, (_, counters)) in &mut fresh.models {
                keep(counters, state.models.get(name).map(|(_, old)| &**old));
            }
            fresh.server_limits = std::mem::take(&mut state.server_limits);
            *state = fresh;
        });
    }
}

/// An immutable snapshot of what calls used.
#[derive(Clone, Debug)]
pub struct Metrics {
    elapsed_ms: u64,
    state: Arc<State>,
}

/// As [`Metrics::to_json`].
impl Serialize for Metrics {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(to)
    }
}

impl Metrics {
    /// Tokens of all calls over a connection; zeros for an unknown name.
    #[must_use]
    pub fn tokens_by_connection(&self, name: &str) -> TokenUsage {
        self.state.connections.get(name).map_or_else(TokenUsage::default, |(c, _)| c.tokens)
    }

    /// Tokens of a model, by its name in the program; zeros for an unknown name.
    #[must_use]
    pub fn tokens_by_model(&self, name: &str) -> TokenUsage {
        self.state.models.get(name).map_or_else(TokenUsage::default, |(_, c)| c.tokens)
    }

    /// Tokens by the id that the servers reported.
    #[must_use]
    pub fn tokens_by_base(&self, id: &str) -> TokenUsage {
        self.state.bases.get(id).copied().unwrap_or_default()
    }

    /// What a connection cost.
    #[must_use]
    pub fn estimated_cost(&self, name: &str) -> CostEstimate {
        self.state.connections.get(name).map_or_else(CostEstimate::default, |(c, _)| c.cost)
    }

    /// What all connections cost.
    #[must_use]
    pub fn total_estimated_cost(&self) -> CostEstimate {
        self.state.connections.values().fold(CostEstimate::default(), |sum, (c, _)| CostEstimate {
            usd: sum.usd + c.cost.usd,
            unpriced_tokens: sum.unpriced_tokens.saturating_add(c.cost.unpriced_tokens),
            estimated_tokens: sum.estimated_tokens.saturating_add(c.cost.estimated_tokens),
        })
    }

    /// Counters of a connection or, if there is none of that name, of a model.
    #[must_use]
    pub fn counters(&self, name: &str) -> Option<&Counters> {
        let connection = self.state.connections.get(name).map(|(counters, _)| &**counters);
        connection.or_else(|| self.state.models.get(name).map(|(_, counters)| &**counters))
    }

    /// A distribution of a connection: `queue_time_ms`, `latency_ms`, `attempt_ms` or `time_to_first_chunk_ms`.
    #[must_use]
    pub fn distribution(&self, name: &str, which: &str) -> Option<Summary> {
        let (_, distributions) = self.state.connections.get(name)?;
        named(distributions).into_iter().find(|(own, _)| *own == which).map(|(_, d)| d.summary())
    }

    /// What the server of a connection last said about its own limits, in the headers of any answer: `requests`, `tokens`, `input_tokens`,
    /// `output_tokens`, as far as it did. They change nothing here; `resets_in` counts from this snapshot.
    #[must_use]
    pub fn server_limits(&self, connection: &str) -> BTreeMap<&'static str, ServerLimit> {
        let told = self.state.server_limits.get(connection).into_iter().flatten();
        told.map(|(what, (told, _))| (*what, *told)).collect()
    }

    /// Whether the program declares a connection or model of this name.
    #[must_use]
    pub fn is_known(&self, name: &str) -> bool {
        self.counters(name).is_some()
    }

    /// Tokens of all connections.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        let totals = self.state.connections.values().map(|(c, _)| c.tokens.total());
        totals.fold(0, u64::saturating_add)
    }

    /// Names of the program's connections, sorted.
    pub fn connections(&self) -> impl Iterator<Item = &str> {
        self.state.connections.keys().map(String::as_str)
    }

    /// Names of the program's models, sorted.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.state.models.keys().map(String::as_str)
    }

    /// Milliseconds since the runtime or the run began.
    #[must_use]
    pub fn execution_time_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// Calls of all models.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.state.connections.values().map(|(c, _)| c.calls).sum()
    }

    /// Calls of tools that models asked for and that ran.
    #[must_use]
    pub fn tool_calls(&self) -> u64 {
        self.state.tools.values().map(|counters| counters.calls).sum()
    }

    /// The same by tool and method; those that were never called are left out.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &str, ToolCounters)> {
        let tools = self.state.tools.iter();
        tools.map(|((tool, method), counters)| (tool.as_str(), method.as_str(), *counters))
    }

    /// Emits.
    #[must_use]
    pub fn emit_count(&self) -> u64 {
        self.state.emits
    }

    /// Failed calls.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.state.connections.values().flat_map(|(c, _)| c.errors.values()).sum()
    }

    /// Everything as JSON with stable keys.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let models: serde_json::Map<_, _> = self
            .state
            .models
            .iter()
            .map(|(name, (connection, counters))| {
                let mut entry = serde_json::to_value(counters).unwrap_or_default();
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("connection".to_owned(), connection.as_str().into());
                }
                (name.clone(), entry)
            })
            .collect();
        let connections: serde_json::Map<_, _> = self
            .state
            .connections
            .iter()
            .map(|(name, (counters, distributions))| {
                let mut entry = serde_json::to_value(counters).unwrap_or_default();
                for (which, distribution) in named(distributions) {
                    if let Some(entry) = entry.as_object_mut() {
                        entry.insert(which.to_owned(), distribution.summary().to_json());
                    }
                }
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("server_limits".to_owned(), self.limits_json(name));
                }
                (name.clone(), entry)
            })
            .collect();
        serde_json::json!({
            "connections": connections,
            "models": models,
            "bases": self.state.bases,
            "emit_count": self.state.emits,
            "tool_calls": self.tool_calls(),
            "tools": self.tools_json(),
            "execution_time_ms": self.elapsed_ms,
            "price_table_date": price_table_date(),
        })
    }

    fn tools_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let tools = self.tools().map(|(tool, method, counters)| {
            (format!("{tool}.{method}"), serde_json::to_value(counters).unwrap_or_default())
        });
        tools.collect()
    }

    fn limits_json(&self, connection: &str) -> serde_json::Value {
        let told = self.server_limits(connection).into_iter().map(|(what, told)| {
            let resets_in_ms = told.resets_in.map(clock::millis);
            let entry = serde_json::json!({
                "limit": told.limit, "remaining": told.remaining, "resets_in_ms": resets_in_ms
            });
            (what.to_owned(), entry)
        });
        serde_json::Value::Object(told.collect())
    }

    /// The text format of Prometheus.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut out = String::new();
        let rows: Vec<prometheus::Row<'_>> = self
            .state
            .models
            .iter()
            .map(|(model, (connection, counters))| {
                (connection.as_str(), model.as_str(), &**counters)
            })
            .collect();
        prometheus::counters(&mut out, &rows);
        for (position, (name, help)) in DISTRIBUTIONS.into_iter().enumerate() {
            let connections = self.state.connections.iter();
            let times: Vec<prometheus::Times<'_>> = connections
                .filter_map(|(connection, (_, all))| {
                    Some((connection.as_str(), named(all).get(position)?.1))
                })
                .collect();
            prometheus::histogram(&mut out, name, help, &times);
        }
        let told = self.state.server_limits.iter().flat_map(|(connection, told)| {
            told.iter().map(|(what, (told, _))| (connection.as_str(), *what, *told))
        });
        prometheus::server_limits(&mut out, &told.collect::<Vec<_>>());
        out
    }
}

/// Names of the distributions of a connection, and what they say.
const DISTRIBUTIONS: [(&str, &str); 4] = [
    ("queue_time_ms", "How long HTTP requests waited for their turn."),
    ("latency_ms", "How long calls took, queue and retries included."),
    ("attempt_ms", "How long HTTP requests took."),
    ("time_to_first_chunk_ms", "How long streams took to their first text."),
];

fn named(distributions: &Distributions) -> [(&'static str, &Distribution); 4] {
    let Distributions { queue_time, latency, attempt, first_chunk } = distributions;
    let mut values = [queue_time, latency, attempt, first_chunk].into_iter();
    DISTRIBUTIONS.map(|(name, _)| (name, values.next().unwrap_or(latency)))
}

#[cfg(all(test, feature = "interleave"))]
mod interleavings;
#[cfg(test)]
mod tests;
