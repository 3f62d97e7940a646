//! Streams as values of a program.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::models;
use crate::llm::ResponseStream;
use crate::value::{Foreign, Value, builtin};
use crate::vm::{PanicKind, Resume};

/// An open, ended or closed stream. Whoever drops the last handle closes the connection.
#[derive(Debug)]
struct Stream(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(Box<ResponseStream>),
    /// Words of a mocked answer, and how many were taken.
    Mocked(VecDeque<String>, i64),
    /// Ended or closed.
    Over,
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
    Value::Foreign(Arc::new(Box::new(Stream(Mutex::new(state)))))
}

pub(super) fn from_response(stream: ResponseStream) -> Value {
    value(State::Open(Box::new(stream)))
}

/// A mocked stream gives its text word by word.
pub(super) fn from_text(text: &str) -> Value {
    value(State::Mocked(text.split_inclusive(' ').map(str::to_owned).collect(), 0))
}

fn stream_of(value: &Value) -> Option<&Stream> {
    match value {
        // The outer box hides the type that `as_any` is to reveal.
        Value::Foreign(thing) => (***thing).as_any().downcast_ref(),
        _ => None,
    }
}

/// The next chunk of a stream.
pub(super) async fn next(stream: &Value) -> Resume {
    let Some(stream) = stream_of(stream) else {
        return Resume::Panic(PanicKind::TypeMismatch, "this is no stream".to_owned());
    };
    let mut state = stream.0.lock().await;
    let (resume, over) = match &mut *state {
        State::Over => {
            let message = "the stream has ended or was closed: it can be read once".to_owned();
            return Resume::Panic(PanicKind::StreamConsumed, message);
        }
        State::Mocked(words, taken) => match words.pop_front() {
            Some(word) => {
                *taken += 1;
                (Resume::Value(builtin::stream_chunk(&word, *taken - 1, 0, 1)), false)
            }
            None => (Resume::End, true),
        },
        State::Open(open) => match open.next().await {
            Some(Ok(chunk)) => {
                let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let (index, elapsed) = (whole(chunk.index), whole(chunk.elapsed_ms));
                (Resume::Value(builtin::stream_chunk(&chunk.text, index, elapsed, 1)), false)
            }
            Some(Err(error)) => (Resume::Error(models::error_value(&error)), true),
            None => (Resume::End, true),
        },
    };
    if over {
        *state = State::Over;
    }
    resume
}

/// Closes a stream; one that is over stays so.
pub(super) fn close(stream: &Value) {
    if let Some(stream) = stream_of(stream)
        && let Ok(mut state) = stream.0.try_lock()
    {
        *state = State::Over;
    }
}
