//! Code of the host runs apart from input and output.
//!
//! A thread that waits for a run serves sockets and timers meanwhile, its own and those of other threads. Code of the host may take its time, wait for
//! another thread, or start another run: before it is called, the thread hands sockets and timers over. The run says so with [`step_out`] or [`apart`]; whoever drives
//! it (`runtime/drive.rs`) then polls it once without them. Anywhere else both do nothing.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing of a run that it waits for.
    Free,
    /// It serves sockets and timers, or does work for them.
    Serving,
    /// The run that it waits for goes on between two looks at the sockets.
    Running,
    /// The same run wants to go on apart from them.
    Leaving,
    /// The run goes on, and the thread serves nothing.
    Apart,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Free) };
}

/// What this thread is doing.
pub(crate) fn place() -> Place {
    PLACE.get()
}

/// Does work at a place; gives what came of it, and where the thread is then.
pub(crate) fn at<T>(place: Place, work: impl FnOnce() -> T) -> (T, Place) {
    /// Leads back, also past a panic.
    struct Back(Place);
    impl Drop for Back {
        fn drop(&mut self) {
            PLACE.set(self.0);
        }
    }
    let _back = Back(PLACE.replace(place));
    let done = work();
    (done, PLACE.get())
}

/// Whether a run that is polled here must step out before it calls the host.
fn must_leave() -> bool {
    matches!(PLACE.get(), Place::Running | Place::Leaving)
}

/// What follows up to the next wait is apart from input and output.
pub(crate) async fn step_out() {
    poll_fn(|context| {
        if !must_leave() {
            return Poll::Ready(());
        }
        PLACE.set(Place::Leaving);
        // So that whatever holds this future polls it the next time.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Work that is apart, and whoever waits for it.
struct Alarm {
    /// Since the work was last polled.
    is_woken: AtomicBool,
    waits: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.waits.wake();
    }
}

/// Does work that is apart from input and output from its beginning to its end. The thread steps out only when the work can go on.
pub(crate) async fn apart<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    let alarm = Arc::new(Alarm { is_woken: AtomicBool::new(true), waits: AtomicWaker::new() });
    let waker = Waker::from(Arc::clone(&alarm));
    poll_fn(|context| {
        alarm.waits.register(context.waker());
        if !alarm.is_woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        if must_leave() {
            PLACE.set(Place::Leaving);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        alarm.is_woken.store(false, Ordering::Release);
        work.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_the_host_is_polled_only_where_nothing_is_served_and_when_it_can_go_on() {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let mut polls = 0;
        {
            let mut receiver = pin!(&mut receiver);
            let work = poll_fn(|context| {
                assert!(matches!(place(), Place::Free | Place::Apart), "{:?}", place());
                polls += 1;
                receiver.as_mut().poll(context)
            });
            let mut work = pin!(apart(work));
            let mut context = Context::from_waker(Waker::noop());
            let mut poll = |place| at(place, || work.as_mut().poll(&mut context));
            assert_eq!(poll(Place::Running), (Poll::Pending, Place::Leaving));
            assert_eq!(poll(Place::Apart), (Poll::Pending, Place::Apart));
            for _ in 0..3 {
                assert_eq!(poll(Place::Running), (Poll::Pending, Place::Running));
            }
            sender.send(7).unwrap();
            assert_eq!(poll(Place::Running), (Poll::Pending, Place::Leaving));
            assert_eq!(poll(Place::Apart), (Poll::Ready(Ok(7)), Place::Apart));
        }
        assert_eq!((polls, place()), (2, Place::Free));
    }
}
