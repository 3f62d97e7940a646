//! Anthropic Messages.
//!
//! Reference: the API reference of Anthropic, "Messages" and "Streaming Messages", version 2023-06-01, read on 2026-11-23. Newer versions refuse
//! `temperature`, and gateways know no other; a connection may ask for another version with `headers`.

mod answer;
mod request;
mod schema;

use super::{Dialect, Failure, Quirks, StreamDecoder, good_text, json_bytes, quirks};
use crate::chat::{ChatRequest, ChatResponse};
use crate::config::ConnectionSettings;
use crate::secret::Secret;
use crate::wire::{HttpRequest, HttpResponse};

const VERSION: &str = "2023-06-01";
/// Marks messages that go back as they came.
const NAME: &str = "anthropic";

/// The codec.
#[derive(Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn encode(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
    ) -> Result<HttpRequest, Failure> {
        let body = json_bytes(&request::body(chat, quirks))?;
        let mut headers = vec![("anthropic-version".to_owned(), Secret::new(VERSION))];
        headers.extend(to.api_key.iter().map(|key| ("x-api-key".to_owned(), key.clone())));
        let url = crate::config::join_url(&to.base_url, "messages");
        Ok(HttpRequest { url, headers, body })
    }

    fn decode(&self, chat: &ChatRequest, answer: &HttpResponse) -> Result<ChatResponse, Failure> {
        answer::whole(chat, &good_text(answer)?)
    }

    /// Gateways may know neither `output_config` nor a forced tool; then the next way to ask for a typed answer is taken.
    fn learn(
        &self,
        chat: &ChatRequest,
        _to: &ConnectionSettings,
        quirks: &Quirks,
        _is_second: bool,
        failure: &Failure,
    ) -> Option<Quirks> {
        let field = request::way(chat, quirks)?.field()?;
        // A complaint about the schema itself must stay readable.
        let is_unknown =
            quirks::is_refused(failure, &[field]) && !failure.message.contains("format.schema");
        is_unknown.then(|| quirks.with_refused_schema(&chat.model))
    }

    fn blame(&self, chat: &ChatRequest, failure: Failure) -> Failure {
        quirks::blame(chat, &request::FIELDS, failure)
    }

    fn stream_decoder(&self, chat: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(answer::Reader::new(chat))
    }
}
