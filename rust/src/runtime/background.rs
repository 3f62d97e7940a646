//! Runs in the background: driven by the worker threads, their emits handed over through a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::threads::io_runtime;
use super::{Inner, Plan};
use crate::engine::emits::{Emit, Outlet};
use crate::error::{BoxError, RunError};
use crate::metrics::{Metrics, Recorder};
use crate::value::Value;

/// Emits that wait for a slow host; beyond that the program waits.
const QUEUE: usize = 1024;

type Outcome = Arc<Result<Value, RunError>>;

/// One execution in the background. Dropping it cancels it.
pub struct Run {
    id: u64,
    emits: tokio::sync::Mutex<mpsc::Receiver<Emit>>,
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
    recorder: Arc<Recorder>,
}

struct Queue(mpsc::Sender<Emit>);

impl Outlet for Queue {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        // A host that has closed its end takes no more; the run goes on for its result.
        let _ = self.0.send(emit).await;
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
    }
}

impl Run {
    pub(super) fn start(inner: Arc<Inner>, plan: Plan) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (sender, emits) = mpsc::channel(QUEUE);
        let (done, outcome) = watch::channel(None);
        let recorder = inner.recorder.for_run();
        let counted = Arc::clone(&recorder);
        let task = io_runtime().spawn(async move {
            let mut queue = Queue(sender);
            let outcome = inner.execute(plan, Some(counted), &mut queue).await;
            drop(queue);
            let _ = done.send(Some(Arc::new(outcome)));
        });
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            emits: tokio::sync::Mutex::new(emits),
            outcome,
            task: task.abort_handle(),
            recorder,
        }
    }

    /// Unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The emits that wait, at most `limit`; waits for the first. `None` if the run is over and all were taken.
    pub async fn emits(&self, limit: usize) -> Option<Vec<Emit>> {
        let mut queue = self.emits.lock().await;
        let mut batch = Vec::new();
        if queue.recv_many(&mut batch, limit).await == 0 { None } else { Some(batch) }
    }

    /// Waits for the end. A cancelled run ends with [`RunError::Cancelled`].
    pub async fn outcome(&self) -> Arc<Result<Value, RunError>> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Arc::new(Err(RunError::Cancelled))),
            Err(_) => Arc::new(Err(RunError::Cancelled)),
        }
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
        self.task.is_finished() || self.outcome.borrow().is_some()
    }

    /// What this run alone used so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.recorder.snapshot()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.cancel();
    }
}
