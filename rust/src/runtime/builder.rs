//! Makes a runtime of a program and its options.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::config::{RuntimeConfig, wrong};
use super::handlers::{HandlerErrors, Handlers};
use super::responders::Responders;
use super::threads::Io;
use super::{Inner, Program, Runtime};
use crate::clock::Clock;
use crate::config::{ConfigError, Overrides, PriceConfig};
use crate::engine::emits::EmitMode;
use crate::engine::outside::{FileAccess, FileMode, NetAccess, SharedStores};
use crate::engine::testing::Test;
use crate::engine::tools::ToolOptions;
use crate::engine::world::{Environment, Variables};
use crate::engine::{Answers, Mock, SettingsCache, Shared};
use crate::error::Error;
use crate::llm::{CallOptions, Client, Provider, Providers, Tape, TransportOptions};
use crate::log::{Log, LogLevel, LogRecord};
use crate::metrics::{PriceBook, Recorder};

/// Configures a [`Runtime`]; made by [`Runtime::builder`]. Each method sets the field of [`RuntimeConfig`] with its name, which says what it means.
#[must_use]
pub struct RuntimeBuilder {
    pub(super) program: Program,
    pub(super) config: RuntimeConfig,
    providers: Providers,
    pub(super) test: Option<Arc<Test>>,
}

impl RuntimeBuilder {
    pub(super) fn new(program: Program) -> Self {
        let (config, providers) = (RuntimeConfig::default(), Providers::default());
        Self { program, config, providers, test: None }
    }

    /// Sets all options at once; what was set before is gone, except for [`RuntimeBuilder::provider`].
    pub fn config(mut self, config: RuntimeConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets [`RuntimeConfig::args`].
    pub fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.config.args = args.into_iter().collect();
        self
    }

    /// Sets [`RuntimeConfig::audit`].
    pub fn audit(mut self, audit: bool) -> Self {
        self.config.audit = audit;
        self
    }

    /// Sets [`RuntimeConfig::ca_bundle`].
    pub fn ca_bundle(mut self, path: impl Into<String>) -> Self {
        self.config.ca_bundle = Some(path.into());
        self
    }

