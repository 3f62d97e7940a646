//! What hosts see: load a program, adjust its connections, run it, read its metrics.
//!
//! [`Runtime`] is a program with its settings, connection pools, handlers and counters. Runs may overlap; they share pools and
//! metrics, not state. Work of `run` and `call` happens on the caller's task or thread, and what `start` gives on worker threads.

mod args;
mod background;
mod builder;
mod config;
mod hand_over;
mod handlers;
mod lanes;
mod options;
mod responders;
mod testing;
#[cfg(test)]
mod tests;
mod threads;
mod tools;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::config::settings::ConnectionSettings;
use crate::config::{ConfigError, ConnectionConfig, Overrides, PriceConfig};
use crate::engine::emits::{Emit, Outlet, next_run_id};
use crate::engine::requests::HostRequest;
use crate::engine::{Argument, Engine, Shared, reported};
use crate::error::{BoxError, Error, RunError};
use crate::ir::Verified;
use crate::ir::program::{Channel, Permissions};
use crate::log::LogLevel;
use crate::metrics::{Metrics, Recorder};
use crate::value::Value;

pub use args::{Args, IntoArgs};
#[cfg(feature = "python")]
pub(crate) use background::Reader;
pub use background::{EndOrRequest, Events, Run};
pub use builder::RuntimeBuilder;
pub use config::RuntimeConfig;
pub use handlers::{EmitHandler, HandlerErrors, Subscription};
pub use responders::RequestHandler;
pub use testing::{TestCase, TestFailure, TestOptions, TestReport};
pub use tools::{ToolArgs, ToolHandler};

use handlers::{HandlerOutlet, Handlers};
use responders::Responders;
use threads::{Io, with_io};

/// A verified program. Cloning is cheap.
#[derive(Clone)]
pub struct Program(pub(crate) Verified);

/// A function that hosts may call, with the types as the language writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Its name in the entry file.
    pub name: String,
    /// Name, type, and whether it has a default, of each parameter.
    pub parameters: Vec<(String, String, bool)>,
    /// The type of its result.
    pub result: String,
}

impl Program {
    /// Reads a `.conc-ir` file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Ir`] if it is no program of this format version.
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| Error::Io { path: path.display().to_string(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Loads and verifies compiled bytes.
    ///
    /// # Errors
    /// [`Error::Ir`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self(crate::ir::load(bytes)?))
    }

    /// The canonical encoding; loading and encoding again gives the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// A readable listing.
    #[must_use]
    pub fn listing(&self) -> String {
        crate::ir::print(&self.0)
    }

    /// Whether there is something to run: `main` or top-level statements.
    #[must_use]
    pub fn has_main(&self) -> bool {
        let entry = self.0.entry();
        entry.main.is_some() || entry.top.is_some()
    }

    /// The `pub fn` items of the entry file, and the functions that it re-exports.
    #[must_use]
    pub fn entry_points(&self) -> Vec<EntryPoint> {
        self.0
            .entry()
            .exports
            .iter()
            .filter_map(|export| {
                let function = self.0.function(export.function)?;
                let parameters = function
                    .params
                    .iter()
                    .map(|p| {
                        let has_default = p.default.is_some() || p.computed.is_some();
                        (p.name.clone(), self.0.type_name(p.ty), has_default)
                    })
                    .collect();
                let result = self.0.type_name(function.result);
                Some(EntryPoint { name: export.name.clone(), parameters, result })
            })
            .collect()
    }

    /// Environment variables and hosts that the program may ask for.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        self.0.permissions()
    }

    /// Names of the declared connections.
    #[must_use]
    pub fn connections(&self) -> Vec<String> {
        self.0.connections().iter().map(|c| c.name.clone()).collect()
    }

    /// Names of the declared models.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        self.0.models().iter().map(|m| m.name.clone()).collect()
    }

    /// The channels that the program names, by name (EM-15).
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.0.document().channels
    }

    /// The JSON Schema of a schema, as text.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<String> {
        self.0.schemas().iter().find(|s| s.name == name).map(|s| s.json.clone())
    }
}

pub(crate) struct Inner {
    pub(crate) shared: Shared,
    handlers: Handlers,
    handler_errors: HandlerErrors,
    responders: Responders,
    execution_timeout: Option<Duration>,
    recorder: Arc<Recorder>,
    overrides: Arc<Overrides>,
    io: Io,
}

impl Drop for Inner {
    fn drop(&mut self) {
        lanes::tidy();
    }
}

