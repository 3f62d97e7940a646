//! All that a host may say about a runtime, as a value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::handlers::HandlerErrors;
use crate::clock::Clock;
use crate::config::{self, ConfigError, PriceConfig};
use crate::engine::Mock;
use crate::engine::emits::EmitMode;
use crate::engine::outside::FileMode;
use crate::engine::world::Variables;
use crate::log::{self, LogLevel, LogSink};

/// The options of a [`Runtime`](super::Runtime): what [`RuntimeBuilder`](super::RuntimeBuilder) sets one by one, as a value to keep and to pass on.
///
/// ```
/// use std::time::Duration;
///
/// use concerto::RuntimeConfig;
///
/// # fn example(program: concerto::Program) -> Result<(), concerto::Error> {
/// let config = RuntimeConfig {
///     execution_timeout: Some(Duration::from_secs(60)),
///     max_cost_usd: Some(0.5),
///     ..RuntimeConfig::default()
/// };
/// let runtime = concerto::Runtime::builder(program).config(config.clone()).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RuntimeConfig {
    /// What the program's `std::env::args` gives; nothing by default.
    pub args: Vec<String>,
    /// Runs tell of what they reach before they do: emits on `audit:file_access`, `audit:env_access`, `audit:http` and `audit:tool_call`, without
    /// contents, values, headers and what is secret in a URL. Default: no.
    pub audit: bool,
    /// PEM file with trusted certificates besides Mozilla's; by default `CONCERTO_CA_BUNDLE`, else `SSL_CERT_FILE`.
    pub ca_bundle: Option<String>,
    /// Where time comes from: delays of retries, rate limits and time limits follow it. The machine's clock by default.
    pub clock: Clock,
    /// Settings by connection, as [`Runtime::override_connection_json`](super::Runtime::override_connection_json) takes them; none by default.
    pub connection_overrides: BTreeMap<String, Map<String, Json>>,
    /// When emits are handed to handlers; each at once by default.
    pub emit_mode: EmitMode,
    /// Variables laid over the process environment for `env(..)`: a map, or a function that looks them up; none by default.
    pub env: Variables,
    /// Variables that the program may read, others count as not set; by default all.
    pub env_allow: Option<Vec<String>>,
    /// Limit of one run; none by default.
    pub execution_timeout: Option<Duration>,
    /// Whether `std::fs` may write, only read, or do nothing at all; it may write by default.
    pub fs_mode: FileMode,
    /// The folder that `std::fs` is kept in; by default the working directory.
    pub fs_root: Option<PathBuf>,
    /// What becomes of the error of a handler of [`Runtime::on`](super::Runtime::on); it ends the run by default.
    pub handler_errors: HandlerErrors,
    /// The longest body that `std::http` reads, in bytes; 10 MiB by default.
    pub http_body_limit: usize,
    /// The level from which on records of the runtime are logged; `warn` by default.
    pub log_level: LogLevel,
    /// Where records go; standard error by default.
    pub log_sink: LogSink,
    /// Active calls before a program panics with `StackOverflow`; 10,000 by default.
    pub max_call_depth: usize,
    /// How many requests may be under way at a time over all connections together; others wait. No bound by default.
    pub max_concurrent_requests: Option<usize>,
    /// The most that one run may cost, in US dollars; beyond that it ends with [`RunError::Limit`](crate::RunError::Limit). Tokens of models without a
    /// price cost nothing. No limit by default.
    pub max_cost_usd: Option<f64>,
    /// How many attempts may wait for the rate limits of one connection; one more fails with `RateLimited`. No bound by default.
    pub max_queued_requests: Option<usize>,
    /// What the stores of a run may hold together, in bytes, before it panics with `LimitExceeded`; 256 MiB by default.
    pub max_store_bytes: usize,
    /// Tasks that one run may have at a time before it panics with `LimitExceeded`; 10,000 by default.
    pub max_tasks: usize,
    /// How many tokens one run may use, prompts and answers together; beyond that it ends with [`RunError::Limit`](crate::RunError::Limit). No limit by
    /// default.
    pub max_tokens: Option<u64>,
    /// The longest result of a tool that a model gets, in bytes; 1 MiB by default. A longer one is cut, and says so.
    pub max_tool_result_bytes: usize,
    /// Rounds with calls of tools that one call of a model may have, 1 to 100; 10 by default. One more is `LlmError::ToolLimit`.
    pub max_tool_rounds: u32,
    /// Who answers model calls; the providers by default.
    pub mock: Mock,
    /// Hosts that `std::http` may reach: names, `name:port`, or `*.name` for all below it; all by default.
    pub net_allow: Option<Vec<String>>,
    /// No network for `std::http`, and models only on this machine; default: no.
    pub offline: bool,
    /// Prices by model id, or by its beginning and a `*`; over those of the manifest and the built-in ones. None by default.
    pub prices: BTreeMap<String, PriceConfig>,
    /// The level from which on records of `std::log` are logged; `info` by default.
    pub program_log_level: LogLevel,
    /// URL of an HTTP proxy, or "none"; by default `HTTPS_PROXY` and its like.
    pub proxy: Option<String>,
    /// A file that the traffic of all model calls is written to, begun anew: one JSON object a line, without keys. None by default.
    pub record: Option<PathBuf>,
    /// A file that was recorded: it answers all model calls, each exchange once, by the end of the path and the body of the request; no server is
    /// asked. None by default.
    pub replay: Option<PathBuf>,
    /// How long a program waits for the reply of `await emit`, which then fails as `Timeout`; without end by default.
    pub reply_timeout: Option<Duration>,
    /// The share of a retry's delay that may be added to it at random, 0 to 1; 0 turns it off. 0.1 by default, 0 with a virtual clock.
    pub retry_jitter: Option<f64>,
    /// Makes the random numbers of `std::math` the same in each run; by default they differ.
    pub seed: Option<u64>,
    /// Whether all runs of the runtime use the same stores; by default each run begins with its own. Callbacks hear the changes of their own run only.
    pub shared_stores: bool,
    /// Whether tools (`Tool`) or single methods (`Tool.method`) may be called; see
    /// [`Runtime::set_tool_permissions`](super::Runtime::set_tool_permissions). By default all may.
    pub tool_permissions: BTreeMap<String, bool>,
    /// Threads of this runtime's own, 1 to 1,024, that drive its runs in the background, with their I/O; they end with it. By default all runtimes of
    /// the process share 2.
    pub worker_threads: Option<usize>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            audit: false,
            ca_bundle: None,
            clock: Clock::system(),
            connection_overrides: BTreeMap::new(),
            emit_mode: EmitMode::Immediate,
            env: Variables::default(),
            env_allow: None,
            execution_timeout: None,
            fs_mode: FileMode::Write,
            fs_root: None,
            handler_errors: HandlerErrors::Raise,
            http_body_limit: 10 << 20,
            log_level: LogLevel::Warn,
            log_sink: log::standard_error(),
            max_call_depth: 10_000,
            max_concurrent_requests: None,
            max_cost_usd: None,
            max_queued_requests: None,
            max_store_bytes: 256 << 20,
            max_tasks: 10_000,
            max_tokens: None,
            max_tool_result_bytes: 1 << 20,
            max_tool_rounds: 10,
            mock: Mock::Off,
            net_allow: None,
            offline: false,
            prices: BTreeMap::new(),
            program_log_level: LogLevel::Info,
            proxy: None,
            record: None,
            replay: None,
            reply_timeout: None,
            retry_jitter: None,
            seed: None,
            shared_stores: false,
            tool_permissions: BTreeMap::new(),
            worker_threads: None,
        }
    }
}

