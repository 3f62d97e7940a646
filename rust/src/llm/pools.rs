//! Which open connections serve a call: one pool per connection of the program, server, limit for connecting, and tokio runtime.
//!
//! An open connection is driven by a task on the runtime that opened it, so no other runtime may use it: that one may stop at any time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::tape::Tape;
use super::transport::{CONNECT, TransportOptions, build, causes, client, wrong};
use crate::clock;
use crate::config::{ConnectionSettings, is_loopback};
use crate::providers::Failure;
use crate::turns::look_around;

/// For so long an open connection is used again without a look at it.
pub(super) const FRESH: Duration = Duration::from_millis(1);

/// All pools of a client, each made on first use.
#[derive(Debug, Default)]
pub(super) struct Pools {
    options: TransportOptions,
    pools: Mutex<Vec<Arc<Pool>>>,
    /// For requests of programs, for each runtime: a client for loopback, which goes past proxies, and one for all else.
    plain: Mutex<Vec<Plain>>,
}

#[derive(Debug)]
struct Plain {
    loopback: bool,
    runtime: Id,
    watch: Watch,
    client: reqwest::Client,
}

/// A task that waits for ever: it ends with its runtime.
#[derive(Debug)]
struct Watch(AbortHandle);

impl Watch {
    fn begin() -> Self {
        Self(tokio::spawn(std::future::pending::<()>()).abort_handle())
    }

    /// Whether the runtime runs.
    fn is_alive(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    connection: String,
    server: String,
    connect: Duration,
    runtime: Id,
    watch: Watch,
    pub(super) client: reqwest::Client,
    pub(super) tape: Option<Tape>,
    /// The first URL that was asked for, which is nearly always the next one too: reading a URL costs as much as all else before a request.
    usual: OnceLock<(String, Url)>,
    /// When a server last answered, in a runtime of one thread.
    answered: Option<Mutex<Instant>>,
}

impl Pools {
    pub(super) fn new(options: TransportOptions) -> Self {
        Self { options, pools: Mutex::default(), plain: Mutex::default() }
    }

    /// The pool of a connection for the current runtime, for attempts of at most `timeout`.
    pub(super) fn pool(
        &self,
        settings: &ConnectionSettings,
        timeout: Duration,
    ) -> Result<Arc<Pool>, Failure> {
        let (connection, server) = (&settings.name, server(&settings.base_url));
        let current = Handle::current();
        let (connect, runtime) = (timeout.min(CONNECT), current.id());
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |pool: &&Arc<Pool>| {
            pool.runtime == runtime
                && pool.connect == connect
                && pool.server == server
                && pool.connection == *connection
                && pool.watch.is_alive()
        };
        if let Some(pool) = pools.iter().find(fits) {
            return Ok(Arc::clone(pool));
        }
        pools.retain(|pool| pool.watch.is_alive());
        let pool = Arc::new(Pool {
            connection: connection.clone(),
            server: server.to_owned(),
            connect,
            runtime,
            client: build(&self.options, &settings.base_url, connect)?,
            tape: self.options.tape.clone(),
            watch: Watch::begin(),
            usual: OnceLock::new(),
            answered: (current.runtime_flavor() == RuntimeFlavor::CurrentThread)
                .then(|| Mutex::new(clock::now())),
        });
        pools.push(Arc::clone(&pool));
        Ok(pool)
    }

    /// The client for requests of programs to a URL, made on first use in the current runtime.
    pub(super) fn plain(
        &self,
        url: &str,
        redirects: impl FnOnce() -> reqwest::redirect::Policy,
    ) -> Result<reqwest::Client, String> {
        let (loopback, runtime) = (is_loopback(url), Handle::current().id());
        let mut clients = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|plain| plain.watch.is_alive());
        let fits = |plain: &&Plain| plain.loopback == loopback && plain.runtime == runtime;
        if let Some(plain) = clients.iter().find(fits) {
            return Ok(plain.client.clone());
        }
        let builder = client(&self.options, url, CONNECT).map_err(|failure| failure.message)?;
        let built = builder.redirect(redirects()).build();
        let client =
            built.map_err(|e| format!("the HTTP client cannot be made: {}", causes(&e)))?;
        clients.push(Plain { loopback, runtime, watch: Watch::begin(), client: client.clone() });
        Ok(client)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Scheme, host and port of a URL, as written.
fn server(url: &str) -> &str {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    url.get(..end).unwrap_or(url)
}

impl Pool {
    /// Before a connection is used again: looks whether it is still open, if that was not clear a moment ago.
    pub(super) async fn look(&self) {
        let is_fresh = |at: &Mutex<Instant>| {
            let at = *at.lock().unwrap_or_else(PoisonError::into_inner);
            clock::now().saturating_duration_since(at) < FRESH
        };
        if self.answered.as_ref().is_some_and(|at| !is_fresh(at)) {
            look_around().await;
        }
    }

    /// A server has answered.
    pub(super) fn answered(&self) {
        if let Some(at) = &self.answered {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = clock::now();
        }
    }

    pub(super) fn url(&self, text: &str) -> Result<Url, Failure> {
        match self.usual.get() {
            Some((usual, url)) if usual == text => Ok(url.clone()),
            _ => {
                let url = Url::parse(text).map_err(|_| wrong("base_url", "is no URL"))?;
                let _ = self.usual.set((text.to_owned(), url.clone())); // the first stays
                Ok(url)
            }
        }
    }
}
