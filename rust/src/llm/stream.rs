//! One streamed answer, as the program takes it: chunk by chunk, then exactly one end.

use super::attempt::cost;
use super::feed::{Feed, Next};
use super::queue::Permit;
use super::{Answer, CallSession, LlmError};
use crate::chat::{ChatResponse, Usage, estimate_prompt};
use crate::clock;
use crate::metrics::End;
use crate::providers::{Failure, FailureKind};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Never empty.
    pub text: String,
    /// Counts from 0.
    pub index: u64,
    /// From the start of the call to its arrival.
    pub elapsed_ms: u64,
}

/// An open stream. It holds its slot in the limits until it ends; dropping it closes the connection and frees the slot.
pub struct ResponseStream {
    session: CallSession,
    feed: Feed,
    permit: Option<Permit>,
    request_id: Option<String>,
    text: String,
    chunks: u64,
    /// After the natural end.
    answer: Option<Answer>,
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

impl ResponseStream {
    /// A stream whose first text or end is here.
    pub(super) fn new(
        session: CallSession,
        feed: Feed,
        permit: Permit,
        request_id: Option<String>,
    ) -> Self {
        session.meter.first_chunk();
        let (permit, text) = (Some(permit), String::new());
        Self { session, feed, permit, request_id, text, chunks: 0, answer: None }
    }

    /// The next chunk; `None` after the natural end.
    ///
    /// # Errors
    /// [`LlmError`], once: the stream broke. Later calls give `None`.
    pub async fn next(&mut self) -> Option<Result<Chunk, LlmError>> {
        if self.session.meter.is_over() {
            return None;
        }
        let next = {
            let _server = self.session.shared.options.clock.outside();
            self.feed.next().await
        };
        match next {
            Next::Piece(piece) => {
                let index = self.chunks;
                self.chunks += 1;
                self.text.push_str(&piece.text);
                self.session.meter.received(self.feed.take_bytes(), 1);
                let elapsed = piece.at.saturating_duration_since(self.session.meter.started);
                let elapsed_ms = clock::millis(elapsed);
                Some(Ok(Chunk { text: piece.text, index, elapsed_ms }))
            }
            Next::End(ending) => match *ending {
                Ok(response) => {
                    self.succeed(response);
                    None
                }
                Err(failure) => Some(Err(self.fail(failure))),
            },
        }
    }

    fn succeed(&mut self, response: ChatResponse) {
        let request_id = self.request_id.clone().or(response.request_id);
        let response = ChatResponse { text: self.text.clone(), request_id, ..response };
        let (answer, usage) = self.session.answered(response);
        self.answer = Some(answer);
        self.end(&End::Success, Some(usage));
    }

    /// The whole answer, after its natural end.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Everything that was delivered.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn fail(&mut self, failure: Failure) -> LlmError {
        let request_id = self.request_id.clone().or(failure.request_id);
        let usage = self.account();
        self.end(&End::Error(FailureKind::StreamInterrupted.word()), usage);
        let failure = Failure { request_id, ..failure };
        let meter = &self.session.meter;
        LlmError::new(&self.session.call, failure, meter.attempts(), meter.latency())
            .interrupt(self.text.clone(), self.chunks)
    }

    fn end(&mut self, end: &End, usage: Option<Usage>) {
        self.session.meter.received(self.feed.take_bytes(), 0);
        self.session.meter.attempt_ended();
        self.session.meter.end(end);
        if let Some((permit, usage)) = self.permit.take().zip(usage) {
            permit.end(cost(&usage));
        }
    }

    /// Counts the tokens of a stream that did not end naturally: they are billed all the same (S-18).
    fn account(&self) -> Option<Usage> {
        let rest = self.feed.rest();
        let received = (self.text.len() as u64 + rest.text).div_ceil(4);
        if received == 0 {
            return None;
        }
        let call = &self.session.call;
        let reported = rest.usage.unwrap_or_default();
        let prompt = estimate_prompt(&call.messages, None);
        let usage = Usage {
            tokens_in: if reported.tokens_in > 0 { reported.tokens_in } else { prompt },
            tokens_out: reported.tokens_out.max(received),
            is_estimated: true,
            ..reported
        };
        self.session.meter.used(call, &call.model_id, &usage);
        Some(usage)
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        if !self.session.meter.is_over() {
            let usage = self.account();
            self.end(&End::Cancelled, usage);
        }
    }
}
