//! Neutral words for what goes over the wire: a request, an answer, an event of a stream.

use std::time::Duration;

use bytes::Bytes;

use crate::secret::Secret;

/// A POST request, complete but for the transport's own headers.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// Absolute URL.
    pub url: String,
    /// Names in lower case; each name once. No value shows, since one of them is the key.
    pub headers: Vec<(String, Secret)>,
    /// JSON.
    pub body: Bytes,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Names in lower case; of a good answer only those that somebody reads.
    pub headers: Vec<(String, String)>,
    /// Decoded body.
    pub body: Bytes,
}

/// What a server said about one of its own limits (C-92). A number that it did not say is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerLimit {
    /// How much is allowed.
    pub limit: Option<u64>,
    /// How much of it is left.
    pub remaining: Option<u64>,
    /// When all of it is there again.
    pub resets_in: Option<Duration>,
}

/// The first header with this lower-case name.
#[must_use]
pub fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Names under which servers tell their id of the request.
const REQUEST_IDS: [&str; 5] =
    ["x-request-id", "request-id", "mistral-correlation-id", "x-generation-id", "inference-id"];

/// The server's id of the request, under the names that servers use.
#[must_use]
pub fn request_id(headers: &[(String, String)]) -> Option<&str> {
    REQUEST_IDS.iter().find_map(|name| find(headers, name))
}

/// Whether anybody reads the header with this lower-case name in a good answer; in an error any may matter.
#[must_use]
pub fn is_read_in_good_answers(name: &str) -> bool {
    ["content-type", "content-encoding"].contains(&name)
        || REQUEST_IDS.contains(&name)
        || name.contains("-ratelimit-")
}

/// An event of a server-sent stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event:` field, if any.
    pub name: Option<String>,
    /// The `data:` lines, joined.
    pub data: String,
}
