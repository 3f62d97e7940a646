//! The threads of runs in the background, and who drives a run for a caller's task, or for an observer.

use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::lanes::{self, block_on};
use super::responders::Responders;
use super::{Inner, Observer, Plan};
use crate::clock;
use crate::engine::emits::{Emit, Outlet, next_run_id};
use crate::engine::requests::{Question, Reply};
use crate::error::{BoxError, Error, RunError};
use crate::value::Value;

/// How often a waiting run looks whether its host wants it to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Threads for I/O of the process, if no runtime asks for others.
const SHARED: usize = 2;

/// The threads that do the I/O of a runtime: those of the process, or some of its own. Started on first use.
///
/// Threads do not survive `fork`, so a child process gets its own; the parent's are left alone (never dropped: dropping would wait for threads that do
/// not exist there).
#[derive(Clone)]
pub(super) enum Io {
    Shared,
    Own(Arc<Threads>),
}

impl Io {
    /// So many of its own, or none.
    pub(super) fn new(own: Option<usize>) -> Self {
        own.map_or(Self::Shared, |count| Self::Own(Arc::new(Threads::new(count))))
    }

    pub(super) fn handle(&self) -> Handle {
        static PROCESS: Threads = Threads::new(SHARED);
        match self {
            Self::Shared => PROCESS.handle(),
            Self::Own(threads) => threads.handle(),
        }
    }

    /// What serves a future of the caller's task or thread: the tokio runtime that it is in, unless the host asked for threads of its own; a thread that waits
    /// for a run does so in any case.
    fn serving(&self) -> Handle {
        let is_served = |handle: &Handle| matches!(self, Self::Shared) || lanes::is_current(handle);
        Handle::try_current().ok().filter(is_served).unwrap_or_else(|| self.handle())
    }
}

/// Worker threads, and the process that they are in.
pub(super) struct Threads {
    count: usize,
    started: Mutex<Option<(u32, ManuallyDrop<Runtime>)>>,
}

impl Threads {
    const fn new(count: usize) -> Self {
        Self { count, started: Mutex::new(None) }
    }

    fn handle(&self) -> Handle {
        let process = std::process::id();
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, runtime)) = &*started
            && *owner == process
        {
            return runtime.handle().clone();
        }
        let built = Builder::new_multi_thread()
            .worker_threads(self.count)
            .thread_name("concerto-io")
            .enable_all()
            .build();
        match built {
            Ok(runtime) => {
                let handle = runtime.handle().clone();
                *started = Some((process, ManuallyDrop::new(runtime)));
                handle
            }
            #[expect(clippy::panic, reason = "no thread can be started: nothing can work")]
            Err(error) => panic!("cannot start the I/O threads: {error}"),
        }
    }
}

impl Drop for Threads {
    /// Waits for nobody: the last user may be one of the threads.
    fn drop(&mut self) {
        let started = self.started.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, runtime)) = started.take()
            && owner == std::process::id()
        {
            ManuallyDrop::into_inner(runtime).shutdown_background();
        }
    }
}

/// Awaits a future, whatever executor polls it. Its sockets and timers are served by the tokio runtime that it is in, unless the host asked for others,
/// else by the I/O threads. To hand each request to other threads and back costs about as much as all else that a call does.
pub(super) async fn with_io<F: Future>(io: &Io, mut future: Pin<&mut F>) -> F::Output {
    let handle = io.serving();
    poll_fn(|context| {
        let _entered = handle.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// Drives a run on this thread for an observer.
pub(super) fn observe(
    inner: &Arc<Inner>,
    plan: Plan,
    observer: &mut dyn Observer,
) -> Result<Value, Error> {
    // The run and the glance at the host take turns on this one thread, so a cell is enough.
    let observer = std::cell::RefCell::new(observer);
    let is_raw = plan.own.is_raw;
    let mut outlet = ObserverOutlet { observer: &observer, responders: &inner.responders };
    let outcome = block_on(&inner.shared.clock, async {
        let run = inner.execute(plan, next_run_id(), None, &mut outlet);
        tokio::pin!(run);
        let mut glance = tokio::time::interval_at(clock::now() + GLANCE, GLANCE);
        loop {
            tokio::select! {
                biased;
                _ = glance.tick() => {
                    if let Err(error) = observer.borrow_mut().interrupted() {
                        return Err(RunError::handler(error));
                    }
                }
                outcome = &mut run => return outcome,
            }
        }
    })?;
    let value = outcome?;
    if is_raw { Ok(value) } else { Ok(inner.settled(value)?) }
}

struct ObserverOutlet<'a, 'b> {
    observer: &'a std::cell::RefCell<&'b mut dyn Observer>,
    responders: &'a Responders,
}

impl Outlet for ObserverOutlet<'_, '_> {
    async fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        self.observer.borrow_mut().emit(emit)
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        self.observer.borrow_mut().print(text)
    }

    fn ask(&mut self, question: Question) -> Result<Option<Reply>, BoxError> {
        self.responders.ask(question, |request| self.observer.borrow_mut().request(request))
    }
}
