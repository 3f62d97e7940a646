//! Answers what the VM asks for: model calls, streams, emits, the environment.
//!
//! The only part that knows both the language and the connection layer. One [`Engine`] serves one run; it holds what belongs to
//! the run (evaluated connection fields, metrics, the number of emits) and borrows what belongs to the runtime.

mod answers;
mod asked;
mod asks;
mod audit;
mod cached;
pub mod emits;
mod evaluated;
mod logged;
mod mocked;
mod models;
pub mod outside;
mod pipelines;
mod reported;
pub mod requests;
mod run;
mod settings;
mod streams;
pub mod testing;
pub mod tools;
mod tree;
mod typed;
pub mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::chat::OutputSchema;
use crate::clock::Clock;
use crate::config::Overrides;
use crate::config::settings::ConnectionSettings;
use crate::error::{RunError, TraceFrame};
use crate::ir::Verified;
use crate::llm::Client;
use crate::log::Log;
use crate::metrics::{PriceBook, Recorder};
use crate::value::{Value, builtin};
use crate::vm::{Panic, Request, Resume, Trace};

pub use cached::Answers;
use emits::{Emit, EmitMode, Outlet, Waiting};
pub use evaluated::Cache as SettingsCache;
pub use mocked::Mock;
use outside::{FileAccess, NetAccess, Outside, SharedStores};
pub use reported::reported;
use run::Run;
use settings::RunSettings;
use testing::Test;
use tools::ToolOptions;
use world::Environment;

/// Instructions between two looks at the host: about a millisecond of computation.
const BUDGET: u32 = 100_000;
/// The same on a thread of the host that has other things to do: well under what it costs to hand a run to another thread and to hear of its end.
const FIRST_BUDGET: u32 = 1_000;
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
    /// Of models with `@cache`.
    pub answers: Answers,
    /// Who answers model calls.
    pub mock: Mock,
    /// What runs evaluated.
    pub settings: SettingsCache,
    /// What models are told of the schemas of the program, by number; made for the first call.
    pub outputs: Vec<OnceLock<Arc<OutputSchema>>>,
    /// What `std::env::args` gives.
    pub args: Vec<String>,
    /// What `std::fs` may do.
    pub files: FileAccess,
    /// What `std::http` may reach.
    pub net: NetAccess,
    /// The longest body of an answer to `std::http`, in bytes.
    pub http_body_limit: usize,
    /// Where `std::log` writes.
    pub program_log: Log,
    /// Of the generator of each run; `None` takes one from the operating system.
    pub seed: Option<u64>,
    /// What tools may do.
    pub tools: ToolOptions,
    /// Whether runs tell of files, variables and requests on channels `audit:*`.
    pub audit: bool,
    /// The test that this runtime is for.
    pub test: Option<Arc<Test>>,
    /// The most that one run may cost, in US dollars, and use, in tokens of prompts and answers.
    pub max_cost_usd: Option<f64>,
    /// See above.
    pub max_tokens: Option<u64>,
    /// How long a program waits for a reply of its host.
    pub reply_timeout: Option<Duration>,
    /// When emits are handed over.
    pub emit_mode: EmitMode,
    /// Active calls before StackOverflow.
    pub max_call_depth: usize,
    /// Tasks that one run may have at a time.
    pub max_tasks: usize,
    /// What the stores of a run may hold together, in bytes.
    pub max_store_bytes: usize,
    /// Stores that all runs share; `None` where each run has its own.
    pub stores: Option<SharedStores>,
}

impl Shared {
    /// To be called after an override has changed: waiting attempts follow the new rate limits at once.
    pub fn apply_limits(&self) {
        settings::apply_limits(self);
    }
}

/// An argument of a function that a run calls.
#[derive(Debug)]
pub enum Argument {
    /// A value.
    Value(Value),
    /// A default that a function computes from the arguments before it.
    Computed(u32),
}

/// One run.
pub struct Engine<'a> {
    shared: &'a Shared,
    settings: Mutex<RunSettings>,
    /// The runtime's counters, and those of the run alone if it has any.
    recorders: Vec<Arc<Recorder>>,
    id: u64,
    emitted: AtomicU64,
    waiting: Mutex<Waiting>,
    outside: Outside,
    begins_with_host: bool,
}