/// A program with its settings, connection pools, handlers and metrics. Cloning gives another handle to the same runtime.
///
/// Its futures run on any executor. Within a tokio runtime their sockets and timers are served there, so it must have both enabled
/// (`enable_all`, as `#[tokio::main]` does); anywhere else threads of Concerto's own serve them. A thread that waits for a run ([`Runtime::blocking`])
/// serves it itself.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

/// Receives what a run sends to a host that drives it on its own thread.
pub trait Observer {
    /// Takes one emit. An error ends the run and is the cause of [`RunError::Handler`].
    ///
    /// # Errors
    /// Whatever the host wants the run to end with.
    fn emit(&mut self, emit: Emit) -> Result<(), BoxError>;

    /// Takes text that the program printed.
    ///
    /// # Errors
    /// As for [`Observer::emit`].
    fn print(&mut self, text: &str) -> Result<(), BoxError>;

    /// Takes a request that the host said, by [`Runtime::on_emit_by_host`], to answer itself: now, or later from any thread. One that is dropped fails in
    /// the program as `Closed`.
    ///
    /// # Errors
    /// As for [`Observer::emit`].
    fn request(&mut self, request: HostRequest) -> Result<(), BoxError> {
        drop(request);
        Ok(())
    }

    /// Asked about every 50 ms, also while the run waits: an error cancels the run.
    ///
    /// # Errors
    /// As for [`Observer::emit`].
    fn interrupted(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Runtime {
    /// Starts to configure a runtime for `program`.
    pub fn builder(program: Program) -> RuntimeBuilder {
        RuntimeBuilder::new(program)
    }

    /// Replaces settings of one connection for model calls that start after this one.
    ///
    /// A second override of the same name replaces the first entirely. A rejected one also fails the next run, until it is replaced or
    /// cleared, so that an ignored error sends no traffic to the real service.
    ///
    /// # Errors
    /// [`ConfigError`]: no such connection, or a field out of range.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the configuration in place")]
    pub fn override_connection(
        &self,
        name: &str,
        config: ConnectionConfig<'_>,
    ) -> Result<(), ConfigError> {
        self.inner.overrides.set_host(name, &config)?;
        self.inner.shared.apply_limits();
        Ok(())
    }

    /// The same from JSON fields, as a command line or a host in another language has them; those of a `command_line` lie under the host's.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn override_connection_json(
        &self,
        name: &str,
        fields: &serde_json::Map<String, serde_json::Value>,
        command_line: bool,
    ) -> Result<(), ConfigError> {
        self.inner.overrides.set_json(name, fields, command_line)?;
        self.inner.shared.apply_limits();
        Ok(())
    }

    /// The same from settings that own themselves, as a configuration file has them; see [`ConnectionSettings`].
    ///
    /// ```
    /// # fn load(runtime: &concerto::Runtime, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::collections::BTreeMap;
    ///
    /// use concerto::ConnectionSettings;
    ///
    /// let connections: BTreeMap<String, ConnectionSettings> = serde_json::from_str(file)?;
    /// for (name, settings) in &connections {
    ///     runtime.override_connection_settings(name, settings)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`], as [`Runtime::override_connection`].
    pub fn override_connection_settings(
        &self,
        name: &str,
        settings: &ConnectionSettings,
    ) -> Result<(), ConfigError> {
        settings.with_config(|config| self.override_connection(name, config))
    }

    /// The settings of a connection that a call would use now; `None` if the program declares none of this name.
    ///
    /// A field that cannot be evaluated, such as a key in a variable that is not set, is left out and stands among the
    /// [`problems`](ConnectionSettings::problems).
    #[must_use]
    pub fn connection_settings(&self, name: &str) -> Option<ConnectionSettings> {
        Engine::new(&self.inner.shared, 0, None).settings_in_force(name)
    }

    /// The same as JSON, with where each field comes from: as `{"value", "origin"}`, secrets masked, with an `error` where the value cannot be evaluated.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name.
    pub fn connection_settings_json(&self, name: &str) -> Result<serde_json::Value, Error> {
        self.inner.overrides.check_name(name)?;
        Engine::new(&self.inner.shared, 0, None).settings_of(name).map_err(Error::Settings)
    }

    /// Restores the program's settings of one connection.
    pub fn clear_override(&self, name: &str) {
        self.inner.overrides.clear_host(name);
        self.inner.shared.apply_limits();
    }

    /// Restores the program's settings of all connections.
    pub fn clear_overrides(&self) {
        self.inner.overrides.clear_all_host();
        self.inner.shared.apply_limits();
    }

    /// Says which tools (`Tool`) and methods (`Tool.method`) may be called from now on; what is not named may, and a method wins over its tool.
    ///
    /// A method that may not is offered to no model, and a call of the program is a `ToolError` of kind `permission_denied`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownTool`] for a name that the program does not declare; then nothing has changed.
    pub fn set_tool_permissions<N: Into<String>>(
        &self,
        permissions: impl IntoIterator<Item = (N, bool)>,
    ) -> Result<(), ConfigError> {
        let permissions: Vec<_> =
            permissions.into_iter().map(|(name, may)| (name.into(), may)).collect();
        self.inner.shared.tools.permit(&self.inner.shared.program, &permissions)
    }

    /// Calls `handler` for each emit on `channel`, which may end in `*`, before the program goes on.
    ///
    /// All that match are called, the most specific first, then in order of registration. A handler that fails ends the run.
    pub fn on(&self, channel: &str, handler: impl EmitHandler) -> Subscription {
        self.inner.handlers.add(channel, handler)
    }

    /// Answers `await emit` on `channel`, which may end in `*`: the most specific channel wins. A second handler for the same one replaces the first.
    ///
    /// What the handler returns is the reply, which is checked against the type that the program expects; its error is an `EmitError` in the
    /// program, and does not end the run. Several requests may be answered at a time. One that the program withdraws is dropped.
    ///
    /// ```
    /// # fn answer(runtime: &concerto::Runtime) {
    /// runtime.on_emit("plan:*", |_channel: String, plan: concerto::Value| async move {
    ///     Ok(concerto::Value::from(format!("{plan} is fine")))
    /// });
    /// # }
    /// ```
    pub fn on_emit(&self, channel: &str, handler: impl RequestHandler) {
        self.inner.responders.set(channel, handler);
    }

    /// The same for a host in another language, which answers itself: the requests go, with this `token`, to the [`Observer`] that drives the run, or
    /// to its [`Run`].
    pub fn on_emit_by_host(&self, channel: &str, token: u64) {
        self.inner.responders.set_host(channel, token);
    }

    /// Removes what was registered for exactly this `channel` with [`Runtime::on`] and [`Runtime::on_emit`]. Requests that it has not answered fail in
    /// the program as `Closed`.
    pub fn off(&self, channel: &str) {
        self.inner.handlers.remove(channel);
        self.inner.responders.remove(channel);
    }

    /// Calls the handlers that match, as a run does for what it emits: for emits that a host took from a [`Run`] or an [`Observer`].
    ///
    /// # Errors
    /// That of the first handler that fails; later ones are not called.
    pub fn deliver(&self, emit: &Emit) -> Result<(), BoxError> {
        self.inner.deliver(emit)
    }

    /// Runs the top-level statements and `main` to their end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn run(&self) -> Result<Value, Error> {
        self.entry(None, Args::default()).await
    }

