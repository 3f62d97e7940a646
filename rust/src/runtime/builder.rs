//! Options of a runtime.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::handlers::{HandlerErrors, Handlers};
use super::responders::Responders;
use super::{Inner, Program, Runtime};
use crate::clock::Clock;
use crate::config::{self, ConfigError, Overrides, PriceConfig};
use crate::engine::emits::EmitMode;
use crate::engine::outside::{FileAccess, FileMode, NetAccess, SharedStores};
use crate::engine::testing::Test;
use crate::engine::tools::ToolOptions;
use crate::engine::world::Environment;
use crate::engine::{Answers, Mock, SettingsCache, Shared};
use crate::error::Error;
use crate::llm::{CallOptions, Client, Provider, Providers, Tape, TransportOptions};
use crate::log::{self, Log, LogLevel, LogRecord, LogSink};
use crate::metrics::{PriceBook, Recorder};

/// Configures a [`Runtime`]; made by [`Runtime::builder`].
#[must_use]
pub struct RuntimeBuilder {
    pub(super) program: Program,
    environment: Environment,
    transport: TransportOptions,
    retry_jitter: Option<f64>,
    max_queued_requests: Option<usize>,
    clock: Clock,
    log_level: LogLevel,
    log_sink: LogSink,
    execution_timeout: Option<Duration>,
    max_cost_usd: Option<f64>,
    max_tokens: Option<u64>,
    max_concurrent_requests: Option<usize>,
    providers: Providers,
    reply_timeout: Option<Duration>,
    emit_mode: EmitMode,
    handler_errors: HandlerErrors,
    max_call_depth: usize,
    max_tasks: usize,
    max_store_bytes: usize,
    shared_stores: bool,
    files: FileAccess,
    net: NetAccess,
    http_body_limit: usize,
    args: Vec<String>,
    seed: Option<u64>,
    audit: bool,
    program_log_level: LogLevel,
    mock: Mock,
    prices: Vec<(String, PriceConfig)>,
    tools: ToolOptions,
    tool_permissions: Vec<(String, bool)>,
    connection_overrides: Vec<(String, Map<String, Json>)>,
    pub(super) test: Option<Arc<Test>>,
}

impl RuntimeBuilder {
    pub(super) fn new(program: Program) -> Self {
        Self {
            program,
            environment: Environment::default(),
            transport: TransportOptions::default(),
            retry_jitter: None,
            max_queued_requests: None,
            clock: Clock::system(),
            log_level: LogLevel::Warn,
            log_sink: log::standard_error(),
            execution_timeout: None,
            max_cost_usd: None,
            max_tokens: None,
            max_concurrent_requests: None,
            providers: Providers::default(),
            reply_timeout: None,
            emit_mode: EmitMode::Immediate,
            handler_errors: HandlerErrors::Raise,
            max_call_depth: 10_000,
            max_tasks: 10_000,
            max_store_bytes: 256 << 20,
            shared_stores: false,
            files: FileAccess::default(),
            net: NetAccess::default(),
            http_body_limit: 10 << 20,
            args: Vec::new(),
            seed: None,
            audit: false,
            program_log_level: LogLevel::Info,
            mock: Mock::Off,
            prices: Vec::new(),
            tools: ToolOptions::default(),
            tool_permissions: Vec::new(),
            connection_overrides: Vec::new(),
            test: None,
        }
    }

    /// Rounds with calls of tools that one call of a model may have, 1 to 100; without it 10. One more is `LlmError::ToolLimit`.
    pub fn max_tool_rounds(mut self, rounds: u32) -> Self {
        self.tools.max_rounds = rounds;
        self
    }

    /// The longest result of a tool that a model gets, in bytes; without it 1 MiB. A longer one is cut, and says so.
    pub fn max_tool_result_bytes(mut self, bytes: usize) -> Self {
        self.tools.max_result_bytes = bytes;
        self
    }

    /// Whether tools (`Tool`) or single methods (`Tool.method`) may be called; see [`Runtime::set_tool_permissions`].
    pub fn tool_permissions(
        mut self,
        permissions: impl IntoIterator<Item = (String, bool)>,
    ) -> Self {
        self.tool_permissions = permissions.into_iter().collect();
        self
    }

    /// Variables laid over the process environment for `env(..)`.
    pub fn env(mut self, own: HashMap<String, String>) -> Self {
        self.environment.own = own;
        self
    }

    /// Variables that the program may read; others count as not set.
    pub fn env_allow(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.environment.allowed = Some(names.into_iter().collect::<HashSet<_>>());
        self
    }

    /// Limit of one run; none by default.
    pub fn execution_timeout(mut self, limit: Duration) -> Self {
        self.execution_timeout = Some(limit);
        self
    }