    /// Sets [`RuntimeConfig::clock`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.config.clock = clock;
        self
    }

    /// Sets [`RuntimeConfig::emit_mode`].
    pub fn emit_mode(mut self, mode: EmitMode) -> Self {
        self.config.emit_mode = mode;
        self
    }

    /// Sets [`RuntimeConfig::env`].
    pub fn env(mut self, own: impl Into<Variables>) -> Self {
        self.config.env = own.into();
        self
    }

    /// Sets [`RuntimeConfig::env_allow`].
    pub fn env_allow(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.config.env_allow = Some(names.into_iter().collect());
        self
    }

    /// Sets [`RuntimeConfig::execution_timeout`].
    pub fn execution_timeout(mut self, limit: Duration) -> Self {
        self.config.execution_timeout = Some(limit);
        self
    }

    /// Sets [`RuntimeConfig::fs_mode`].
    pub fn fs_mode(mut self, mode: FileMode) -> Self {
        self.config.fs_mode = mode;
        self
    }

    /// Sets [`RuntimeConfig::fs_root`].
    pub fn fs_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.config.fs_root = Some(root.into());
        self
    }

    /// Sets [`RuntimeConfig::handler_errors`].
    pub fn handler_errors(mut self, what: HandlerErrors) -> Self {
        self.config.handler_errors = what;
        self
    }

    /// Sets [`RuntimeConfig::http_body_limit`].
    pub fn http_body_limit(mut self, bytes: usize) -> Self {
        self.config.http_body_limit = bytes;
        self
    }

    /// Sets [`RuntimeConfig::log_level`].
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.config.log_level = level;
        self
    }

    /// Sets [`RuntimeConfig::max_call_depth`].
    pub fn max_call_depth(mut self, depth: usize) -> Self {
        self.config.max_call_depth = depth;
        self
    }

    /// Sets [`RuntimeConfig::max_concurrent_requests`].
    pub fn max_concurrent_requests(mut self, most: usize) -> Self {
        self.config.max_concurrent_requests = Some(most);
        self
    }

    /// Sets [`RuntimeConfig::max_cost_usd`].
    pub fn max_cost_usd(mut self, most: f64) -> Self {
        self.config.max_cost_usd = Some(most);
        self
    }

    /// Sets [`RuntimeConfig::max_queued_requests`].
    pub fn max_queued_requests(mut self, most: usize) -> Self {
        self.config.max_queued_requests = Some(most);
        self
    }

    /// Sets [`RuntimeConfig::max_store_bytes`].
    pub fn max_store_bytes(mut self, most: usize) -> Self {
        self.config.max_store_bytes = most;
        self
    }

    /// Sets [`RuntimeConfig::max_tasks`].
    pub fn max_tasks(mut self, most: usize) -> Self {
        self.config.max_tasks = most;
        self
    }

    /// Sets [`RuntimeConfig::max_tokens`].
    pub fn max_tokens(mut self, most: u64) -> Self {
        self.config.max_tokens = Some(most);
        self
    }

    /// Sets [`RuntimeConfig::max_tool_result_bytes`].
    pub fn max_tool_result_bytes(mut self, bytes: usize) -> Self {
        self.config.max_tool_result_bytes = bytes;
        self
    }

    /// Sets [`RuntimeConfig::max_tool_rounds`].
    pub fn max_tool_rounds(mut self, rounds: u32) -> Self {
        self.config.max_tool_rounds = rounds;
        self
    }

    /// Sets [`RuntimeConfig::net_allow`].
    pub fn net_allow(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.config.net_allow = Some(hosts.into_iter().collect());
        self
    }

    /// Sets [`RuntimeConfig::offline`].
    pub fn offline(mut self, offline: bool) -> Self {
        self.config.offline = offline;
        self
    }

    /// Sets [`RuntimeConfig::program_log_level`].
    pub fn program_log_level(mut self, level: LogLevel) -> Self {
        self.config.program_log_level = level;
        self
    }

    /// Sets [`RuntimeConfig::proxy`].
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.config.proxy = Some(url.into());
        self
    }

    /// Sets [`RuntimeConfig::record`].
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.record = Some(path.into());
        self
    }

    /// Sets [`RuntimeConfig::replay`].
    pub fn replay(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.replay = Some(path.into());
        self
    }

    /// Sets [`RuntimeConfig::reply_timeout`].
    pub fn reply_timeout(mut self, limit: Duration) -> Self {
        self.config.reply_timeout = Some(limit);
        self
    }

    /// Sets [`RuntimeConfig::retry_jitter`].
    pub fn retry_jitter(mut self, share: f64) -> Self {
        self.config.retry_jitter = Some(share);
        self
    }

    /// Sets [`RuntimeConfig::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = Some(seed);
        self
    }

    /// Sets [`RuntimeConfig::shared_stores`].
    pub fn shared_stores(mut self, shared: bool) -> Self {
        self.config.shared_stores = shared;
        self
    }

    /// Sets [`RuntimeConfig::worker_threads`].
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.config.worker_threads = Some(threads);
        self
    }

    /// Adds to [`RuntimeConfig::connection_overrides`].
    pub fn connection_overrides(
        mut self,
        overrides: impl IntoIterator<Item = (String, Map<String, Json>)>,
    ) -> Self {
        self.config.connection_overrides.extend(overrides);
        self
    }

    /// Sets [`RuntimeConfig::log_sink`].
    pub fn log_sink(mut self, sink: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        self.config.log_sink = Arc::new(sink);
        self
    }

    /// Answers every model call locally, without network and keys: sets [`RuntimeConfig::mock`].
    pub fn mock(mut self, mock: bool) -> Self {
        self.config.mock = if mock { Mock::Usual } else { Mock::Off };
        self
    }

    /// The same by the rules of a script; a question that none fits gets the usual answer.
    #[cfg(feature = "mock")]
    pub fn mock_script(mut self, script: crate::mock::LocalScript) -> Self {
        self.config.mock = Mock::Scripted(Arc::new(script));
        self
    }

    /// Adds to [`RuntimeConfig::prices`].
    pub fn price(mut self, pattern: impl Into<String>, price: PriceConfig) -> Self {
        self.config.prices.insert(pattern.into(), price);
        self
    }

    /// Adds to [`RuntimeConfig::tool_permissions`].
    pub fn tool_permissions(
        mut self,
        permissions: impl IntoIterator<Item = (String, bool)>,
    ) -> Self {
        self.config.tool_permissions.extend(permissions);
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

    /// Makes the runtime. Nothing is connected or started yet; of the options only [`RuntimeConfig::record`] and [`RuntimeConfig::replay`] touch a file.
    ///
    /// # Errors
    /// [`Error::Config`] for an option that cannot be.
    pub fn build(self) -> Result<Runtime, Error> {
        let Self { program, config, providers, test } = self;
        config.check()?;
        let connections = program.connections();
        if let Some(name) = providers.names().find(|name| !connections.contains(name)) {
            let problem = format!("is for `{name}`, which is no connection of the program");
            return Err(wrong("provider", &problem).into());
        }
        let transport = TransportOptions {
            ca_bundle: config.ca_bundle.or_else(|| ca_bundle(&Environment::default())),
            proxy: config.proxy,
            tape: tape(config.record, config.replay)?,
        };
        let usual_jitter =
            if config.clock.is_virtual() { 0.0 } else { CallOptions::default().retry_jitter };
        let calls = CallOptions {
            retry_jitter: config.retry_jitter.unwrap_or(usual_jitter),
            max_queued_requests: config.max_queued_requests,
            clock: config.clock.clone(),
            log: Log::new(config.log_level, Arc::clone(&config.log_sink)),
            max_concurrent_requests: config.max_concurrent_requests,
            providers,
        };
        let declared = program.0.models().iter();
        let models = declared
            .map(|model| {
                let on = connections.get(model.connection as usize).cloned().unwrap_or_default();
                (model.name.clone(), on)
            })
            .collect();
        let overrides = Arc::new(Overrides::new(connections.clone()));
        let prices = PriceBook::new(&program.0.document().pricing);
        for (pattern, price) in config.prices {
            prices.set(&pattern, price)?;
        }
        let prices = Arc::new(prices);
        let recorder = Arc::new(Recorder::with_prices(
            connections,
            models,
            Arc::clone(&prices),
            config.clock.clone(),
        ));
        let environment = Environment {
            own: config.env,
            allowed: config.env_allow.map(|names| names.into_iter().collect()),
            ..Environment::default()
        };
        let tools = ToolOptions {
            max_rounds: config.max_tool_rounds,
            max_result_bytes: config.max_tool_result_bytes,
            ..ToolOptions::default()
        };
        let outputs = vec![OnceLock::new(); program.0.schemas().len()];
        let shared = Shared {
            program: program.0,
            outputs,
            prices,
            client: Client::new(transport, calls),
            recorder: Arc::clone(&recorder),
            overrides: Arc::clone(&overrides),
            environment,
            clock: config.clock,
            answers: Answers::default(),
            settings: SettingsCache::default(),
            files: FileAccess { root: config.fs_root, mode: config.fs_mode },
            net: NetAccess { offline: config.offline, hosts: config.net_allow },
            http_body_limit: config.http_body_limit,
            args: config.args,
            program_log: Log::of_program(config.program_log_level, config.log_sink),
            seed: config.seed,
            audit: config.audit,
            mock: config.mock,
            test,
            max_cost_usd: config.max_cost_usd,
            max_tokens: config.max_tokens,
            tools,
            reply_timeout: config.reply_timeout,
            emit_mode: config.emit_mode,
            max_call_depth: config.max_call_depth,
            max_tasks: config.max_tasks,
            max_store_bytes: config.max_store_bytes,
            stores: config.shared_stores.then(SharedStores::default),
        };
        let inner = Inner {
            responders: Responders::new(shared.client.log().clone()),
            shared,
            handlers: Handlers::default(),
            handler_errors: config.handler_errors,
            execution_timeout: config.execution_timeout,
            recorder,
            overrides,
            io: Io::new(config.worker_threads),
        };
        let runtime = Runtime { inner: Arc::new(inner) };
        runtime.set_tool_permissions(config.tool_permissions)?;
        for (name, fields) in config.connection_overrides {
            runtime.override_connection_json(&name, &fields, false)?;
        }
        Ok(runtime)
    }
}

/// Where traffic goes, or comes from.
fn tape(record: Option<PathBuf>, replay: Option<PathBuf>) -> Result<Option<Tape>, ConfigError> {
    let recorded = record.map(|path| {
        Tape::record(&path).map_err(|error| {
            wrong("record", &format!("cannot write `{}`: {error}", path.display()))
        })
    });
    let replayed = replay.map(|path| {
        Tape::play(&path)
            .map_err(|error| wrong("replay", &format!("cannot read `{}`: {error}", path.display())))
    });
    recorded.or(replayed).transpose()
}

/// The file that the environment names (C-62); an empty variable names none.
fn ca_bundle(process: &Environment) -> Option<String> {
    let named = ["CONCERTO_CA_BUNDLE", "SSL_CERT_FILE"].map(|name| process.read(name).ok());
    named.into_iter().flatten().find(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
            let process = Environment { own: HashMap::from(own).into(), ..Environment::default() };
            assert_eq!(ca_bundle(&process).as_deref(), expected, "{variables:?}");
        }
    }
}
