//! The attempts of one round: encode once, send, decode; and what was learned about servers on the way.
//!
//! A request that is sent again because the server does not know a field is the same attempt (C-51, C-53).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::feed::Feed;
use super::host::{self, Provider};
use super::limit::{Cost, Estimate};
use super::meter::Meter;
use super::pools::Pool;
use super::traffic::Traffic;
use super::transport::{self, Deadline};
use super::{Call, Shared};
use crate::chat::{ChatRequest, ChatResponse, Usage, estimate_prompt};
use crate::config::{ConnectionSettings, ProviderKind};
use crate::providers::{Dialect, Failure, FailureKind, Quirks, server_limits};
use crate::secret::Secret;
use crate::turns::Underway;
use crate::wire::{self, HttpRequest};

/// What servers turned out not to know, by connection and base URL: an override may point a connection at another server.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<HashMap<(String, String), Quirks>>);

impl Learned {
    fn of(&self, settings: &ConnectionSettings) -> Quirks {
        let quirks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Most servers know all fields.
        if quirks.is_empty() {
            return Quirks::default();
        }
        quirks.get(&server(settings)).cloned().unwrap_or_default()
    }

    /// Keeps what a request that the server took was changed by.
    fn remember(&self, settings: &ConnectionSettings, known: &Quirks, now: &Quirks) {
        if known != now {
            let mut quirks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            quirks.entry(server(settings)).or_default().add(now.clone());
        }
    }
}

fn server(settings: &ConnectionSettings) -> (String, String) {
    (settings.name.clone(), settings.base_url.clone())
}

/// How a server answered.
pub(super) enum Opened {
    /// With a stream, whose first text or end is here; and the server's id of the request.
    Stream(Feed, Option<String>),
    /// With the whole answer.
    Whole(Box<ChatResponse>),
}

/// One round: the request, which all its attempts send.
pub(super) struct Round {
    shared: Arc<Shared>,
    settings: Arc<ConnectionSettings>,
    timeout: Duration,
    /// Of the whole call.
    until: Option<Deadline>,
    dialect: &'static dyn Dialect,
    /// Of the host, which needs no pool.
    provider: Option<Arc<dyn Provider>>,
    pool: Option<Arc<Pool>>,
    chat: ChatRequest,
    known: Quirks,
    quirks: Quirks,
    request: HttpRequest,
    idempotency_key: Option<Secret>,
    pub(super) traffic: Traffic,
    /// Whether the last attempt got an answer, or a part of one.
    answered: bool,
}

impl Round {
    /// Everything that can be known before the first attempt. What the configuration rules out fails here.
    pub(super) fn new(
        shared: &Arc<Shared>,
        call: &Call,
        until: Option<Deadline>,
        dialect: &'static dyn Dialect,
        stream: bool,
        may_repeat: bool,
    ) -> Result<Self, Failure> {
        let settings = &call.settings;
        let provider = shared.options.providers.get(&settings.name).cloned();
        let pool = match provider {
            Some(_) => None,
            None => Some(shared.pools.pool(settings, call.timeout)?),
        };
        let chat = call.request(stream);
        let known = shared.learned.of(settings);
        let takes_key = matches!(settings.kind, ProviderKind::OpenAi | ProviderKind::Custom);
        // A server that saw an attempt whose answer was lost can then answer without doing the work twice (C-77).
        let idempotency_key = (may_repeat && takes_key).then(|| Secret::new(uuid()));
        let request = match provider {
            Some(_) => HttpRequest::default(),
            None => encode(dialect, &chat, settings, &known, idempotency_key.as_ref())?,
        };
        Ok(Self {
            shared: Arc::clone(shared),
            settings: Arc::clone(settings),
            timeout: call.timeout,
            until,
            dialect,
            provider,
            pool,
            chat,
            quirks: known.clone(),
            known,
            request,
            idempotency_key,
            traffic: Traffic::new(&shared.options, call),
            answered: false,
        })
    }

