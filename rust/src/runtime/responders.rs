//! Who answers the requests of programs: handlers of a Rust host, or a host in another language by itself.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::watch;

use super::handlers::{breadth, matches, panicked};
use super::tools::StandIn;
use crate::engine::requests::{HostRequest, Question, Refusal, Replied, Reply, RequestKind};
use crate::error::BoxError;
use crate::futures::BoxFuture;
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
    /// Those that stand in for methods of tools, by tool and method.
    stand_ins: Arc<Mutex<HashMap<(String, String), StandIn>>>,
    log: Log,
}

impl Responders {
    pub(super) fn new(log: Log) -> Self {
        Self { list: Arc::default(), stand_ins: Arc::default(), log }
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
        let channel = match &question.kind {
            RequestKind::Emit { channel } => channel,
            RequestKind::Tool { tool, method } => {
                let stand_in = self.stand_in(tool, method);
                return stand_in.map(|it| it.ask(question, self.log.clone(), deliver)).transpose();
            }
        };
        let found = self.locked(|list| {
            let entry = list.iter().find(|entry| matches(&entry.pattern, channel))?;
            Some((entry.answers.clone(), entry.shut.subscribe()))
        });
        let Some((answers, shut)) = found else { return Ok(None) };
        let reply: Reply = match answers {
            Answers::Handler(handler) => {
                let channel = channel.clone();
                Box::pin(async move {
                    let reply = async { handler.request(&channel, question.payload).await };
                    without_panic(reply).await.map_err(|error| Refusal::Handler(error.to_string()))
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

    pub(super) fn set_tool(&self, tool: &str, method: &str, stand_in: StandIn) {
        let mut stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
        stand_ins.insert((tool.to_owned(), method.to_owned()), stand_in);
    }

    fn stand_in(&self, tool: &str, method: &str) -> Option<StandIn> {
        let stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
        stand_ins.get(&(tool.to_owned(), method.to_owned())).cloned()
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Vec<Responder>) -> T) -> T {
        work(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The reply of a handler; its panic is an error, for it must not end the thread that drives the run.
pub(super) async fn without_panic(
    reply: impl Future<Output = Result<Value, BoxError>>,
) -> Result<Value, BoxError> {
    let reply = AssertUnwindSafe(reply).catch_unwind().await;
    reply.unwrap_or_else(|panic| Err(panicked(&*panic)))
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
