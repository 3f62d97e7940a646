//! What a run sends to its host while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::requests::{Question, Reply};
use crate::error::BoxError;
use crate::value::Value;

/// One value that a program sent with `emit`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Emit {
    /// The channel's name.
    pub channel: String,
    /// The value, as it was when the program emitted it.
    pub payload: Value,
    /// Seconds since the Unix epoch.
    pub time: f64,
    /// The run that sent it; unique within the process.
    pub run_id: u64,
    /// The task of the run that sent it: `Task.id()` of the program, 1 for the run's own, 0 for the runtime itself.
    pub task_id: u64,
    /// Counts from 0 within the run.
    pub sequence: u64,
}

/// The number of a new run.
pub(crate) fn next_run_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// When emits are handed to handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmitMode {
    /// Each at once, before the program goes on.
    #[default]
    Immediate,
    /// Several together, in order: when so many wait, when the first of them has waited so long, before a request, and at the end of the run. The
    /// program waits while they are handed over.
    Buffered {
        /// The longest that one waits.
        interval: Duration,
        /// How many may wait.
        size: usize,
    },
}

/// How many emits wait at most where the host does not say it.
pub const USUAL_BUFFER: usize = 10_000;

/// Receives what a run sends. The run goes on when the future is ready, so a slow receiver slows the program.
pub trait Outlet {
    /// Takes one emit. An error ends the run.
    fn emit(&mut self, emit: Emit) -> impl Future<Output = Result<(), BoxError>>;

    /// Takes text of `print` or `println`. An error ends the run.
    fn print(&mut self, text: &str) -> Result<(), BoxError>;

    /// Takes a request and says how to wait for its reply; `None` if nobody answers it. An error ends the run.
    fn ask(&mut self, question: Question) -> Result<Option<Reply>, BoxError>;
}

/// Emits that wait to be handed over.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub emits: Vec<Emit>,
    /// When the first of them has waited long enough.
    pub due: Option<Instant>,
}
