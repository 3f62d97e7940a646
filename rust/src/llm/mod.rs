//! One model call from start to end: settings → attempt (encode, send, decode) → classify → answer, and metrics once per attempt.
//!
//! Knows no language and no wire format. Here belong, between the loop and the attempt: `limit.rs`, the rate limits, and `retry.rs`, who waits how
//! long before which attempt; both as pure rules of state and time. Until then a connection that asks for them is refused.

mod error;
pub mod sse;
mod stream;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::{
    ChatRequest, ChatResponse, Message, OutputSchema, Sampling, Usage, estimate_prompt,
    estimate_tokens,
};
use crate::clock;
use crate::config::ConnectionSettings;
use crate::metrics::{End, Origin, Recorder};
use crate::providers::{Dialect, Failure, FailureKind, Quirks, dialect};
use crate::wire::find;

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
    quirks: Mutex<HashMap<String, Quirks>>,
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
        let attempts = u32::from(not_there_yet(&call).is_none());
        match self.whole_answer(&call, &mut meter).await {
            Ok(response) => Ok(meter.answer(&call, response, attempts)),
            Err(failure) => Err(meter.fail(&call, failure, attempts)),
        }
    }

    async fn whole_answer(&self, call: &Call, meter: &mut Meter) -> Result<ChatResponse, Failure> {
        let dialect = usable_dialect(call)?;
        meter.round();
        loop {
            let deadline = clock::now() + call.timeout;
            let request = self.request(call, dialect, false)?;
            meter.attempt(request.body.len() as u64);
            let answer = async {
                let response =
                    self.transport.send(&call.settings, request, false, deadline).await?;
                transport::read_body(response, deadline).await
            };
            let answer = answer.await;
            meter.attempt_ended();
            let answer = answer?;
            meter.received(answer.body.len() as u64, 0);
            match dialect.decode(&answer) {
                Err(failure) if self.learned(call, dialect, false, &failure) => {}
                Err(mut failure) => {
                    failure.request_id = failure.request_id.or_else(|| request_id(&answer.headers));
                    return Err(failure);
                }
                Ok(mut response) => {
                    response.request_id = request_id(&answer.headers).or(response.request_id);
                    return Ok(response);
                }
            }
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
        let attempts = u32::from(not_there_yet(&call).is_none());
        let call = Arc::new(call);
        match self.open_stream(&call, &mut meter).await {
            Ok((opened, id, dialect)) => {
                let mut stream =
                    ResponseStream::new(Arc::clone(&call), meter, attempts, opened, id, dialect);
                match stream.open().await {
                    Ok(()) => Ok(stream),
                    // The failure is what `next` would say first.
                    Err(failure) => match stream.next().await {
                        Some(Err(error)) => Err(error),
                        _ => Err(LlmError::new(&call, failure, attempts, clock::now())),
                    },
                }
            }
            Err(failure) => Err(meter.fail(&call, failure, attempts)),
        }
    }

    async fn open_stream(
        &self,
        call: &Call,
        meter: &mut Meter,
    ) -> Result<(Opened, Option<String>, &'static dyn Dialect), Failure> {
        let dialect = usable_dialect(call)?;
        meter.round();
        loop {
            let deadline = clock::now() + call.timeout;
            let request = self.request(call, dialect, true)?;
            meter.attempt(request.body.len() as u64);
            let response = self.transport.send(&call.settings, request, true, deadline).await;
            meter.attempt_ended();
            let response = response?;
            let (status, headers) = transport::head(&response);
            let is_stream =
                find(&headers, "content-type").is_none_or(|ty| !ty.starts_with("application/json"));
            if (200..300).contains(&status) && is_stream {
                return Ok((Opened::Stream(response), request_id(&headers), dialect));
            }
            // An error, or a server that answers a stream request with plain JSON.
            let answer = transport::read_body(response, deadline).await?;
            match dialect.decode(&answer) {
                Ok(whole) => return Ok((Opened::Whole(whole), request_id(&headers), dialect)),
                Err(failure) if self.learned(call, dialect, true, &failure) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    fn request(
        &self,
        call: &Call,
        dialect: &dyn Dialect,
        stream: bool,
    ) -> Result<crate::wire::HttpRequest, Failure> {
        let quirks = self.quirks_of(&call.settings.name);
        dialect.encode(&chat(call, stream), &call.settings, &quirks)
    }

    fn quirks_of(&self, connection: &str) -> Quirks {
        let quirks = self.quirks.lock().unwrap_or_else(PoisonError::into_inner);
        quirks.get(connection).cloned().unwrap_or_default()
    }

    /// Whether the failure taught us something that makes the same request worth sending once more.
    fn learned(&self, call: &Call, dialect: &dyn Dialect, stream: bool, failure: &Failure) -> bool {
        let known = self.quirks_of(&call.settings.name);
        let Some(next) = dialect.learn(&chat(call, stream), failure, &known) else { return false };
        let mut quirks = self.quirks.lock().unwrap_or_else(PoisonError::into_inner);
        quirks.insert(call.settings.name.clone(), next);
        true
    }
}

/// How a server answered a stream request.
enum Opened {
    /// With a stream.
    Stream(reqwest::Response),
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

fn request_id(headers: &[(String, String)]) -> Option<String> {
    find(headers, "x-request-id").map(str::to_owned)
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
        let message = format!("field `{field}`: {message}");
        return Err(Failure {
            param: Some(field.to_owned()),
            ..Failure::new(FailureKind::Config, message)
        });
    }
    dialect(call.settings.kind).ok_or_else(|| Failure::new(FailureKind::Config, "no protocol"))
}

/// Counts one call in several recorders. A call that is dropped half-way counts as cancelled.
#[derive(Debug)]
struct Meter {
    origin: Origin,
    recorders: Vec<Arc<Recorder>>,
    started: Instant,
    attempt_started: Instant,
    attempts: u32,
    over: bool,
}

impl Meter {
    fn start(call: &Call, recorders: Vec<Arc<Recorder>>) -> Self {
        let now = clock::now();
        let meter = Self {
            origin: call.origin.clone(),
            recorders,
            started: now,
            attempt_started: now,
            attempts: 0,
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

    fn round(&self) {
        self.each(Recorder::round_started);
    }

    fn attempt(&mut self, bytes: u64) {
        let first = self.attempts == 0;
        self.attempts += 1;
        self.attempt_started = clock::now();
        self.each(|recorder, origin| recorder.attempt_started(origin, first, bytes));
    }

    fn attempt_ended(&self) {
        let milliseconds = self.attempt_started.elapsed().as_secs_f64() * 1000.0;
        self.each(|recorder, origin| recorder.attempt_ended(origin, milliseconds));
    }

    fn received(&self, bytes: u64, chunks: u64) {
        self.each(|recorder, origin| recorder.received(origin, bytes, chunks));
    }

    fn first_chunk(&self) {
        let milliseconds = self.started.elapsed().as_secs_f64() * 1000.0;
        self.each(|recorder, origin| recorder.first_chunk(origin, milliseconds));
    }

    fn used(&self, call: &Call, base: &str, usage: &Usage) -> Option<f64> {
        let kind = call.settings.kind;
        let costs = self.recorders.iter().map(|r| r.used(&self.origin, kind, base, usage));
        costs.collect::<Vec<_>>().into_iter().next().flatten()
    }

    fn end(&mut self, end: &End) {
        if !std::mem::replace(&mut self.over, true) {
            let latency = self.started.elapsed().as_secs_f64() * 1000.0;
            self.each(|recorder, origin| recorder.call_ended(origin, end, latency, false));
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn answer(&mut self, call: &Call, response: ChatResponse, attempts: u32) -> Answer {
        let usage = response.usage.unwrap_or_else(|| Usage {
            tokens_in: estimate_prompt(&call.messages, call.output.as_ref()),
            tokens_out: estimate_tokens(&response.text),
            is_estimated: true,
            ..Usage::default()
        });
        let model = response.model.clone().unwrap_or_else(|| call.model_id.clone());
        let cost = self.used(call, &model, &usage);
        self.end(&End::Success);
        let latency_ms = clock::millis(self.started.elapsed());
        Answer {
            connection: self.origin.connection.clone(),
            response,
            usage,
            model,
            cost,
            attempts,
            latency_ms,
        }
    }

    fn fail(&mut self, call: &Call, failure: Failure, attempts: u32) -> LlmError {
        // A filtered answer is billed.
        if let Some(usage) = failure.usage {
            self.used(call, &call.model_id, &usage);
        }
        self.end(&End::Error(failure.kind.word()));
        if failure.kind == FailureKind::Config {
            let field = failure.param.clone().unwrap_or_default();
            let message = format!("connection `{}`: {}", call.origin.connection, failure.message);
            return LlmError::config(
                &call.origin.connection,
                &call.origin.model,
                &call.model_id,
                &field,
                &message,
            );
        }
        LlmError::new(call, failure, attempts, self.started)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(&End::Cancelled);
    }
}
