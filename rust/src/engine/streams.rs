//! Streams as values of a program.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use super::logged::Log;
use super::mocked::{Mocked, Said};
use super::models;
use crate::llm::{LlmError, ResponseStream};
use crate::metrics::End;
use crate::value::{Foreign, Value, builtin};
use crate::vm::{PanicKind, Resume, StreamRequest};

/// An open, ended or closed stream. Whoever drops the last handle closes the connection.
#[derive(Debug)]
struct Stream {
    state: Mutex<State>,
    /// Of a logged call, until its end was told.
    log: std::sync::Mutex<Option<Log>>,
}

#[derive(Debug)]
enum State {
    Open(Box<ResponseStream>),
    /// A mocked answer.
    Mocked(Box<Pieces>),
    Over(Over),
}

#[derive(Debug)]
struct Pieces {
    call: Mocked,
    left: VecDeque<String>,
    pause: Duration,
    taken: i64,
    text: String,
    response: Value,
}

impl Pieces {
    /// The next chunk; `None` at the natural end.
    async fn next(&mut self) -> Option<Value> {
        let Some(piece) = self.left.pop_front() else {
            self.call.end(&End::Success);
            return None;
        };
        if self.taken > 0 && !self.pause.is_zero() {
            self.call.sleep(self.pause).await;
        }
        self.taken += 1;
        self.text.push_str(&piece);
        let elapsed = i64::try_from(self.call.elapsed_ms()).unwrap_or(i64::MAX);
        Some(builtin::stream_chunk(piece, self.taken - 1, elapsed, 1))
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

fn value(state: State) -> Value {
    Value::Foreign(Arc::new(Box::new(Stream {
        state: Mutex::new(state),
        log: std::sync::Mutex::default(),
    })))
}

pub(super) fn from_response(stream: ResponseStream) -> Value {
    value(State::Open(Box::new(stream)))
}

/// A mocked stream gives its text in pieces, and the response at its end.
pub(super) fn from_mock(call: Mocked, said: Said) -> Value {
    let response = models::response(&said.answer);
    let (left, text) = (said.pieces.into(), String::new());
    let pieces = Pieces { call, left, pause: said.pause, taken: 0, text, response };
    value(State::Mocked(Box::new(pieces)))
}

fn stream_of(value: &Value) -> Option<&Stream> {
    match value {
        // The outer box hides the type that `as_any` is to reveal.
        Value::Foreign(thing) => (***thing).as_any().downcast_ref(),
        _ => None,
    }
}

/// What a program gets that reads or closes a stream (S-7).
pub(super) async fn answer(stream: &Value, request: StreamRequest) -> Resume {
    let Some(stream) = stream_of(stream) else {
        return Resume::Panic(PanicKind::TypeMismatch, "this is no stream".to_owned());
    };
    let mut state = stream.state.lock().await;
    Resume::Value(match request {
        StreamRequest::Chunk => {
            if let State::Over(_) = *state {
                return consumed("the stream has ended or was closed: it can be read once");
            }
            match state.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Resume::End,
                Err(error) => return Resume::Error(models::error_value(&error)),
            }
        }
        StreamRequest::Next => models::result(state.next().await.map(Value::option)),
        StreamRequest::Collect => match state.rest().await {
            Err(error) => models::result(Err(error)),
            Ok(()) => match state.response() {
                Some(response) => Value::ok(response),
                None => return consumed("the stream was closed or has failed before its end"),
            },
        },
        StreamRequest::Response => Value::option(state.response()),
        StreamRequest::Text => state.text().into(),
        StreamRequest::IsDone => matches!(*state, State::Over(_)).into(),
        StreamRequest::Close => {
            state.end(None, None);
            Value::Nil
        }
    })
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
    /// The next chunk; `None` when there is none any more.
    async fn next(&mut self) -> Result<Option<Value>, LlmError> {
        let response = match self {
            Self::Over(_) => return Ok(None),
            Self::Mocked(pieces) => match pieces.next().await {
                Some(chunk) => return Ok(Some(chunk)),
                None => Some(pieces.response.clone()),
            },
            Self::Open(open) => match open.next().await {
                Some(Ok(chunk)) => {
                    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                    let (index, elapsed) = (whole(chunk.index), whole(chunk.elapsed_ms));
                    return Ok(Some(builtin::stream_chunk(chunk.text, index, elapsed, 1)));
                }
                Some(Err(error)) => {
                    self.end(None, Some(models::error_value(&error)));
                    return Err(error);
                }
                None => open.answer().map(models::response),
            },
        };
        self.end(response, None);
        Ok(None)
    }

    /// Reads to the end.
    async fn rest(&mut self) -> Result<(), LlmError> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    fn response(&self) -> Option<Value> {
        match self {
            Self::Over(over) => over.response.clone(),
            _ => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Open(open) => open.text(),
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
