//! Runs in the background: driven by the worker threads, their emits handed over through a bounded queue.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub use super::hand_over::{EndOrRequest, Events};
use super::hand_over::{HandOver, Outcome};
use super::responders::Responders;
use super::threads::Io;
use super::{Inner, Plan};
use crate::clock::Clock;
use crate::engine::emits::{Emit, Outlet, next_run_id};
use crate::engine::requests::{Question, Reply};
use crate::error::{BoxError, Error, RunError};
use crate::futures::BoxFuture;
use crate::metrics::{Metrics, Recorder};
use crate::value::Value;

/// Emits that wait for a slow host; beyond that the program waits.
const QUEUE: usize = 1024;

/// One execution in the background: a stream of its emits, and a future of its result. Dropping it cancels it.
pub struct Run {
    id: u64,
    hand_over: Arc<HandOver>,
    /// None for one that had ended before it got there.
    task: Option<AbortHandle>,
    recorder: Arc<Recorder>,
    /// Those of its runtime, which it may outlive.
    io: Io,
    clock: Clock,
    /// The process that started it: in a child after `fork` its threads do not exist.
    process: u32,
}

/// The run's end of the queue.
struct Queue {
    hand_over: Arc<HandOver>,
    responders: Responders,
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

    fn ask(&mut self, question: Question) -> Result<Option<Reply>, BoxError> {
        self.responders.ask(question, |request| {
            self.hand_over.ask(request);
            Ok(())
        })
    }
}

impl Drop for Queue {
    /// A run that is dropped before its end was cancelled.
    fn drop(&mut self) {
        self.hand_over.end(Err(RunError::Cancelled));
    }
}

/// As long as it lives, somebody reads the emits of a run: they wait for room instead of being let go.
#[cfg(feature = "python")]
pub(crate) struct Reader(Arc<HandOver>);

#[cfg(feature = "python")]
impl Drop for Reader {
    fn drop(&mut self) {
        self.0.count_reader(false);
    }
}

/// Polls a run on this thread and gives what is left of it. One that panics is over, as it is on a worker.
fn polled_once<F: Future<Output = ()>>(
    handle: &Handle,
    mut run: Pin<Box<F>>,
) -> Option<Pin<Box<F>>> {
    let _entered = handle.enter();
    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(&mut context)));
    matches!(polled, Ok(Poll::Pending)).then_some(run)
}

impl Run {
    /// Starts it on the worker threads, with its usage also counted by itself.
    pub(super) fn start(inner: Arc<Inner>, plan: Plan) -> Self {
        let counted = inner.recorder.for_run();
        Self::begin(inner, plan, Some(counted), true)
    }

    /// The same for a call that is awaited at once, from a thread that has other things to do: without metrics of its own, and without a host that hears
    /// them its emits go nowhere. A run that only computes, and not for long, has ended when this returns: to hand it to a worker and to hear of its
    /// end would cost several times what it does.
    #[cfg(feature = "python")]
    pub(super) fn start_call(inner: Arc<Inner>, mut plan: Plan, is_heard: bool) -> Self {
        // A virtual clock knows runs by who drives them; stores may lie in files, which are read on workers.
        plan.own.begins_with_host =
            !inner.shared.clock.is_virtual() && inner.shared.program.document().stores.is_empty();
        Self::begin(inner, plan, None, is_heard)
    }