/// The options that say something secret, or that cannot be shown, are left out.
impl fmt::Debug for RuntimeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeConfig")
            .field("connection_overrides", &self.connection_overrides.keys())
            .field("env", &self.env)
            .field("env_allow", &self.env_allow)
            .field("execution_timeout", &self.execution_timeout)
            .field("emit_mode", &self.emit_mode)
            .field("fs_mode", &self.fs_mode)
            .field("fs_root", &self.fs_root)
            .field("handler_errors", &self.handler_errors)
            .field("log_level", &self.log_level)
            .field("max_cost_usd", &self.max_cost_usd)
            .field("max_tokens", &self.max_tokens)
            .field("mock", &self.mock)
            .field("net_allow", &self.net_allow)
            .field("offline", &self.offline)
            .field("shared_stores", &self.shared_stores)
            .field("tool_permissions", &self.tool_permissions)
            .field("worker_threads", &self.worker_threads)
            .finish_non_exhaustive()
    }
}

impl RuntimeConfig {
    /// Finds options that cannot be, before a run could.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |option, problem: &str| Err(wrong(option, problem));
        let is_zero = |limit: Option<Duration>| limit.is_some_and(|limit| limit.is_zero());
        if is_zero(self.execution_timeout) {
            return wrong("execution_timeout", "must be positive seconds");
        }
        if self.max_cost_usd.is_some_and(|most| most.is_nan() || most < 0.0) {
            return wrong("max_cost_usd", "must be US dollars, 0 or more");
        }
        if self.max_concurrent_requests == Some(0) {
            return wrong("max_concurrent_requests", "must be at least 1");
        }
        if !(1..=100).contains(&self.max_tool_rounds) {
            return wrong("max_tool_rounds", "must be 1 to 100");
        }
        if is_zero(self.reply_timeout) {
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
        if self.worker_threads.is_some_and(|threads| !(1..=1024).contains(&threads)) {
            return wrong("worker_threads", "must be 1 to 1024");
        }
        self.only_one_answers()?;
        match self.proxy.as_deref() {
            Some(url) if url != "none" && config::url_host(url).is_none() => {
                wrong("proxy", "must be a URL or \"none\"")
            }
            _ => Ok(()),
        }
    }

    /// A tape and a mock would both answer the calls.
    fn only_one_answers(&self) -> Result<(), ConfigError> {
        let given = [
            ("mock", self.mock.is_on()),
            ("record", self.record.is_some()),
            ("replay", self.replay.is_some()),
        ];
        match *given.iter().filter(|(_, is_given)| *is_given).collect::<Vec<_>>() {
            [(option, _), _, ..] => {
                Err(wrong(option, "must be the only one of `mock`, `record` and `replay`"))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn wrong(option: &'static str, problem: &str) -> ConfigError {
    ConfigError::Option { option, problem: problem.to_owned() }
}
