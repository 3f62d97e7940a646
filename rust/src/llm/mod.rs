//! One model call from start to end: settings → limits → attempt (encode, send, decode) → classify → retry or answer, and metrics once per
//! attempt.
//!
//! Knows no language and no wire format. The rules are pure functions of state and time: `retry.rs` decides who is tried again and when,
//! `limit.rs` who may start; [`queue`] and the loop here own clock and sleep.

mod attempt;
mod error;
mod feed;
mod fetch;
mod host;
mod limit;
mod meter;
#[cfg(feature = "bench")]
pub mod parts;
mod pools;
mod queue;
mod retry;
pub mod sse;
mod stream;
mod tape;
#[cfg(test)]
mod tests;
mod traffic;
mod transport;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::chat::{ChatResponse, Message, OutputSchema, Sampling, Tools, Usage};
use crate::clock::Clock;
use crate::config::{ConnectionSettings, RateLimitConfig, RetryConfig};
use crate::log::Log;
use crate::metrics::{End, Origin, Recorder};
use crate::providers::{Failure, FailureKind, dialect};

use attempt::{Learned, Opened, Round, cost};
use feed::Feed;
use limit::{Arrival, Estimate};
use meter::Meter;
use pools::Pools;
use queue::{Entry, Permit, Queue};
use retry::{Decision, Policy};
use transport::Deadline;

pub use error::LlmError;
pub use fetch::{Fetch, FetchFailure, Fetched};
pub use host::{Chunk, Provider, ProviderError, Providers};
use stream::Flow;
pub use stream::ResponseStream;
pub use tape::Tape;
#[cfg(feature = "python")]
pub use tape::{Played, Recording, Take};
pub use transport::TransportOptions;

/// What a program asks of a model.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub origin: Origin,
    /// Settings in force when the call began.
    pub settings: Arc<ConnectionSettings>,
    /// The provider's id, aliases resolved.
    pub model_id: String,
    /// In order; rounds append theirs.
    pub messages: Vec<Message>,
    /// Sampling fields.
    pub sampling: Sampling,
    /// For typed answers.
    pub output: Option<Arc<OutputSchema>>,
    /// What the model may call.
    pub tools: Tools,
    /// Of one attempt.
    pub timeout: Duration,
    /// Of the whole call: queueing, all rounds, attempts and delays.
    pub deadline: Option<Duration>,
    /// The model's policy, which replaces that of the connection as a whole.
    pub retry: Option<RetryConfig>,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Name of the connection.
    pub connection: String,
    /// The answer of the last round.
    pub response: ChatResponse,
    /// Tokens of all rounds, as reported or estimated.
    pub usage: Usage,
    /// The server's id for the model; if it named none, the id that was asked for.
    pub model: String,
    /// US dollars for all rounds, if the price is known.
    pub cost: Option<f64>,
    /// HTTP attempts of all rounds.
    pub attempts: u32,
    /// Model turns.
    pub rounds: u32,
    /// From the start of the call.
    pub latency_ms: u64,
}

/// What a host says about all calls.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The share of a delay that may be added to it, so that clients that wait do not wake together; 0 turns it off.
    pub retry_jitter: f64,
    /// How many attempts may wait for the limits of one connection; `None` is no bound.
    pub max_queued_requests: Option<usize>,
    /// How many attempts may be under way at a time, over all connections.
    pub max_concurrent_requests: Option<usize>,
    /// Who answers for connections in this process.
    pub providers: Providers,
    /// Where time comes from.
    pub clock: Clock,
    /// Where records go.
    pub log: Log,
}

impl Default for CallOptions {
    fn default() -> Self {
        let (clock, log) = (Clock::system(), Log::default());
        Self {
            retry_jitter: 0.1,
            max_queued_requests: None,
            max_concurrent_requests: None,
            providers: Providers::default(),
            clock,
            log,
        }
    }
}

/// Makes calls. One per runtime: it holds the connection pools, the rate limits and what was learned about servers.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pools: Pools,
    learned: Learned,
    options: CallOptions,
    /// Room for attempts of all connections together, if it is bounded.
    room: Option<Arc<Semaphore>>,
    /// By name of the connection.
    queues: Mutex<HashMap<String, Arc<Queue>>>,
}

impl Shared {
    fn queue(&self, connection: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(connection) {
            return Arc::clone(queue);
        }
        let queue = Queue::new(self.options.max_queued_requests, self.options.clock.clone());
        queues.insert(connection.to_owned(), Arc::clone(&queue));
        queue
    }
}

