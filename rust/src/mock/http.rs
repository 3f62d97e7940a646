//! As much of HTTP/1.1 as a server on loopback needs, with the power to break its rules.

use std::io;

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
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// One side of a kept-alive connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::with_capacity(8 << 10), closed: false }
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

    /// Sends a whole answer.
    pub(super) async fn send(
        &mut self,
        status: u16,
        content_type: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut out = head(status, content_type, headers);
        out.extend(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend(body);
        self.stream.write_all(&out).await
    }

    /// Begins a streamed answer.
    pub(super) async fn begin_stream(
        &mut self,
        status: u16,
        headers: &[(String, String)],
    ) -> io::Result<()> {
        let mut out = head(status, "text/event-stream; charset=utf-8", headers);
        out.extend(b"transfer-encoding: chunked\r\n\r\n");
        self.stream.write_all(&out).await
    }

    /// Sends a piece of a streamed answer.
    pub(super) async fn send_piece(&mut self, data: &[u8]) -> io::Result<()> {
        let mut out = format!("{:x}\r\n", data.len()).into_bytes();
        out.extend(data);
        out.extend(b"\r\n");
        self.stream.write_all(&out).await
    }

    /// Ends a streamed answer.
    pub(super) async fn end_stream(&mut self) -> io::Result<()> {
        self.stream.write_all(b"0\r\n\r\n").await
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

fn head(status: u16, content_type: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut out =
        format!("HTTP/1.1 {status} {}\r\ncontent-type: {content_type}\r\n", reason(status));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// The request without its body, the length of its head, whether the body is chunked, and its length.
type Head = (Request, usize, bool, usize);

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
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
    let path = parsed.path.unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
    let method = parsed.method.unwrap_or("").to_owned();
    Ok(Some((Request { method, path, headers, body: Vec::new() }, head, chunked, length)))
}