    fn begin(inner: Arc<Inner>, plan: Plan, own: Option<Arc<Recorder>>, is_heard: bool) -> Self {
        let id = next_run_id();
        let hand_over = HandOver::new(QUEUE);
        let recorder = own.clone().unwrap_or_else(|| Arc::clone(&inner.recorder));
        let responders = inner.responders.clone();
        let mut queue = Queue { hand_over: Arc::clone(&hand_over), responders, is_heard };
        let (io, clock) = (inner.io.clone(), inner.shared.clock.clone());
        let (is_raw, begins_here) = (plan.own.is_raw, plan.own.begins_with_host);
        let work = async move {
            let outcome = inner.execute(plan, id, own, &mut queue).await;
            let settled = |value| if is_raw { Ok(value) } else { inner.settled(value) };
            queue.hand_over.end(outcome.and_then(settled));
        };
        let handle = io.handle();
        let task = if begins_here {
            polled_once(&handle, Box::pin(work)).map(|rest| handle.spawn(rest).abort_handle())
        } else {
            Some(handle.spawn(work).abort_handle())
        };
        Self { id, hand_over, task, recorder, io, clock, process: std::process::id() }
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

    /// The same with the requests that the host answers itself.
    pub async fn events(&self, limit: usize) -> Option<Events> {
        poll_fn(|context| self.poll_events(context, limit)).await
    }

    /// Waits for the end of the run, or for a request that the host answers itself.
    pub async fn end_or_request(&self) -> EndOrRequest {
        poll_fn(|context| self.poll_end_or_request(context)).await
    }

    /// Waits for the end. A cancelled run ends with [`RunError::Cancelled`].
    pub async fn outcome(&self) -> Arc<Result<Value, RunError>> {
        poll_fn(|context| self.poll_outcome(context)).await
    }

    fn poll_emits(&self, context: &Context<'_>, limit: usize) -> Poll<Option<Vec<Emit>>> {
        self.hand_over.poll_emits(context, limit)
    }

    fn poll_outcome(&self, context: &Context<'_>) -> Poll<Outcome> {
        self.hand_over.poll_outcome(context)
    }

    pub(crate) fn poll_events(&self, context: &Context<'_>, limit: usize) -> Poll<Option<Events>> {
        self.hand_over.poll_events(context, limit)
    }

    pub(crate) fn poll_end_or_request(&self, context: &Context<'_>) -> Poll<EndOrRequest> {
        self.hand_over.poll_end_or_request(context)
    }

    /// Lets the run know that somebody reads its emits.
    #[cfg(feature = "python")]
    pub(crate) fn read(&self) -> Reader {
        self.hand_over.count_reader(true);
        Reader(Arc::clone(&self.hand_over))
    }

    /// Waits for the end and gives the value; emits that nobody takes hold the run no more. `run.await` does the same.
    ///
    /// # Errors
    /// [`Error::Run`], as of [`Runtime::call`](super::Runtime::call).
    pub async fn result(&self) -> Result<Value, Error> {
        let outcome = self.outcome().await;
        match &*outcome {
            Ok(value) => Ok(value.clone()),
            Err(error) => Err(error.copy(&outcome).into()),
        }
    }

    /// The same as [`Run::emits`] on a thread without an async runtime; empty after `timeout`.
    #[must_use]
    pub fn emits_blocking(&self, limit: usize, timeout: Duration) -> Option<Vec<Emit>> {
        self.wait(self.emits(limit), timeout).unwrap_or(Some(Vec::new()))
    }

    /// The same as [`Run::events`] on a thread without an async runtime; empty after `timeout`.
    #[must_use]
    pub fn events_blocking(&self, limit: usize, timeout: Duration) -> Option<Events> {
        self.wait(self.events(limit), timeout).unwrap_or(Some(Events::default()))
    }

    /// The same as [`Run::end_or_request`] on a thread without an async runtime; `None` after `timeout`.
    #[must_use]
    pub fn end_or_request_blocking(&self, timeout: Duration) -> Option<EndOrRequest> {
        self.wait(self.end_or_request(), timeout)
    }

    /// The same as [`Run::outcome`] on a thread without an async runtime; `None` after `timeout`.
    #[must_use]
    pub fn outcome_blocking(&self, timeout: Duration) -> Option<Arc<Result<Value, RunError>>> {
        self.wait(self.outcome(), timeout)
    }

    /// Waits on this thread; `None` after `timeout`.
    fn wait<T>(&self, waiting: impl Future<Output = T>, timeout: Duration) -> Option<T> {
        let _waiting = self.clock.waiting();
        let waiting = async { tokio::time::timeout(timeout, waiting).await };
        self.io.handle().block_on(waiting).ok()
    }

    /// Stops the run; requests in flight are dropped.
    pub fn cancel(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
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

/// The emits of the run, in order, until it is over.
///
/// ```
/// # async fn show(runtime: concerto::Runtime) -> Result<(), concerto::Error> {
/// use futures_util::StreamExt;
///
/// let mut run = runtime.start("main", concerto::Args::default())?;
/// while let Some(emit) = run.next().await {
///     println!("{}: {}", emit.channel, emit.payload);
/// }
/// println!("{}", run.await?);
/// # Ok(())
/// # }
/// ```
impl Stream for Run {
    type Item = Emit;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Emit>> {
        self.poll_emits(context, 1).map(|batch| batch.and_then(|mut batch| batch.pop()))
    }
}

impl IntoFuture for Run {
    type Output = Result<Value, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.cancel();
        }
    }
}
