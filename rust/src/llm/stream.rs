//! One streamed answer, read as the program asks for it: a slow program slows the server, and nothing piles up here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, LlmError, Meter, Opened, sse, transport};
use crate::chat::{ChatResponse, Usage, estimate_prompt, estimate_tokens};
use crate::clock;
use crate::metrics::End;
use crate::providers::{Dialect, Failure, FailureKind, StreamDecoder};

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
    call: Arc<Call>,
    meter: Meter,
    attempts: u32,
    body: Option<reqwest::Response>,
    request_id: Option<String>,
    sse: sse::Decoder,
    decoder: Box<dyn StreamDecoder>,
    ready: VecDeque<String>,
    /// What follows when everything that is ready was taken.
    ending: Option<Result<ChatResponse, Failure>>,
    text: String,
    chunks: u64,
    last_event: Instant,
    ended: bool,
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

impl ResponseStream {
    pub(super) fn new(
        call: Arc<Call>,
        meter: Meter,
        attempts: u32,
        opened: Opened,
        request_id: Option<String>,
        dialect: &dyn Dialect,
    ) -> Self {
        let mut ready = VecDeque::new();
        let (body, ending) = match opened {
            Opened::Stream(body) => (Some(body), None),
            Opened::Whole(mut response) => {
                let text = std::mem::take(&mut response.text);
                ready.extend(Some(text).filter(|text| !text.is_empty()));
                (None, Some(Ok(response)))
            }
        };
        Self {
            call,
            meter,
            attempts,
            body,
            request_id,
            sse: sse::Decoder::default(),
            decoder: dialect.stream_decoder(),
            ready,
            ending,
            text: String::new(),
            chunks: 0,
            last_event: clock::now(),
            ended: false,
        }
    }

    /// Reads until the first text is here, or the answer has ended.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        while self.ready.is_empty() {
            match &self.ending {
                Some(Err(failure)) => return Err(failure.clone()),
                Some(Ok(_)) => return Ok(()),
                None => self.read().await,
            }
        }
        self.meter.first_chunk();
        Ok(())
    }

    /// Reads some bytes and decodes what they complete.
    async fn read(&mut self) {
        let timeout = self.call.timeout;
        let Some(body) = &mut self.body else {
            self.ending = Some(Err(Failure::new(FailureKind::Network, "the stream is closed")));
            return;
        };
        let patience = self.last_event + timeout * PATIENCE;
        let deadline = (clock::now() + timeout).min(patience);
        let mut events = Vec::new();
        match transport::read_chunk(body, deadline).await {
            Err(failure) => return self.end(Err(failure)),
            Ok(None) => {
                let block = self.sse.finish(&mut events);
                self.take(&events);
                if self.ending.is_none() {
                    let ending = match block.and_then(|text| raw_error(&text)) {
                        Some(failure) => Err(failure),
                        None => self.decoder.finish(),
                    };
                    self.end(ending);
                }
                return;
            }
            Ok(Some(bytes)) => {
                self.meter.received(bytes.len() as u64, 0);
                if self.sse.push(&bytes, &mut events).is_err() {
                    let large =
                        Failure::new(FailureKind::InvalidResponse, "an event is larger than 4 MiB");
                    return self.end(Err(large));
                }
            }
        }
        self.take(&events);
    }

    fn take(&mut self, events: &[crate::wire::SseEvent]) {
        for event in events {
            self.last_event = clock::now();
            match self.decoder.push(event) {
                Err(failure) => return self.end(Err(failure)),
                Ok(text) if !text.is_empty() => self.ready.push_back(text),
                Ok(_) => {}
            }
            if self.decoder.is_done() {
                let ending = self.decoder.finish();
                return self.end(ending);
            }
        }
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
                self.meter.received(0, 1);
                let elapsed_ms = clock::millis(self.meter.started.elapsed());
                return Some(Ok(Chunk { text, index, elapsed_ms }));
            }
            match self.ending.take() {
                None if self.ended || self.meter.is_over() => return None,
                None => self.read().await,
                Some(Ok(response)) => {
                    self.succeed(response);
                    return None;
                }
                Some(Err(failure)) => {
                    let error =
                        LlmError::new(&self.call, failure, self.attempts, self.meter.started);
                    let error = if self.chunks > 0 {
                        error.interrupt(self.text.clone(), self.chunks)
                    } else {
                        error
                    };
                    self.account();
                    self.meter.end(&End::Error(error.failure.kind.word()));
                    return Some(Err(error));
                }
            }
        }
    }

    fn succeed(&mut self, response: ChatResponse) {
        let usage = response.usage.unwrap_or_else(|| self.estimate());
        let response = ChatResponse {
            text: self.text.clone(),
            request_id: self.request_id.clone().or(response.request_id),
            usage: Some(usage),
            ..response
        };
        self.meter.answer(&self.call, response, self.attempts);
        self.ended = true;
    }

    /// Tokens of what was sent and received, where the server did not say (S-18).
    fn estimate(&self) -> Usage {
        let received = estimate_tokens(&self.text);
        let reported = self.decoder.usage().unwrap_or_default();
        let prompt = estimate_prompt(&self.call.messages, None);
        Usage {
            tokens_in: if reported.tokens_in > 0 { reported.tokens_in } else { prompt },
            tokens_out: reported.tokens_out.max(received),
            is_estimated: true,
            ..reported
        }
    }

    /// Counts the tokens of a stream that did not end naturally: they are billed all the same.
    fn account(&mut self) {
        if self.chunks > 0 || !self.ready.is_empty() {
            let usage = self.estimate();
            let id = self.call.model_id.clone();
            self.meter.used(&self.call, &id, &usage);
        }
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        if !self.meter.is_over() {
            self.account();
            self.meter.end(&End::Cancelled);
        }
    }
}

/// Lines that were no events: an error object, from servers that answer a stream request with plain JSON.
fn raw_error(text: &str) -> Option<Failure> {
    crate::providers::classify::inside_ok(&serde_json::from_str(text.trim()).ok()?)
}
