//! Answers what the VM asks for: model calls, streams, emits, the environment.
//!
//! The only part that knows both the language and the connection layer. One [`Engine`] serves one run; it holds what belongs to
//! the run (evaluated connection fields, metrics, the number of emits) and borrows what belongs to the runtime.

mod asked;
pub mod emits;
mod logged;
mod models;
mod settings;
mod streams;
pub mod testing;
mod typed;
pub mod world;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Overrides;
use crate::error::{RunError, TraceFrame};
use crate::ir::Verified;
use crate::llm::Client;
use crate::metrics::{PriceBook, Recorder};
use crate::value::{Value, builtin};
use crate::vm::{Effect, Fiber, Panic, PanicKind, Resume, Step, Trace};

use emits::{Emit, Outlet};
use settings::RunSettings;
use testing::Test;
use world::Environment;

/// Instructions between two looks at the host: about a millisecond of computation.
const BUDGET: u32 = 100_000;
/// Effects between two looks at the host: those that are answered at once would else keep a time limit waiting for ever.
const EFFECTS: u32 = 1_000;

/// What all runs of a runtime share.
pub struct Shared {
    /// The verified program.
    pub program: Verified,
    /// Connection pools and transport.
    pub client: Client,
    /// What tokens cost.
    pub prices: Arc<PriceBook>,
    /// The runtime's counters.
    pub recorder: Arc<Recorder>,
    /// Overrides of the host and of the command line.
    pub overrides: Arc<Overrides>,
    /// What `env(..)` sees.
    pub environment: Environment,
    /// Where time comes from.
    pub clock: Clock,
    /// Answer model calls locally (O-15).
    pub mock: bool,
    /// The test that this runtime is for.
    pub test: Option<Arc<Test>>,
    /// Active calls before StackOverflow.
    pub max_call_depth: usize,
}

impl Shared {
    /// To be called after an override has changed: waiting attempts follow the new rate limits at once.
    pub fn apply_limits(&self) {
        settings::apply_limits(self);
    }
}

/// One run.
pub struct Engine<'a> {
    shared: &'a Shared,
    settings: RunSettings,
    recorder: Arc<Recorder>,
    emitted: u64,
}

impl<'a> Engine<'a> {
    /// Prepares a run whose usage is counted in `recorder` besides the runtime's.
    #[must_use]
    pub fn new(shared: &'a Shared, recorder: Arc<Recorder>) -> Self {
        Self { shared, settings: RunSettings::default(), recorder, emitted: 0 }
    }

    /// Evaluates the fields of every connection, in order (`--require-keys`).
    ///
    /// # Errors
    /// The message of the first that fails.
    pub fn require_settings(&mut self) -> Result<(), String> {
        for index in 0..self.shared.program.connections().len() {
            self.settings.resolve(self.shared, index).map_err(|error| error.message)?;
        }
        Ok(())
    }

    /// The settings that a call over a connection would use now, as JSON, secrets masked; a field that cannot be evaluated says why.
    ///
    /// # Errors
    /// There is no such connection.
    pub fn settings_of(&mut self, name: &str) -> Result<serde_json::Value, String> {
        let connections = self.shared.program.connections();
        let index = connections.iter().position(|c| c.name == name).unwrap_or(usize::MAX);
        self.settings.view(self.shared, index).map_err(|error| error.message)
    }

    /// Runs one function to its end.
    ///
    /// # Errors
    /// [`RunError`]: an uncaught error or panic of the program, or a failed host.
    pub async fn run<O: Outlet>(
        &mut self,
        function: usize,
        args: Vec<Value>,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        let program = self.shared.program.clone();
        let mut fiber = Fiber::new(program, function, args, self.shared.max_call_depth);
        let mut answer = Resume::Continue;
        let mut effects = 0_u32;
        loop {
            answer = match fiber.run(answer, BUDGET) {
                Step::Done(value) => return Ok(value),
                Step::Failed { error, trace } => return Err(failed(error, &trace)),
                Step::Panicked(panic) => return Err(panicked(panic)),
                Step::Broken { what, trace } => return Err(broken(what, &trace)),
                Step::Yield => {
                    tokio::task::yield_now().await;
                    Resume::Continue
                }
                Step::Needs(effect) => {
                    effects = effects.wrapping_add(1);
                    if effects.is_multiple_of(EFFECTS) {
                        tokio::task::yield_now().await;
                    }
                    self.answer(effect, outlet).await?
                }
            };
        }
    }

    /// Hands a value to the host.
    async fn send<O: Outlet>(
        &mut self,
        channel: String,
        payload: Value,
        outlet: &mut O,
    ) -> Result<(), RunError> {
        let time = self.shared.clock.unix_seconds();
        let emit = Emit { channel, payload, time, sequence: self.emitted };
        self.emitted += 1;
        self.shared.recorder.emitted();
        self.recorder.emitted();
        let _host = self.shared.clock.outside();
        outlet.emit(emit).await.map_err(RunError::Handler)
    }

    async fn answer<O: Outlet>(
        &mut self,
        effect: Effect,
        outlet: &mut O,
    ) -> Result<Resume, RunError> {
        let value = match effect {
            Effect::Emit { channel, payload } => {
                self.send(channel.to_string(), emitted(payload), outlet).await?;
                Value::Nil
            }
            Effect::Print { text, newline } => {
                let line = if newline { format!("{text}\n") } else { text.to_string() };
                outlet.print(&line).map_err(RunError::Handler)?;
                Value::Nil
            }
            Effect::Env { name } => match self.shared.environment.read(&name) {
                Ok(value) => Value::ok(Value::from(value)),
                Err(missing) => {
                    Value::err(builtin::env_error(&missing.message(&name), missing.kind(), &name))
                }
            },
            Effect::Ask { model, input, answer } => {
                let answered = self.ask(&model, &input, answer, outlet).await?;
                if let Some(failure) = self.shared.test.as_ref().and_then(|test| test.failure()) {
                    return Ok(Resume::Panic(PanicKind::Assertion, failure));
                }
                answered
            }
            Effect::ParseSchema { schema, text } => self.parse_schema(schema, &text).await?,
            Effect::Stream { stream, request } => {
                let resume = streams::answer(&stream, request).await;
                self.stream_ended(&stream, outlet).await?;
                return Ok(resume);
            }
            Effect::Test(request) => {
                return self.test_request(request).ok_or_else(|| {
                    let what = "a test's instruction outside of a test".to_owned();
                    RunError::Internal { what, trace: Vec::new() }
                });
            }
        };
        Ok(Resume::Value(value))
    }
}

/// An error is sent as its message (E-7); `to_map` gives its fields.
fn emitted(payload: Value) -> Value {
    match payload {
        Value::Struct(error) if error.ty.is_error => {
            error.get("message").cloned().unwrap_or_default()
        }
        other => other,
    }
}

fn failed(error: Value, trace: &Trace) -> RunError {
    RunError::uncaught(error, frames(trace))
}

fn panicked(panic: Panic) -> RunError {
    let (kind, trace) = (panic.kind.to_string(), frames(&panic.trace));
    RunError::Panic { kind, message: panic.message, trace }
}

fn broken(what: &str, trace: &Trace) -> RunError {
    RunError::Internal { what: what.to_owned(), trace: frames(trace) }
}

fn frames(trace: &Trace) -> Vec<TraceFrame> {
    trace
        .iter()
        .map(|frame| TraceFrame {
            function: frame.function.clone(),
            path: frame.path.clone(),
            line: frame.line,
            column: frame.column,
        })
        .collect()
}
