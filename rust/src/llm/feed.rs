//! The body of one stream, read ahead of the program by a task of its own.
//!
//! At most [`AHEAD`] pieces wait for the program; beyond that nothing is read, so a slow program slows the server (S-6). A feed ends exactly
//! once.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::host::{self, Provider};
use super::sse;
use super::traffic::Traffic;
use super::transport::{self, Deadline};
use crate::chat::{ChatRequest, ChatResponse, Usage};
use crate::clock::Clock;
use crate::providers::{Failure, FailureKind, StreamDecoder, classify};
use crate::turns;
use crate::wire::SseEvent;

/// Pieces that may wait for the program.
const AHEAD: usize = 64;
/// When as few wait, reading goes on: the task is not woken for each piece.
const LOW: usize = 32;
/// A server that only sends keep-alives is given up after this many time limits.
const PATIENCE: u32 = 10;
/// How long the rest of a whole answer is read: for its usage, and so that its connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);

/// A text as it arrived.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) at: Instant,
}

type Ending = Result<ChatResponse, Failure>;

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Piece(Piece),
    End(Box<Ending>),
}

/// What arrived but was not delivered, and what it cost so far.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) text: u64,
    pub(super) usage: Option<Usage>,
    /// The whole answer had arrived.
    pub(super) is_complete: bool,
}

/// The program's end. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Feed {
    buffer: Arc<Buffer>,
    task: Option<AbortHandle>,
}

#[derive(Debug, Default)]
struct Buffer {
    state: Mutex<State>,
    arrived: Notify,
    taken: Notify,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    ending: Option<Box<Ending>>,
    /// Bytes that were read since somebody asked.
    bytes: u64,
    usage: Option<Usage>,
    /// Since when the program waits, and how long it has waited before.
    waits_since: Option<Instant>,
    waited: Duration,
}

impl State {
    /// The program has nothing to do until something arrives.
    fn wait(&mut self, clock: &Clock) {
        self.waits_since.get_or_insert_with(|| clock.now());
    }

    fn go_on(&mut self, clock: &Clock) {
        self.waited += self.waits_since.take().map_or(Duration::ZERO, |since| clock.since(since));
    }
}

impl Buffer {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ending: Ending) {
        self.locked().ending.get_or_insert(Box::new(ending));
        self.arrived.notify_one();
    }

    /// How long the program has waited in all.
    fn waited(&self) -> Duration {
        let state = self.locked();
        state.waited + state.waits_since.map_or(Duration::ZERO, |since| self.clock.since(since))
    }

    /// Adds a piece; waits first until few pieces wait, if many do.
    async fn put(&self, piece: Piece) {
        let Some(piece) = self.put_below(AHEAD, piece) else { return };
        // What was read so far must not wait for the rest.
        self.arrived.notify_one();
        let mut left = Some(piece);
        while let Some(piece) = left {
            self.taken.notified().await;
            left = self.put_below(LOW + 1, piece);
        }
    }

    /// Adds a piece if fewer wait; else gives it back.
    fn put_below(&self, limit: usize, piece: Piece) -> Option<Piece> {
        let mut state = self.locked();
        if state.pieces.len() < limit {
            state.pieces.push_back(piece);
            return None;
        }
        Some(piece)
    }
}

impl Feed {
    /// Begins to read a body. `call` is the end of the whole call.
    pub(super) fn open(
        body: reqwest::Response,
        decoder: Box<dyn StreamDecoder>,
        timeout: Duration,
        call: Option<Deadline>,
        clock: &Clock,
        traffic: Traffic,
    ) -> Self {
        let buffer = Arc::new(Buffer { clock: clock.clone(), ..Buffer::default() });
        let reader = Reader {
            buffer: Arc::clone(&buffer),
            body: Some(body),
            sse: sse::Decoder::default(),
            decoder,
            timeout,
            silent: Duration::ZERO,
            whole_since: None,
            traffic,
            beginning: Vec::new(),
            bytes: 0,
            events: Vec::new(),
        };
        let task = tokio::spawn(reader.run(call));
        Self { buffer, task: Some(task.abort_handle()) }
    }

