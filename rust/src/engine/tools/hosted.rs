//! Methods that the host stands in for (TL-18).

use super::{Job, Outcome, Place, Waiter, declared, refusal};
use crate::engine::Engine;
use crate::engine::answers::Answered;
use crate::engine::emits::Outlet;
use crate::engine::requests::{Question, Refusal, Reply, RequestKind};
use crate::engine::run::Run;
use crate::error::RunError;
use crate::ir::Verified;
use crate::ir::program::Type;
use crate::value::{Key, MapValue, Text, Value, to_json};
use crate::vm::Resume;

/// The arguments of a method by the names of its parameters.
fn named(program: &Verified, ty: u32, args: Vec<Value>) -> Value {
    let Some(Type::Struct(arguments)) = program.types().get(ty as usize) else { return Value::Nil };
    let names = arguments.fields.iter().map(|field| Key::Str(Text::new(field.name.as_str())));
    Value::Map(names.zip(args).collect::<MapValue>().into())
}

impl<'e, O: Outlet> Run<'e, O> {
    /// Asks the host to do what a job is for.
    pub(super) fn ask_stand_in(&mut self, job: Job, place: Place) -> Result<(), RunError> {
        let engine = self.engine;
        let program = &engine.shared.program;
        let Some((tool, method)) = declared(program, place) else { return Ok(()) };
        let kind = RequestKind::Tool { tool: tool.to_owned(), method: method.name.clone() };
        let payload = named(program, method.arguments, job.args);
        let expected = program.type_name(method.result);
        let question = Question { kind, payload, expected };
        let reply = self.outlet.ask(question).map_err(RunError::handler)?;
        match job.waiter {
            // Who gave up is told nothing.
            Waiter::Effect(sender) => drop(sender.send(Outcome::Host(reply))),
            Waiter::Task | Waiter::Argument(..) => {
                let wait = async move { engine.hosted_answer(place, reply).await };
                self.tree.wait(job.parent, Box::pin(wait));
            }
        }
        Ok(())
    }
}

impl Engine<'_> {
    /// Whether the host is to be asked.
    pub(super) fn is_hosted(&self, place: Place) -> bool {
        self.shared.tools.is_hosted(place)
    }

    /// The answer to a call from the program.
    async fn hosted_answer(&self, place: Place, reply: Option<Reply>) -> Answered {
        let fails = declared(&self.shared.program, place).is_some_and(|(_, method)| method.fails);
        let value = match self.hosted(place, reply).await? {
            Ok(value) if fails => Value::ok(Value::ok(value)),
            Ok(value) => Value::ok(value),
            Err(error) => Value::err(error),
        };
        Ok(Resume::Value(value).into())
    }

    /// Waits for the host. What it gives must be of the type of the method; an error is a `ToolError`.
    pub(super) async fn hosted(
        &self,
        place: Place,
        reply: Option<Reply>,
    ) -> Result<Result<Value, Value>, RunError> {
        let program = &self.shared.program;
        let Some((tool, method)) = declared(program, place) else { return Ok(Ok(Value::Nil)) };
        let refused = |kind: &str, message: &str| Ok(Err(refusal(program, place, kind, message)));
        let name = format!("{tool}.{}", method.name);
        let replied = match reply {
            Some(reply) => {
                let _host = self.shared.clock.host();
                reply.await
            }
            None => Err(Refusal::NoListener),
        };
        let value = match replied {
            Ok(value) => value,
            Err(Refusal::Handler(message)) => return refused("execution_failed", &message),
            Err(Refusal::Closed) => {
                let message = format!("the host has let go of a call of `{name}`");
                return refused("execution_failed", &message);
            }
            Err(Refusal::NoListener) => {
                return refused("not_found", &format!("no host answers calls of `{name}`"));
            }
        };
        match self.judge_json(method.result, &to_json(&value)).await? {
            Ok(value) => Ok(Ok(value)),
            Err(violations) => {
                let wanted = program.type_name(method.result);
                let what: Vec<_> =
                    violations.iter().take(3).map(|each| each.told("the value")).collect();
                let what = what.join("; ");
                let message = format!("what the host gave for `{name}` is no `{wanted}`: {what}");
                refused("invalid_result", &message)
            }
        }
    }
}
