//! How a thread drives a run by waiting for it: it serves the sockets and timers of the run as well, so that a model call wakes no other thread.
//!
//! All threads of a process that wait for runs share one tokio runtime of one thread, and with it the open connections. One of them at a time has the
//! place at its sockets, the others wait for their runs or for that place. Where code of the host runs the thread gives the place back
//! (`apart.rs`); while nobody has it, a thread of Concerto's own takes it, so that connections that the other end closes are noticed, streams are read ahead and
//! time limits hold.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::apart::{self, Place};
use crate::clock::Clock;
use crate::error::Error;

/// Runs that handlers start while a run on the same thread waits for them: each holds a part of the thread's stack.
const DEEPEST: usize = 16;
/// How long nobody may have served the sockets before the stand-in does.
const ABSENCE: Duration = Duration::from_millis(20);

thread_local! {
    /// How many futures this thread drives, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts one more as long as it lives.
struct Nested(usize);

impl Nested {
    fn enter() -> Result<Self, Error> {
        let depth = DEPTH.get();
        if depth == DEEPEST {
            return Err(Error::Nested);
        }
        DEPTH.set(depth + 1);
        Ok(Self(depth))
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

/// Drives a future of a run with this clock on this thread. A handler of a run that is driven here may drive another one.
pub(super) fn block_on<F: Future>(clock: &Clock, future: F) -> Result<F::Output, Error> {
    match apart::place() {
        Place::Free if Handle::try_current().is_err() => {}
        Place::Apart => {}
        _ => return Err(Error::InsideAsync),
    }
    let (_nested, _waiting) = (Nested::enter()?, clock.waiting());
    let mut future = pin!(future);
    loop {
        // Asked for each time: a handler may have forked.
        let sockets = Sockets::of_process();
        let done = sockets.serve(poll_fn(|context| {
            let (polled, place) = apart::at(Place::Running, || future.as_mut().poll(context));
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if place == Place::Leaving => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }));
        if let Some(output) = done {
            return Ok(output);
        }
        // Whoever serves polls first of all, so a wake-up meanwhile may get lost.
        let _entered = sockets.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        let (polled, _) = apart::at(Place::Apart, || future.as_mut().poll(&mut context));
        if let Poll::Ready(output) = polled {
            return Ok(output);
        }
    }
}

/// The sockets and timers of runs that threads wait for.
struct Sockets {
    runtime: Runtime,
    /// How many threads serve them, or wait until they can.
    servers: AtomicUsize,
    /// Whether somebody came since the stand-in looked.
    is_used: AtomicBool,
    stands_in: AtomicBool,
    /// Sends the stand-in away.
    came: Notify,
}

impl Sockets {
    /// Those of this process, made on first use.
    ///
    /// Threads do not survive `fork`, and what they left behind cannot be used, so a child process gets its own; the parent's are left alone.
    fn of_process() -> &'static Self {
        static CURRENT: Mutex<Option<(u32, &'static Sockets)>> = Mutex::new(None);
        let process = std::process::id();
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, sockets)) = *current
            && owner == process
        {
            return sockets;
        }
        match Self::new() {
            Ok(sockets) => {
                *current = Some((process, sockets));
                sockets
            }
            #[expect(clippy::panic, reason = "no thread or socket can be had: nothing can work")]
            Err(error) => panic!("cannot serve sockets: {error}"),
        }
    }

    fn new() -> std::io::Result<&'static Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sockets: &'static Self = Box::leak(Box::new(Self {
            runtime,
            servers: AtomicUsize::new(0),
            is_used: AtomicBool::new(true),
            stands_in: AtomicBool::new(false),
            came: Notify::new(),
        }));
        thread::Builder::new().name("concerto-wait".to_owned()).spawn(|| sockets.stand_in())?;
        Ok(sockets)
    }

    /// Serves them on this thread until a future is ready, or waits for it while another thread does.
    fn serve<F: Future>(&self, future: F) -> F::Output {
        /// Leaves, also past a panic.
        struct Server<'a>(&'a AtomicUsize);
        impl Drop for Server<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.servers.fetch_add(1, Ordering::SeqCst);
        let _server = Server(&self.servers);
        self.is_used.store(true, Ordering::Relaxed);
        // After `servers`: the stand-in looks at them the other way round.
        if self.stands_in.load(Ordering::SeqCst) {
            self.came.notify_one();
        }
        apart::at(Place::Serving, || self.runtime.block_on(future)).0
    }

    /// Serves them while nobody else does, for ever.
    #[expect(clippy::disallowed_methods, reason = "no run waits for this thread")]
    fn stand_in(&self) {
        loop {
            thread::sleep(ABSENCE);
            let was_used = self.is_used.swap(false, Ordering::Relaxed);
            if was_used || self.servers.load(Ordering::SeqCst) > 0 {
                continue;
            }
            self.stands_in.store(true, Ordering::SeqCst);
            if self.servers.load(Ordering::SeqCst) == 0 {
                apart::at(Place::Serving, || self.runtime.block_on(self.came.notified()));
            }
            self.stands_in.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::apart::apart;

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
    fn a_handler_may_start_a_run_and_wait_for_one_on_another_thread() {
        let outer = block_on(async {
            let inner = apart(async {
                let other = thread::spawn(|| block_on(ping()).unwrap());
                (other.join().unwrap(), block_on(ping()).unwrap())
            });
            (inner.await, ping().await)
        });
        assert_eq!(outer.unwrap(), ((7, 7), 7));
    }

    #[test]
    fn sockets_are_served_while_a_handler_takes_its_time() {
        let byte = block_on(async {
            let handler = apart(async {
                let (sender, receiver) = mpsc::channel();
                tokio::spawn(async move { sender.send(ping().await).unwrap() });
                receiver.recv().unwrap()
            });
            (handler.await, ping().await)
        });
        assert_eq!(byte.unwrap(), (7, 7));
    }

    #[test]
    fn threads_that_wait_at_once_serve_each_other() {
        let work = || {
            let once = || async {
                apart(std::future::ready(())).await;
                ping().await
            };
            (0..50).map(|_| u32::from(block_on(once()).unwrap())).sum::<u32>()
        };
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(work)).collect();
        let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, 8 * 50 * 7);
    }

    #[test]
    fn a_thread_that_serves_sockets_does_not_wait_for_another_run() {
        let tried = || matches!(block_on(ping()), Err(Error::InsideAsync));
        let refused =
            block_on(async move { (tried(), tokio::spawn(async move { tried() }).await.unwrap()) });
        assert_eq!(refused.unwrap(), (true, true));
        assert_eq!(block_on(ping()).unwrap(), 7);
    }

    #[test]
    fn handlers_may_nest_sixteen_deep() {
        fn dive() -> usize {
            let deeper = block_on(apart(async { dive() }));
            deeper.map_or(0, |depth| depth + 1)
        }
        assert_eq!(dive(), DEEPEST);
    }
}