    /// Begins to read a stream of the host.
    pub(super) fn of_host(
        provider: Arc<dyn Provider>,
        request: ChatRequest,
        clock: &Clock,
    ) -> Self {
        let buffer = Arc::new(Buffer { clock: clock.clone(), ..Buffer::default() });
        let into = Arc::clone(&buffer);
        let task = tokio::spawn(async move {
            let put = |text: String| {
                let buffer = Arc::clone(&into);
                async move {
                    let piece = Piece { text, at: buffer.clock.now() };
                    if !piece.text.is_empty() {
                        buffer.put(piece).await;
                        buffer.arrived.notify_one();
                    }
                }
            };
            let ending = host::read(provider, request, put).await;
            into.end(ending);
        });
        Self { buffer, task: Some(task.abort_handle()) }
    }

    /// An answer that came whole is one piece (S-15).
    pub(super) fn whole(mut response: ChatResponse, clock: &Clock) -> Self {
        let text = std::mem::take(&mut response.text);
        let piece = Piece { text, at: clock.now() };
        let pieces = Some(piece).filter(|piece| !piece.text.is_empty()).into_iter().collect();
        let state = State {
            usage: response.usage,
            ending: Some(Box::new(Ok(response))),
            pieces,
            ..State::default()
        };
        let buffer = Buffer { state: Mutex::new(state), clock: clock.clone(), ..Buffer::default() };
        Self { buffer: Arc::new(buffer), task: None }
    }

    /// Waits for the first piece or the natural end.
    ///
    /// # Errors
    /// The stream failed before its first piece.
    pub(super) async fn first(&mut self) -> Result<(), Failure> {
        loop {
            {
                let mut state = self.buffer.locked();
                let failed = state.ending.as_ref().is_some_and(|ending| ending.is_err());
                if !state.pieces.is_empty() || (state.ending.is_some() && !failed) {
                    state.go_on(&self.buffer.clock);
                    return Ok(());
                }
                if let Some(Err(failure)) = state.ending.take().map(|ending| *ending) {
                    return Err(failure);
                }
                state.wait(&self.buffer.clock);
            }
            self.buffer.arrived.notified().await;
        }
    }

    /// The next piece or the end, which comes once.
    pub(super) async fn next(&self) -> Next {
        loop {
            {
                let mut state = self.buffer.locked();
                if let Some(piece) = state.pieces.pop_front() {
                    state.go_on(&self.buffer.clock);
                    if state.pieces.len() == LOW {
                        self.buffer.taken.notify_one();
                    }
                    return Next::Piece(piece);
                }
                if let Some(ending) = state.ending.take() {
                    return Next::End(ending);
                }
                state.wait(&self.buffer.clock);
            }
            self.buffer.arrived.notified().await;
        }
    }

    /// Bytes that arrived since the last question.
    pub(super) fn take_bytes(&self) -> u64 {
        std::mem::take(&mut self.buffer.locked().bytes)
    }

    /// What is left of a stream that nobody reads on.
    pub(super) fn rest(&self) -> Rest {
        let state = self.buffer.locked();
        Rest {
            text: state.pieces.iter().map(|piece| piece.text.len() as u64).sum(),
            usage: state.usage,
            is_complete: state.ending.as_ref().is_some_and(|ending| ending.is_ok()),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // After a natural end the task only reads the rest of the body, for at most a second.
        let ended_well = self.rest().is_complete;
        if let Some(task) = self.task.take().filter(|_| !ended_well) {
            task.abort();
            turns::leave();
        }
    }
}

/// The task's end: it reads, decodes and waits for room.
struct Reader {
    buffer: Arc<Buffer>,
    body: Option<reqwest::Response>,
    sse: sse::Decoder,
    decoder: Box<dyn StreamDecoder>,
    timeout: Duration,
    /// How long the server has sent nothing but keep-alives.
    silent: Duration,
    /// When the answer was whole, though its end marker was still to come.
    whole_since: Option<Instant>,
    traffic: Traffic,
    /// For the log.
    beginning: Vec<u8>,
    bytes: u64,
    /// Kept for its room.
    events: Vec<SseEvent>,
}

impl Reader {
    async fn run(mut self, call: Option<Deadline>) {
        let ending = {
            // Pinned here: what waits for it would hold it once more.
            let reading = pin!(async {
                loop {
                    if let Some(ending) = self.read().await {
                        return ending;
                    }
                }
            });
            transport::within(call.as_ref(), reading).await
        };
        let body = self.body.take().filter(|_| ending.is_ok());
        self.buffer.end(ending);
        self.traffic.streamed(self.bytes, &self.beginning);
        // Only a body that was read to its end gives its connection back to the pool.
        if let Some(mut body) = body {
            let rest = async { while let Ok(Some(_)) = body.chunk().await {} };
            let _ = tokio::time::timeout(DRAIN, rest).await; // no run waits for this
        }
    }

