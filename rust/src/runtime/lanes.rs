//! A thread that waits for a run serves the run's sockets and timers itself: a call wakes no other thread, which would cost about as much as all else
//! that a call does.
//!
//! It takes a lane for that time: a tokio runtime of one thread with the connections that were opened there. Lanes that nobody needs rest in a stack, so that
//! the next thread gets the one that was used last; a keeper looks after them once in a while.
//!
//! The run is polled between two turns of the lane, not within one: code of the host that it calls may block, drive tokio runtimes of its own, or wait for another
//! run, which takes another lane.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::runtime::{Builder, Handle, Id, Runtime};
use tokio::time::Instant;

use crate::clock::{self, Clock};
use crate::error::Error;
use crate::turns::{has_left, look_around};

/// Runs that handlers start while a run on the same thread waits for them: each holds a part of the thread's stack.
const DEEPEST: usize = 16;
/// How often the keeper looks after the lanes that rest: so late is a connection closed that the other side has closed, or a run has left.
const ROUND: Duration = Duration::from_secs(1);
/// A lane that was not needed for so long ends, a little after its connections would.
const UNUSED: Duration = Duration::from_secs(100);

thread_local! {
    /// How many runs this thread waits for, one inside the other, and the lane of the innermost.
    static WAITING: Cell<(usize, Option<Id>)> = const { Cell::new((0, None)) };
}

/// Drives a future on this thread to its end. A handler of a run that is driven here may drive another one.
///
/// # Errors
/// [`Error::InsideAsync`] where another tokio runtime is current: this thread has other work; [`Error::Nested`] at a depth of 16.
pub(super) fn block_on<F: Future>(clock: &Clock, future: F) -> Result<F::Output, Error> {
    let (depth, outer) = WAITING.get();
    if Handle::try_current().ok().map(|handle| handle.id()) != outer {
        return Err(Error::InsideAsync);
    }
    if depth == DEEPEST {
        return Err(Error::Nested);
    }
    let _waiting = clock.waiting();
    Taken::new((depth, outer)).drive(future)
}

/// Whether this thread waits for a run, and its lane is the current runtime.
pub(super) fn is_current(handle: &Handle) -> bool {
    WAITING.get().1 == Some(handle.id())
}

/// Lets the keeper look after the lanes now: a runtime has ended, and with it the use of its connections.
pub(super) fn tidy() {
    RESTING.call.notify_one();
}

/// A tokio runtime of one thread, and the process that it is of: it does not survive `fork`.
struct Lane {
    runtime: Runtime,
    alarm: Arc<Alarm>,
    process: u32,
    /// When it was last used.
    since: Instant,
}

/// Whether the run that a lane serves can go on.
#[derive(Default)]
struct Alarm {
    is_woken: AtomicBool,
    waiting: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

impl Alarm {
    fn rings(&self) -> bool {
        self.is_woken.swap(false, Ordering::AcqRel)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.rings() {
            return Poll::Ready(());
        }
        self.waiting.register(context.waker());
        // It may have been rung before somebody was there to hear it.
        if self.rings() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Lane {
    fn new() -> Self {
        match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let (process, since) = (std::process::id(), clock::now());
                Self { runtime, alarm: Arc::default(), process, since }
            }
            #[expect(clippy::panic, reason = "no descriptor is left: nothing can work")]
            Err(error) => panic!("a run cannot be waited for: {error}"),
        }
    }

    /// Polls a future whenever it can go on, and serves what it waits for in between.
    fn drive<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let waker = Waker::from(Arc::clone(&self.alarm));
        let mut future = pin!(Some(future));
        let output = loop {
            let polled = {
                // Entered, but not driven as by tokio's `block_on`, within which the host could not drive another runtime.
                let _entered = self.runtime.enter();
                let future = future.as_mut().as_pin_mut();
                future.map(|future| future.poll(&mut Context::from_waker(&waker)))
            };
            if let Some(Poll::Ready(output)) = polled {
                break output;
            }
            if std::process::id() != self.process {
                return Err(Error::Forked);
            }
            if self.alarm.rings() {
                // It did not wait, but sockets and timers have their turn all the same.
                self.runtime.block_on(tokio::task::yield_now());
            } else {
                self.runtime.block_on(poll_fn(|context| self.alarm.poll(context)));
            }
        };
        {
            let _entered = self.runtime.enter();
            future.set(None);
        }
        if has_left() {
            // It is closed before the run is over, not when the lane is used next.
            self.runtime.block_on(look_around());
        }
        Ok(output)
    }
}

/// A lane that serves this thread.
struct Taken {
    lane: Option<Lane>,
    outer: (usize, Option<Id>),
}

impl Taken {
    /// Within `outer`: as deep, on that lane.
    fn new(outer: (usize, Option<Id>)) -> Self {
        let lane = RESTING.pop().unwrap_or_else(Lane::new);
        WAITING.set((outer.0 + 1, Some(lane.runtime.handle().id())));
        Self { lane: Some(lane), outer }
    }

    fn drive<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        self.lane.as_ref().map_or(Err(Error::Forked), |lane| lane.drive(future))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        WAITING.set(self.outer);
        if let Some(lane) = self.lane.take() {
            RESTING.push(lane);
        }
    }
}

/// The lanes that nobody uses.
struct Resting {
    state: Mutex<State>,
    /// Calls the keeper.
    call: Condvar,
}

