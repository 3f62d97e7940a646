//! What each provider's protocol looks like: requests out, answers in. Codecs translate; they never connect, wait, retry or log.
//!
//! One folder per protocol: `openai` serves the kinds openai, ollama and custom. What all share: `classify` for errors, `quirks` for fields that a server
//! refuses, `answer` for judging what came, `told` for schemas in words.

mod answer;
pub mod anthropic;
#[cfg(test)]
mod cassette_requests;
#[cfg(test)]
mod cassettes;
pub mod classify;
pub mod google;
pub mod openai;
mod quirks;
mod recursion;
#[cfg(test)]
mod round_trips;
mod told;
mod waits;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::chat::{ChatRequest, ChatResponse};
use crate::clock;
use crate::config::{ConnectionSettings, ProviderKind};
use crate::wire::{HttpRequest, HttpResponse, ServerLimit, SseEvent};

pub use quirks::Quirks;

/// What went wrong, in the words of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the language reference")]
pub enum FailureKind {
    Config,
    Authentication,
    PermissionDenied,
    Network,
    ServerError,
    StreamInterrupted,
    Timeout,
    RateLimited,
    QuotaExceeded,
    ModelNotFound,
    InvalidRequest,
    ContextLength,
    ContentFiltered,
    InvalidResponse,
    ToolLimit,
    Custom,
    Schema,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Config,
        Self::Authentication,
        Self::PermissionDenied,
        Self::Network,
        Self::ServerError,
        Self::StreamInterrupted,
        Self::Timeout,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::ModelNotFound,
        Self::InvalidRequest,
        Self::ContextLength,
        Self::ContentFiltered,
        Self::InvalidResponse,
        Self::ToolLimit,
        Self::Custom,
        Self::Schema,
    ];

    /// The `kind` of the `LlmError`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Authentication => "authentication",
            Self::PermissionDenied => "permission_denied",
            Self::Network => "network",
            Self::ServerError => "server_error",
            Self::StreamInterrupted => "stream_interrupted",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limit",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ModelNotFound => "model_not_found",
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength => "context_length",
            Self::ContentFiltered => "content_filtered",
            Self::InvalidResponse => "invalid_response",
            Self::ToolLimit => "tool_limit",
            Self::Custom => "custom",
            Self::Schema => "schema",
        }
    }

    /// Which retry policy applies to failures of the kind that say nothing else; `None` is never retried.
    #[must_use]
    pub fn retry_class(self) -> Option<RetryClass> {
        match self {
            Self::RateLimited => Some(RetryClass::RateLimit),
            Self::ServerError | Self::Network => Some(RetryClass::ServerError),
            Self::Timeout => Some(RetryClass::Timeout),
            _ => None,
        }
    }

    /// The kind in words for messages.
    #[must_use]
    pub fn phrase(self) -> String {
        self.word().replace('_', " ")
    }
}

/// Which retry policy applies to a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryClass {
    /// Too many requests.
    RateLimit,
    /// The service failed.
    ServerError,
    /// A time limit.
    Timeout,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// `None` is never retried.
    pub class: Option<RetryClass>,
    /// HTTP status.
    pub status: Option<u16>,
    /// What the server or the transport said.
    pub message: String,
    /// The server's code for it.
    pub code: Option<String>,
    /// The field that the server objects to.
    pub param: Option<String>,
    /// `overloaded`.
    pub detail: Option<&'static str>,
    /// The server's wish how long to wait.
    pub retry_after: Option<Duration>,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// Which time limit: `connect`, `response`, `body`, `idle`.
    pub phase: Option<&'static str>,
    /// A part of an unusable body.
    pub raw: String,
    /// Usage that the server reported in spite of the failure.
    pub usage: Option<crate::chat::Usage>,
}

impl Failure {
    /// A failure that is not retried.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            class: None,
            status: None,
            message: message.into(),
            code: None,
            param: None,
            detail: None,
            retry_after: None,
            request_id: None,
            phase: None,
            raw: String::new(),
            usage: None,
        }
    }

    /// With a retry class.
    #[must_use]
    pub fn retried_as(mut self, class: RetryClass) -> Self {
        self.class = Some(class);
        self
    }
}

/// Speaks one protocol.
pub trait Dialect: Send + Sync {
    /// The request to send, complete with path, headers and body.
    ///
    /// # Errors
    /// A [`Failure`] if the request cannot be expressed.
    fn encode(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
    ) -> Result<HttpRequest, Failure>;

    /// Reads a whole answer to this request.
    ///
    /// # Errors
    /// A [`Failure`]: a status outside 2xx, an error inside 2xx, or an unusable body.
    fn decode(&self, chat: &ChatRequest, answer: &HttpResponse) -> Result<ChatResponse, Failure>;

    /// What to change before the request is sent once more, if the server refused a field that not all servers know.
    ///
    /// `quirks` are those that the request was encoded with; `is_second` says that they were learned from the refusal just before it.
    fn learn(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
        is_second: bool,
        failure: &Failure,
    ) -> Option<Quirks>;

    /// The failure with the program's field that the server's text refuses as its `param`, if the server named none itself.
    fn blame(&self, chat: &ChatRequest, failure: Failure) -> Failure;

    /// A fresh reader of one streamed answer to this request.
    fn stream_decoder(&self, chat: &ChatRequest) -> Box<dyn StreamDecoder>;
}

/// Holds the half-read state of one streamed answer.
pub trait StreamDecoder: Send {
    /// Reads an event and gives the text that it adds, which may be empty.
    ///
    /// # Errors
    /// An error that stands in the stream, or an event that is not JSON.
    fn push(&mut self, event: &SseEvent) -> Result<String, Failure>;

    /// Whether the end marker has come, so that nothing else matters.
    fn is_done(&self) -> bool;

    /// Whether the answer is whole, though something may still follow, such as its usage.
    fn is_whole(&self) -> bool {
        self.is_done()
    }

    /// The answer without its text, at the end of the body.
    ///
    /// # Errors
    /// The body ended without an end marker.
    fn finish(&mut self) -> Result<ChatResponse, Failure>;

    /// The usage so far, for streams that end early.
    fn usage(&self) -> Option<crate::chat::Usage>;
}

/// The dialect of a kind.
#[must_use]
pub fn dialect(kind: ProviderKind) -> &'static dyn Dialect {
    match kind {
        ProviderKind::OpenAi | ProviderKind::Ollama | ProviderKind::Custom => &openai::OpenAi,
        ProviderKind::Anthropic => &anthropic::Anthropic,
        ProviderKind::Google => &google::Google,
    }
}

/// What the headers of an answer say about the limits of its server, by what is limited (C-92).
#[must_use]
pub fn server_limits(headers: &[(String, String)]) -> Vec<(&'static str, ServerLimit)> {
    waits::server_limits(headers, clock::wall())
}

/// A request body as it is sent.
fn json_bytes(body: &impl Serialize) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))?;
    Ok(bytes.into())
}

/// The text of an answer with a good status; any other status is a failure.
fn good_text(answer: &HttpResponse) -> Result<Cow<'_, str>, Failure> {
    if !(200..300).contains(&answer.status) {
        let (headers, body) = (&answer.headers, &answer.body);
        return Err(classify::http_error(answer.status, headers, body, clock::wall()));
    }
    Ok(answer::body(&answer.body))
}