impl<'a> Engine<'a> {
    /// Prepares a run with this number. The runtime counts its usage, and a recorder of `own` where the host can look at that of one run.
    #[must_use]
    pub fn new(shared: &'a Shared, id: u64, own: Option<Arc<Recorder>>) -> Self {
        let recorders = std::iter::once(Arc::clone(&shared.recorder)).chain(own).collect();
        let (settings, emitted) = (Mutex::default(), AtomicU64::new(0));
        Self {
            shared,
            settings,
            recorders,
            id,
            emitted,
            waiting: Mutex::default(),
            outside: Outside::new(shared.seed, &shared.clock),
            begins_with_host: false,
        }
    }

    /// The first poll of the run is on a thread of the host, which has other things to do: it ends before the run has computed long or asks anything
    /// of the world.
    #[must_use]
    pub fn beginning_with_host(mut self, begins_with_host: bool) -> Self {
        self.begins_with_host = begins_with_host;
        self
    }

    /// Gives the run arguments of its own (`std::env::args`), in place of those of the runtime.
    #[must_use]
    pub fn with_args(mut self, args: Option<Vec<String>>) -> Self {
        self.outside.args = args;
        self
    }

    /// Evaluates the fields of every connection, in order (`--require-keys`).
    ///
    /// # Errors
    /// The message of the first that fails.
    pub fn require_settings(&self) -> Result<(), String> {
        for index in 0..self.shared.program.connections().len() {
            self.settings().resolve(self.shared, index).map_err(|error| error.message)?;
        }
        Ok(())
    }

    /// The settings that a call over a connection would use now; `None` if there is none of this name.
    #[must_use]
    pub fn settings_in_force(&self, name: &str) -> Option<ConnectionSettings> {
        let connections = self.shared.program.connections();
        let index = connections.iter().position(|c| c.name == name)?;
        let (settings, problems) = self.settings().seen(self.shared, index).ok()?;
        let mut by_field = BTreeMap::new();
        for (field, problem) in problems {
            by_field.entry(field).or_insert(problem);
        }
        Some(ConnectionSettings::in_force(settings, by_field))
    }

    /// The settings that a call over a connection would use now, as JSON, secrets masked; a field that cannot be evaluated says why.
    ///
    /// # Errors
    /// There is no such connection.
    pub fn settings_of(&self, name: &str) -> Result<serde_json::Value, String> {
        let connections = self.shared.program.connections();
        let index = connections.iter().position(|c| c.name == name).unwrap_or(usize::MAX);
        self.settings().view(self.shared, index).map_err(|error| error.message)
    }

    /// Runs functions in order, each with its arguments and the program's stores open around them, and gives the value of the last.
    ///
    /// # Errors
    /// As for [`Engine::run`]; also a store whose file cannot be read or written.
    pub async fn run_all<O: Outlet>(
        &mut self,
        functions: Vec<(usize, Vec<Argument>)>,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        self.outside.open_stores(self.shared).map_err(store_failed)?;
        let outcome = tokio::select! {
            biased;
            outcome = self.run(functions, outlet) => outcome,
            what = self.outside.keep_saved(self.shared) => Err(store_failed(what)),
        };
        // What was changed before a failure is kept, too.
        let saved = self.outside.save_stores(self.shared).await.map_err(store_failed);
        outcome.and_then(|value| saved.map(|()| value))
    }

    /// Runs functions in order, each with its arguments, and gives the value of the last. Tasks that they spawn live until then.
    ///
    /// # Errors
    /// [`RunError`]: an uncaught error or panic of the program, or a failed host.
    async fn run<O: Outlet>(
        &self,
        functions: Vec<(usize, Vec<Argument>)>,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        let mut run = Run::new(self, outlet);
        run.make_tools().await?;
        let mut value = Value::Nil;
        for (function, arguments) in functions {
            let mut args = Vec::with_capacity(arguments.len());
            for argument in arguments {
                args.push(match argument {
                    Argument::Value(value) => value,
                    Argument::Computed(default) => run.call(default as usize, args.clone()).await?,
                });
            }
            value = run.call(function, args).await?;
        }
        run.finish().await?;
        Ok(value)
    }

