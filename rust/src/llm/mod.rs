//! One model call from start to end: settings → attempt (encode, send, decode) → classify → answer, and metrics once per attempt.
//!
//! Knows no language and no wire format. Here belong, between the loop and the attempt: `limit.rs`, the rate limits, and `retry.rs`, who waits how
//! long before which attempt; both as pure rules of state and time. Until then a connection that asks for them is refused.

mod error;
mod meter;
pub mod sse;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::chat::{ChatRequest, ChatResponse, Message, OutputSchema, Sampling, Usage};
use crate::config::ConnectionSettings;
use crate::metrics::{Origin, Recorder};
use crate::providers::{Dialect, Failure, FailureKind, Quirks, dialect};
use crate::wire;

use meter::Meter;
use transport::Deadline;

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
    /// In order.
    pub messages: Vec<Message>,
    /// Sampling fields.
    pub sampling: Sampling,
    /// For typed answers.
    pub output: Option<OutputSchema>,
    /// Of one attempt.
    pub timeout: Duration,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Name of the connection.
    pub connection: String,
    /// The answer.
    pub response: ChatResponse,
    /// Tokens, as reported or estimated.
    pub usage: Usage,
    /// The server's id for the model; if it named none, the id that was asked for.
    pub model: String,
    /// US dollars, if the price is known.
    pub cost: Option<f64>,
    /// HTTP attempts.
    pub attempts: u32,
    /// From the start of the call.
    pub latency_ms: u64,
}

/// Makes calls. One per runtime: it holds the connection pools and what was learned about servers.
#[derive(Debug)]
pub struct Client {
    transport: transport::Transport,
    /// By name and base URL: an override may point a connection at another server.
    quirks: Mutex<HashMap<(String, String), Quirks>>,
}

impl Client {
    /// A client without open connections.
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        Self { transport: transport::Transport::new(options), quirks: Mutex::default() }
    }

    /// Makes a call and waits for its whole answer; counts it in all `recorders`.
    ///
    /// # Errors
    /// [`LlmError`].
    pub async fn execute(
        &self,
        call: Call,
        recorders: Vec<Arc<Recorder>>,
    ) -> Result<Answer, LlmError> {
        let mut meter = Meter::start(&call, recorders);
        match self.attempt(&call, false, &mut meter).await {
            Ok(Opened::Whole(response)) => Ok(meter.answer(&call, response)),
            Ok(Opened::Stream(..)) => {
                let message = "the server sent a stream that was not asked for";
                Err(meter.fail(&call, Failure::new(FailureKind::InvalidResponse, message)))
            }
            Err(failure) => Err(meter.fail(&call, failure)),
        }
    }

    /// Opens a stream and waits for its first text; counts it in all `recorders`.
    ///
    /// # Errors
    /// [`LlmError`]: everything that goes wrong before the first text.
    pub async fn stream(
        &self,
        call: Call,
        recorders: Vec<Arc<Recorder>>,
    ) -> Result<ResponseStream, LlmError> {
        let mut meter = Meter::start(&call, recorders);
        match self.attempt(&call, true, &mut meter).await {
            Ok(opened) => ResponseStream::open(call, meter, opened).await,
            Err(failure) => Err(meter.fail(&call, failure)),
        }
    }

    /// One attempt. What the configuration rules out fails before it counts as one.
    async fn attempt(
        &self,
        call: &Call,
        stream: bool,
        meter: &mut Meter,
    ) -> Result<Opened, Failure> {
        let dialect = usable_dialect(call)?;
        let pool = self.transport.pool(&call.settings, call.timeout)?;
        meter.attempt();
        let outcome = self.exchange(call, dialect, &pool, stream, meter).await;
        meter.attempt_ended();
        outcome
    }

    /// Sends the request; once more, within the same time limit, for each field that this server turns out not to know.
    async fn exchange(
        &self,
        call: &Call,
        dialect: &'static dyn Dialect,
        pool: &transport::Pool,
        stream: bool,
        meter: &Meter,
    ) -> Result<Opened, Failure> {
        let deadline = Deadline::after(call.timeout);
        let chat = chat(call, stream);
        let known = self.quirks_of(&call.settings);
        let mut quirks = known.clone();
        loop {
            let request = dialect.encode(&chat, &call.settings, &quirks)?;
            meter.sent(request.body.len());
            let response = pool.send(&call.settings, request, stream, deadline).await?;
            let head = transport::head(&response);
            if stream && head.is_event_stream() {
                self.remember(&call.settings, &known, quirks);
                let id = wire::request_id(&head.headers).map(str::to_owned);
                return Ok(Opened::Stream(response, id, dialect));
            }
            // A whole answer, an error, or a server that answers a stream request with plain JSON.
            let answer = transport::read_body(response, deadline).await?;
            meter.received(answer.body.len(), 0);
            let id = wire::request_id(&answer.headers).map(str::to_owned);
            match dialect.decode(&answer) {
                Ok(whole) => {
                    self.remember(&call.settings, &known, quirks);
                    let request_id = id.or(whole.request_id);
                    return Ok(Opened::Whole(ChatResponse { request_id, ..whole }));
                }
                Err(failure) => {
                    let is_second = quirks != known;
                    match dialect.learn(&chat, &call.settings, &quirks, is_second, &failure) {
                        Some(next) => quirks = next,
                        None => {
                            let request_id = id.or(failure.request_id);
                            return Err(Failure { request_id, ..failure });
                        }
                    }
                }
            }
        }
    }

    fn quirks_of(&self, settings: &ConnectionSettings) -> Quirks {
        let quirks = self.quirks.lock().unwrap_or_else(PoisonError::into_inner);
        quirks.get(&server(settings)).cloned().unwrap_or_default()
    }

    /// Keeps what a request that the server took was changed by.
    fn remember(&self, settings: &ConnectionSettings, known: &Quirks, now: Quirks) {
        if *known != now {
            let mut quirks = self.quirks.lock().unwrap_or_else(PoisonError::into_inner);
            quirks.entry(server(settings)).or_default().add(now);
        }
    }
}

fn server(settings: &ConnectionSettings) -> (String, String) {
    (settings.name.clone(), settings.base_url.clone())
}

/// How a server answered.
enum Opened {
    /// With a stream; the server's id of the request, and how to read it.
    Stream(reqwest::Response, Option<String>, &'static dyn Dialect),
    /// With the whole answer.
    Whole(ChatResponse),
}

fn chat(call: &Call, stream: bool) -> ChatRequest {
    ChatRequest {
        model: call.model_id.clone(),
        messages: call.messages.clone(),
        sampling: call.sampling.clone(),
        output: call.output.clone(),
        stream,
    }
}

/// The feature that a call needs and this release does not have.
fn not_there_yet(call: &Call) -> Option<(&'static str, String)> {
    let settings = &call.settings;
    if dialect(settings.kind).is_none() {
        let kind = settings.kind.word();
        return Some((
            "provider",
            format!(
                "this release does not speak the protocol of `{kind}` yet; it speaks openai, ollama and custom"
            ),
        ));
    }
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
    dialect(call.settings.kind).ok_or_else(|| Failure::new(FailureKind::Config, "no protocol"))
}