    /// Reads some bytes and hands on what they complete; the ending, if they are the last that matter.
    async fn read(&mut self) -> Option<Ending> {
        let mut events = std::mem::take(&mut self.events);
        let ending = self.read_into(&mut events).await;
        events.clear();
        self.events = events;
        ending
    }

    async fn read_into(&mut self, events: &mut Vec<SseEvent>) -> Option<Ending> {
        match self.chunk().await {
            // What breaks after the end marker does not matter; `[DONE]` and the usage may be missing.
            Err(failure) => Some(match self.decoder.finish() {
                Err(cut_off) if cut_off.kind == FailureKind::Network => Err(failure),
                ended => ended,
            }),
            Ok(Some(bytes)) => {
                self.note(&bytes);
                let pushed = self.sse.push(&bytes, events);
                let ending = self.hand_on(events).await;
                let too_large = || {
                    let message = "an event is larger than 4 MiB";
                    Err(Failure::new(FailureKind::InvalidResponse, message))
                };
                ending.or_else(|| pushed.is_err().then(too_large))
            }
            Ok(None) => {
                let block = self.sse.finish(events);
                let ending = self.hand_on(events).await;
                let plain_error = || block.and_then(|text| raw_error(&text));
                ending.or_else(|| plain_error().map(Err)).or_else(|| Some(self.decoder.finish()))
            }
        }
    }

    /// The next bytes. Time counts only while the program waits: a slow program is not the server's fault.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let patience = self.timeout * PATIENCE;
        let limit = self.timeout.min(patience.saturating_sub(self.silent));
        let before = self.buffer.waited();
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        if let Some(since) = self.whole_since {
            let rest =
                transport::read_chunk(body, &Deadline::from(&self.buffer.clock, since, DRAIN))
                    .await;
            // A body that does not end keeps its connection for itself.
            return rest.inspect_err(|_| self.body = None);
        }
        loop {
            let left = limit.saturating_sub(self.buffer.waited() - before);
            let read =
                transport::read_chunk(body, &Deadline::after(&self.buffer.clock, left)).await;
            let waited = self.buffer.waited() - before;
            let is_idle = read.as_ref().is_err_and(|failure| failure.phase == Some("idle"));
            if is_idle && waited < limit {
                continue;
            }
            self.silent += waited;
            return match read {
                Err(_) if is_idle && self.silent >= patience => {
                    let what = "the stream sent nothing but keep-alives";
                    Err(transport::timed_out("idle", what, patience))
                }
                Err(_) if is_idle => {
                    Err(transport::timed_out("idle", "the stream sent nothing", limit))
                }
                read => read,
            };
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.buffer.locked().bytes += bytes.len() as u64;
        let room = self.traffic.keeps().saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    async fn hand_on(&mut self, events: &[SseEvent]) -> Option<Ending> {
        let at = self.buffer.clock.now();
        let mut ending = None;
        for event in events {
            if !is_keep_alive(event) {
                self.silent = Duration::ZERO;
            }
            let text = match self.decoder.push(event) {
                Ok(text) => text,
                Err(failure) => {
                    ending = Some(Err(failure));
                    break;
                }
            };
            if !text.is_empty() {
                self.buffer.put(Piece { text, at }).await;
            }
            if self.decoder.is_done() {
                ending = Some(self.decoder.finish());
                break;
            }
        }
        if self.decoder.is_whole() {
            self.whole_since.get_or_insert_with(|| self.buffer.clock.now());
        }
        let mut state = self.buffer.locked();
        state.usage = self.decoder.usage();
        if !state.pieces.is_empty() {
            self.buffer.arrived.notify_one();
        }
        ending
    }
}

impl Drop for Reader {
    /// Nobody waits for ever, whatever stops the task.
    fn drop(&mut self) {
        self.buffer.end(Err(Failure::new(FailureKind::Network, "the stream is closed")));
    }
}

fn is_keep_alive(event: &SseEvent) -> bool {
    matches!(event.name.as_deref(), Some("ping" | "keepalive"))
}

/// Lines that were no events: an error object, from servers that answer a stream request with plain JSON.
fn raw_error(text: &str) -> Option<Failure> {
    classify::inside_ok(&serde_json::from_str(text.trim()).ok()?)
}
