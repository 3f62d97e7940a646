//! Neutral words for what goes over the wire: a request, an answer, an event of a stream.

use bytes::Bytes;

/// A POST request, complete but for the transport's own headers.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Absolute URL.
    pub url: String,
    /// Names in lower case; each name once.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Bytes,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decoded body.
    pub body: Bytes,
}

/// The first header with this lower-case name.
#[must_use]
pub fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// An event of a server-sent stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event:` field, if any.
    pub name: Option<String>,
    /// The `data:` lines, joined.
    pub data: String,
}
