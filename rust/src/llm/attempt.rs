//! One attempt: encode, send, decode; and what was learned about servers on the way.
//!
//! A request that is sent again because the server does not know a field is the same attempt (C-51, C-53).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::meter::Meter;
use super::transport::{self, Deadline, Pool};
use super::{Call, Opened};
use crate::chat::{ChatRequest, ChatResponse, Tools};
use crate::config::ConnectionSettings;
use crate::providers::{Dialect, Failure, Quirks};
use crate::wire;

/// What servers turned out not to know, by connection and base URL: an override may point a connection at another server.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<HashMap<(String, String), Quirks>>);

impl Learned {
    fn of(&self, settings: &ConnectionSettings) -> Quirks {
        let quirks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        quirks.get(&server(settings)).cloned().unwrap_or_default()
    }

    /// Keeps what a request that the server took was changed by.
    fn remember(&self, settings: &ConnectionSettings, known: &Quirks, now: Quirks) {
        if *known != now {
            let mut quirks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            quirks.entry(server(settings)).or_default().add(now);
        }
    }
}

fn server(settings: &ConnectionSettings) -> (String, String) {
    (settings.name.clone(), settings.base_url.clone())
}

/// Everything that the attempts of one round have in common.
pub(super) struct Exchange<'a> {
    pub(super) call: &'a Call,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) pool: &'a Pool,
    pub(super) learned: &'a Learned,
    pub(super) stream: bool,
}

impl Exchange<'_> {
    /// Sends the request; once more, within the same time limit, for each field that this server turns out not to know.
    pub(super) async fn send(&self, meter: &Meter) -> Result<Opened, Failure> {
        let Self { call, dialect, pool, learned, stream } = *self;
        let deadline = Deadline::after(call.timeout);
        let chat = chat(call, stream);
        let known = learned.of(&call.settings);
        let mut quirks = known.clone();
        loop {
            let request = dialect.encode(&chat, &call.settings, &quirks)?;
            meter.sent(request.body.len());
            let response = pool.send(&call.settings, request, stream, deadline).await?;
            let head = transport::head(&response);
            if stream && head.is_event_stream() {
                learned.remember(&call.settings, &known, quirks);
                let id = wire::request_id(&head.headers).map(str::to_owned);
                return Ok(Opened::Stream(response, id, dialect.stream_decoder(&chat)));
            }
            // A whole answer, an error, or a server that answers a stream request with plain JSON.
            let answer = transport::read_body(response, deadline).await?;
            meter.received(answer.body.len(), 0);
            let id = wire::request_id(&answer.headers).map(str::to_owned);
            match dialect.decode(&chat, &answer) {
                Ok(whole) => {
                    learned.remember(&call.settings, &known, quirks);
                    let request_id = id.or(whole.request_id);
                    return Ok(Opened::Whole(ChatResponse { request_id, ..whole }));
                }
                Err(failure) => {
                    let is_second = quirks != known;
                    match dialect.learn(&chat, &call.settings, &quirks, is_second, &failure) {
                        Some(next) => quirks = next,
                        None => {
                            let request_id = id.or(failure.request_id);
                            return Err(dialect.blame(&chat, Failure { request_id, ..failure }));
                        }
                    }
                }
            }
        }
    }
}

fn chat(call: &Call, stream: bool) -> ChatRequest {
    ChatRequest {
        model: call.model_id.clone(),
        messages: call.messages.clone(),
        sampling: call.sampling.clone(),
        output: call.output.clone(),
        tools: Tools::default(),
        stream,
    }
}
