//! `@log` on a model: tells a channel of the host about the begin and the end of each call, secrets masked.
//!
//! A stream has ended when the program has read its end, or has closed it. One that the program forgets says no more.

use std::sync::Arc;

use tokio::time::Instant;

use super::Engine;
use super::answers::{Answer, Answered};
use super::tools::{Caller, Rounds};
use crate::clock::{self, Clock};
use crate::error::RunError;
use crate::secret::{Secret, scrub};
use crate::value::{Key, MapValue, ModelValue, StructValue, Text, Value, to_json};
use crate::vm::{self, PanicKind, Resume};

/// A logged call that has not ended.
#[derive(Debug)]
pub(super) struct Log {
    channel: String,
    target: String,
    clock: Clock,
    started: Instant,
    secrets: Vec<Secret>,
}

impl Log {
    /// Where its records go.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// The record of the begin.
    pub(super) fn start(&self, input: &Value) -> Value {
        self.record("start", 1, vec![("prompt", self.text(&said(input)))])
    }

    /// The record of the end of a stream with its channel, by how it ended.
    pub(super) fn ended(self, ending: &Value) -> Option<(String, Value)> {
        let end = self.end(ending)?;
        Some((self.channel, end))
    }

    /// One record: what all have in common, and `more`.
    fn record(&self, phase: &str, attempt: i64, more: Vec<(&str, Value)>) -> Value {
        let elapsed = clock::millis(self.clock.since(self.started));
        let fields = [
            ("target", self.target.as_str().into()),
            ("phase", phase.into()),
            ("attempt", attempt.into()),
            ("duration_ms", i64::try_from(elapsed).unwrap_or(i64::MAX).into()),
        ];
        let map: MapValue = fields
            .into_iter()
            .chain(more)
            .map(|(name, value)| (Key::Str(Text::new(name)), value))
            .collect();
        Value::Map(map.into())
    }

    fn text(&self, text: &str) -> Value {
        scrub(text, &self.secrets).into()
    }

    /// The record of the end, by what the program got; none while a stream is open.
    fn end(&self, answer: &Value) -> Option<Value> {
        let of = |held: &StructValue, field: &str| held.get(field).cloned().unwrap_or_default();
        let attempts = |held: &StructValue| match held.get("attempts") {
            Some(Value::Int(attempts)) => *attempts,
            _ => 0,
        };
        match answer {
            Value::Err(error) => {
                let Value::Struct(held) = &***error else { return None };
                let more = vec![("kind", of(held, "kind")), ("message", of(held, "message"))];
                Some(self.record("error", attempts(held), more))
            }
            Value::Ok(inner) => match &***inner {
                Value::Foreign(_) => None,
                Value::Struct(held) if held.ty.name == "Response" => {
                    let text = held.get("text").and_then(Value::as_str).unwrap_or("");
                    let more = vec![
                        ("response", self.text(text)),
                        ("tokens_in", of(held, "tokens_in")),
                        ("tokens_out", of(held, "tokens_out")),
                    ];
                    Some(self.record("end", attempts(held), more))
                }
                // A typed answer has no response: its value is told, and metrics have its tokens (M-45).
                value => {
                    let text = to_json(value).to_string();
                    Some(self.record("end", 1, vec![("response", self.text(&text))]))
                }
            },
            _ => Some(self.record("end", 1, Vec::new())),
        }
    }
}

impl Engine<'_> {
    /// A call of a model, with the record of its end if it asks for one.
    pub(super) async fn ask(
        &self,
        model: &ModelValue,
        input: &Value,
        answer: vm::Answer,
        log: Option<Log>,
        caller: Option<Caller>,
    ) -> Answered {
        let rounds = self.rounds(model.index, caller);
        let value = self.asked(model, input, answer, rounds).await?;
        if let Some(failure) = self.shared.test.as_ref().and_then(|test| test.failure()) {
            return Ok(Resume::Panic(PanicKind::Assertion, failure).into());
        }
        let mut record = None;
        if let Some(log) = log {
            match log.end(&value) {
                Some(end) => record = Some((log.channel, end)),
                None => super::streams::keep(&value, log),
            }
        }
        Ok(Answer { resume: Resume::Value(value), record })
    }

    async fn asked(
        &self,
        model: &ModelValue,
        input: &Value,
        answer: vm::Answer,
        rounds: Rounds,
    ) -> Result<Value, RunError> {
        if let Some(test) = &self.shared.test {
            let test = Arc::clone(test);
            let is_mocked = test.answers_for(model.index, &model.name);
            if is_mocked {
                return Box::pin(self.ask_mocked(test, model, input, answer, rounds)).await;
            }
            if !test.live {
                return Ok(Value::Nil);
            }
        }
        match answer {
            vm::Answer::Response => self.execute(model, input, rounds).await,
            vm::Answer::Schema(schema) => {
                Box::pin(self.execute_with_schema(model, schema, input, rounds)).await
            }
            vm::Answer::Stream => Ok(Box::pin(self.stream(model, input, rounds)).await),
        }
    }

    /// The log of a call of a model that wants one.
    pub(super) fn log(&self, model: &ModelValue) -> Option<Log> {
        let declared = self.shared.program.models().get(model.index as usize)?;
        let channel = declared.fields.log.clone()?;
        let (target, connection) = (declared.name.clone(), declared.connection as usize);
        let settings = self.settings().resolve(self.shared, connection);
        let secrets = settings.map_or_else(|_| Vec::new(), |settings| settings.secrets());
        let clock = self.shared.clock.clone();
        Some(Log { channel, target, started: clock.now(), clock, secrets })
    }
}

/// The text of a prompt, or of the last message.
fn said(input: &Value) -> String {
    let field = |value: &Value, name: &str| match value {
        Value::Struct(held) => held.get(name).and_then(Value::as_str).unwrap_or("").to_owned(),
        _ => String::new(),
    };
    match input {
        Value::Str(text) => text.to_string(),
        Value::Array(messages) => messages.last().map_or(String::new(), |m| field(m, "content")),
        prompt => field(prompt, "text"),
    }
}