    /// Calls a `pub fn` and decodes its result; `Ok(v)` gives `v`, `Err(e)` is [`RunError::Program`], or [`RunError::Llm`] for a failed model call.
    ///
    /// # Errors
    /// [`Error::Arguments`] before anything runs, for an unknown function or arguments that do not fit; else as [`Runtime::run`];
    /// [`Error::Decode`] if the result does not fit `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        args: impl IntoArgs,
    ) -> Result<T, Error> {
        let value = self.entry(Some(name), args.into_args()?).await?;
        args::decode_result(&value)
    }

    /// Calls a `pub fn` and gives its result as it is: a function of the language that fails gives [`Value::Err`].
    ///
    /// # Errors
    /// As [`Runtime::call`], without [`RunError::Program`] and [`RunError::Llm`] for an `Err` that the function returns.
    pub async fn call_raw(&self, name: &str, args: impl IntoArgs) -> Result<Value, Error> {
        self.raw(Some(name), args.into_args()?).await
    }

    /// Starts `"main"` (or `None`) or a `pub fn` on the runtime's threads; its emits go to the [`Run`].
    ///
    /// # Errors
    /// [`Error::Arguments`], [`Error::Config`].
    pub fn start<'n>(
        &self,
        name: impl Into<Option<&'n str>>,
        args: impl IntoArgs,
    ) -> Result<Run, Error> {
        let name = name.into().filter(|name| *name != "main");
        let plan = self.plan(name, &args.into_args()?)?;
        Ok(Run::start(Arc::clone(&self.inner), plan))
    }

    /// The same for a call that is awaited at once: without metrics of its own, and perhaps nobody who hears its emits.
    #[cfg(feature = "python")]
    pub(crate) fn start_call(
        &self,
        name: Option<&str>,
        args: &Args,
        own: OfOneRun,
        is_heard: bool,
    ) -> Result<Run, Error> {
        let plan = self.plan(name, args)?.with(own);
        Ok(Run::start_call(Arc::clone(&self.inner), plan, is_heard))
    }

    /// The same operations for hosts without an async runtime.
    #[must_use]
    pub fn blocking(&self) -> Blocking<'_> {
        Blocking { runtime: self }
    }

    /// Writes an error to the log of the runtime, for a host whose own code has failed.
    pub fn log_error(&self, message: &str) {
        self.inner.shared.client.log().write(LogLevel::Error, || message.to_owned());
    }

    /// What all runs of this runtime used so far.
    #[must_use]
    pub fn get_metrics(&self) -> Metrics {
        self.inner.recorder.snapshot()
    }

    /// Sets the price of a model id, or of all ids with a beginning if the pattern ends in `*`, for tokens that are used from now on.
    ///
    /// # Errors
    /// [`ConfigError::Price`].
    pub fn set_price(&self, pattern: &str, price: PriceConfig) -> Result<(), ConfigError> {
        self.inner.shared.prices.set(pattern, price)
    }

    /// Sets all counters to zero; calls in flight count in the new period when they end.
    pub fn reset_metrics(&self) {
        self.inner.recorder.reset();
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> Program {
        Program(self.inner.shared.program.clone())
    }

    async fn entry(&self, name: Option<&str>, args: Args) -> Result<Value, Error> {
        Ok(self.inner.settled(self.raw(name, args).await?)?)
    }

    async fn raw(&self, name: Option<&str>, args: Args) -> Result<Value, Error> {
        let plan = self.plan(name, &args)?;
        let mut outlet = HandlerOutlet::new(&self.inner);
        let run = self.inner.execute(plan, next_run_id(), None, &mut outlet);
        Ok(with_io(&self.inner.io, pin!(run)).await?)
    }

    fn plan(&self, name: Option<&str>, args: &Args) -> Result<Plan, Error> {
        self.inner.overrides.check()?;
        Plan::new(&self.inner.shared.program, name, args)
    }
}