struct State {
    /// The one that was used last is at the end.
    lanes: Vec<Lane>,
    /// The process whose keeper runs: threads do not survive `fork` either.
    keeper: Option<u32>,
}

static RESTING: Resting =
    Resting { state: Mutex::new(State { lanes: Vec::new(), keeper: None }), call: Condvar::new() };

impl Resting {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last.
    fn pop(&self) -> Option<Lane> {
        let process = std::process::id();
        let mut state = self.locked();
        while let Some(lane) = state.lanes.pop() {
            if lane.process == process {
                return Some(lane);
            }
            // The parent process has it, too, and its threads are not here to be ended.
            std::mem::forget(lane);
        }
        None
    }

    fn push(&'static self, mut lane: Lane) {
        let process = lane.process;
        lane.since = clock::now();
        let mut state = self.locked();
        state.lanes.push(lane);
        if state.keeper == Some(process) {
            return;
        }
        let keeper = thread::Builder::new().name("concerto-rest".to_owned());
        // Without one, connections that are closed meanwhile are noticed by the next run; which tries again to start one.
        state.keeper = keeper.spawn(|| self.keep()).is_ok().then_some(process);
    }

    /// Looks after the lanes while there are any: what the other side has closed is closed here, too, and a lane that was not used for long ends.
    fn keep(&self) {
        let mut state = self.locked();
        loop {
            let waited =
                self.call.wait_timeout(state, ROUND).unwrap_or_else(PoisonError::into_inner);
            let is_called = !waited.1.timed_out();
            state = waited.0;
            if state.lanes.is_empty() && !is_called {
                state.keeper = None;
                return;
            }
            for at in 0.. {
                let Some(lane) = state.lanes.get(at) else { break };
                let age = lane.since.elapsed();
                if age >= ROUND || is_called {
                    // With the lock: who needs this lane has it in a moment, and without it would make another.
                    lane.runtime.block_on(look_around());
                }
                if age > UNUSED {
                    let unused = state.lanes.remove(at);
                    drop(state);
                    unused.runtime.shutdown_background();
                    state = self.locked();
                    break; // the others have their turn in the next round
                }
                drop(state);
                state = self.locked();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn block_on<F: Future>(future: F) -> Result<F::Output, Error> {
        super::block_on(&Clock::system(), future)
    }

    /// Sends a byte over a connection and back.
    async fn ping() -> u8 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let echo = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let byte = socket.read_u8().await.unwrap();
            socket.write_u8(byte).await.unwrap();
        });
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_u8(7).await.unwrap();
        let byte = socket.read_u8().await.unwrap();
        echo.await.unwrap();
        byte
    }

    #[test]
    fn a_handler_may_start_a_run_wait_for_one_on_another_thread_and_drive_a_runtime_of_its_own() {
        let outer = block_on(async {
            let other = thread::spawn(|| block_on(ping()).unwrap()).join().unwrap();
            let inner = block_on(ping()).unwrap();
            let own = Builder::new_current_thread().enable_all().build().unwrap();
            (other, inner, own.block_on(ping()), ping().await)
        });
        assert_eq!(outer.unwrap(), (7, 7, 7, 7));
    }

    #[test]
    fn a_runtime_within_a_handler_is_not_held_up_by_a_run() {
        let refused = block_on(async {
            let own = Builder::new_current_thread().enable_all().build().unwrap();
            own.block_on(async { matches!(block_on(ping()), Err(Error::InsideAsync)) })
        });
        assert!(refused.unwrap());
    }

    #[test]
    fn threads_wait_for_runs_at_once() {
        let work = || (0..50).map(|_| u32::from(block_on(ping()).unwrap())).sum::<u32>();
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(work)).collect();
        let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, 8 * 50 * 7);
    }

    #[test]
    fn timers_have_their_turn_beside_work_that_never_waits() {
        let (mut is_over, mut turns) = (false, 0_u64);
        block_on(async {
            let mut timer = pin!(tokio::time::sleep(Duration::from_millis(5)));
            poll_fn(|context| {
                turns += 1;
                is_over = timer.as_mut().poll(context).is_ready();
                context.waker().wake_by_ref();
                if is_over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        })
        .unwrap();
        assert!(is_over && turns > 1);
    }

    #[test]
    fn what_came_while_the_host_was_busy_is_in_time() {
        let limit = Duration::from_millis(1);
        let came = block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut other, _) = listener.accept().await.unwrap();
            // A task reads, as the HTTP library does.
            let reader = tokio::spawn(async move { socket.read_u8().await.unwrap() });
            let clock = Clock::system();
            let end = clock.now() + limit;
            tokio::task::yield_now().await;
            other.write_u8(7).await.unwrap();
            while clock.now() < end + 2 * limit {
                std::hint::spin_loop();
            }
            clock.until(end, reader).await
        });
        assert_eq!(came.unwrap().unwrap().unwrap(), 7);
    }

    #[test]
    fn what_a_run_leaves_is_let_go_of_before_the_run_is_over() {
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        block_on(async {
            let task = tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(kept);
            });
            tokio::task::yield_now().await;
            task.abort();
            crate::turns::leave();
        })
        .unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn handlers_may_nest_sixteen_deep() {
        fn dive() -> usize {
            block_on(async { dive() }).map_or(0, |depth| depth + 1)
        }
        assert_eq!(dive(), DEEPEST);
    }
}