    /// Sends the request; once more, within the same time limit, for each field that this server turns out not to know.
    pub(super) async fn attempt(&mut self, meter: &Meter) -> Result<Opened, Failure> {
        self.answered = false;
        let Some(pool) = &self.pool else { return Box::pin(self.ask_host(meter)).await };
        let pool = Arc::clone(pool);
        let stream = self.chat.stream;
        let deadline = Deadline::after(&self.shared.options.clock, self.timeout);
        loop {
            meter.sent(self.request.body.len());
            self.traffic.sending(&self.request);
            let underway = Underway::begin();
            let sent = pool.send(&self.settings, &self.request, stream, &deadline).await;
            let response = sent.inspect_err(|failure| self.traffic.failed(failure))?;
            self.answered = true;
            let head = transport::head(&response);
            self.traffic.head(&head);
            meter.told(&server_limits(&head.headers));
            let id = wire::request_id(&head.headers).map(str::to_owned);
            if stream && head.is_event_stream() {
                underway.done();
                self.remember();
                let decoder = self.dialect.stream_decoder(&self.chat);
                let traffic = self.traffic.clone();
                let options = &self.shared.options;
                let call = self.until.clone();
                let mut feed =
                    Feed::open(response, decoder, self.timeout, call, &options.clock, traffic);
                return match feed.first().await {
                    Ok(()) => Ok(Opened::Stream(feed, id)),
                    Err(failure) => {
                        meter.received(feed.take_bytes(), 0);
                        Err(Failure { request_id: id.or(failure.request_id), ..failure })
                    }
                };
            }
            // A whole answer, an error, or a server that answers a stream request with plain JSON.
            let answer = transport::read_body(head, response, &deadline).await?;
            underway.done();
            meter.received(answer.body.len() as u64, 0);
            self.traffic.body(&answer.body);
            match self.dialect.decode(&self.chat, &answer) {
                Ok(whole) => {
                    self.remember();
                    let request_id = id.or(whole.request_id);
                    return Ok(Opened::Whole(Box::new(ChatResponse { request_id, ..whole })));
                }
                Err(failure) if self.adapt(&failure)? => {}
                Err(failure) => {
                    let failure = Failure { request_id: id.or(failure.request_id), ..failure };
                    return Err(self.dialect.blame(&self.chat, failure));
                }
            }
        }
    }

    async fn ask_host(&mut self, meter: &Meter) -> Result<Opened, Failure> {
        let Some(provider) = &self.provider else {
            return Err(Failure::new(FailureKind::Config, "nobody answers for this connection"));
        };
        meter.sent(0);
        let clock = &self.shared.options.clock;
        host::ask(provider, self.chat.clone(), self.timeout, clock).await
    }

    fn remember(&mut self) {
        self.shared.learned.remember(&self.settings, &self.known, &self.quirks);
        self.known = self.quirks.clone();
    }

    /// Changes the request so that this server may take it; whether there is anything to change.
    fn adapt(&mut self, failure: &Failure) -> Result<bool, Failure> {
        let is_second = self.quirks != self.known;
        let (chat, settings) = (&self.chat, &self.settings);
        let Some(next) = self.dialect.learn(chat, settings, &self.quirks, is_second, failure)
        else {
            return Ok(false);
        };
        let key = self.idempotency_key.as_ref();
        self.request = encode(self.dialect, chat, settings, &next, key)?;
        self.quirks = next;
        Ok(true)
    }

    /// What the limits charge before an attempt.
    pub(super) fn estimate(&self) -> Estimate {
        let chat = &self.chat;
        let frames = 4 * chat.messages.len() as u64;
        let input = estimate_prompt(&chat.messages, chat.output.as_deref());
        let tools = chat.tools.specs.iter().map(|tool| {
            let parameters = tool.parameters.as_ref().map_or(0, |json| json.to_string().len());
            (tool.name.len() + tool.description.len() + parameters) as u64
        });
        Estimate {
            model_id: chat.model.clone(),
            text: input.saturating_sub(frames) + tools.sum::<u64>().div_ceil(4),
            frames,
            max_tokens: chat.sampling.max_tokens,
        }
    }

    /// What the limits charge for a failed attempt: nothing, if the server never answered (C-83).
    pub(super) fn cost_of(&self, failure: &Failure) -> Cost {
        match failure.usage {
            Some(usage) => cost(&usage),
            None if self.answered => {
                let input = estimate_prompt(&self.chat.messages, self.chat.output.as_deref());
                Cost { tokens: input, counted_input: None }
            }
            None => Cost { tokens: 0, counted_input: None },
        }
    }
}

/// What the limits charge for an answer.
pub(super) fn cost(usage: &Usage) -> Cost {
    Cost {
        tokens: usage.tokens_in.saturating_add(usage.tokens_out),
        counted_input: (!usage.is_estimated).then_some(usage.tokens_in),
    }
}

fn encode(
    dialect: &dyn Dialect,
    chat: &ChatRequest,
    settings: &ConnectionSettings,
    quirks: &Quirks,
    idempotency_key: Option<&Secret>,
) -> Result<HttpRequest, Failure> {
    let mut request = dialect.encode(chat, settings, quirks)?;
    request.headers.extend(idempotency_key.map(|k| ("idempotency-key".to_owned(), k.clone())));
    Ok(request)
}

impl Call {
    /// Whether an answer asks for calls, of a model that was offered some.
    #[must_use]
    pub fn asks(&self, response: &ChatResponse) -> bool {
        !response.tool_calls.is_empty() && !self.tools.specs.is_empty()
    }

    /// The request of its next round.
    #[must_use]
    pub fn request(&self, stream: bool) -> ChatRequest {
        ChatRequest {
            model: self.model_id.clone(),
            messages: self.messages.clone(),
            sampling: self.sampling.clone(),
            output: self.output.clone(),
            tools: self.tools.clone(),
            stream,
        }
    }
}

/// A random UUID, version 4.
fn uuid() -> String {
    let random = fastrand::u128(..);
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| hex.get(part).unwrap_or_default().to_owned()).join("-")
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        for _ in 0..100 {
            let uuid = uuid();
            let parts: Vec<_> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
        assert_ne!(uuid(), uuid());
    }
}
