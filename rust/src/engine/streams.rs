//! Streams as values of a program.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex;

use super::logged::Log;
use super::mocked::{Local, Said};
use super::tools::{Caller, Rounds};
use super::{Engine, models};
use crate::error::RunError;
use crate::llm::{Answer, LlmError, ResponseStream};
use crate::metrics::End;
use crate::value::{Foreign, Value, builtin};
use crate::vm::{PanicKind, Resume, StreamRequest};

/// An open, ended or closed stream. Whoever drops the last handle closes the connection.
#[derive(Debug)]
struct Stream {
    state: Mutex<State>,
    /// Whether reading it may run tools.
    offers_tools: bool,
    /// Of a logged call, until its end was told.
    log: std::sync::Mutex<Option<Log>>,
}

#[derive(Debug)]
enum State {
    Open(Box<Open>),
    /// A mocked answer.
    Mocked(Box<Pieces>),
    Over(Over),
}

#[derive(Debug)]
struct Open {
    stream: ResponseStream,
    rounds: Rounds,
}

#[derive(Debug)]
struct Pieces {
    call: Local,
    rounds: Rounds,
    left: VecDeque<String>,
    pause: Duration,
    taken: i64,
    text: String,
    /// Of the round.
    answer: Answer,
}

/// A chunk, or the response at the natural end.
type Next = Result<Result<Value, Option<Value>>, LlmError>;

impl Open {
    async fn next(&mut self, engine: &Engine<'_>) -> Result<Next, RunError> {
        loop {
            match self.stream.next().await {
                Some(Ok(chunk)) => {
                    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                    let (index, elapsed) = (whole(chunk.index), whole(chunk.elapsed_ms));
                    let round = i64::from(chunk.round);
                    return Ok(Ok(Ok(builtin::stream_chunk(chunk.text, index, elapsed, round))));
                }
                Some(Err(error)) => return Ok(Err(error)),
                None => {}
            }
            let Some(asked) = self.stream.asked() else {
                return Ok(Ok(Err(self.stream.answer().map(models::response))));
            };
            // Another round is rare, and would make each wait for a chunk as large as a whole call.
            let results =
                Box::pin(engine.results(self.stream.call(), &asked.response, &self.rounds));
            let messages = match self.stream.within(results).await {
                Ok(messages) => messages?,
                Err(failure) => {
                    return Ok(Err(self.rounds.explain(self.stream.broke(failure))));
                }
            };
            self.rounds.count();
            if let Err(error) = Box::pin(self.stream.go_on(messages)).await {
                return Ok(Err(error));
            }
        }
    }
}

