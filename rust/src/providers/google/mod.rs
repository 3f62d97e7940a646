//! Google Gemini, `generateContent`.
//!
//! Reference: the Gemini API reference, `v1beta`, read on 2026-11-23. The key goes into a header, never into the URL, which ends up in logs.

mod answer;
mod request;
mod schema;

use std::fmt::Write as _;

use super::{Dialect, Failure, Quirks, StreamDecoder, good_text, json_bytes, quirks};
use crate::chat::{ChatRequest, ChatResponse};
use crate::config::ConnectionSettings;
use crate::wire::{HttpRequest, HttpResponse};

/// Marks messages that go back as they came.
const NAME: &str = "google";

/// The codec.
#[derive(Debug)]
pub struct Google;

impl Dialect for Google {
    fn encode(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
    ) -> Result<HttpRequest, Failure> {
        let body = json_bytes(&request::body(chat, quirks))?;
        let key = to.api_key.iter().map(|key| ("x-goog-api-key".to_owned(), key.clone()));
        Ok(HttpRequest { url: url(chat, &to.base_url), headers: key.collect(), body })
    }

    fn decode(&self, chat: &ChatRequest, answer: &HttpResponse) -> Result<ChatResponse, Failure> {
        answer::whole(chat, &good_text(answer)?)
    }

    /// Older models know schemas only in the older form.
    fn learn(
        &self,
        chat: &ChatRequest,
        _to: &ConnectionSettings,
        quirks: &Quirks,
        _is_second: bool,
        failure: &Failure,
    ) -> Option<Quirks> {
        let helps = request::way(chat, quirks) == Some(request::Way::JsonSchema)
            && quirks::is_refused(failure, &["response_json_schema", "responseJsonSchema"]);
        helps.then(|| quirks.with_refused_schema(&chat.model))
    }

    fn blame(&self, chat: &ChatRequest, failure: Failure) -> Failure {
        quirks::blame(chat, &request::FIELDS, failure)
    }

    fn stream_decoder(&self, chat: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(answer::Reader::new(chat))
    }
}

/// The model is part of the path; a query of the base URL comes before our own.
fn url(chat: &ChatRequest, base: &str) -> String {
    let id = escaped(chat.model.strip_prefix("models/").unwrap_or(&chat.model));
    if !chat.stream {
        return crate::config::join_url(base, &format!("models/{id}:generateContent"));
    }
    // Without `alt=sse` the answer is one growing array.
    let url = crate::config::join_url(base, &format!("models/{id}:streamGenerateContent"));
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}alt=sse")
}

/// An id as one segment of a path.
fn escaped(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // C-39, C-50
    #[test]
    fn the_model_is_in_the_url() {
        for (model, stream, base, expected) in [
            (
                "gemini-2.5-flash",
                false,
                "http://h/v1beta",
                "http://h/v1beta/models/gemini-2.5-flash:generateContent",
            ),
            (
                "models/m",
                true,
                "http://h/v1?k=1",
                "http://h/v1/models/m:streamGenerateContent?k=1&alt=sse",
            ),
            ("../a b?", false, "http://h", "http://h/models/..%2Fa%20b%3F:generateContent"),
        ] {
            let chat = ChatRequest { model: model.to_owned(), stream, ..ChatRequest::default() };
            assert_eq!(url(&chat, base), expected);
        }
    }
}