    /// The most that one run may cost, in US dollars; beyond that it ends with [`RunError::Limit`](crate::RunError::Limit). Tokens of models without a
    /// price cost nothing. No limit by default.
    pub fn max_cost_usd(mut self, most: f64) -> Self {
        self.max_cost_usd = Some(most);
        self
    }

    /// How many tokens one run may use, prompts and answers together; beyond that it ends with [`RunError::Limit`](crate::RunError::Limit). No limit by
    /// default.
    pub fn max_tokens(mut self, most: u64) -> Self {
        self.max_tokens = Some(most);
        self
    }

    /// How many requests may be under way at a time over all connections together; others wait. No bound by default.
    pub fn max_concurrent_requests(mut self, most: usize) -> Self {
        self.max_concurrent_requests = Some(most);
        self
    }

    /// Answers the calls over one connection of the program in this process: its key and URL are not needed. Limits, retries and metrics are as of any other.
    ///
    /// ```
    /// use concerto::{BoxFuture, ChatRequest, ChatResponse, Program, Provider, ProviderError, Runtime};
    ///
    /// struct Shouting;
    ///
    /// impl Provider for Shouting {
    ///     fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatResponse, ProviderError>> {
    ///         Box::pin(async move {
    ///             let said = request.messages.last().map_or("", |message| &message.content);
    ///             Ok(ChatResponse { text: said.to_uppercase(), ..ChatResponse::default() })
    ///         })
    ///     }
    /// }
    ///
    /// # let program = Program::from_bytes(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hosts/host.conc-ir")))?;
    /// let runtime = Runtime::builder(program).provider("box", Shouting).build()?;
    /// let answer: String = runtime.blocking().call("write", ("hello",))?;
    /// assert_eq!(answer, "HELLO");
    /// # Ok::<(), concerto::Error>(())
    /// ```
    pub fn provider(mut self, connection: impl Into<String>, provider: impl Provider) -> Self {
        self.providers.set(connection.into(), provider);
        self
    }

    /// How long a program waits for the reply of `await emit`, which then fails as `Timeout`; without end by default.
    pub fn reply_timeout(mut self, limit: Duration) -> Self {
        self.reply_timeout = Some(limit);
        self
    }

    /// When emits are handed to handlers; each at once by default.
    pub fn emit_mode(mut self, mode: EmitMode) -> Self {
        self.emit_mode = mode;
        self
    }

    /// What becomes of the error of a handler of [`Runtime::on`]; it ends the run by default.
    pub fn handler_errors(mut self, what: HandlerErrors) -> Self {
        self.handler_errors = what;
        self
    }

    /// Active calls before a program panics with `StackOverflow`; 10,000 by default.
    pub fn max_call_depth(mut self, depth: usize) -> Self {
        self.max_call_depth = depth;
        self
    }

    /// Tasks that one run may have at a time before it panics with `LimitExceeded`; 10,000 by default.
    pub fn max_tasks(mut self, most: usize) -> Self {
        self.max_tasks = most;
        self
    }

    /// What the stores of a run may hold together, in bytes, before it panics with `LimitExceeded`; 256 MiB by default.
    pub fn max_store_bytes(mut self, most: usize) -> Self {
        self.max_store_bytes = most;
        self
    }

    /// Whether all runs of the runtime use the same stores; by default each run begins with its own. Callbacks hear the changes of their own run only.
    pub fn shared_stores(mut self, shared: bool) -> Self {
        self.shared_stores = shared;
        self
    }

    /// The folder that `std::fs` is kept in; by default the working directory.
    pub fn fs_root(mut self, root: impl Into<std::path::PathBuf>) -> Self {
        self.files.root = Some(root.into());
        self
    }

    /// Whether `std::fs` may write, only read, or do nothing at all; it may write by default.
    pub fn fs_mode(mut self, mode: FileMode) -> Self {
        self.files.mode = mode;
        self
    }

    /// Hosts that `std::http` may reach: names, `name:port`, or `*.name` for all below it; all by default.
    pub fn net_allow(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.net.hosts = Some(hosts.into_iter().collect());
        self
    }

    /// No network for `std::http`, and models only on this machine.
    pub fn offline(mut self, offline: bool) -> Self {
        self.net.offline = offline;
        self
    }

    /// The longest body that `std::http` reads, in bytes; 10 MiB by default.
    pub fn http_body_limit(mut self, bytes: usize) -> Self {
        self.http_body_limit = bytes;
        self
    }

    /// Writes the traffic of all model calls to a file, which is begun anew: one JSON object a line, without keys.
    ///
    /// # Errors
    /// [`ConfigError::Option`] if the file cannot be written.
    pub fn record(mut self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::Option { option: "record", problem };
        let path = path.as_ref();
        let tape = Tape::record(path)
            .map_err(|error| wrong(format!("cannot write `{}`: {error}", path.display())))?;
        self.transport.tape = Some(tape);
        Ok(self)
    }

