//! OpenAI chat completions, which most other servers speak too.
//!
//! Reference: the API reference of OpenAI, "Chat Completions", read on 2026-11-23; differences of compatible servers are from their
//! documentation and recorded traffic (`tests/cassettes/compat`).

mod answer;
mod request;
mod strict;

use super::{Dialect, Failure, Quirks, StreamDecoder, good_text, json_bytes, quirks};
use crate::chat::{ChatRequest, ChatResponse};
use crate::config::{ConnectionSettings, ProviderKind};
use crate::secret::Secret;
use crate::wire::{HttpRequest, HttpResponse};

/// The codec.
#[derive(Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn encode(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
    ) -> Result<HttpRequest, Failure> {
        let body = json_bytes(&request::Body { chat, to, quirks })?;
        Ok(HttpRequest {
            url: crate::config::join_url(&to.base_url, "chat/completions"),
            headers: headers(to),
            body,
        })
    }

    fn decode(&self, chat: &ChatRequest, answer: &HttpResponse) -> Result<ChatResponse, Failure> {
        answer::whole(chat, &good_text(answer)?)
    }

    fn learn(
        &self,
        chat: &ChatRequest,
        to: &ConnectionSettings,
        quirks: &Quirks,
        is_second: bool,
        failure: &Failure,
    ) -> Option<Quirks> {
        let limit_field = request::limit_field(to, &chat.model, quirks);
        quirks::Refused { chat, kind: to.kind, quirks, limit_field, is_second }.next(failure)
    }

    fn blame(&self, chat: &ChatRequest, failure: Failure) -> Failure {
        quirks::blame(chat, &request::FIELDS, failure)
    }

    fn stream_decoder(&self, chat: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(answer::Reader::new(chat))
    }
}

fn headers(to: &ConnectionSettings) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    if let Some(key) = &to.api_key {
        let value = Secret::new(format!("Bearer {}", key.expose()));
        headers.push(("authorization".to_owned(), value));
    }
    if matches!(to.kind, ProviderKind::OpenAi | ProviderKind::Custom) {
        let own = [("openai-organization", &to.organization), ("openai-project", &to.project)];
        for (name, value) in own {
            headers.extend(value.as_ref().map(|value| (name.to_owned(), Secret::new(value))));
        }
    }
    headers
}
