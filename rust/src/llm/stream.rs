//! One streamed answer, as the program takes it: chunk by chunk, then exactly one end.

use super::attempt::cost;
use super::feed::{Feed, Next};
use super::queue::Permit;
use super::{Answer, Call, CallSession, LlmError};
use crate::chat::{ChatResponse, Message, Usage, estimate_prompt};
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
    /// Counts from 1.
    pub round: u32,
}

/// The answer of one round as it arrives. It holds a slot in the limits until it ends.
pub(super) struct Flow {
    pub(super) feed: Feed,
    pub(super) permit: Option<Permit>,
    pub(super) request_id: Option<String>,
    /// What was delivered of it.
    pub(super) text: String,
}

/// An open stream of one or more rounds. Dropping it closes the connection and frees the slot in the limits.
pub struct ResponseStream {
    session: CallSession,
    flow: Flow,
    /// What was delivered of all rounds.
    text: String,
    chunks: u64,
    round: u32,
    /// Of a round that asks for calls, until the next one is open.
    asked: Option<Answer>,
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
    pub(super) fn new(session: CallSession, flow: Flow) -> Self {
        session.meter.first_chunk();
        let (asked, answer) = (None, None);
        Self { session, flow, text: String::new(), chunks: 0, round: 1, asked, answer }
    }

    /// The next chunk; `None` after the natural end, or where the model asks for calls ([`asked`](Self::asked)).
    ///
    /// # Errors
    /// [`LlmError`], once: the stream broke. Later calls give `None`.
    pub async fn next(&mut self) -> Option<Result<Chunk, LlmError>> {
        if self.session.meter.is_over() || self.asked.is_some() {
            return None;
        }
        let next = {
            let _server = self.session.shared.options.clock.outside();
            self.flow.feed.next().await
        };
        match next {
            Next::Piece(piece) => {
                let index = self.chunks;
                self.chunks += 1;
                self.text.push_str(&piece.text);
                self.flow.text.push_str(&piece.text);
                self.session.meter.received(self.flow.feed.take_bytes(), 1);
                let elapsed = piece.at.saturating_duration_since(self.session.meter.started);
                let elapsed_ms = clock::millis(elapsed);
                Some(Ok(Chunk { text: piece.text, index, elapsed_ms, round: self.round }))
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

    /// The end of a round: the natural end of the stream, unless the model asks for calls that it was offered.
    fn succeed(&mut self, response: ChatResponse) {
        let request_id = self.flow.request_id.clone().or(response.request_id);
        let response = ChatResponse { text: self.flow.text.clone(), request_id, ..response };
        let (answer, usage) = self.session.answered(response);
        if self.session.call.asks(&answer.response) {
            self.round_ended(Some(usage));
            self.asked = Some(answer);
        } else {
            self.answer = Some(answer);
            self.end(&End::Success, Some(usage));
        }
    }

    /// The answer that asks for calls: the stream goes on with their results.
    #[must_use]
    pub fn asked(&self) -> Option<&Answer> {
        self.asked.as_ref()
    }

    /// What was asked, with the messages of the rounds so far.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.session.call
    }

    /// Work between two rounds, within the time of the whole call.
    ///
    /// # Errors
    /// That of the work; [`FailureKind::Timeout`].
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.session.within(work).await
    }

    /// Ends the stream because of what was to be done between two rounds.
    pub fn broke(&mut self, failure: Failure) -> LlmError {
        self.fail(failure)
    }

    /// Opens the next round, whose chunks continue the stream.
    ///
    /// # Errors
    /// [`LlmError`], which ends the stream.
    pub async fn go_on(
        &mut self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), LlmError> {
        self.session.say(messages);
        match self.session.open().await {
            Ok(flow) => {
                self.flow = flow;
                self.round += 1;
                self.asked = None;
                Ok(())
            }
            Err(failure) => Err(self.fail(failure)),
        }
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
        let request_id = self.flow.request_id.clone().or(failure.request_id);
        let usage = self.account();
        let failure = Failure { request_id, ..failure };
        // What tools did is no interruption by the server.
        let is_own = matches!(failure.kind, FailureKind::ToolLimit | FailureKind::Custom);
        let kind = if is_own { failure.kind } else { FailureKind::StreamInterrupted };
        self.end(&End::Error(kind.word()), usage);
        let meter = &self.session.meter;
        let error = LlmError::new(&self.session.call, failure, meter.attempts(), meter.latency());
        if is_own { error } else { error.interrupt(self.text.clone(), self.chunks) }
    }

    fn end(&mut self, end: &End, usage: Option<Usage>) {
        self.round_ended(usage);
        self.session.meter.end(end);
    }

    /// The connection of a round is not needed any more.
    fn round_ended(&mut self, usage: Option<Usage>) {
        self.session.meter.received(self.flow.feed.take_bytes(), 0);
        if let Some(permit) = self.flow.permit.take() {
            self.session.meter.attempt_ended();
            if let Some(usage) = usage {
                permit.end(cost(&usage));
            }
        }
    }

    /// Counts the tokens of a round that did not end naturally: they are billed all the same (S-18).
    fn account(&self) -> Option<Usage> {
        // The last round has ended, and the next one has not begun.
        if self.asked.is_some() {
            return None;
        }
        let rest = self.flow.feed.rest();
        let received = (self.flow.text.len() as u64 + rest.text).div_ceil(4);
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