    /// Answers all model calls from a file that was recorded, each exchange once, by the end of the path and the body of the
    /// request: no server is asked.
    ///
    /// # Errors
    /// [`ConfigError::Option`] if the file cannot be read or is no recording.
    pub fn replay(mut self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::Option { option: "replay", problem };
        let path = path.as_ref();
        let tape = Tape::play(path)
            .map_err(|error| wrong(format!("cannot read `{}`: {error}", path.display())))?;
        self.transport.tape = Some(tape);
        Ok(self)
    }

    /// Runs tell of what they reach before they do: emits on `audit:file_access`, `audit:env_access` and `audit:http`, without contents, values, headers and
    /// what is secret in a URL. Default: no.
    pub fn audit(mut self, audit: bool) -> Self {
        self.audit = audit;
        self
    }

    /// What the program's `std::env::args` gives.
    pub fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args = args.into_iter().collect();
        self
    }

    /// Makes the random numbers of `std::math` the same in each run; by default they differ.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The level from which on records of `std::log` are logged; `info` by default.
    pub fn program_log_level(mut self, level: LogLevel) -> Self {
        self.program_log_level = level;
        self
    }

    /// Answer every model call locally, without network and keys.
    pub fn mock(mut self, mock: bool) -> Self {
        self.mock = if mock { Mock::Usual } else { Mock::Off };
        self
    }

    /// Answer every model call locally, by the rules of a script; a question that none fits gets the usual answer.
    #[cfg(feature = "mock")]
    pub fn mock_script(mut self, script: crate::mock::LocalScript) -> Self {
        self.mock = Mock::Scripted(Arc::new(script));
        self
    }

    /// URL of an HTTP proxy, or "none"; by default `HTTPS_PROXY` and its like.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.proxy = Some(url.into());
        self
    }

    /// PEM file with trusted certificates besides Mozilla's; by default `CONCERTO_CA_BUNDLE`, else `SSL_CERT_FILE`.
    pub fn ca_bundle(mut self, path: impl Into<String>) -> Self {
        self.transport.ca_bundle = Some(path.into());
        self
    }

    /// The share of a retry's delay that may be added to it at random, 0 to 1; 0 turns it off. 0.1 by default, 0 with a virtual clock.
    pub fn retry_jitter(mut self, share: f64) -> Self {
        self.retry_jitter = Some(share);
        self
    }

    /// How many attempts may wait for the rate limits of one connection; one more fails with `RateLimited`. No bound by default.
    pub fn max_queued_requests(mut self, most: usize) -> Self {
        self.max_queued_requests = Some(most);
        self
    }

    /// Where time comes from: delays of retries, rate limits and time limits follow it. The machine's clock by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The level from which on records are logged; `warn` by default.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// Where records go; standard error by default.
    pub fn log_sink(mut self, sink: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        self.log_sink = Arc::new(sink);
        self
    }

    /// The price of a model id, or of all ids with a beginning if the pattern ends in `*`; over those of the manifest and the built-in ones.
    pub fn price(mut self, pattern: impl Into<String>, price: PriceConfig) -> Self {
        self.prices.push((pattern.into(), price));
        self
    }

    /// Settings by connection, as [`Runtime::override_connection_json`] takes them.
    pub fn connection_overrides(
        mut self,
        overrides: impl IntoIterator<Item = (String, Map<String, Json>)>,
    ) -> Self {
        self.connection_overrides.extend(overrides);
        self
    }

    /// Makes the runtime. Nothing is connected, read or started yet.
    ///
    /// # Errors
    /// [`Error::Config`] for an option that cannot be.
    pub fn build(mut self) -> Result<Runtime, Error> {
        self.check()?;
        let usual_jitter =
            if self.clock.is_virtual() { 0.0 } else { CallOptions::default().retry_jitter };
        let calls = CallOptions {
            retry_jitter: self.retry_jitter.unwrap_or(usual_jitter),
            max_queued_requests: self.max_queued_requests,
            clock: self.clock.clone(),
            log: Log::new(self.log_level, Arc::clone(&self.log_sink)),
            max_concurrent_requests: self.max_concurrent_requests,
            providers: self.providers,
        };
        let program_log = Log::of_program(self.program_log_level, self.log_sink);
        let process = Environment::default();
        self.transport.ca_bundle = self.transport.ca_bundle.or_else(|| ca_bundle(&process));
        let connections = self.program.connections();
        let declared = self.program.0.models().iter();
        let models = declared
            .map(|model| {
                let on = connections.get(model.connection as usize).cloned().unwrap_or_default();
                (model.name.clone(), on)
            })
            .collect();
        let overrides = Arc::new(Overrides::new(connections.clone()));
        let prices = PriceBook::new(&self.program.0.document().pricing);
        for (pattern, price) in self.prices {
            prices.set(&pattern, price)?;
        }
        let prices = Arc::new(prices);
        let recorder = Arc::new(Recorder::with_prices(
            connections,
            models,
            Arc::clone(&prices),
            self.clock.clone(),
        ));
        let shared = Shared {
            program: self.program.0,
            prices,
            client: Client::new(self.transport, calls),
            recorder: Arc::clone(&recorder),
            overrides: Arc::clone(&overrides),
            environment: self.environment,
            clock: self.clock,
            answers: Answers::default(),
            settings: SettingsCache::default(),
            files: self.files,
            net: self.net,
            http_body_limit: self.http_body_limit,
            args: self.args,
            program_log,
            seed: self.seed,
            audit: self.audit,
            mock: self.mock,
            test: self.test,
            max_cost_usd: self.max_cost_usd,
            max_tokens: self.max_tokens,
            tools: self.tools,
            reply_timeout: self.reply_timeout,
            emit_mode: self.emit_mode,
            max_call_depth: self.max_call_depth,
            max_tasks: self.max_tasks,
            max_store_bytes: self.max_store_bytes,
            stores: self.shared_stores.then(SharedStores::default),
        };
        let inner = Inner {
            responders: Responders::new(shared.client.log().clone()),
            shared,
            handlers: Handlers::default(),
            handler_errors: self.handler_errors,
            execution_timeout: self.execution_timeout,
            recorder,
            overrides,
        };
        let runtime = Runtime { inner: Arc::new(inner) };
        let shared = &runtime.inner.shared;
        shared.tools.permit(&shared.program, &self.tool_permissions)?;
        for (name, fields) in self.connection_overrides {
            runtime.override_connection_json(&name, &fields, false)?;
        }
        Ok(runtime)
    }

    /// Finds options that cannot be, before a run could.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |option, problem: &str| {
            Err(ConfigError::Option { option, problem: problem.to_owned() })
        };
        if self.execution_timeout.is_some_and(|limit| limit.is_zero()) {
            return wrong("execution_timeout", "must be positive seconds");
        }
        if let Some(name) =
            self.providers.names().find(|name| !self.program.connections().contains(name))
        {
            return wrong(
                "provider",
                &format!("is for `{name}`, which is no connection of the program"),
            );
        }
        if self.max_cost_usd.is_some_and(|most| most.is_nan() || most < 0.0) {
            return wrong("max_cost_usd", "must be US dollars, 0 or more");
        }
        if self.max_concurrent_requests == Some(0) {
            return wrong("max_concurrent_requests", "must be at least 1");
        }
        if !(1..=100).contains(&self.tools.max_rounds) {
            return wrong("max_tool_rounds", "must be 1 to 100");
        }
        if self.reply_timeout.is_some_and(|limit| limit.is_zero()) {
            return wrong("reply_timeout", "must be positive seconds");
        }
        if matches!(self.emit_mode, EmitMode::Buffered { size: 0, .. }) {
            return wrong("emit_mode", "must keep at least 1 emit");
        }
        if self.max_call_depth == 0 {
            return wrong("max_call_depth", "must be at least 1");
        }
        if self.max_tasks == 0 {
            return wrong("max_tasks", "must be at least 1");
        }
        if self.retry_jitter.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return wrong("retry_jitter", "must be 0 to 1");
        }
        match self.transport.proxy.as_deref() {
            Some(url) if url != "none" && config::url_host(url).is_none() => {
                wrong("proxy", "must be a URL or \"none\"")
            }
            _ => Ok(()),
        }
    }
}

/// The file that the environment names (C-62); an empty variable names none.
fn ca_bundle(process: &Environment) -> Option<String> {
    let named = ["CONCERTO_CA_BUNDLE", "SSL_CERT_FILE"].map(|name| process.read(name).ok());
    named.into_iter().flatten().find(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    // C-62
    #[test]
    fn an_empty_variable_does_not_hide_the_next_one() {
        for (own, other, expected) in [
            ("own.pem", "other.pem", Some("own.pem")),
            ("", "other.pem", Some("other.pem")),
            ("own.pem", "", Some("own.pem")),
            ("", "", None),
        ] {
            let variables = [("CONCERTO_CA_BUNDLE", own), ("SSL_CERT_FILE", other)];
            let own = variables.map(|(name, path)| (name.to_owned(), path.to_owned()));
            let process = Environment { own: HashMap::from(own), ..Environment::default() };
            assert_eq!(ca_bundle(&process).as_deref(), expected, "{variables:?}");
        }
    }
}
