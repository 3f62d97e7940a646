//! Options of a runtime.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::handlers::Handlers;
use super::{Inner, Program, Runtime};
use crate::config::Overrides;
use crate::engine::Shared;
use crate::engine::world::Environment;
use crate::error::Error;
use crate::llm::{Client, TransportOptions};
use crate::metrics::Recorder;

/// Configures a [`Runtime`]; made by [`Runtime::builder`].
#[must_use]
pub struct RuntimeBuilder {
    program: Program,
    environment: Environment,
    transport: TransportOptions,
    execution_timeout: Option<Duration>,
    max_call_depth: usize,
    mock: bool,
}

impl RuntimeBuilder {
    pub(super) fn new(program: Program) -> Self {
        Self {
            program,
            environment: Environment::default(),
            transport: TransportOptions::default(),
            execution_timeout: None,
            max_call_depth: 10_000,
            mock: false,
        }
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

    /// Active calls before a program panics with `StackOverflow`; 10,000 by default.
    pub fn max_call_depth(mut self, depth: usize) -> Self {
        self.max_call_depth = depth;
        self
    }

    /// Answer every model call locally, without network and keys.
    pub fn mock(mut self, mock: bool) -> Self {
        self.mock = mock;
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

    /// Makes the runtime. Nothing is connected, read or started yet.
    ///
    /// # Errors
    /// None today; room for options that can be wrong.
    pub fn build(mut self) -> Result<Runtime, Error> {
        let process = Environment::default();
        self.transport.ca_bundle = self.transport.ca_bundle.or_else(|| {
            let named =
                ["CONCERTO_CA_BUNDLE", "SSL_CERT_FILE"].iter().find_map(|n| process.read(n).ok());
            named.filter(|path| !path.is_empty())
        });
        let (connections, models) = (self.program.connections(), self.program.models());
        let overrides = Arc::new(Overrides::new(connections.clone()));
        let recorder = Arc::new(Recorder::new(connections, models));
        let shared = Shared {
            program: self.program.0,
            client: Client::new(self.transport),
            recorder: Arc::clone(&recorder),
            overrides: Arc::clone(&overrides),
            environment: self.environment,
            mock: self.mock,
            max_call_depth: self.max_call_depth,
        };
        let inner = Inner {
            shared,
            handlers: Handlers::default(),
            execution_timeout: self.execution_timeout,
            recorder,
            overrides,
        };
        Ok(Runtime { inner: Arc::new(inner) })
    }
}
