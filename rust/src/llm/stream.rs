//! One streamed answer, read as the program asks for it: a slow program slows the server, and nothing piles up here.

use std::collections::VecDeque;
use std::time::Duration;

use super::transport::Deadline;
use super::{Answer, CallSession, LlmError, Opened, sse, transport};
use crate::chat::{ChatResponse, Usage, estimate_prompt};
use crate::clock;
use crate::metrics::End;
use crate::providers::{Failure, FailureKind, StreamDecoder};
use crate::wire::SseEvent;

/// A server that only sends keep-alives is given up after this many time limits.
const PATIENCE: u32 = 10;
/// How long the rest of a finished body is read, so that its connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Never empty.
    pub text: String,
    /// Counts from 0.
    pub index: u64,
    /// Since the call began.
    pub elapsed_ms: u64,
}

/// An open stream. Dropping it closes the connection.
pub struct ResponseStream {
    session: CallSession,
    body: Option<reqwest::Response>,
    request_id: Option<String>,
    sse: sse::Decoder,
    decoder: Option<Box<dyn StreamDecoder>>,
    ready: VecDeque<String>,
    /// What follows when everything that is ready was taken.
    ending: Option<Result<ChatResponse, Failure>>,
    text: String,
    chunks: u64,
    /// How long we have waited for the server since its last event; the program's own time does not count.
    silent: Duration,
    /// After the natural end.
    answer: Option<Answer>,
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

impl ResponseStream {
    /// Reads until the first text is here, or the answer has ended.
    pub(super) async fn open(session: CallSession, opened: Opened) -> Result<Self, LlmError> {
        let mut stream = Self {
            session,
            body: None,
            request_id: None,
            sse: sse::Decoder::default(),
            decoder: None,
            ready: VecDeque::new(),
            ending: None,
            text: String::new(),
            chunks: 0,
            silent: Duration::ZERO,
            answer: None,
        };
        match opened {
            Opened::Stream(body, request_id, decoder) => {
                stream.body = Some(body);
                stream.request_id = request_id;
                stream.decoder = Some(decoder);
            }
            Opened::Whole(mut response) => {
                let text = std::mem::take(&mut response.text);
                stream.ready.extend(Some(text).filter(|text| !text.is_empty()));
                stream.ending = Some(Ok(response));
            }
        }
        while stream.ready.is_empty() && stream.ending.is_none() {
            stream.read().await;
        }
        match stream.ending.take() {
            Some(Err(failure)) if stream.ready.is_empty() => Err(stream.fail(failure)),
            ending => {
                stream.ending = ending;
                stream.session.meter.first_chunk();
                Ok(stream)
            }
        }
    }

    /// Reads some bytes and decodes what they complete.
    async fn read(&mut self) {
        let Some(body) = &mut self.body else {
            let closed = Failure::new(FailureKind::Network, "the stream is closed");
            return self.end(Err(closed));
        };
        let patience = self.session.call.timeout * PATIENCE;
        let wait = self.session.call.timeout.min(patience.saturating_sub(self.silent));
        let began = clock::now();
        let read = transport::read_chunk(body, Deadline::after(wait)).await;
        self.silent += began.elapsed();
        let mut events = Vec::new();
        match read {
            Err(failure) if failure.phase == Some("idle") && self.silent >= patience => {
                let what = "the stream sent nothing but keep-alives";
                self.end(Err(transport::timed_out("idle", what, patience)));
            }
            Err(failure) => self.end(Err(failure)),
            Ok(Some(bytes)) => {
                self.session.meter.received(bytes.len(), 0);
                let pushed = self.sse.push(&bytes, &mut events);
                self.take(&events);
                if pushed.is_err() && self.ending.is_none() {
                    let message = "an event is larger than 4 MiB";
                    self.end(Err(Failure::new(FailureKind::InvalidResponse, message)));
                }
            }
            Ok(None) => {
                let block = self.sse.finish(&mut events);
                self.take(&events);
                if self.ending.is_none() {
                    let plain_error = block.and_then(|text| raw_error(&text));
                    let ending = plain_error.map_or_else(|| self.finish(), Err);
                    self.end(ending);
                }
            }
        }
    }

