//! Traffic of providers in a file: recorded while calls are made, or played instead of making them.
//!
//! One JSON object a line for each answer. No header of a request is kept, so no key; keys that stand elsewhere are masked.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, scrub};
use crate::wire::{HttpRequest, HttpResponse};

/// Headers of an answer that tell nothing when it is played.
const DROPPED: [&str; 7] = [
    "content-encoding",
    "content-length",
    "date",
    "server",
    "set-cookie",
    "transfer-encoding",
    "connection",
];

/// A file with traffic.
#[derive(Clone, Debug)]
pub enum Tape {
    /// What is called is written there.
    Record(Arc<Recording>),
    /// Calls are answered from there, and no server is asked.
    Play(Arc<Played>),
}

impl Tape {
    /// Begins a file, or begins it anew.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(path: &Path) -> io::Result<Self> {
        Ok(Self::Record(Arc::new(Recording::create(path)?)))
    }

    /// Reads a file that was recorded.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no exchange.
    pub fn play(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(Self::Play(Arc::new(Played::parse(&text)?)))
    }
}

/// A request and its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// Without its query.
    url: String,
    request: serde_json::Value,
    status: u16,
    headers: Vec<(String, String)>,
    /// As it came, all pieces of a stream together.
    body: String,
}

impl Exchange {
    /// What has the same answer: the end of the path, which may name the model, and the body. A recording may be played for another server.
    fn question(&self) -> String {
        let end = self.url.rsplit('/').next().unwrap_or_default();
        format!("{end} {}", self.request)
    }

    fn asked(request: &HttpRequest, secrets: &[Secret]) -> Self {
        let url = request.url.split(['?', '#']).next().unwrap_or_default();
        let body = scrub(&String::from_utf8_lossy(&request.body), secrets);
        Self {
            url: scrub(url, secrets),
            request: serde_json::from_str(&body).unwrap_or(serde_json::Value::String(body)),
            status: 0,
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

/// A file that traffic is written to.
#[derive(Debug)]
pub struct Recording {
    file: Mutex<File>,
    /// Why a line could not be written.
    broken: Mutex<Option<String>>,
}

impl Recording {
    /// Begins a file, or begins it anew.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(File::create(path)?), broken: Mutex::default() })
    }

    /// An answer has begun; it is written when it is dropped.
    ///
    /// # Errors
    /// One before could not be written.
    pub fn begin(
        self: &Arc<Self>,
        request: &HttpRequest,
        secrets: Vec<Secret>,
        status: u16,
        headers: Vec<(String, String)>,
    ) -> Result<Take, String> {
        if let Some(broken) = locked(&self.broken).clone() {
            return Err(broken);
        }
        let headers = headers.into_iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
        let exchange = Exchange {
            status,
            headers: headers.map(|(name, value)| (name, scrub(&value, &secrets))).collect(),
            ..Exchange::asked(request, &secrets)
        };
        Ok(Take { recording: Arc::clone(self), exchange, secrets, body: Vec::new() })
    }

    fn write(&self, exchange: &Exchange) -> io::Result<()> {
        let mut line = serde_json::to_string(exchange)?;
        line.push('\n');
        locked(&self.file).write_all(line.as_bytes())
    }
}

/// An answer that is being received.
#[derive(Debug)]
pub struct Take {
    recording: Arc<Recording>,
    exchange: Exchange,
    secrets: Vec<Secret>,
    body: Vec<u8>,
}

impl Take {
    /// Bytes of the body have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

impl Drop for Take {
    /// Also of a stream that nobody reads to its end: what has come is what the program has seen.
    fn drop(&mut self) {
        self.exchange.body = scrub(&String::from_utf8_lossy(&self.body), &self.secrets);
        if let Err(error) = self.recording.write(&self.exchange) {
            locked(&self.recording.broken).get_or_insert(error.to_string());
        }
    }
}

/// Traffic that answers calls, each exchange once.
#[derive(Debug)]
pub struct Played {
    left: Mutex<HashMap<String, VecDeque<Exchange>>>,
}

impl Played {
    /// Reads what was recorded.
    ///
    /// # Errors
    /// A line is no exchange.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut left: HashMap<String, VecDeque<Exchange>> = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let exchange: Exchange = serde_json::from_str(line)
                .map_err(|error| format!("line {}: {error}", number + 1))?;
            left.entry(exchange.question()).or_default().push_back(exchange);
        }
        Ok(Self { left: Mutex::new(left) })
    }

    /// The next answer to a request; `None` if the recording has no more.
    #[must_use]
    pub fn answer(&self, request: &HttpRequest, secrets: &[Secret]) -> Option<HttpResponse> {
        let question = Exchange::asked(request, secrets).question();
        let exchange = locked(&self.left).get_mut(&question)?.pop_front()?;
        let (status, headers) = (exchange.status, exchange.headers);
        Some(HttpResponse { status, headers, body: exchange.body.into() })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
