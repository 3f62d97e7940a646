//! A failed call, with everything that a program or a host may want to know.

use std::time::Duration;

use super::{Call, transport};
use crate::clock;
use crate::config::ProviderKind;
use crate::providers::{Failure, FailureKind};
use crate::secret::scrub;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 600;

/// A failed model call. The message begins with the connection and the cause; secrets are scrubbed.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmError {
    /// The last attempt's failure.
    pub failure: Failure,
    /// One line for people.
    pub message: String,
    /// Name of the connection.
    pub connection: String,
    /// Name of the model in the program.
    pub model: String,
    /// The id that was asked for.
    pub model_id: String,
    /// HTTP attempts; 0 if no request was sent.
    pub attempts: u32,
    /// From the start of the call.
    pub latency_ms: u64,
    /// The time limit that ran out.
    pub timeout: Option<Duration>,
    /// The field of a configuration error.
    pub field: Option<String>,
    /// Why an answer does not fit its schema: `truncated`, or the reason of the first violation.
    pub reason: Option<&'static str>,
    /// Answers that were judged, if the last one does not fit its schema.
    pub rounds: u32,
    /// How an answer does not fit its schema.
    pub violations: Vec<crate::schema::Violation>,
    /// For interrupted streams: what broke them, the text so far, and how many chunks it came in.
    pub interrupted: Option<Interrupted>,
}

/// How far a stream got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// `network`, `timeout`, `server_error`, `rate_limit` or `invalid_response`.
    pub cause: &'static str,
    /// Everything that was delivered.
    pub partial_text: String,
    /// In how many chunks.
    pub chunks: u64,
}

impl std::fmt::Display for LlmError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LlmError {}

impl LlmError {
    /// The error of a call whose last attempt failed like this.
    #[must_use]
    pub fn new(call: &Call, mut failure: Failure, attempts: u32, latency: Duration) -> Self {
        let secrets = call.settings.secrets();
        let server_texts = [&mut failure.code, &mut failure.param, &mut failure.request_id];
        for text in [&mut failure.message, &mut failure.raw]
            .into_iter()
            .chain(server_texts.into_iter().flatten())
        {
            *text = scrub(text, &secrets);
        }
        let status = failure.status.map_or(String::new(), |status| format!("{status} "));
        let cause = failure.kind.phrase();
        let said = format!("{}{}", failure.message, help(call, &failure));
        let line = format!("{}: {status}{cause}: {said}", call.origin.connection);
        let timed_out = failure.kind == FailureKind::Timeout;
        Self {
            message: one_line(&line, &after(attempts)),
            connection: call.origin.connection.clone(),
            model: call.origin.model.clone(),
            model_id: call.model_id.clone(),
            attempts,
            latency_ms: clock::millis(latency),
            timeout: timed_out.then(|| limit(call, failure.phase)),
            field: None,
            reason: None,
            rounds: 0,
            violations: Vec::new(),
            interrupted: None,
            failure,
        }
    }

    /// A setting that keeps a call from being made.
    #[must_use]
    pub fn config(
        connection: &str,
        model: &str,
        model_id: &str,
        field: &str,
        message: &str,
    ) -> Self {
        Self {
            message: one_line(message, ""),
            failure: Failure::new(FailureKind::Config, message),
            connection: connection.to_owned(),
            model: model.to_owned(),
            model_id: model_id.to_owned(),
            attempts: 0,
            latency_ms: 0,
            timeout: None,
            field: Some(field.to_owned()).filter(|field| !field.is_empty()),
            reason: None,
            rounds: 0,
            violations: Vec::new(),
            interrupted: None,
        }
    }

    /// Replaces the message: made into one line, and cut.
    pub fn set_message(&mut self, message: &str) {
        self.message = one_line(message, "");
    }

    /// The same error for a stream that had begun to deliver.
    #[must_use]
    pub(super) fn interrupt(mut self, partial_text: String, chunks: u64) -> Self {
        let cause = match self.failure.kind {
            FailureKind::Timeout => "timeout",
            FailureKind::RateLimited => "rate_limit",
            FailureKind::InvalidResponse => "invalid_response",
            FailureKind::Network => "network",
            _ => "server_error",
        };
        self.failure.kind = FailureKind::StreamInterrupted;
        let said = &self.failure.message;
        let text = format!("{}: stream interrupted after {chunks} chunks: {said}", self.connection);
        self.message = one_line(&text, &after(self.attempts));
        self.interrupted = Some(Interrupted { cause, partial_text, chunks });
        self
    }
}

/// What to look at, where the server's or the transport's own text does not say it.
fn help(call: &Call, failure: &Failure) -> String {
    let (text, id) = (&failure.message, &call.model_id);
    match (failure.kind, failure.param.as_deref()) {
        (FailureKind::Timeout, _) if failure.phase == Some("connect") => String::new(),
        (FailureKind::Timeout, _) if matches!(failure.phase, Some("queue" | "call")) => {
            "; raise `@timeout` if the model may take longer".to_owned()
        }
        (FailureKind::Timeout, _) if failure.phase.is_some() => {
            let why = match call.settings.kind {
                ProviderKind::Ollama => "a first request also loads the model",
                _ => "the model needs longer",
            };
            format!("; raise `timeout` if {why}")
        }
        (FailureKind::InvalidRequest, Some(field))
            if !text.contains(field) || !text.contains(id) =>
        {
            format!(" (field `{field}`, model `{id}`)")
        }
        (FailureKind::ModelNotFound, _) if !text.contains(id) => {
            format!(" (model `{id}`; if the model exists, check `base_url`)")
        }
        _ => String::new(),
    }
}

/// The time limit that ran out in this phase.
fn limit(call: &Call, phase: Option<&str>) -> Duration {
    match phase {
        Some("queue" | "call") => call.deadline.unwrap_or(call.timeout),
        Some("connect") => call.timeout.min(transport::CONNECT),
        _ => call.timeout,
    }
}

/// C-75: how often it was tried, if more than once.
fn after(attempts: u32) -> String {
    if attempts > 1 { format!(" (after {attempts} attempts)") } else { String::new() }
}

/// Control characters escaped, and not too long; the suffix is never cut off.
fn one_line(text: &str, suffix: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    let most = MAX_MESSAGE.saturating_sub(suffix.chars().count());
    if line.chars().count() > most {
        line = line.chars().take(most.saturating_sub(3)).chain("...".chars()).collect();
    }
    line + suffix
}