/// What a run executes: functions in order, each with its arguments; the last one's value is the result.
pub(crate) struct Plan {
    functions: Vec<(usize, Vec<Argument>)>,
    own: OfOneRun,
}

/// What a host says of one run alone.
#[derive(Debug, Default)]
pub(crate) struct OfOneRun {
    /// Besides the limit of the runtime.
    pub(crate) timeout: Option<Duration>,
    /// In place of those of the runtime.
    pub(crate) args: Option<Vec<String>>,
    /// A `Result` is given as it is, and its `Err` is no error of the run.
    pub(crate) is_raw: bool,
    /// Its first poll is on a thread of the host.
    pub(crate) begins_with_host: bool,
}

impl Plan {
    fn new(program: &Verified, name: Option<&str>, args: &Args) -> Result<Self, Error> {
        let entry = program.entry();
        // Top-level statements belong to a run of the whole program, not to a call of one function.
        let Some(name) = name else {
            let functions: Vec<_> =
                entry.top.into_iter().chain(entry.main).map(|f| (f, Vec::new())).collect();
            if functions.is_empty() {
                return Err(Error::NothingToRun);
            }
            return Ok(Self::of(functions));
        };
        let function = args::find(program, name)?;
        Ok(Self::of(vec![(function, args.bind(program, name, function)?)]))
    }

    fn of(functions: Vec<(usize, Vec<Argument>)>) -> Self {
        Self { functions, own: OfOneRun::default() }
    }

    fn with(self, own: OfOneRun) -> Self {
        Self { own, ..self }
    }
}

impl Inner {
    /// The value of a function that may fail.
    pub(crate) fn settled(&self, value: Value) -> Result<Value, RunError> {
        match value {
            Value::Ok(inner) => Ok((**inner).clone()),
            Value::Err(error) => {
                let uncaught = RunError::uncaught((**error).clone(), Vec::new());
                Err(reported(&self.shared, uncaught))
            }
            other => Ok(other),
        }
    }

