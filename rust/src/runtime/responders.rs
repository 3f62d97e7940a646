//! Who answers the requests of programs: handlers of a Rust host, or a host in another language by itself.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::handlers::{breadth, matches};
use crate::engine::requests::{
    BoxFuture, HostRequest, Question, Refusal, Replied, Reply, RequestKind,
};
use crate::error::BoxError;
use crate::log::Log;
use crate::value::Value;

/// Answers `await emit`. Closures `Fn(String, Value) -> impl Future<Output = Result<Value, BoxError>>` and async closures that own what they use
/// implement it: they take the channel and the payload.
pub trait RequestHandler: Send + Sync + 'static {
    /// The reply to one request. An error is an `EmitError` in the program. The future is dropped if the program withdraws the request.
    fn request(&self, channel: &str, payload: Value) -> BoxFuture<'_, Result<Value, BoxError>>;
}

impl<F, R> RequestHandler for F
where
    F: Fn(String, Value) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, BoxError>> + Send + 'static,
{
    fn request(&self, channel: &str, payload: Value) -> BoxFuture<'_, Result<Value, BoxError>> {
        Box::pin(self(channel.to_owned(), payload))
    }
}

#[derive(Clone)]
enum Answers {
    Handler(Arc<dyn RequestHandler>),
    /// By whoever drives the run.
    Host(u64),
}

struct Responder {
    pattern: String,
    answers: Answers,
    /// Becomes true when the host shuts the channel.
    shut: watch::Sender<bool>,
}

/// All of a runtime, the most specific first, each pattern once.
#[derive(Clone)]
pub(super) struct Responders {
    list: Arc<Mutex<Vec<Responder>>>,
    log: Log,
}

impl Responders {
    pub(super) fn new(log: Log) -> Self {
        Self { list: Arc::default(), log }
    }

    pub(super) fn set(&self, pattern: &str, handler: impl RequestHandler) {
        self.put(pattern, Answers::Handler(Arc::new(handler)));
    }

    pub(super) fn set_host(&self, pattern: &str, token: u64) {
        self.put(pattern, Answers::Host(token));
    }

    fn put(&self, pattern: &str, answers: Answers) {
        let responder =
            Responder { pattern: pattern.to_owned(), answers, shut: watch::Sender::new(false) };
        self.locked(|list| {
            list.retain(|entry| entry.pattern != pattern);
            list.push(responder);
            list.sort_by_key(|entry| breadth(&entry.pattern));
        });
    }

    /// Requests that the removed one has not answered fail as closed; those of a replaced one are still answered.
    pub(super) fn remove(&self, pattern: &str) {
        let removed = self.locked(|list| {
            let place = list.iter().position(|entry| entry.pattern == pattern)?;
            Some(list.remove(place))
        });
        if let Some(responder) = removed {
            responder.shut.send_replace(true);
        }
    }

    /// Hands a request to whoever answers it, a host by `deliver`; `None` if nobody does.
    pub(super) fn ask(
        &self,
        question: Question,
        deliver: impl FnOnce(HostRequest) -> Result<(), BoxError>,
    ) -> Result<Option<Reply>, BoxError> {
        let RequestKind::Emit { channel } = &question.kind;
        let found = self.locked(|list| {
            let entry = list.iter().find(|entry| matches(&entry.pattern, channel))?;
            Some((entry.answers.clone(), entry.shut.subscribe()))
        });
        let Some((answers, shut)) = found else { return Ok(None) };
        let reply: Reply = match answers {
            Answers::Handler(handler) => {
                let channel = channel.clone();
                Box::pin(async move {
                    let reply = handler.request(&channel, question.payload).await;
                    reply.map_err(|error| Refusal::Handler(error.to_string()))
                })
            }
            Answers::Host(token) => {
                let (request, reply) = HostRequest::new(token, question, self.log.clone());
                deliver(request)?;
                reply
            }
        };
        Ok(Some(Box::pin(unless_shut(reply, shut))))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Vec<Responder>) -> T) -> T {
        work(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A reply, or the news that the host has shut the channel.
async fn unless_shut(reply: Reply, mut shut: watch::Receiver<bool>) -> Replied {
    let closed = async {
        if shut.wait_for(|is_shut| *is_shut).await.is_err() {
            // Replaced by another one: nobody can shut it any more.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        replied = reply => replied,
        () = closed => Err(Refusal::Closed),
    }
}