impl Client {
    /// Where records go.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.options.log
    }

    /// The delay before retry number `retry`, counted from 1, of something that is no call (C-69, C-70).
    #[must_use]
    pub fn retry_delay(&self, policy: &RetryConfig, retry: u32) -> Duration {
        let policy = Policy::new(Some(policy), self.shared.options.retry_jitter);
        policy.delay(retry, None, fastrand::f64())
    }

    /// Whether the host itself answers for a connection.
    #[must_use]
    pub fn is_answered_by_host(&self, connection: &str) -> bool {
        self.shared.options.providers.has(connection)
    }

    /// A client without open connections.
    #[must_use]
    pub fn new(transport: TransportOptions, options: CallOptions) -> Self {
        let pools = Pools::new(transport);
        let (learned, queues) = (Learned::default(), Mutex::default());
        let room = options.max_concurrent_requests.map(|most| Arc::new(Semaphore::new(most)));
        Self { shared: Arc::new(Shared { pools, learned, options, room, queues }) }
    }

    /// Changes the limits of a connection, also for attempts that wait. `epoch` is that of the settings that they come from.
    pub fn limit(&self, connection: &str, limits: Option<&RateLimitConfig>, epoch: u64) {
        self.shared.queue(connection).set(limits, epoch);
    }

    /// Begins a call, which counts in all `recorders`. Nothing is sent before its first round.
    #[must_use]
    pub fn begin(&self, call: Call, recorders: Vec<Arc<Recorder>>) -> CallSession {
        let clock = &self.shared.options.clock;
        let meter = Meter::start(&call, recorders, clock.clone());
        let queue = self.shared.queue(&call.settings.name);
        queue.set(call.settings.rate_limit.as_ref(), call.settings.epoch);
        let until = call.deadline.map(|limit| Deadline::from(clock, meter.started, limit));
        let place = queue.arrive();
        CallSession { shared: Arc::clone(&self.shared), call, meter, queue, place, until }
    }

    /// Sends a plain request of a program; `allowed` judges the host and port of each step.
    ///
    /// # Errors
    /// [`FetchFailure`].
    pub async fn fetch(
        &self,
        fetch: Fetch,
        allowed: impl Fn(&str, u16) -> bool + Send + Sync + 'static,
    ) -> Result<Fetched, FetchFailure> {
        fetch::fetch(&self.shared.pools, fetch, Arc::new(allowed)).await
    }

    /// Makes a call of one round and waits for its whole answer.
    ///
    /// # Errors
    /// [`LlmError`].
    #[cfg(test)]
    pub async fn execute(
        &self,
        call: Call,
        recorders: Vec<Arc<Recorder>>,
    ) -> Result<Answer, LlmError> {
        let mut session = self.begin(call, recorders);
        let answer = session.round().await?;
        session.succeed();
        Ok(answer)
    }

    /// Opens a stream and waits for its first text.
    ///
    /// # Errors
    /// [`LlmError`]: everything that goes wrong before the first text.
    pub async fn stream(
        &self,
        call: Call,
        recorders: Vec<Arc<Recorder>>,
    ) -> Result<ResponseStream, LlmError> {
        self.begin(call, recorders).stream().await
    }
}

/// One call while it goes on. Its rounds share settings, time limit, place in the queue and counters.
///
/// The call ends with [`succeed`](Self::succeed), [`fail`](Self::fail) or the error of a round; one that is dropped before is
/// cancelled.
#[derive(Debug)]
pub struct CallSession {
    shared: Arc<Shared>,
    call: Call,
    meter: Meter,
    queue: Arc<Queue>,
    place: Arrival,
    /// The end of the whole call.
    until: Option<Deadline>,
}

impl CallSession {
    /// What is asked, with the messages of the rounds so far.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Appends messages for the next round.
    pub fn say(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.call.messages.extend(messages);
    }

    /// Makes one round: sends all messages and waits for the whole answer. The caller says whether it ends the call.
    ///
    /// # Errors
    /// [`LlmError`], which ends the call.
    pub async fn round(&mut self) -> Result<Answer, LlmError> {
        match self.attempts(false).await {
            Ok((Opened::Whole(response), permit)) => {
                self.meter.attempt_ended();
                let (answer, usage) = self.answered(*response);
                permit.end(cost(&usage));
                Ok(answer)
            }
            Ok((Opened::Stream(..), _)) => {
                let message = "the server sent a stream that was not asked for";
                let failure = Failure::new(FailureKind::InvalidResponse, message);
                Err(self.meter.fail(&self.call, failure))
            }
            Err(failure) => Err(self.meter.fail(&self.call, failure)),
        }
    }

    /// Counts the answer of a round.
    fn answered(&mut self, response: ChatResponse) -> (Answer, Usage) {
        traffic::warn_of_cut(&self.shared.options.log, &self.call, response.usage);
        self.meter.answer(&self.call, response)
    }