    /// Runs a plan to its end and gives what the function gives, an `Err` as well.
    pub(crate) async fn execute<O: Outlet>(
        &self,
        mut plan: Plan,
        id: u64,
        recorder: Option<Arc<Recorder>>,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        let is_limited = self.shared.max_cost_usd.is_some() || self.shared.max_tokens.is_some();
        let recorder = recorder.or_else(|| is_limited.then(|| self.recorder.for_run()));
        let args = plan.own.args.take();
        let mut engine = Engine::new(&self.shared, id, recorder)
            .with_args(args)
            .beginning_with_host(plan.own.begins_with_host);
        let outcome = self.limited(&mut engine, plan, outlet).await;
        if matches!(outcome, Err(RunError::Handler { .. })) {
            return outcome;
        }
        engine.flush(outlet).await?;
        outcome
    }

    async fn limited<O: Outlet>(
        &self,
        engine: &mut Engine<'_>,
        plan: Plan,
        outlet: &mut O,
    ) -> Result<Value, RunError> {
        // Boxed, because each future around it would else hold it twice: as what it was given, and as what it waits for.
        let work = Box::pin(async {
            engine
                .run_all(plan.functions, outlet)
                .await
                .map_err(|error| reported(&self.shared, error))
        });
        let clock = &self.shared.clock;
        let limits = [(plan.own.timeout, "timeout"), (self.execution_timeout, "execution_timeout")];
        let given = limits.iter().filter_map(|(limit, name)| limit.map(|limit| (limit, *name)));
        match given.min() {
            None => clock.drive(work).await,
            Some((limit, name)) => {
                let limited = clock.until(clock.now() + limit, work);
                let over = RunError::Limit { limit: name.to_owned() };
                clock.drive(limited).await.unwrap_or(Err(over))
            }
        }
    }
}

/// The blocking face of a [`Runtime`]. Calling it on a thread that drives an async runtime is an error, not a panic.
pub struct Blocking<'a> {
    runtime: &'a Runtime,
}

impl Blocking<'_> {
    /// As [`Runtime::run`].
    ///
    /// # Errors
    /// [`Error`]; [`Error::InsideAsync`] on a thread of an async runtime.
    pub fn run(&self) -> Result<Value, Error> {
        lanes::block_on(&self.runtime.inner.shared.clock, self.runtime.run())?
    }

    /// As [`Runtime::call`].
    ///
    /// # Errors
    /// [`Error`]; [`Error::InsideAsync`] on a thread of an async runtime.
    pub fn call<T: DeserializeOwned>(&self, name: &str, args: impl IntoArgs) -> Result<T, Error> {
        let args = args.into_args()?;
        lanes::block_on(&self.runtime.inner.shared.clock, self.runtime.call(name, args))?
    }

    /// As [`Runtime::call_raw`].
    ///
    /// # Errors
    /// As [`Runtime::call_raw`]; [`Error::InsideAsync`] on a thread of an async runtime.
    pub fn call_raw(&self, name: &str, args: impl IntoArgs) -> Result<Value, Error> {
        let args = args.into_args()?;
        lanes::block_on(&self.runtime.inner.shared.clock, self.runtime.call_raw(name, args))?
    }

    /// As [`Runtime::start`], which waits for nothing; [`Run::emits_blocking`] and its like wait for the run.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub fn start<'n>(
        &self,
        name: impl Into<Option<&'n str>>,
        args: impl IntoArgs,
    ) -> Result<Run, Error> {
        self.runtime.start(name, args)
    }

    /// Runs `main` (None) or a `pub fn` on this thread and hands everything it sends to `observer` instead of the handlers.
    ///
    /// # Errors
    /// [`Error`]; [`Error::InsideAsync`] on a thread of an async runtime.
    pub fn observe(
        &self,
        name: Option<&str>,
        args: &Args,
        observer: &mut dyn Observer,
    ) -> Result<Value, Error> {
        self.observe_one(name, args, OfOneRun::default(), observer)
    }

    pub(crate) fn observe_one(
        &self,
        name: Option<&str>,
        args: &Args,
        own: OfOneRun,
        observer: &mut dyn Observer,
    ) -> Result<Value, Error> {
        let plan = self.runtime.plan(name, args)?.with(own);
        threads::observe(&self.runtime.inner, plan, observer)
    }

    /// Evaluates the fields of every connection, as `--require-keys` asks.
    ///
    /// # Errors
    /// [`Error::Settings`] for the first that fails.
    pub fn require_keys(&self) -> Result<(), Error> {
        Engine::new(&self.runtime.inner.shared, 0, None).require_settings().map_err(Error::Settings)
    }
}
