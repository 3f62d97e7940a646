//! Handlers of a Rust host: closures that receive emits.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::emits::{Emit, Outlet};
use crate::error::BoxError;

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
            list.sort_by_key(|e| (e.pattern.ends_with('*'), std::cmp::Reverse(e.pattern.len())));
            id
        });
        Subscription { id, handlers: self.clone() }
    }

    pub(super) fn outlet(&self) -> HandlerOutlet {
        HandlerOutlet { handlers: self.clone() }
    }

    /// Calls all that match.
    pub(super) fn deliver(&self, emit: &Emit) -> Result<(), BoxError> {
        let mut handlers = self.matching(&emit.channel).into_iter();
        handlers.try_for_each(|handler| handler.emit(emit))
    }

    fn matching(&self, channel: &str) -> Vec<Arc<dyn EmitHandler>> {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => channel.starts_with(prefix),
            None => pattern == channel,
        };
        self.locked(|list| {
            list.iter()
                .filter(|entry| matches(&entry.pattern))
                .map(|entry| Arc::clone(&entry.handler))
                .collect()
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Vec<Registered>) -> T) -> T {
        work(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hands emits to the handlers of a runtime, and printed text to standard output.
pub(super) struct HandlerOutlet {
    handlers: Handlers,
}

impl Outlet for HandlerOutlet {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        self.handlers.deliver(&emit)
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}