impl Pieces {
    async fn next(&mut self, engine: &Engine<'_>) -> Result<Next, RunError> {
        loop {
            if let Some(piece) = self.left.pop_front() {
                return Ok(Ok(Ok(self.chunk(piece).await)));
            }
            if !self.call.call().asks(&self.answer.response) {
                self.call.end(&End::Success);
                return Ok(Ok(Err(Some(models::response(&self.answer)))));
            }
            let results =
                Box::pin(engine.results(self.call.call(), &self.answer.response, &self.rounds));
            let messages = match self.call.within(results).await {
                Ok(messages) => messages?,
                Err(failure) => return Ok(Err(self.rounds.explain(self.call.broke(failure)))),
            };
            self.rounds.count();
            self.call.say(messages);
            match Box::pin(self.call.round(true)).await {
                Ok(said) => self.take(said),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// The answer of the next round.
    fn take(&mut self, said: Said) {
        (self.left, self.pause) = (said.pieces.into(), said.pause);
        self.answer = said.answer;
    }

    async fn chunk(&mut self, piece: String) -> Value {
        if self.taken > 0 && !self.pause.is_zero() {
            self.call.sleep(self.pause).await;
        }
        self.taken += 1;
        self.text.push_str(&piece);
        let elapsed = i64::try_from(self.call.elapsed_ms()).unwrap_or(i64::MAX);
        let round = i64::from(self.answer.rounds);
        builtin::stream_chunk(piece, self.taken - 1, elapsed, round)
    }
}

/// What is left of a stream that has ended, failed or was closed.
#[derive(Debug)]
struct Over {
    text: String,
    /// After the natural end.
    response: Option<Value>,
    /// Of a stream that broke.
    error: Option<Value>,
}

impl Foreign for Stream {
    fn type_name(&self) -> &'static str {
        "Stream"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn value(state: State, offers_tools: bool) -> Value {
    let (state, log) = (Mutex::new(state), std::sync::Mutex::default());
    Value::foreign(Stream { state, offers_tools, log })
}

pub(super) fn from_response(stream: ResponseStream, rounds: Rounds) -> Value {
    let offers_tools = !stream.call().tools.specs.is_empty();
    value(State::Open(Box::new(Open { stream, rounds })), offers_tools)
}

/// Opens a stream that this process answers: it gives its text in pieces, and the response at its end.
///
/// # Errors
/// That of its first round.
pub(super) async fn from_local(mut call: Local, rounds: Rounds) -> Result<Value, LlmError> {
    let Said { answer, pieces, pause } = call.round(true).await?;
    let offers_tools = !call.call().tools.specs.is_empty();
    let (left, text) = (pieces.into(), String::new());
    let pieces = Pieces { call, rounds, left, pause, taken: 0, text, answer };
    Ok(value(State::Mocked(Box::new(pieces)), offers_tools))
}

fn stream_of(value: &Value) -> Option<&Stream> {
    match value {
        // The outer box hides the type that `as_any` is to reveal.
        Value::Foreign(thing) => (***thing).as_any().downcast_ref(),
        _ => None,
    }
}

/// Whether reading a stream may run tools.
pub(super) fn offers_tools(stream: &Value) -> bool {
    stream_of(stream).is_some_and(|stream| stream.offers_tools)
}

/// What a program gets that reads or closes a stream (S-7); `caller` runs tools for the task that reads.
pub(super) async fn answer(
    engine: &Engine<'_>,
    stream: &Value,
    request: StreamRequest,
    caller: Option<Caller>,
) -> Result<Resume, RunError> {
    let Some(stream) = stream_of(stream) else {
        return Ok(Resume::Panic(PanicKind::TypeMismatch, "this is no stream".to_owned()));
    };
    let mut state = stream.state.lock().await;
    state.read_by(caller);
    Ok(Resume::Value(match request {
        StreamRequest::Chunk => {
            if let State::Over(_) = *state {
                return Ok(consumed("the stream has ended or was closed: it can be read once"));
            }
            match state.next(engine).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(Resume::End),
                Err(error) => return Ok(Resume::Error(models::error_value(&error))),
            }
        }
        StreamRequest::Next => models::result(state.next(engine).await?.map(Value::option)),
        StreamRequest::Collect => match state.rest(engine).await? {
            Err(error) => models::result(Err(error)),
            Ok(()) => match state.response() {
                Some(response) => Value::ok(response),
                None => return Ok(consumed("the stream was closed or has failed before its end")),
            },
        },
        StreamRequest::Response => Value::option(state.response()),
        StreamRequest::Text => state.text().into(),
        StreamRequest::IsDone => matches!(*state, State::Over(_)).into(),
        StreamRequest::Close => {
            state.end(None, None);
            Value::Nil
        }
    }))
}

/// Gives a stream the log of its call.
pub(super) fn keep(outcome: &Value, log: Log) {
    if let Value::Ok(stream) = outcome
        && let Some(stream) = stream_of(stream)
    {
        *stream.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
    }
}

/// Whether nobody is reading it at the moment.
pub(super) fn is_idle(stream: &Value) -> bool {
    stream_of(stream).is_none_or(|stream| stream.state.try_lock().is_ok())
}

/// The record of a logged stream that is over, once: its channel and the value.
pub(super) fn record(stream: &Value) -> Option<(String, Value)> {
    let (log, ending) = ended(stream)?;
    log.ended(&ending)
}

/// The log of a stream that is over and how it ended, once: the response or error as a Result, nil if it was closed.
fn ended(stream: &Value) -> Option<(Log, Value)> {
    let stream = stream_of(stream)?;
    let state = stream.state.try_lock().ok()?;
    let State::Over(over) = &*state else { return None };
    let log = stream.log.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let ending = match (&over.response, &over.error) {
        (Some(response), _) => Value::ok(response.clone()),
        (None, Some(error)) => Value::err(error.clone()),
        (None, None) => Value::Nil,
    };
    Some((log, ending))
}

fn consumed(message: &str) -> Resume {
    Resume::Panic(PanicKind::StreamConsumed, message.to_owned())
}

impl State {
    /// Who runs tools from now on.
    fn read_by(&mut self, caller: Option<Caller>) {
        match self {
            Self::Open(open) => open.rounds.by(caller),
            Self::Mocked(pieces) => pieces.rounds.by(caller),
            Self::Over(_) => {}
        }
    }

    /// The next chunk; `None` when there is none any more.
    async fn next(
        &mut self,
        engine: &Engine<'_>,
    ) -> Result<Result<Option<Value>, LlmError>, RunError> {
        let next = match self {
            Self::Over(_) => return Ok(Ok(None)),
            Self::Mocked(pieces) => pieces.next(engine).await?,
            Self::Open(open) => open.next(engine).await?,
        };
        Ok(match next {
            Ok(Ok(chunk)) => Ok(Some(chunk)),
            Ok(Err(response)) => {
                self.end(response, None);
                Ok(None)
            }
            Err(error) => {
                self.end(None, Some(models::error_value(&error)));
                Err(error)
            }
        })
    }

    /// Reads to the end.
    async fn rest(&mut self, engine: &Engine<'_>) -> Result<Result<(), LlmError>, RunError> {
        loop {
            match self.next(engine).await? {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn response(&self) -> Option<Value> {
        match self {
            Self::Over(over) => over.response.clone(),
            _ => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Open(open) => open.stream.text(),
            Self::Mocked(pieces) => &pieces.text,
            Self::Over(over) => &over.text,
        }
    }

    /// Lets go of the connection; one that is over stays as it is.
    fn end(&mut self, response: Option<Value>, error: Option<Value>) {
        if !matches!(self, Self::Over(_)) {
            *self = Self::Over(Over { text: self.text().to_owned(), response, error });
        }
    }
}
