//! `await emit`: asks of a run to its host (EM-6 to EM-13), and payloads that are judged when they are sent (EM-14).

use super::Engine;
use super::answers::Answered;
use super::emits::Outlet;
use super::requests::{Question, Refusal, Reply, RequestKind};
use super::run::{Next, Run};
use crate::error::RunError;
use crate::schema::Violation;
use crate::value::{Text, Value, builtin, to_json};
use crate::vm::Resume;

/// A reply that is no value of the program: kind and message of the `EmitError`.
type Failed = (&'static str, String);

impl<'e, O: Outlet> Run<'e, O> {
    /// Tells listeners, then asks whoever answers on the channel. The task waits.
    pub(super) async fn ask_host(
        &mut self,
        id: u64,
        channel: &Text,
        payload: Value,
        ty: u32,
    ) -> Result<Next, RunError> {
        let engine = self.engine;
        let name = channel.to_string();
        engine.send(id, name.clone(), payload.clone(), self.outlet).await?;
        engine.flush(self.outlet).await?;
        let expected = engine.shared.program.type_name(ty);
        let kind = RequestKind::Emit { channel: name.clone() };
        let question = Question { kind, payload, expected };
        let reply = self.outlet.ask(question).map_err(RunError::handler)?;
        let wait = async move { engine.reply(&name, ty, reply).await };
        self.suspend(id, Box::pin(wait), false).await
    }
}

impl Engine<'_> {
    async fn reply(&self, channel: &str, ty: u32, reply: Option<Reply>) -> Answered {
        let outcome = match self.said(channel, reply).await {
            Ok(value) => self.judge_json(ty, &to_json(&value)).await?.map_err(|violations| {
                let what = described(&violations);
                ("invalid_reply", format!("the reply on `{channel}` does not fit: {what}"))
            }),
            Err(failed) => Err(failed),
        };
        let answer = match outcome {
            Ok(value) => Value::ok(value),
            Err((kind, message)) => Value::err(builtin::emit_error(&message, kind, channel)),
        };
        Ok(Resume::Value(answer).into())
    }

    /// Waits for the host.
    async fn said(&self, channel: &str, reply: Option<Reply>) -> Result<Value, Failed> {
        let Some(reply) = reply else { return Err(unheard(channel)) };
        let clock = &self.shared.clock;
        let _host = clock.host();
        let replied = match self.shared.reply_timeout {
            None => reply.await,
            Some(limit) => {
                let late = || {
                    let seconds = limit.as_secs_f64();
                    ("timeout", format!("no reply on `{channel}` within {seconds} s"))
                };
                clock.until(clock.now() + limit, reply).await.ok_or_else(late)?
            }
        };
        replied.map_err(|refusal| match refusal {
            Refusal::NoListener => unheard(channel),
            Refusal::Handler(message) => ("handler", message),
            Refusal::Closed => ("closed", format!("the host has closed the channel `{channel}`")),
        })
    }

    /// A payload as a value of a type, or what is wrong with it.
    pub(super) async fn fit(
        &self,
        value: Value,
        ty: u32,
    ) -> Result<Result<Value, String>, RunError> {
        let judged = self.judge_json(ty, &to_json(&value)).await?;
        Ok(judged.map_err(|violations| {
            let wanted = self.shared.program.type_name(ty);
            format!("the payload does not fit `{wanted}`: {}", described(&violations))
        }))
    }
}

fn unheard(channel: &str) -> Failed {
    ("no_listener", format!("nobody answers on the channel `{channel}`"))
}

/// The first three violations.
fn described(violations: &[Violation]) -> String {
    let said = violations.iter().take(3).map(|violation| {
        let found = format!("expected {}, got {}", violation.expected, violation.actual);
        match (violation.path.as_str(), violation.reason) {
            ("", "validator") => violation.actual.clone(),
            ("", _) => found,
            (path, "validator") => format!("{path}: {}", violation.actual),
            (path, _) => format!("{path}: {found}"),
        }
    });
    said.collect::<Vec<_>>().join("; ")
}
