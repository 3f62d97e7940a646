//! Handlers of a Rust host: closures that receive emits.

use std::sync::{Arc, Mutex, PoisonError};

use super::Inner;
use crate::engine::emits::{Emit, Outlet};
use crate::engine::requests::{Question, Refusal, Reply};
use crate::error::BoxError;
use crate::log::LogLevel;

/// What becomes of the error of a handler that takes emits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandlerErrors {
    /// It ends the run, as [`RunError::Handler`](crate::RunError::Handler).
    #[default]
    Raise,
    /// It goes to the log, as an error, and the run goes on.
    Log,
}

/// Receives the emits of a channel. Closures `Fn(&Emit)` implement it.
pub trait EmitHandler: Send + Sync + 'static {
    /// Takes one emit; the program goes on when it returns. An error ends the run.
    ///
    /// # Errors
    /// Whatever the host wants the run to end with.
    fn emit(&self, emit: &Emit) -> Result<(), BoxError>;
}

impl<F: Fn(&Emit) + Send + Sync + 'static> EmitHandler for F {
    fn emit(&self, emit: &Emit) -> Result<(), BoxError> {
        self(emit);
        Ok(())
    }
}

struct Registered {
    id: u64,
    pattern: String,
    handler: Arc<dyn EmitHandler>,
}

/// All handlers of a runtime, the most specific first.
#[derive(Clone, Default)]
pub(super) struct Handlers {
    list: Arc<Mutex<Vec<Registered>>>,
}

/// A registered handler. Dropping it leaves the handler in place.
pub struct Subscription {
    id: u64,
    handlers: Handlers,
}

impl Subscription {
    /// Removes the handler.
    pub fn cancel(self) {
        self.handlers.locked(|list| list.retain(|entry| entry.id != self.id));
    }
}

impl Handlers {
    pub(super) fn add(&self, pattern: &str, handler: impl EmitHandler) -> Subscription {
        let id = self.locked(|list| {
            let id = list.iter().map(|entry| entry.id + 1).max().unwrap_or(0);
            list.push(Registered { id, pattern: pattern.to_owned(), handler: Arc::new(handler) });
            // Sorting is stable: equally specific ones keep the order of registration.
            list.sort_by_key(|entry| breadth(&entry.pattern));
            id
        });
        Subscription { id, handlers: self.clone() }
    }

    /// Removes the handlers of exactly this pattern.
    pub(super) fn remove(&self, pattern: &str) {
        self.locked(|list| list.retain(|entry| entry.pattern != pattern));
    }

    fn matching(&self, channel: &str) -> Vec<Arc<dyn EmitHandler>> {
        self.locked(|list| {
            list.iter()
                .filter(|entry| matches(&entry.pattern, channel))
                .map(|entry| Arc::clone(&entry.handler))
                .collect()
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Vec<Registered>) -> T) -> T {
        work(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a pattern, which may end in `*`, is for a channel.
pub(super) fn matches(pattern: &str, channel: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => pattern == channel,
    }
}

/// The order of patterns, the most specific first.
pub(super) fn breadth(pattern: &str) -> (bool, std::cmp::Reverse<usize>) {
    (pattern.ends_with('*'), std::cmp::Reverse(pattern.len()))
}

impl Inner {
    /// Calls the handlers that match.
    pub(super) fn deliver(&self, emit: &Emit) -> Result<(), BoxError> {
        for handler in self.handlers.matching(&emit.channel) {
            let Err(error) = handler.emit(emit) else { continue };
            if self.handler_errors == HandlerErrors::Raise {
                return Err(error);
            }
            self.shared.client.log().write(LogLevel::Error, || {
                format!("a handler of the channel `{}` failed: {error}", emit.channel)
            });
        }
        Ok(())
    }
}

/// Hands emits and requests to the handlers of a runtime, and printed text to standard output.
pub(super) struct HandlerOutlet<'a>(&'a Inner);

impl<'a> HandlerOutlet<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self(inner)
    }
}

impl Outlet for HandlerOutlet<'_> {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        self.0.deliver(&emit)
    }

    fn ask(&mut self, question: Question) -> Result<Option<Reply>, BoxError> {
        // Without anybody who takes requests by hand, none is answered that way.
        self.0.responders.ask(question, |request| {
            request.settle(Err(Refusal::NoListener));
            Ok(())
        })
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}
