//! Answers of a script instead of the usual ones: the words between the engine, which asks, and the mock provider, which knows scripts.

use std::fmt::Debug;
use std::time::Duration;

use serde_json::Value as Json;

use crate::wire::HttpResponse;

/// A question as the rules of a script see it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The protocol of the connection: `openai`, `anthropic` or `gemini`.
    pub dialect: &'a str,
    /// Its name.
    pub connection: &'a str,
    /// The provider's id.
    pub model: &'a str,
    /// The last message.
    pub prompt: &'a str,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
    /// What the answer must fit.
    pub schema: Option<&'a Json>,
}

/// An answer in the form of the protocol, which may be an error.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// Before the answer.
    pub latency: Duration,
    /// Between the pieces of a stream.
    pub pause: Duration,
    /// The text of a stream.
    pub pieces: Vec<String>,
    /// The whole answer.
    pub answer: HttpResponse,
}

/// Answers questions in place of providers.
pub trait Script: Debug + Send + Sync {
    /// The answer to this question; it may change what the next one gets.
    fn answer(&self, question: &Question<'_>) -> Scripted;
}
