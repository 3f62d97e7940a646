//! Runs in the background: driven by the worker threads, their emits handed over through a bounded queue.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::hand_over::{HandOver, Outcome};
use super::threads::io_runtime;
use super::{Inner, Plan};
use crate::engine::emits::{Emit, Outlet};
use crate::error::{BoxError, RunError};
use crate::metrics::{Metrics, Recorder};
use crate::value::Value;

/// Emits that wait for a slow host; beyond that the program waits.
const QUEUE: usize = 1024;

/// One execution in the background. Dropping it cancels it.
pub struct Run {
    id: u64,
    hand_over: Arc<HandOver>,
    task: AbortHandle,
    recorder: Arc<Recorder>,
    /// The process that started it: in a child after `fork` its threads do not exist.
    process: u32,
}

/// The run's end of the queue.
struct Queue {
    hand_over: Arc<HandOver>,
    is_heard: bool,
}

impl Outlet for Queue {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        if self.is_heard {
            self.hand_over.push(emit).await;
        }
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
    }
}

impl Drop for Queue {
    /// A run that is dropped before its end was cancelled.
    fn drop(&mut self) {
        self.hand_over.end(Err(RunError::Cancelled));
    }
}

/// As long as it lives, somebody reads the emits of a run: they wait for room instead of being let go.
pub(crate) struct Reader(Arc<HandOver>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.count_reader(false);
    }
}

impl Run {
    /// Starts it; without a host that hears them, its emits go nowhere.
    pub(super) fn start(inner: Arc<Inner>, plan: Plan, is_heard: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let hand_over = HandOver::new(QUEUE);
        let recorder = inner.recorder.for_run();
        let counted = Arc::clone(&recorder);
        let mut queue = Queue { hand_over: Arc::clone(&hand_over), is_heard };
        let task = io_runtime().spawn(async move {
            let outcome = inner.execute(plan, Some(counted), &mut queue).await;
            queue.hand_over.end(outcome);
        });
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            hand_over,
            task: task.abort_handle(),
            recorder,
            process: std::process::id(),
        }
    }

    /// Unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The emits that wait, at most `limit`; waits for the first. `None` if the run is over and all were taken.
    ///
    /// While somebody waits for the outcome and nobody for emits, those beyond the 1,024 of the queue are let go.
    pub async fn emits(&self, limit: usize) -> Option<Vec<Emit>> {
        poll_fn(|context| self.poll_emits(context, limit)).await
    }

    /// Waits for the end. A cancelled run ends with [`RunError::Cancelled`].
    pub async fn outcome(&self) -> Arc<Result<Value, RunError>> {
        poll_fn(|context| self.poll_outcome(context)).await
    }

    pub(crate) fn poll_emits(
        &self,
        context: &Context<'_>,
        limit: usize,
    ) -> Poll<Option<Vec<Emit>>> {
        self.hand_over.poll_emits(context, limit)
    }

    pub(crate) fn poll_outcome(&self, context: &Context<'_>) -> Poll<Outcome> {
        self.hand_over.poll_outcome(context)
    }

    /// Lets the run know that somebody reads its emits.
    pub(crate) fn read(&self) -> Reader {
        self.hand_over.count_reader(true);
        Reader(Arc::clone(&self.hand_over))
    }

    /// The same as [`Run::emits`] on a thread without an async runtime; empty after `timeout`.
    #[must_use]
    pub fn emits_blocking(&self, limit: usize, timeout: Duration) -> Option<Vec<Emit>> {
        let waiting = async { tokio::time::timeout(timeout, self.emits(limit)).await };
        io_runtime().block_on(waiting).unwrap_or(Some(Vec::new()))
    }

    /// The same as [`Run::outcome`] on a thread without an async runtime; `None` after `timeout`.
    #[must_use]
    pub fn outcome_blocking(&self, timeout: Duration) -> Option<Arc<Result<Value, RunError>>> {
        let waiting = async { tokio::time::timeout(timeout, self.outcome()).await };
        io_runtime().block_on(waiting).ok()
    }

    /// Stops the run; requests in flight are dropped.
    pub fn cancel(&self) {
        self.task.abort();
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.hand_over.has_ended()
    }

    /// What this run alone used so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.recorder.snapshot()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.cancel();
        }
    }
}
