//! Parts of the hot path that no host sees, for `benches/parts.rs` (feature `bench`); not part of the interface.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::limit::{Cost, Estimate};
use super::queue::{Entry, Queue};
use super::sse::Decoder;
use crate::chat::{ChatRequest, Message, Usage};
use crate::clock::Clock;
use crate::config::{ConnectionSettings, Layer, ProviderKind, RateLimitConfig, merge};
use crate::metrics::{Billed, By, End, Origin, Recorder};
use crate::providers::{Quirks, dialect};
use crate::wire::HttpResponse;

/// Decodes a server-sent stream that arrives in pieces of this length: how many events it has.
#[must_use]
pub fn events(stream: &[u8], piece: usize) -> Option<usize> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for bytes in stream.chunks(piece) {
        decoder.push(bytes, &mut events).ok()?;
    }
    decoder.finish(&mut events);
    Some(events.len())
}

/// One request of one connection.
#[derive(Debug)]
pub struct Codec {
    kind: ProviderKind,
    chat: ChatRequest,
    settings: ConnectionSettings,
}

impl Codec {
    /// Of a kind of provider, such as `openai`, with this prompt.
    #[must_use]
    pub fn new(kind: &str, prompt: &str) -> Option<Self> {
        let kind = kind.parse().ok()?;
        let fields = json!({"api_key": "k", "base_url": "http://127.0.0.1:1/v1"});
        let layer = Layer::from_json("c", fields.as_object()?).ok()?;
        let settings = merge("c", kind, &[("program", &layer)]).ok()?;
        let messages = vec![Message::user(prompt)];
        let chat = ChatRequest { model: "m".to_owned(), messages, ..ChatRequest::default() };
        Some(Self { kind, chat, settings })
    }

    /// The length of the request's body.
    #[must_use]
    pub fn encode(&self) -> Option<usize> {
        let request = dialect(self.kind).encode(&self.chat, &self.settings, &Quirks::default());
        request.ok().map(|request| request.body.len())
    }

    /// The length of the text of a whole answer.
    #[must_use]
    pub fn decode(&self, body: &Bytes) -> Option<usize> {
        let answer = HttpResponse { status: 200, headers: Vec::new(), body: body.clone() };
        dialect(self.kind).decode(&self.chat, &answer).ok().map(|answer| answer.text.len())
    }

    /// The length of the text of a streamed answer.
    #[must_use]
    pub fn decode_stream(&self, stream: &[u8]) -> Option<usize> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        decoder.push(stream, &mut events).ok()?;
        decoder.finish(&mut events);
        let mut reader = dialect(self.kind).stream_decoder(&self.chat);
        let mut length = 0;
        for event in events.iter().take_while(|event| event.data != "[DONE]") {
            length += reader.push(event).ok()?.len();
        }
        Some(length)
    }
}

/// The rate limits of one connection, none of which holds anybody up.
#[derive(Debug)]
pub struct Slots(Arc<Queue>);

impl Slots {
    /// With a limit on what runs at a time and, or not, one on requests in a minute.
    #[must_use]
    pub fn new(with_window: bool) -> Self {
        let queue = Queue::new(None, Clock::system());
        let limits = RateLimitConfig {
            concurrent_requests: Some(64),
            requests_per_minute: with_window.then_some(u64::MAX / 2),
            ..RateLimitConfig::default()
        };
        queue.set(Some(&limits), 0);
        Self(queue)
    }

    /// Takes a slot and gives it back: whether there was one.
    #[must_use]
    pub fn pass(&self) -> bool {
        match self.0.enter(self.0.arrive(), Estimate::default()) {
            Entry::Started(permit) => {
                permit.end(Cost { tokens: 1, counted_input: None });
                true
            }
            Entry::Waits(_) | Entry::Full(_) => false,
        }
    }
}

/// The counters of one connection with one model.
#[derive(Debug)]
pub struct Counted(Recorder, Origin);

impl Counted {
    /// At zero.
    #[must_use]
    pub fn new() -> Self {
        let origin = Origin { connection: "cloud".to_owned(), model: "Fast".to_owned() };
        let models = vec![(origin.model.clone(), origin.connection.clone())];
        let connections = vec![origin.connection.clone()];
        Self(Recorder::with_prices(connections, models, Arc::default(), Clock::system()), origin)
    }

    /// Counts all that a call of one attempt is counted for.
    pub fn call(&self) {
        let Self(recorder, origin) = self;
        let billed = Billed { kind: ProviderKind::OpenAi, id: "gpt-4o-mini", base: "gpt-4o-mini" };
        recorder.call_started(origin);
        recorder.attempt_started(origin, true, 0.0);
        recorder.sent(origin, 300);
        recorder.received(origin, 900, 0);
        recorder.attempt_ended(origin, 12.0);
        let usage = Usage { tokens_in: 20, tokens_out: 10, ..Usage::default() };
        recorder.used(origin, &billed, &usage);
        recorder.call_ended(origin, &End::Success, 12.5, By::Provider);
    }

    /// The tokens of a snapshot.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.0.snapshot().total_tokens()
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self::new()
    }
}