    /// Makes one round whose answer comes in pieces; waits for its first text.
    ///
    /// # Errors
    /// [`LlmError`]: everything that goes wrong before the first text.
    pub async fn stream(mut self) -> Result<ResponseStream, LlmError> {
        match self.open().await {
            Ok(opened) => Ok(ResponseStream::new(self, opened)),
            Err(failure) => Err(self.meter.fail(&self.call, failure)),
        }
    }

    /// Opens a round whose answer comes in pieces.
    async fn open(&mut self) -> Result<Flow, Failure> {
        let (opened, permit) = self.attempts(true).await?;
        let (feed, request_id) = match opened {
            Opened::Stream(feed, request_id) => (feed, request_id),
            Opened::Whole(response) => (Feed::whole(*response, &self.shared.options.clock), None),
        };
        Ok(Flow { feed, permit: Some(permit), request_id, text: String::new() })
    }

    /// Ends the call: its last answer is good.
    pub fn succeed(mut self) {
        self.meter.end(&End::Success);
    }

    /// Ends the call for a reason that lies in its answers, such as a schema that they do not fit.
    pub fn fail(mut self, kind: FailureKind) {
        self.meter.end(&End::Error(kind.word()));
    }

    /// Ends the call because of what was to be done between two rounds.
    pub fn broke(&mut self, failure: Failure) -> LlmError {
        self.meter.fail(&self.call, failure)
    }

    /// Work between two rounds, within the time of the whole call.
    ///
    /// # Errors
    /// That of the work; [`FailureKind::Timeout`].
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        transport::within(self.until.as_ref(), work).await
    }

    /// One round: as many attempts as the policy allows, each when the limits let it start. Gives the answer and the slot that it holds.
    async fn attempts(&mut self, stream: bool) -> Result<(Opened, Permit), Failure> {
        let retry = self.call.retry.as_ref().or(self.call.settings.retry.as_ref());
        let policy = Policy::new(retry, self.shared.options.retry_jitter);
        let (most, until) = (policy.max_attempts(), self.until.clone());
        let clock = self.shared.options.clock.clone();
        let dialect = dialect(self.call.settings.kind);
        let mut round =
            Round::new(&self.shared, &self.call, until.clone(), dialect, stream, most > 1)?;
        let mut attempt = 1;
        loop {
            let permit = self.admitted(&round, attempt == 1).await?;
            let outcome = {
                let _server = clock.outside();
                // Pinned here: each of the futures around it would hold it once more.
                let attempt = pin!(round.attempt(&self.meter));
                transport::within(until.as_ref(), attempt).await
            };
            let failure = match outcome {
                Ok(opened) => return Ok((opened, permit)),
                Err(failure) => failure,
            };
            permit.end(round.cost_of(&failure));
            self.meter.attempt_ended();
            let room = until.as_ref().map(Deadline::room);
            let decision = policy.after(attempt, &failure, room, fastrand::f64());
            let Decision::RetryAfter(delay) = decision else { return Err(failure) };
            round.traffic.retrying(attempt, most, &failure, delay);
            clock.sleep(delay).await; // without a slot (C-85)
            attempt += 1;
        }
    }

    /// Waits until the limits let an attempt start, and counts it.
    async fn admitted(&mut self, round: &Round, first: bool) -> Result<Permit, Failure> {
        let clock = self.shared.options.clock.clone();
        let entered = clock.now();
        let is_limited = self.queue.is_limited();
        let estimate = if is_limited { round.estimate() } else { Estimate::default() };
        let mut permit = match self.queue.enter(self.place, estimate) {
            Entry::Started(permit) => permit,
            Entry::Full(waiting) => return Err(queue_is_full(waiting)),
            Entry::Waits(waiting) => {
                let _counted = self.meter.queued();
                let started = async { Ok(waiting.started().await) };
                transport::queued_within(self.until.as_ref(), started).await?
            }
        };
        if let Some(room) = &self.shared.room {
            let (room, _counted) = (Arc::clone(room), self.meter.queued());
            let started = async { Ok(room.acquire_owned().await.ok()) };
            permit.room = transport::queued_within(self.until.as_ref(), started).await?;
        }
        self.meter.attempt(first, clock.since(entered));
        Ok(permit)
    }
}

/// C-90: not retried, since waiting is what there is no room for.
fn queue_is_full(waiting: usize) -> Failure {
    let message =
        format!("{waiting} requests wait already, as many as `max_queued_requests` allows");
    Failure { phase: Some("queue"), ..Failure::new(FailureKind::RateLimited, message) }
}
