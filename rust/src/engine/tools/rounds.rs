//! The rounds of a call whose model may call tools (LO-1 to LO-14).

use std::fmt::Write;

use futures_util::future::try_join_all;
use serde_json::Value as Json;

use super::{Caller, Outcome, Place, What, declared, refusal, tool_error};
use crate::chat::{ChatResponse, Message, ToolCall};
use crate::engine::Engine;
use crate::engine::mocked::Talk;
use crate::error::RunError;
use crate::ir::program::ToolMethod;
use crate::llm::{Answer, Call, LlmError};
use crate::providers::{Failure, FailureKind};
use crate::schema::Violation;
use crate::value::{Value, to_json};

/// How far a call has come.
#[derive(Debug)]
pub(in crate::engine) struct Rounds {
    /// Runs methods; a call that offers none has none.
    caller: Option<Caller>,
    /// Rounds with calls.
    done: u32,
    /// What says what becomes of an error: a function, and the model that it takes.
    hook: Option<(u32, Value)>,
}

/// What becomes of an error of a tool (LO-8).
enum Action {
    /// The model hears of it.
    Report,
    /// The same call runs again, at most so often.
    Retry(u64),
    /// The call of the model ends.
    Fail,
}

/// What ends a call between two rounds.
enum Stop {
    /// The call.
    Call(Failure),
    /// The whole run.
    Run(RunError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// The messages for the next round, unless the run itself has failed.
pub(in crate::engine) type Results = Result<Vec<Message>, RunError>;

impl Rounds {
    fn new(caller: Option<Caller>, hook: Option<(u32, Value)>) -> Self {
        Self { caller, done: 0, hook }
    }

    /// From now on another task waits for the call.
    pub(in crate::engine) fn by(&mut self, caller: Option<Caller>) {
        self.caller = caller;
    }

    /// One round has had its calls.
    pub(in crate::engine) fn count(&mut self) {
        self.done += 1;
    }

    /// An error between two rounds, in the words of the language.
    pub(in crate::engine) fn explain(&self, mut error: LlmError) -> LlmError {
        match error.failure.kind {
            FailureKind::ToolLimit => {
                error.rounds = self.done;
                let (connection, said) = (&error.connection, &error.failure.message);
                let message = format!("{connection}: tool limit: {said}");
                error.set_message(&message);
            }
            FailureKind::Custom => {
                let message = error.failure.message.clone();
                error.set_message(&message);
            }
            _ => {}
        }
        error
    }
}

impl Engine<'_> {
    /// Those of a call that begins.
    pub(in crate::engine) fn rounds(&self, model: u32, caller: Option<Caller>) -> Rounds {
        let program = &self.shared.program;
        let hook = program.models().get(model as usize).and_then(|declared| {
            let value = program.model_value(model)?;
            Some((declared.on_tool_error?, Value::Model(value.clone())))
        });
        Rounds::new(caller, hook)
    }

    /// The next answer that asks for nothing. Calls that others ask for are run, and their results said.
    pub(in crate::engine) async fn turn(
        &self,
        talk: &mut Talk,
        rounds: &mut Rounds,
    ) -> Result<Result<Answer, LlmError>, RunError> {
        loop {
            let answer = match talk.round().await {
                Ok(answer) if talk.call().asks(&answer.response) => answer,
                outcome => return Ok(outcome),
            };
            let results = Box::pin(self.results(talk.call(), &answer.response, rounds)); // rare, and large
            match talk.within(results).await {
                Ok(messages) => talk.say(messages?),
                Err(failure) => return Ok(Err(rounds.explain(talk.broke(failure)))),
            }
            rounds.count();
        }
    }

    /// Runs the calls of one answer; gives the answer and their results as messages.
    ///
    /// # Errors
    /// The call ends.
    pub(in crate::engine) async fn results(
        &self,
        call: &Call,
        response: &ChatResponse,
        rounds: &Rounds,
    ) -> Result<Results, Failure> {
        let most = self.shared.tools.max_rounds;
        if rounds.done >= most {
            let message = format!(
                "the model asked for tools in more than {most} rounds; `max_tool_rounds` of the host sets the limit"
            );
            return Err(Failure::new(FailureKind::ToolLimit, message));
        }
        // Polled in order for the first time, and so started in order.
        let calls = response.tool_calls.iter().map(|asked| self.result(call, asked, rounds));
        match try_join_all(calls).await {
            Ok(results) => {
                Ok(Ok([Message::calling(response)].into_iter().chain(results).collect()))
            }
            Err(Stop::Run(error)) => Ok(Err(error)),
            Err(Stop::Call(failure)) => Err(failure),
        }
    }

    /// Runs one call.
    async fn result(
        &self,
        call: &Call,
        asked: &ToolCall,
        rounds: &Rounds,
    ) -> Result<Message, Stop> {
        let said = |text: &str, is_error| {
            Message::result(asked, cut(text, self.shared.tools.max_result_bytes), is_error)
        };
        let program = &self.shared.program;
        let meant = self.meant(call, &asked.name);
        let Some((place, (tool, method))) =
            meant.and_then(|place| Some((place, declared(program, place)?)))
        else {
            return Ok(said(&unknown(call, &asked.name), true));
        };
        let args = match self.arguments(method, asked).await? {
            Ok(args) => args,
            Err(text) => return Ok(said(&text, true)),
        };
        let mut left = None;
        loop {
            let started = self.shared.clock.now();
            let outcome = self.perform(place, args.clone(), rounds).await?;
            let milliseconds = self.shared.clock.since(started).as_secs_f64() * 1000.0;
            let is_error = outcome.is_err();
            for recorder in &self.recorders {
                recorder.tool_called(&call.origin, (tool, &method.name), is_error, milliseconds);
            }
            let error = match outcome {
                Ok(value) => return Ok(said(&text_of(&value), false)),
                Err(error) => error,
            };
            let action = match left {
                Some(left) => Action::Retry(left),
                None => self.action(tool, &error, rounds).await,
            };
            match action {
                Action::Report | Action::Retry(0) => return Ok(said(&error.message(), true)),
                Action::Retry(more) => left = Some(more - 1),
                Action::Fail => {
                    let failure = Failure::new(FailureKind::Custom, error.message());
                    return Err(Stop::Call(failure));
                }
            }
        }
    }

    /// What the model's hook makes of an error. Without one, and where it fails itself, the model hears of the error.
    async fn action(&self, tool: &str, error: &Value, rounds: &Rounds) -> Action {
        let Some(((hook, model), caller)) = rounds.hook.as_ref().zip(rounds.caller.as_ref()) else {
            return Action::Report;
        };
        let args = vec![model.clone(), tool.into(), error.clone()];
        let Outcome::Ended(Ok(Value::Enum(action))) = caller.run(What::Function(*hook), args).await
        else {
            return Action::Report;
        };
        match (action.ty.variants.get(action.variant as usize), action.fields.as_slice()) {
            (Some((name, ..)), [Value::Int(most)]) if name == "Retry" => {
                Action::Retry(u64::try_from(*most).unwrap_or(0))
            }
            (Some((name, ..)), []) if name == "Fail" => Action::Fail,
            _ => Action::Report,
        }
    }

    /// The arguments in the order of the parameters, or what is wrong with them (LO-4).
    async fn arguments(
        &self,
        method: &ToolMethod,
        asked: &ToolCall,
    ) -> Result<Result<Vec<Value>, String>, RunError> {
        let json = match asked.object() {
            Ok(object) => Json::Object(object),
            Err(error) => {
                let text = format!("invalid arguments: they are no JSON object ({error})");
                return Ok(Err(text));
            }
        };
        let value = match self.judge_json(method.arguments, &json).await? {
            Ok(value) => value,
            Err(violations) => return Ok(Err(wrong(&violations))),
        };
        let Value::Struct(arguments) = value else { return Ok(Ok(Vec::new())) };
        Ok(Ok(arguments.fields.clone()))
    }

    /// Runs a method; its error is a `ToolError`.
    async fn perform(
        &self,
        place: Place,
        args: Vec<Value>,
        rounds: &Rounds,
    ) -> Result<Result<Value, Value>, RunError> {
        let program = &self.shared.program;
        if let Some(refused) = self.refuses(place) {
            return Ok(Err(refused));
        }
        let Some(caller) = &rounds.caller else {
            let message = "nobody runs tools here";
            return Ok(Err(refusal(program, place, "execution_failed", message)));
        };
        let ended = match caller.run(What::Method(place), args).await {
            Outcome::Ended(ended) => ended,
            Outcome::Host(reply) => return self.hosted(place, reply).await,
        };
        let fails = declared(program, place).is_some_and(|(_, method)| method.fails);
        Ok(match ended {
            Ok(Value::Ok(value)) if fails => Ok((**value).clone()),
            Ok(Value::Err(error)) if fails => Err(tool_error(program, place, &error)),
            Ok(value) => Ok(value),
            Err(raised) => Err(tool_error(program, place, &raised)),
        })
    }
}

/// LO-5.
fn unknown(call: &Call, name: &str) -> String {
    let names: Vec<&str> = call.tools.specs.iter().map(|spec| spec.name.as_str()).collect();
    format!("unknown tool {name}; available: {}", names.join(", "))
}

/// Every violation on a line of its own.
fn wrong(violations: &[Violation]) -> String {
    let mut text = "invalid arguments:".to_owned();
    for violation in violations {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n- {}", violation.told("the arguments"));
    }
    text
}

/// LO-6.
fn text_of(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => to_json(other).to_string(),
    }
}

/// A text of at most so many bytes; one that is longer says how long it was.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let note = format!("[truncated, {} bytes]", text.len());
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned() + &note
}
