//! The mock provider: a real HTTP server on loopback that speaks a provider's protocol, for tests, demos and benchmarks.
//!
//! It answers from the question alone or from a script (`docs/mock.md`), so runs repeat. OpenAI chat completions for now; other protocols belong
//! beside `openai.rs`.

mod http;
mod openai;
mod script;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use http::{Connection, Request};
use script::Script;

pub use script::ScriptError;

/// Requests that the ledger keeps.
const LEDGER: usize = 10_000;

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
    ledger: Mutex<VecDeque<Json>>,
    log: Option<Mutex<std::fs::File>>,
}

impl MockServer {
    /// Starts a server on 127.0.0.1, on a thread of its own.
    ///
    /// # Errors
    /// [`MockError`].
    pub fn start(options: &MockOptions) -> Result<Self, MockError> {
        let failed = |what: String| move |source: io::Error| MockError::Io { what, source };
        let script = match &options.script {
            Some(text) => Script::parse(text)?,
            None => Script::default(),
        };
        let log = match &options.log {
            None => None,
            Some(path) => {
                let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
                Some(Mutex::new(file.map_err(failed(format!("cannot open the log `{path}`")))?))
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
            ledger: Mutex::default(),
            log,
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

    /// All requests so far, at most the last 10,000: `{"method", "path", "headers", "body"}`, secrets masked.
    #[must_use]
    pub fn requests(&self) -> Vec<Json> {
        let ledger = self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.iter().cloned().collect()
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
    let mut connection = Connection::new(stream);
    while let Ok(Some(request)) = connection.read_request().await {
        shared.record(&request);
        if openai::answer(&shared, &request, &mut connection).await.is_err()
            || connection.is_closed()
        {
            return;
        }
    }
}

impl Shared {
    fn record(&self, request: &Request) {
        let headers: serde_json::Map<String, Json> = request
            .headers
            .iter()
            .map(|(name, value)| {
                let shown = if crate::secret::is_secret_header(name) { "***" } else { value };
                (name.clone(), json!(shown))
            })
            .collect();
        let body = serde_json::from_slice(&request.body).unwrap_or(Json::Null);
        let entry = json!({"method": request.method, "path": request.path, "headers": headers, "body": body});
        if let Some(log) = &self.log {
            use std::io::Write;
            let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(file, "{entry}"); // a full disk must not stop the server
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.len() == LEDGER {
            ledger.pop_front();
        }
        ledger.push_back(entry);
    }
}