    fn take(&mut self, events: &[SseEvent]) {
        for event in events {
            self.silent = Duration::ZERO;
            let Some(decoder) = &mut self.decoder else { return };
            match decoder.push(event) {
                Err(failure) => return self.end(Err(failure)),
                Ok(text) if !text.is_empty() => self.ready.push_back(text),
                Ok(_) => {}
            }
            if decoder.is_done() {
                let ending = decoder.finish();
                return self.end(ending);
            }
        }
    }

    fn finish(&mut self) -> Result<ChatResponse, Failure> {
        let closed = || Err(Failure::new(FailureKind::Network, "the stream is closed"));
        self.decoder.as_mut().map_or_else(closed, |decoder| decoder.finish())
    }

    fn end(&mut self, ending: Result<ChatResponse, Failure>) {
        let good = ending.is_ok();
        self.ending = Some(ending);
        let Some(mut body) = self.body.take() else { return };
        if good {
            // Only a body that was read to its end gives its connection back to the pool.
            tokio::spawn(async move {
                let _ = tokio::time::timeout(DRAIN, async {
                    while let Ok(Some(_)) = body.chunk().await {}
                })
                .await;
            });
        }
    }

    /// The next chunk; `None` after the natural end.
    ///
    /// # Errors
    /// [`LlmError`], once: the stream broke. Later calls give `None`.
    pub async fn next(&mut self) -> Option<Result<Chunk, LlmError>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                let index = self.chunks;
                self.chunks += 1;
                self.text.push_str(&text);
                self.session.meter.received(0, 1);
                let elapsed_ms = clock::millis(self.session.meter.started.elapsed());
                return Some(Ok(Chunk { text, index, elapsed_ms }));
            }
            match self.ending.take() {
                None if self.session.meter.is_over() => return None,
                None => self.read().await,
                Some(Ok(response)) => {
                    self.succeed(response);
                    return None;
                }
                Some(Err(failure)) => return Some(Err(self.fail(failure))),
            }
        }
    }

    fn succeed(&mut self, response: ChatResponse) {
        let request_id = self.request_id.clone().or(response.request_id);
        let response = ChatResponse { text: self.text.clone(), request_id, ..response };
        self.answer = Some(self.session.meter.answer(&self.session.call, response));
        self.session.meter.end(&End::Success);
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
        let failure = Failure { request_id, ..failure };
        if self.chunks == 0 {
            return self.session.meter.fail(&self.session.call, failure);
        }
        self.account();
        self.session.meter.end(&End::Error(FailureKind::StreamInterrupted.word()));
        LlmError::new(
            &self.session.call,
            failure,
            self.session.meter.attempts(),
            self.session.meter.started,
        )
        .interrupt(self.text.clone(), self.chunks)
    }

    /// Counts the tokens of a stream that did not end naturally: they are billed all the same (S-18).
    fn account(&mut self) {
        let waiting: u64 = self.ready.iter().map(|text| text.len() as u64).sum();
        let received = (self.text.len() as u64 + waiting).div_ceil(4);
        if received == 0 {
            return;
        }
        let reported = self.decoder.as_ref().and_then(|d| d.usage()).unwrap_or_default();
        let prompt = estimate_prompt(&self.session.call.messages, None);
        let usage = Usage {
            tokens_in: if reported.tokens_in > 0 { reported.tokens_in } else { prompt },
            tokens_out: reported.tokens_out.max(received),
            is_estimated: true,
            ..reported
        };
        self.session.meter.used(&self.session.call, &self.session.call.model_id, &usage);
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        if !self.session.meter.is_over() {
            self.account();
            self.session.meter.end(&End::Cancelled);
        }
    }
}

/// Lines that were no events: an error object, from servers that answer a stream request with plain JSON.
fn raw_error(text: &str) -> Option<Failure> {
    crate::providers::classify::inside_ok(&serde_json::from_str(text.trim()).ok()?)
}
