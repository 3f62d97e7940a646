//! As much of HTTP/1.1 as a server on loopback needs, with the power to break its rules.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head and the longest body.
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;

/// A request, read whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Behind the `?`; empty without one.
    pub(super) query: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The first header with this lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        crate::wire::find(&self.headers, name)
    }
}

/// One side of a kept-alive connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
    sent: u64,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::with_capacity(8 << 10), closed: false, sent: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next request; `None` if the other side has closed.
    pub(super) async fn read_request(&mut self) -> io::Result<Option<Request>> {
        let (mut request, head, chunked, length) = loop {
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("the head is too large"));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        self.buffer.drain(..head);
        if request
            .headers
            .iter()
            .any(|(n, v)| n == "expect" && v.eq_ignore_ascii_case("100-continue"))
        {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if chunked {
            request.body = self.read_chunks().await?;
        } else {
            if length > MAX_BODY {
                return Err(invalid("the body is too large"));
            }
            while self.buffer.len() < length {
                if !self.fill().await? {
                    return Ok(None);
                }
            }
            request.body = self.buffer.drain(..length).collect();
        }
        Ok(Some(request))
    }

    async fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                    break at;
                }
                if !self.fill().await? {
                    return Err(invalid("the body ends early"));
                }
            };
            let size = self.buffer.get(..line_end).and_then(|line| std::str::from_utf8(line).ok());
            let size = size
                .and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok());
            let size = size
                .filter(|size| body.len() + size <= MAX_BODY)
                .ok_or_else(|| invalid("a bad chunk"))?;
            while self.buffer.len() < line_end + 2 + size + 2 {
                if !self.fill().await? {
                    return Err(invalid("the body ends early"));
                }
            }
            body.extend(self.buffer.get(line_end + 2..line_end + 2 + size).unwrap_or(&[]));
            self.buffer.drain(..line_end + 2 + size + 2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Bytes that were sent since this was last asked.
    pub(super) fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// Sends a whole answer.
    pub(super) async fn send(&mut self, head: &Head<'_>, body: &[u8]) -> io::Result<()> {
        let mut out = head.bytes();
        out.extend(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend(body);
        self.write(&out).await
    }

    /// Sends the head of a whole answer and half of its body.
    pub(super) async fn send_half(&mut self, head: &Head<'_>, body: &[u8]) -> io::Result<()> {
        let mut out = head.bytes();
        out.extend(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend(body.get(..body.len() / 2).unwrap_or(&[]));
        self.write(&out).await
    }

    /// Begins an answer in pieces.
    pub(super) async fn begin(&mut self, head: &Head<'_>) -> io::Result<()> {
        let mut out = head.bytes();
        out.extend(b"transfer-encoding: chunked\r\n\r\n");
        self.write(&out).await
    }

    /// Sends pieces, each as a chunk of its own so that the other side sees it apart, in one go.
    pub(super) async fn pieces<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let mut out = Vec::new();
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            out.extend(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend(piece);
            out.extend(b"\r\n");
        }
        self.write(&out).await
    }

    /// Ends an answer in pieces.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.write(b"0\r\n\r\n").await
    }

    /// Lets time pass; an error if the other side closes meanwhile.
    pub(super) async fn wait(&mut self, time: Duration) -> io::Result<()> {
        self.until(tokio::time::sleep(time)).await
    }

    /// Waits for something; an error if the other side closes meanwhile.
    pub(super) async fn until(&mut self, event: impl Future<Output = ()>) -> io::Result<()> {
        tokio::select! {
            () = event => Ok(()),
            error = self.gone() => Err(error),
        }
    }

    /// Waits until the other side closes, and says so.
    pub(super) async fn gone(&mut self) -> io::Error {
        loop {
            match self.fill().await {
                Ok(true) => {} // the next request, early
                Ok(false) => return io::ErrorKind::ConnectionAborted.into(),
                Err(error) => return error,
            }
        }
    }

    /// Closes the connection in the middle: politely, or with a reset.
    pub(super) fn break_off(&mut self, reset: bool) {
        if reset {
            // Closing with a zero linger time sends a reset.
            let _ = self.stream.set_zero_linger();
        }
        self.closed = true;
    }
}

/// Status line and headers of an answer.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    pub(super) headers: &'a [(String, String)],
}

impl Head<'_> {
    /// All but the header of the length and the empty line.
    fn bytes(&self) -> Vec<u8> {
        let (status, content_type) = (self.status, self.content_type);
        let reason = reason(status);
        let mut out = format!("HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n");
        for (name, value) in self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Status",
    }
}

/// The request without its body, the length of its head, whether the body is chunked, and its length.
type Parsed = (Request, usize, bool, usize);

fn parse_head(bytes: &[u8]) -> io::Result<Option<Parsed>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).map_err(|error| invalid(&error.to_string()))?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let chunked = find("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    let length = find("content-length").and_then(|v| v.trim().parse().ok()).unwrap_or(0);
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    };
    Ok(Some((request, head, chunked, length)))
}