    /// Hands a value of a task to the host.
    async fn send<O: Outlet>(
        &self,
        task_id: u64,
        channel: String,
        payload: Value,
        outlet: &mut O,
    ) -> Result<(), RunError> {
        let time = self.shared.clock.unix_seconds();
        let sequence = self.emitted.fetch_add(1, Ordering::Relaxed);
        let emit = Emit { channel, payload, time, run_id: self.id, task_id, sequence };
        self.recorders.iter().for_each(|recorder| recorder.emitted());
        let EmitMode::Buffered { interval, size } = self.shared.emit_mode else {
            let _host = self.shared.clock.host();
            return outlet.emit(emit).await.map_err(RunError::handler);
        };
        let is_full = {
            let mut waiting = self.waiting();
            waiting.due.get_or_insert_with(|| self.shared.clock.now() + interval);
            waiting.emits.push(emit);
            waiting.emits.len() >= size
        };
        if is_full { self.flush(outlet).await } else { Ok(()) }
    }

    /// Hands over the emits that wait.
    ///
    /// # Errors
    /// [`RunError::Handler`].
    pub async fn flush<O: Outlet>(&self, outlet: &mut O) -> Result<(), RunError> {
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.emits.is_empty() {
            return Ok(());
        }
        let _host = self.shared.clock.host();
        for emit in waiting.emits {
            outlet.emit(emit).await.map_err(RunError::handler)?;
        }
        Ok(())
    }

    /// Whether the run may go on: what it used counts when an answer is there, so it may exceed a limit by the calls that are under way.
    fn check_limits(&self) -> Result<(), RunError> {
        let (cost, tokens) = (self.shared.max_cost_usd, self.shared.max_tokens);
        if cost.is_none() && tokens.is_none() {
            return Ok(());
        }
        // Where there are limits, the run has a recorder of its own.
        let Some(own) = self.recorders.get(1) else { return Ok(()) };
        let used = own.snapshot();
        let over = |limit: &str| Err(RunError::Limit { limit: limit.to_owned() });
        if tokens.is_some_and(|most| used.total_tokens() > most) {
            return over("max_tokens");
        }
        if cost.is_some_and(|most| used.total_estimated_cost().usd > most) {
            return over("max_cost_usd");
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something; emits that are due meanwhile are handed over.
    async fn meanwhile<T, O: Outlet>(
        &self,
        outlet: &mut O,
        work: impl Future<Output = T>,
    ) -> Result<T, RunError> {
        if self.shared.emit_mode == EmitMode::Immediate {
            return Ok(work.await);
        }
        tokio::pin!(work);
        loop {
            let Some(due) = self.waiting().due else { return Ok(work.await) };
            match self.shared.clock.until(due, &mut work).await {
                Some(done) => return Ok(done),
                None => self.flush(outlet).await?,
            }
        }
    }

    /// The smallest limit of concurrent requests of the connections that these models are on.
    fn fan_out(&self, models: &[Value]) -> i64 {
        const UNLIMITED: u64 = 32;
        let connection = |value: &Value| match value {
            Value::Model(model) => {
                let declared = self.shared.program.models().get(model.index as usize)?;
                Some(declared.connection as usize)
            }
            _ => None,
        };
        let limits = models.iter().filter_map(connection).filter_map(|index| {
            // A connection that cannot be used says so when it is called.
            let settings = self.settings().resolve(self.shared, index).ok()?;
            settings.rate_limit.as_ref()?.concurrent_requests
        });
        i64::try_from(limits.min().unwrap_or(UNLIMITED)).unwrap_or(i64::MAX)
    }

    async fn request(&self, request: Request, args: &[Value]) -> Resume {
        outside::answer(self.shared, &self.outside, request, args).await
    }

    fn settings(&self) -> MutexGuard<'_, RunSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
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

fn store_failed(what: String) -> RunError {
    let value = builtin::fs_error(&what, "io", "");
    RunError::Program { message: what, value, trace: Vec::new() }
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
