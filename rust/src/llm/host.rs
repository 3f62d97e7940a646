//! Providers of the host: connections that this process answers by itself, with limits, retries and metrics like any other.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::attempt::Opened;
use super::feed::Feed;
use crate::chat::{ChatRequest, ChatResponse};
use crate::clock::Clock;
use crate::futures::{BoxFuture, BoxStream};
use crate::providers::{Failure, FailureKind};

/// A back end of the host's own, which does its own input and output.
pub trait Provider: Send + Sync + 'static {
    /// Answers a request as a whole. Dropping the future cancels it.
    fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatResponse, ProviderError>>;

    /// Answers a request in pieces. Without an implementation the whole answer is one piece.
    fn stream(&self, request: ChatRequest) -> BoxStream<'_, Result<Chunk, ProviderError>> {
        let whole = self.complete(request);
        Box::pin(futures_util::stream::once(async move { Ok(Chunk::End(Box::new(whole.await?))) }))
    }
}

/// What a stream of a [`Provider`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Chunk {
    /// The next text.
    Text(String),
    /// The end: finish reason, usage, calls of tools, and text that did not come before. A stream that ends without one has finished with `stop`.
    End(Box<ChatResponse>),
}

/// Why a [`Provider`] has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ProviderError {
    /// Which variant of `LlmError` it is in the program. Whether it is tried again follows from it: rate limits, failures of servers and networks, and
    /// time limits are, where the retry policy says so.
    pub kind: FailureKind,
    /// What happened; no secret may be in it.
    pub message: String,
    /// How long to wait before the next attempt, at least.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// An error of a kind.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// The same with the wish to wait.
    #[must_use]
    pub fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let ProviderError { kind, message, retry_after } = error;
        Self { class: kind.retry_class(), retry_after, ..Self::new(kind, message) }
    }
}

/// Those of a runtime, by connection.
#[derive(Clone, Default)]
pub struct Providers(HashMap<String, Arc<dyn Provider>>);

impl Providers {
    /// Sets that of a connection.
    pub fn set(&mut self, connection: String, provider: impl Provider) {
        self.0.insert(connection, Arc::new(provider));
    }

    /// The connections that have one.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Whether a connection has one.
    #[must_use]
    pub fn has(&self, connection: &str) -> bool {
        self.0.contains_key(connection)
    }

    pub(super) fn get(&self, connection: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(connection)
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One attempt: asks within a time limit.
pub(super) async fn ask(
    provider: &Arc<dyn Provider>,
    request: ChatRequest,
    timeout: Duration,
    clock: &Clock,
) -> Result<Opened, Failure> {
    let until = clock.now() + timeout;
    let late = || Failure {
        phase: Some("response"),
        class: FailureKind::Timeout.retry_class(),
        ..Failure::new(FailureKind::Timeout, "the provider of the host did not answer in time")
    };
    if !request.stream {
        let answer = clock.until(until, provider.complete(request)).await.ok_or_else(late)?;
        return Ok(Opened::Whole(Box::new(answer?)));
    }
    let mut feed = Feed::of_host(Arc::clone(provider), request, clock);
    clock.until(until, feed.first()).await.ok_or_else(late)??;
    Ok(Opened::Stream(feed, None))
}

/// Reads a stream to its end and hands each text to `put`.
pub(super) async fn read<F: Future<Output = ()>>(
    provider: Arc<dyn Provider>,
    request: ChatRequest,
    mut put: impl FnMut(String) -> F,
) -> Result<ChatResponse, Failure> {
    let mut stream = provider.stream(request);
    while let Some(chunk) = stream.next().await {
        match chunk? {
            Chunk::Text(text) => put(text).await,
            Chunk::End(mut end) => {
                put(std::mem::take(&mut end.text)).await;
                return Ok(*end);
            }
        }
    }
    Ok(ChatResponse { finish_reason: "stop".to_owned(), ..ChatResponse::default() })
}
