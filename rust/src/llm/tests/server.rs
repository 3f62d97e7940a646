//! A scripted HTTP server: it answers each request with the next reply, byte for byte, and keeps what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What to do with one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pieces: Vec<Vec<u8>>,
    stalls: bool,
    repeated: Option<(&'static str, Duration)>,
}

impl Reply {
    /// These bytes, then the connection is closed.
    pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { pieces: vec![bytes.into()], ..Self::default() }
    }

    /// A whole answer with a length.
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::with(status, "content-type: application/json\r\n", body)
    }

    /// A whole answer with these header lines.
    pub(super) fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::raw(format!(
            "HTTP/1.1 {status} Reason\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }

    /// An event stream that ends with the connection, in these pieces.
    pub(super) fn events(pieces: &[&str]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req-7\r\n\
                    connection: close\r\n\r\n";
        let head = head.as_bytes().to_vec();
        let body = pieces.iter().map(|piece| piece.as_bytes().to_vec());
        Self { pieces: std::iter::once(head).chain(body).collect(), ..Self::default() }
    }

    /// The same, but the connection then stays open in silence.
    pub(super) fn then_stall(self) -> Self {
        Self { stalls: true, ..self }
    }

    /// The same, but then this text is sent again and again, with pauses.
    pub(super) fn then_repeat(self, text: &'static str, pause: Duration) -> Self {
        Self { repeated: Some((text, pause)), ..self }
    }
}

/// What the server was sent.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) at: tokio::time::Instant,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Json,
}

impl Received {
    /// All values of a header, by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, v)| v.as_str()).collect()
    }
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    hung_up: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1.
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let hung_up = Arc::new(Notify::new());
        let (kept, signal) = (Arc::clone(&received), Arc::clone(&hung_up));
        let task = tokio::spawn(async move {
            for reply in replies {
                let (socket, _) = listener.accept().await.unwrap();
                serve(socket, reply, &kept, &signal).await;
            }
        });
        Self { url, received, hung_up, task }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until the client has closed the connection of a reply that stalls.
    pub(super) async fn hung_up(&self) {
        self.hung_up.notified().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, reply: Reply, kept: &Mutex<Vec<Received>>, signal: &Notify) {
    let request = read_request(&mut socket).await;
    kept.lock().unwrap().push(request);
    for piece in reply.pieces {
        if socket.write_all(&piece).await.is_err() {
            break;
        }
        // Give the client a turn, so that pieces arrive as pieces.
        tokio::task::yield_now().await;
    }
    if let Some((text, pause)) = reply.repeated {
        while socket.write_all(text.as_bytes()).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    }
    if reply.stalls {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        signal.notify_one();
    }
}

async fn read_request(socket: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the request has no end");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap();
    let wanted = head_end + 4 + length.1.parse::<usize>().unwrap();
    while bytes.len() < wanted {
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "the body is short");
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..]).unwrap();
    Received { at: crate::clock::now(), path, headers, body }
}
