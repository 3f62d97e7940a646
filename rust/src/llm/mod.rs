//! One model call from start to end: settings → attempt (encode, send, decode) → classify → answer, and metrics once per attempt.
//!
//! Knows no language and no wire format. Here belong, between the loop and the attempt: `limit.rs`, the rate limits, and `retry.rs`, who waits how
//! long before which attempt; both as pure rules of state and time. Until then a connection that asks for them is refused.

mod attempt;
mod error;
mod meter;
pub mod sse;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use crate::chat::{ChatResponse, Message, OutputSchema, Sampling, Usage};
use crate::config::{ConnectionSettings, RetryConfig};
use crate::metrics::{End, Origin, Recorder};
use crate::providers::{Dialect, Failure, FailureKind, StreamDecoder, dialect};

use attempt::{Exchange, Learned};
use meter::Meter;

pub use error::LlmError;
pub use stream::ResponseStream;
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
    pub output: Option<OutputSchema>,
    /// Of one attempt.
    pub timeout: Duration,
    /// Of the whole call: queueing, all rounds, attempts and delays.
    #[allow(dead_code, reason = "kept by the call loop, with the rate limits")]
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

/// Makes calls. One per runtime: it holds the connection pools and what was learned about servers.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: transport::Transport,
    learned: Learned,
}

impl Client {
    /// A client without open connections.
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        let transport = transport::Transport::new(options);
        Self { shared: Arc::new(Shared { transport, learned: Learned::default() }) }
    }

    /// Begins a call, which counts in all `recorders`. Nothing is sent before its first round.
    #[must_use]
    pub fn begin(&self, call: Call, recorders: Vec<Arc<Recorder>>) -> CallSession {
        let meter = Meter::start(&call, recorders);
        CallSession { shared: Arc::clone(&self.shared), call, meter }
    }

    /// Makes a call of one round and waits for its whole answer.
    ///
    /// # Errors
    /// [`LlmError`].
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

/// One call while it goes on. Its rounds share settings, time limit and counters.
///
/// The call ends with [`succeed`](Self::succeed), [`fail`](Self::fail) or the error of a round; one that is dropped before is
/// cancelled.
#[derive(Debug)]
pub struct CallSession {
    shared: Arc<Shared>,
    call: Call,
    meter: Meter,
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
        match self.attempt(false).await {
            Ok(Opened::Whole(response)) => Ok(self.meter.answer(&self.call, response)),
            Ok(Opened::Stream(..)) => {
                let message = "the server sent a stream that was not asked for";
                let failure = Failure::new(FailureKind::InvalidResponse, message);
                Err(self.meter.fail(&self.call, failure))
            }
            Err(failure) => Err(self.meter.fail(&self.call, failure)),
        }
    }

    /// Makes one round whose answer comes in pieces; waits for its first text.
    ///
    /// # Errors
    /// [`LlmError`]: everything that goes wrong before the first text.
    pub async fn stream(mut self) -> Result<ResponseStream, LlmError> {
        match self.attempt(true).await {
            Ok(opened) => ResponseStream::open(self, opened).await,
            Err(failure) => Err(self.meter.fail(&self.call, failure)),
        }
    }

    /// Ends the call: its last answer is good.
    pub fn succeed(mut self) {
        self.meter.end(&End::Success);
    }

    /// Ends the call for a reason that lies in its answers, such as a schema that they do not fit.
    pub fn fail(mut self, kind: FailureKind) {
        self.meter.end(&End::Error(kind.word()));
    }

    /// One attempt. What the configuration rules out fails before it counts as one.
    async fn attempt(&mut self, stream: bool) -> Result<Opened, Failure> {
        let dialect = usable_dialect(&self.call)?;
        let pool = self.shared.transport.pool(&self.call.settings, self.call.timeout)?;
        let learned = &self.shared.learned;
        let exchange = Exchange { call: &self.call, dialect, pool: &pool, learned, stream };
        self.meter.round();
        self.meter.attempt();
        let outcome = exchange.send(&self.meter).await;
        self.meter.attempt_ended();
        outcome
    }
}

/// How a server answered.
enum Opened {
    /// With a stream; the server's id of the request, and how to read it.
    Stream(reqwest::Response, Option<String>, Box<dyn StreamDecoder>),
    /// With the whole answer.
    Whole(ChatResponse),
}

/// The feature that a call needs and this release does not have.
fn not_there_yet(call: &Call) -> Option<(&'static str, String)> {
    let settings = &call.settings;
    if settings.retry.as_ref().is_some_and(|retry| retry.max_attempts.unwrap_or(1) > 1) {
        return Some(("retry", "this release does not repeat failed requests yet; remove `retry` or set `max_attempts: 1`".to_owned()));
    }
    let limit = settings.rate_limit.as_ref()?;
    let limited =
        limit.requests_per_minute.or(limit.tokens_per_minute).or(limit.concurrent_requests);
    limited.map(|_| {
        ("rate_limit", "this release does not keep rate limits yet; remove `rate_limit`".to_owned())
    })
}

fn usable_dialect(call: &Call) -> Result<&'static dyn Dialect, Failure> {
    if let Some((field, message)) = not_there_yet(call) {
        return Err(Failure {
            param: Some(field.to_owned()),
            ..Failure::new(FailureKind::Config, message)
        });
    }
    Ok(dialect(call.settings.kind))
}
