//! Runs in the background: driven by the worker threads, their emits handed over through a bounded queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::responders::Responders;
use super::threads::io_runtime;
use super::{Inner, Plan};
use crate::engine::emits::{Emit, Outlet, next_run_id};
use crate::engine::requests::{HostRequest, Question, Reply};
use crate::error::{BoxError, RunError};
use crate::metrics::{Metrics, Recorder};
use crate::value::Value;

/// Emits that wait for a slow host; beyond that the program waits.
const QUEUE: usize = 1024;

type Outcome = Arc<Result<Value, RunError>>;

/// What a run has sent, and what it asks.
#[derive(Debug, Default)]
pub struct Events {
    /// In order.
    pub emits: Vec<Emit>,
    /// Those that the host said, by [`Runtime::on_emit_by_host`](super::Runtime::on_emit_by_host), to answer itself.
    pub requests: Vec<HostRequest>,
}

/// What somebody waits for who wants the result of a run.
#[derive(Debug)]
pub enum EndOrRequest {
    /// The run is over.
    End(Arc<Result<Value, RunError>>),
    /// The host said, by [`Runtime::on_emit_by_host`](super::Runtime::on_emit_by_host), to answer it itself.
    Request(HostRequest),
}

/// One execution in the background. Dropping it cancels it.
pub struct Run {
    id: u64,
    emits: tokio::sync::Mutex<mpsc::Receiver<Emit>>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<HostRequest>>,
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
    recorder: Arc<Recorder>,
}

struct Queue {
    emits: mpsc::Sender<Emit>,
    requests: mpsc::UnboundedSender<HostRequest>,
    responders: Responders,
}

impl Outlet for Queue {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        // A host that has closed its end takes no more; the run goes on for its result.
        let _ = self.emits.send(emit).await;
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
    }

    fn ask(&mut self, question: Question) -> Result<Option<Reply>, BoxError> {
        self.responders.ask(question, |request| {
            // Nobody waits for the requests of a run that is being dropped.
            let _ = self.requests.send(request);
            Ok(())
        })
    }
}

impl Run {
    pub(super) fn start(inner: Arc<Inner>, plan: Plan) -> Self {
        let id = next_run_id();
        let (sender, emits) = mpsc::channel(QUEUE);
        let (asking, requests) = mpsc::unbounded_channel();
        let (done, outcome) = watch::channel(None);
        let recorder = inner.recorder.for_run();
        let counted = Arc::clone(&recorder);
        let task = io_runtime().spawn(async move {
            let responders = inner.responders.clone();
            let mut queue = Queue { emits: sender, requests: asking, responders };
            let outcome = inner.execute(plan, id, Some(counted), &mut queue).await;
            drop(queue);
            let _ = done.send(Some(Arc::new(outcome)));
        });

        Self {
            id,
            emits: tokio::sync::Mutex::new(emits),
            requests: tokio::sync::Mutex::new(requests),
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

    /// The emits that wait, at most `limit`, and the requests that the host answers itself; empty after `timeout`. `None` if the run is over and all
    /// were taken. For a thread without an async runtime.
    #[must_use]
    pub fn events_blocking(&self, limit: usize, timeout: Duration) -> Option<Events> {
        let arrived = async { tokio::time::timeout(timeout, self.events(limit)).await };
        io_runtime().block_on(arrived).unwrap_or(Some(Events::default()))
    }

    /// The same as [`Run::events_blocking`] for hosts with an async runtime; waits for the first.
    pub async fn events(&self, limit: usize) -> Option<Events> {
        let (mut emits, mut requests) = (self.emits.lock().await, self.requests.lock().await);
        let mut found = Events::default();
        // A request comes after all that the program sent before it.
        tokio::select! {
            biased;
            count = emits.recv_many(&mut found.emits, limit) => (count > 0).then_some(found),
            Some(request) = requests.recv() => {
                found.requests.push(request);
                Some(found)
            }
        }
    }

    /// Waits for the end of the run, or for a request that the host answers itself. `None` after `timeout`. For a thread without an async runtime.
    #[must_use]
    pub fn end_or_request_blocking(&self, timeout: Duration) -> Option<EndOrRequest> {
        let waiting = async { tokio::time::timeout(timeout, self.end_or_request()).await };
        io_runtime().block_on(waiting).ok()
    }

    /// The same for hosts with an async runtime.
    pub async fn end_or_request(&self) -> EndOrRequest {
        let mut requests = self.requests.lock().await;
        tokio::select! {
            biased;
            outcome = self.outcome() => EndOrRequest::End(outcome),
            Some(request) = requests.recv() => EndOrRequest::Request(request),
        }
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
