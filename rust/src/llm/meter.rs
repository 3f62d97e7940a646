//! Counts one call, in the recorders of the runtime and of the run.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, Call, LlmError};
use crate::chat::{ChatResponse, Usage, estimate_prompt};
use crate::clock::{self, Clock};
use crate::metrics::{Billed, By, End, Origin, Recorder};
use crate::providers::{Failure, FailureKind};
use crate::wire::ServerLimit;

/// Counts one call. A call that is dropped half-way counts as cancelled.
#[derive(Debug)]
pub(super) struct Meter {
    origin: Origin,
    recorders: Vec<Arc<Recorder>>,
    clock: Clock,
    pub(super) started: Instant,
    attempt_started: Instant,
    attempts: u32,
    rounds: u32,
    usage: Usage,
    cost: Option<f64>,
    over: bool,
}

impl Meter {
    pub(super) fn start(call: &Call, recorders: Vec<Arc<Recorder>>, clock: Clock) -> Self {
        let now = clock.now();
        let meter = Self {
            origin: call.origin.clone(),
            recorders,
            clock,
            started: now,
            attempt_started: now,
            attempts: 0,
            rounds: 0,
            usage: Usage::default(),
            cost: Some(0.0),
            over: false,
        };
        meter.each(Recorder::call_started);
        meter
    }

    fn each(&self, work: impl Fn(&Recorder, &Origin)) {
        for recorder in &self.recorders {
            work(recorder, &self.origin);
        }
    }

    /// HTTP attempts so far; a request that is sent again with a field changed is the same attempt.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// An attempt starts after it was queued so long; the first of a round begins the round.
    pub(super) fn attempt(&mut self, first: bool, queued: Duration) {
        self.attempts += 1;
        self.attempt_started = self.clock.now();
        self.rounds += u32::from(first);
        let milliseconds = queued.as_secs_f64() * 1000.0;
        self.each(|recorder, origin| recorder.attempt_started(origin, first, milliseconds));
    }

    /// An attempt waits for the limits, until the guard is dropped.
    pub(super) fn queued(&self) -> Queued<'_> {
        self.each(Recorder::queued);
        Queued(self)
    }

    pub(super) fn attempt_ended(&self) {
        let milliseconds = self.clock.since(self.attempt_started).as_secs_f64() * 1000.0;
        self.each(|recorder, origin| recorder.attempt_ended(origin, milliseconds));
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.each(|recorder, origin| recorder.sent(origin, bytes as u64));
    }

    /// What the server said about its own limits.
    pub(super) fn told(&self, limits: &[(&'static str, ServerLimit)]) {
        if !limits.is_empty() {
            self.each(|recorder, origin| recorder.told(origin, limits));
        }
    }

    pub(super) fn received(&self, bytes: u64, chunks: u64) {
        self.each(|recorder, origin| recorder.received(origin, bytes, chunks));
    }

    /// Since the call began.
    pub(super) fn latency(&self) -> Duration {
        self.clock.since(self.started)
    }

    pub(super) fn first_chunk(&self) {
        let milliseconds = self.latency().as_secs_f64() * 1000.0;
        self.each(|recorder, origin| recorder.first_chunk(origin, milliseconds));
    }

    /// Adds tokens; gives what they cost. `base` is the id that the server reported.
    pub(super) fn used(&self, call: &Call, base: &str, usage: &Usage) -> Option<f64> {
        let billed = Billed { kind: call.settings.kind, id: &call.model_id, base };
        // All recorders of a runtime have the same prices.
        let costs = self.recorders.iter().map(|each| each.used(&self.origin, &billed, usage));
        costs.fold(None, |_, cost| cost)
    }

    pub(super) fn end(&mut self, end: &End) {
        if !std::mem::replace(&mut self.over, true) {
            let latency = self.latency().as_secs_f64() * 1000.0;
            self.each(|recorder, origin| recorder.call_ended(origin, end, latency, By::Provider));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Adds the answer of a round; gives all of the call so far, and the tokens of this round alone.
    pub(super) fn answer(&mut self, call: &Call, response: ChatResponse) -> (Answer, Usage) {
        let prompt = estimate_prompt(&call.messages, call.output.as_deref());
        let usage = Usage::completed(response.usage, prompt, &response.text);
        let model = response.model.clone().unwrap_or_else(|| call.model_id.clone());
        let cost = self.used(call, &model, &usage);
        self.usage.add(&usage);
        self.cost = self.cost.zip(cost).map(|(all, this)| all + this);
        let answer = Answer {
            connection: self.origin.connection.clone(),
            response,
            usage: self.usage,
            model,
            cost: self.cost,
            attempts: self.attempts,
            rounds: self.rounds,
            latency_ms: clock::millis(self.latency()),
        };
        (answer, usage)
    }

    /// Ends the call with its last attempt's failure.
    pub(super) fn fail(&mut self, call: &Call, failure: Failure) -> LlmError {
        // A filtered answer is billed.
        if let Some(usage) = failure.usage {
            self.used(call, &call.model_id, &usage);
        }
        self.end(&End::Error(failure.kind.word()));
        if failure.kind == FailureKind::Config {
            let field = failure.param.as_deref().unwrap_or_default();
            let message = format!(
                "connection `{}`: field `{field}`: {}",
                call.origin.connection, failure.message
            );
            return LlmError::config(
                &call.origin.connection,
                &call.origin.model,
                &call.model_id,
                field,
                &message,
            );
        }
        LlmError::new(call, failure, self.attempts, self.latency())
    }
}

/// Counts as queued while it lives.
pub(super) struct Queued<'a>(&'a Meter);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.each(Recorder::unqueued);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(&End::Cancelled);
    }
}
