//! The mock provider: a real HTTP server on loopback that speaks the providers' protocols, for tests, demos and benchmarks.
//!
//! It answers from the question alone or from a script (`docs/mock.md`), so runs repeat. A request goes through `http.rs` (bytes), `dialects/`
//! (which protocol, what is asked, what the real service would refuse), `script.rs` (which rule), and `answer.rs` (what is sent, and how it fails);
//! `ledger.rs` keeps what happened.

mod answer;
mod dialects;
mod dice;
mod http;
mod ledger;
mod local;
mod meeting;
mod script;
mod wait;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock;
use answer::BadLuck;
use dialects::Refusal;
use dice::Dice;
use http::Connection;
use ledger::{Ledger, Outcome};
use meeting::Meeting;
use script::Script;
use wait::Wait;

pub use ledger::MockCounts;
pub use local::LocalScript;
pub use script::ScriptError;

/// The window of `rate_limit`.
const MINUTE: Duration = Duration::from_secs(60);

/// How a server behaves.
#[derive(Clone, Debug, Default)]
pub struct MockOptions {
    /// 0 takes any free port.
    pub port: u16,
    /// Rules as JSON text; without any every question gets its default answer.
    pub script: Option<String>,
    /// Before each answer.
    pub latency: Duration,
    /// Between chunks of a stream.
    pub chunk_delay: Duration,
    /// The share of requests, 0 to 1, that fail with 429, 500, 503 or a reset.
    pub error_rate: f64,
    /// Requests per minute; more are refused with 429 and Retry-After.
    pub rate_limit: Option<u32>,
    /// Where chance begins: `error_rate` and the `chance` of rules repeat with it.
    pub seed: u64,
    /// A file that gets one JSON line per request, keys removed.
    pub log: Option<String>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The port is taken, or the log cannot be opened.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The script is wrong.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// `error_rate` is no probability.
    #[error("the error rate is {0}, but must be 0 to 1")]
    ErrorRate(f64),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    latency: Duration,
    chunk_delay: Duration,
    error_rate: f64,
    rate_limit: Option<u32>,
    /// When the requests of the past minute came.
    admitted: Mutex<VecDeque<Instant>>,
    dice: Dice,
    ledger: Ledger,
    meeting: Meeting,
}

impl MockServer {
    /// Starts a server on 127.0.0.1, on a thread of its own.
    ///
    /// # Errors
    /// [`MockError`].
    pub fn start(options: &MockOptions) -> Result<Self, MockError> {
        let failed = |what: String| move |source: io::Error| MockError::Io { what, source };
        if !(0.0..=1.0).contains(&options.error_rate) {
            return Err(MockError::ErrorRate(options.error_rate));
        }
        let script = match &options.script {
            Some(text) => Script::parse(text)?,
            None => Script::default(),
        };
        let log = match &options.log {
            None => None,
            Some(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                Some(file.map_err(failed(format!("cannot open the log `{path}`")))?)
            }
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = std::net::TcpListener::bind(address)
            .map_err(failed(format!("cannot listen on {address}")))?;
        listener.set_nonblocking(true).map_err(failed("cannot listen".to_owned()))?;
        let address = listener.local_addr().map_err(failed("cannot listen".to_owned()))?;
        let shared = Arc::new(Shared {
            script,
            latency: options.latency,
            chunk_delay: options.chunk_delay,
            error_rate: options.error_rate,
            rate_limit: options.rate_limit,
            admitted: Mutex::default(),
            dice: Dice::new(options.seed),
            ledger: Ledger::new(log),
            meeting: Meeting::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed("cannot start".to_owned()))?;
        let thread = std::thread::Builder::new()
            .name("concerto-mock".to_owned())
            .spawn(move || runtime.block_on(serve(listener, serving, stopped)))
            .map_err(failed("cannot start".to_owned()))?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The base URL for connections: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// `http://127.0.0.1:PORT`, for clients that add the version themselves.
    #[must_use]
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, at most the last 10,000, with what became of them; `docs/mock.md` lists the keys. Secrets are masked.
    #[must_use]
    pub fn requests(&self) -> Vec<Json> {
        self.shared.ledger.requests()
    }

    /// Sums over all requests.
    #[must_use]
    pub fn counts(&self) -> MockCounts {
        self.shared.ledger.counts()
    }

    /// Stops the server and closes its connections.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let accepting = async {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
        }
    };
    // The runtime is dropped behind this, and with it all conversations.
    tokio::select! {
        () = accepting => {}
        _ = stopped => {}
    }
}

/// Answers the requests of one connection until either side closes it.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let _connected = shared.ledger.connected();
    let mut connection = Connection::new(stream);
    while let Ok(Some(request)) = connection.read_request().await {
        let record = shared.ledger.enter(request);
        let outcome = answer::answer(&shared, &record, &mut connection).await;
        record.sent(connection.take_sent(), 0);
        record.end(outcome.as_ref().copied().unwrap_or(Outcome::ClientClosed));
        if outcome.is_err() || connection.is_closed() {
            return;
        }
    }
}

impl Shared {
    /// The refusal of a request above the limit; another one is admitted.
    fn over_limit(&self) -> Option<Refusal> {
        let limit = self.rate_limit? as usize;
        let now = clock::now();
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        while admitted.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            admitted.pop_front();
        }
        if admitted.len() < limit {
            admitted.push_back(now);
            return None;
        }
        let left = admitted.front().map_or(MINUTE, |at| MINUTE.saturating_sub(now - *at));
        let wait = Some(Wait::Seconds(left.as_secs_f64().ceil()));
        Some(Refusal { status: 429, wait, ..Refusal::default() })
    }

    /// Whether chance spoils this answer, and how.
    fn bad_luck(&self) -> Option<BadLuck> {
        if self.error_rate == 0.0 || !self.dice.hit(self.error_rate) {
            return None;
        }
        use BadLuck::{Reset, Status};
        self.dice.pick(&[Status(429), Status(500), Status(503), Reset])
    }
}
