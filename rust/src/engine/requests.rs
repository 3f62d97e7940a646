//! What a run asks of its host and waits for: one mechanism, whatever is asked.
//!
//! The engine hands a [`Question`] to its outlet, which finds who answers it, and waits for the [`Reply`]. A host that answers from a thread or a
//! language of its own gets a [`HostRequest`].

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use crate::error::BoxError;
use crate::futures::BoxFuture;
use crate::log::{Log, LogLevel};
use crate::value::Value;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of which kind it is.
    pub kind: RequestKind,
    /// What goes with it.
    pub payload: Value,
    /// The type that the program expects of the reply, as the language writes it; `Any` takes everything.
    pub expected: String,
}

/// The kinds of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
    /// `await emit(..)`.
    Emit {
        /// The channel.
        channel: String,
    },
    /// A method of a tool that the host stands in for. With it goes a map of the arguments by name.
    Tool {
        /// The tool.
        tool: String,
        /// Its method.
        method: String,
    },
}

impl std::fmt::Display for RequestKind {
    /// The channel, or `Tool.method`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Emit { channel } => f.write_str(channel),
            Self::Tool { tool, method } => write!(f, "{tool}.{method}"),
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody answers such a request.
    NoListener,
    /// The host has failed, with this message.
    Handler(String),
    /// The host has withdrawn its handler, or let go of the request.
    Closed,
}

/// What a host says.
pub type Replied = Result<Value, Refusal>;
/// What a run waits for. Dropping it withdraws the request.
pub type Reply = BoxFuture<'static, Replied>;

/// A request for a host that answers it from a thread or a language of its own. It may be kept and answered later, from any thread; one that is
/// dropped without a reply fails in the program as `Closed`.
#[derive(Debug)]
pub struct HostRequest {
    /// Unique within the process.
    pub id: u64,
    /// What the host said who answers it.
    pub token: u64,
    /// What is asked.
    pub question: Question,
    reply: oneshot::Sender<Replied>,
    log: Log,
}

impl HostRequest {
    /// A request, and the reply to it.
    pub(crate) fn new(token: u64, question: Question, log: Log) -> (Self, Reply) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (reply, replied) = oneshot::channel();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let replied = Box::pin(async move { replied.await.unwrap_or(Err(Refusal::Closed)) });
        (Self { id, token, question, reply, log }, replied)
    }

    /// Answers it. If the program does not wait any more, the reply is dropped, and the log says so at `debug`.
    pub fn reply(self, reply: Result<Value, BoxError>) {
        self.settle(reply.map_err(|error| Refusal::Handler(error.to_string())));
    }

    /// The same; a host may also say that nobody answers.
    pub fn settle(self, reply: Replied) {
        if self.reply.send(reply).is_err() {
            self.log.write(LogLevel::Debug, || {
                let kind = &self.question.kind;
                format!("a reply to `{kind}` came too late: the program does not wait any more")
            });
        }
    }

    /// Whether the program does not wait for the reply any more.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.reply.is_closed()
    }
}
