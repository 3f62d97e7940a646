//! `@log` on a model: tells a channel of the host about the begin and the end of each call, secrets masked.
//!
//! A stream has ended when the program has read its end, or has closed it. One that the program forgets says no more.

use std::sync::Arc;

use tokio::time::Instant;

use super::Engine;
use super::emits::Outlet;
use crate::clock::{self, Clock};
use crate::error::RunError;
use crate::secret::{Secret, scrub};
use crate::value::{Key, MapValue, ModelValue, StructValue, Text, Value, to_json};
use crate::vm::Answer;

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
    /// A call of a model, with the records that it asks for.
    pub(super) async fn ask<O: Outlet>(
        &mut self,
        model: &ModelValue,
        input: &Value,
        answer: Answer,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        let Some(log) = self.log(model) else { return self.asked(model, input, answer).await };
        let start = log.record("start", 1, vec![("prompt", log.text(&said(input)))]);
        self.send(log.channel.clone(), start, outlet).await?;
        let value = self.asked(model, input, answer).await?;
        match log.end(&value) {
            Some(end) => self.send(log.channel, end, outlet).await?,
            None => super::streams::keep(&value, log),
        }
        Ok(value)
    }

    async fn asked(
        &mut self,
        model: &ModelValue,
        input: &Value,
        answer: Answer,
    ) -> Result<Value, RunError> {
        if let Some(test) = &self.shared.test {
            let test = Arc::clone(test);
            let is_mocked = test.answers_for(model.index, &model.name);
            if is_mocked {
                return self.ask_mocked(test, model, input, answer).await;
            }
            if !test.live {
                return Ok(Value::Nil);
            }
        }
        match answer {
            Answer::Response => Ok(self.execute(model, input).await),
            Answer::Schema(schema) => self.execute_with_schema(model, schema, input).await,
            Answer::Stream => Ok(self.stream(model, input).await),
        }
    }

    /// Tells of the end of a logged stream, once.
    pub(super) async fn stream_ended<O: Outlet>(
        &mut self,
        stream: &Value,
        outlet: &mut O,
    ) -> Result<(), RunError> {
        let Some((log, ending)) = super::streams::ended(stream) else { return Ok(()) };
        match log.end(&ending) {
            Some(end) => self.send(log.channel, end, outlet).await,
            None => Ok(()),
        }
    }

    fn log(&mut self, model: &ModelValue) -> Option<Log> {
        let declared = self.shared.program.models().get(model.index as usize)?;
        let channel = declared.fields.log.clone()?;
        let (target, connection) = (declared.name.clone(), declared.connection as usize);
        let settings = self.settings.resolve(self.shared, connection);
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
