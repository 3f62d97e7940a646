//! What the log shows of requests: at `debug` method, URL without its query, status, sizes and durations; at `trace` bodies too (E-13).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::retry::class_word;
use super::transport::Head;
use super::{Call, CallOptions};
use crate::chat::{Usage, estimate_prompt};
use crate::clock::{self, Clock};
use crate::config::{ConnectionSettings, ProviderKind};
use crate::log::{Log, LogLevel};
use crate::metrics::Origin;
use crate::providers::Failure;
use crate::secret::scrub;
use crate::wire::HttpRequest;

/// The longest part of a body that is shown.
const MAX_SHOWN: usize = 4 << 10;

/// Logs the traffic of one round.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    log: Log,
    origin: Origin,
    settings: Arc<ConnectionSettings>,
    clock: Clock,
    sent: Instant,
}

impl Traffic {
    pub(super) fn new(options: &CallOptions, call: &Call) -> Self {
        let (log, clock) = (options.log.clone(), options.clock.clone());
        let settings = Arc::clone(&call.settings);
        Self { log, origin: call.origin.clone(), settings, sent: clock.now(), clock }
    }

    fn who(&self) -> String {
        format!("{} ({})", self.origin.connection, self.origin.model)
    }

    /// C-78: an attempt failed and is made again.
    pub(super) fn retrying(&self, attempt: u32, most: u32, failure: &Failure, delay: Duration) {
        self.log.write(LogLevel::Warn, || {
            let class = failure.class.map_or("none", class_word);
            let seconds = delay.as_secs_f64();
            let who = self.who();
            format!("{who}: attempt {attempt} of {most} failed ({class}); next in {seconds:.3} s")
        });
    }

    pub(super) fn sending(&mut self, request: &HttpRequest) {
        self.sent = self.clock.now();
        self.log.write(LogLevel::Debug, || {
            let url = scrub(without_query(&request.url), &self.settings.secrets());
            format!("{}: POST {url} ({} bytes)", self.who(), request.body.len())
        });
        self.body(&request.body);
    }

    pub(super) fn head(&self, head: &Head) {
        self.log.write(LogLevel::Debug, || {
            format!("{}: {} after {} ms", self.who(), head.status, self.millis())
        });
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.log.write(LogLevel::Debug, || {
            let said = self.shown(failure.message.as_bytes());
            format!("{}: {said} after {} ms", self.who(), self.millis())
        });
    }

    /// A body was sent or received whole.
    pub(super) fn body(&self, bytes: &[u8]) {
        self.log.write(LogLevel::Trace, || {
            format!("{}: {} bytes: {}", self.who(), bytes.len(), self.shown(bytes))
        });
    }

    /// A stream has ended, after this many bytes that began so.
    pub(super) fn streamed(&self, bytes: u64, beginning: &[u8]) {
        self.log.write(LogLevel::Debug, || {
            format!("{}: stream of {bytes} bytes, over after {} ms", self.who(), self.millis())
        });
        self.log.write(LogLevel::Trace, || {
            format!("{}: {bytes} bytes: {}", self.who(), self.shown(beginning))
        });
    }

    /// How much of a stream's body is kept for the log.
    pub(super) fn keeps(&self) -> usize {
        if self.log.shows(LogLevel::Trace) { MAX_SHOWN } else { 0 }
    }

    fn millis(&self) -> u64 {
        clock::millis(self.clock.since(self.sent))
    }

    /// One line, secrets masked before it is cut, so that no half of one is left.
    fn shown(&self, bytes: &[u8]) -> String {
        let clean = scrub(&String::from_utf8_lossy(bytes), &self.settings.secrets());
        let end = (0..=MAX_SHOWN.min(clean.len())).rev().find(|at| clean.is_char_boundary(*at));
        let shown = clean.get(..end.unwrap_or(0)).unwrap_or_default();
        shown.chars().flat_map(escaped).collect()
    }
}

/// Warns of a prompt that Ollama has cut: it does so without a word, but counts what it has left (providers of other kinds refuse such a prompt).
pub(super) fn warn_of_cut(log: &Log, call: &Call, usage: Option<Usage>) {
    let counted = usage.map_or(0, |usage| usage.tokens_in);
    if call.settings.kind != ProviderKind::Ollama || counted == 0 {
        return;
    }
    let sent = estimate_prompt(&call.messages, call.output.as_deref());
    if counted < sent / 2 {
        log.write(LogLevel::Warn, || {
            format!(
                "{} ({}): the server counted {counted} tokens where about {sent} were sent: it may have cut the beginning of the prompt; a larger \
                 context length (`OLLAMA_CONTEXT_LENGTH`) avoids that",
                call.origin.connection, call.origin.model
            )
        });
    }
}

/// Control characters do not reach a terminal.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let escape = character.is_control().then(|| character.escape_default());
    let plain = (!character.is_control()).then_some(character);
    escape.into_iter().flatten().chain(plain)
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
