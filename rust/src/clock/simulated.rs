//! Time that is only a number: it jumps to the next moment that anybody waits for, once nobody has anything else to do.
//!
//! A run is idle when polling it changes nothing more and nobody has woken it since. What it waits for is then time, another run, or something
//! outside, which says so with [`Outside`]. A run whose handler waits for another run can do nothing either, though it is being polled: see [`Waiting`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment, and a number that tells timers of one moment apart.
type Key = (Instant, u64);

/// A handle of one simulated time.
#[derive(Clone, Debug)]
pub(super) struct Simulated(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: (Instant, SystemTime),
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    timers: BTreeMap<Key, Waker>,
    runs: HashMap<u64, Run>,
    /// How much goes on outside of the runs, but for what their hosts do.
    outside: usize,
    numbers: u64,
}

#[derive(Debug, Default)]
struct Run {
    /// Since it was last polled.
    is_woken: bool,
    is_idle: bool,
    /// How much its host does for it, and in how many runs: it is the host that drives a run within another one.
    hosts: usize,
    nested: usize,
    /// For how many runs its handlers wait, on the thread that polls it.
    waits_for: usize,
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn is_idle(&self) -> bool {
        let mut others = self.runs.values().filter(|run| run.waits_for == 0).peekable();
        self.outside == 0
            && others.peek().is_some()
            && others.all(|run| run.is_idle && run.hosts <= run.nested)
    }

    /// Takes the timers that are due.
    fn due(&mut self) -> Vec<Waker> {
        let later = self.timers.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.timers, later).into_values().collect()
    }

    /// Goes to the next moment, if nobody has anything else to do; who is due then.
    fn jump(&mut self) -> Option<Vec<Waker>> {
        let ((at, _), _) = self.timers.first_key_value().filter(|_| self.is_idle())?;
        self.now = self.now.max(*at);
        Some(self.due())
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs of this time that the thread is polling, the outermost first.
    fn polled(self: &Arc<Self>) -> Vec<u64> {
        POLLED.with_borrow(|polled| {
            let of_this_time = polled.iter().filter(|(shared, _)| Arc::ptr_eq(shared, self));
            of_this_time.map(|(_, number)| *number).collect()
        })
    }

    /// Lets time pass until a run has something to do. Whoever is due is woken without the lock.
    fn pass(&self) {
        loop {
            let Some(due) = self.locked().jump() else { return };
            due.into_iter().for_each(Waker::wake);
        }
    }
}

impl Simulated {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        let (timers, runs) = (BTreeMap::new(), HashMap::new());
        let state = State { now, timers, runs, outside: 0, numbers: 0 };
        Self(Arc::new(Shared { began: (now, wall), state: Mutex::new(state) }))
    }

    pub(super) fn now(&self) -> Instant {
        self.0.locked().now
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now() - self.0.began.0
    }

    pub(super) fn wall(&self) -> SystemTime {
        self.0.began.1 + self.elapsed()
    }

    pub(super) fn advance(&self, by: Duration) {
        let due = {
            let mut state = self.0.locked();
            state.now += by;
            state.due()
        };
        due.into_iter().for_each(Waker::wake);
    }

    pub(super) fn timer(&self, at: Instant) -> Timer {
        Timer { shared: Arc::clone(&self.0), at, number: None }
    }

    pub(super) fn outside(&self) -> Outside {
        Outside::begin(&self.0, None)
    }

    /// The same for what the host does for the run that this thread is polling.
    pub(super) fn host(&self) -> Outside {
        Outside::begin(&self.0, self.0.polled().last().copied())
    }

    /// The thread is about to wait for a run of this time: those of its runs that it is polling can do nothing as long as the guard lives.
    pub(super) fn waiting(&self) -> Waiting {
        let waiting = Waiting { shared: Arc::clone(&self.0), numbers: self.0.polled() };
        waiting.count(|waits_for| waits_for + 1);
        self.0.pass();
        waiting
    }

    pub(super) async fn drive<T>(&self, run: impl Future<Output = T>) -> T {
        let mut run = pin!(run);
        let driven = Driven::new(&self.0);
        let mut is_settled = false;
        std::future::poll_fn(|context| {
            is_settled &= !driven.begin();
            let waker = driven.waker(context.waker());
            let _polled = Polled::enter(&driven);
            if let Poll::Ready(value) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(value);
            }
            if driven.is_woken() {
                is_settled = false; // the executor comes back
            } else if is_settled {
                driven.rest();
            } else {
                // Some wake-ups come only after a poll: look again behind them.
                is_settled = true;
                let _ = pin!(tokio::task::yield_now()).poll(context);
            }
            Poll::Pending
        })
        .await
    }
}

/// A run while it is driven.
struct Driven<'a> {
    shared: &'a Arc<Shared>,
    number: u64,
    /// The run whose host drives it.
    within: Option<u64>,
}

impl<'a> Driven<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        let within = shared.polled().last().copied();
        let mut state = shared.locked();
        let number = state.number();
        state.runs.insert(number, Run::default());
        if let Some(outer) = within.and_then(|outer| state.runs.get_mut(&outer)) {
            outer.nested += 1;
        }
        Self { shared, number, within }
    }

    fn waker(&self, executor: &Waker) -> Waker {
        let (shared, executor) = (Arc::clone(self.shared), executor.clone());
        Waker::from(Arc::new(RunWaker { shared, number: self.number, executor }))
    }

    /// It is to be polled; whether anybody has woken it.
    fn begin(&self) -> bool {
        let mut state = self.shared.locked();
        let run = state.runs.entry(self.number).or_default();
        run.is_idle = false;
        std::mem::take(&mut run.is_woken)
    }

    fn is_woken(&self) -> bool {
        self.shared.locked().runs.get(&self.number).is_some_and(|run| run.is_woken)
    }

    /// It has nothing to do, unless it was woken just now.
    fn rest(&self) {
        {
            let mut state = self.shared.locked();
            let run = state.runs.entry(self.number).or_default();
            run.is_idle = !run.is_woken;
        }
        self.shared.pass();
    }
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.locked();
            state.runs.remove(&self.number);
            if let Some(outer) = self.within.and_then(|outer| state.runs.get_mut(&outer)) {
                outer.nested -= 1;
            }
        }
        self.shared.pass();
    }
}

/// Notes that a run has something to do, and tells its executor.
struct RunWaker {
    shared: Arc<Shared>,
    number: u64,
    executor: Waker,
}

impl Wake for RunWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(run) = self.shared.locked().runs.get_mut(&self.number) {
            (run.is_woken, run.is_idle) = (true, false);
        }
        self.executor.wake_by_ref();
    }
}

thread_local! {
    /// The runs that this thread is polling, the outermost first: a handler of one may drive another.
    static POLLED: RefCell<Vec<(Arc<Shared>, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A run while this thread polls it.
struct Polled;

impl Polled {
    fn enter(run: &Driven<'_>) -> Self {
        POLLED.with_borrow_mut(|polled| polled.push((Arc::clone(run.shared), run.number)));
        Self
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.with_borrow_mut(Vec::pop);
    }
}

/// A thread waits for a run, and so do those that it is polling.
#[derive(Debug)]
pub(crate) struct Waiting {
    shared: Arc<Shared>,
    numbers: Vec<u64>,
}

impl Waiting {
    fn count(&self, change: impl Fn(usize) -> usize) {
        let mut state = self.shared.locked();
        for number in &self.numbers {
            if let Some(run) = state.runs.get_mut(number) {
                run.waits_for = change(run.waits_for);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count(|waits_for| waits_for - 1);
    }
}

/// Ready from a moment on.
pub(super) struct Timer {
    shared: Arc<Shared>,
    at: Instant,
    /// Once it waits.
    number: Option<u64>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.locked();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| state.number());
        state.timers.insert((self.at, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.locked().timers.remove(&(self.at, number));
        }
    }
}

/// Something outside of the runs goes on, for all of them or, if a host does it, for one.
#[derive(Debug)]
pub(crate) struct Outside {
    shared: Arc<Shared>,
    run: Option<u64>,
}

impl Outside {
    fn begin(shared: &Arc<Shared>, run: Option<u64>) -> Self {
        let outside = Self { shared: Arc::clone(shared), run };
        outside.count(|count| count + 1);
        outside
    }

    /// Whether nothing more goes on there.
    fn count(&self, change: impl Fn(usize) -> usize) -> bool {
        let mut state = self.shared.locked();
        let count = match self.run {
            None => &mut state.outside,
            Some(run) => match state.runs.get_mut(&run) {
                Some(run) => &mut run.hosts,
                None => return true, // it is over
            },
        };
        *count = change(*count);
        *count == 0
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if self.count(|count| count - 1) {
            self.shared.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Nothing here waits really: a test that did would hang.
    #[tokio::test]
    async fn time_passes_when_everybody_waits_for_it() {
        let clock = Clock::new_virtual();
        let began = clock.now();
        let (one, two) = (clock.clone(), clock.clone());
        let woken = clock
            .drive(async move {
                let mut woken = Vec::new();
                let minutes = async |clock: &Clock, count: u32| {
                    clock.sleep(MINUTE * count).await;
                    clock.since(began)
                };
                let (a, b) = tokio::join!(minutes(&one, 5), minutes(&two, 2));
                woken.extend([a, b]);
                one.sleep(Duration::ZERO).await;
                one.sleep_until(began).await;
                woken.push(one.since(began));
                woken
            })
            .await;
        assert_eq!(woken, [MINUTE * 5, MINUTE * 2, MINUTE * 5]);
        assert_eq!(clock.elapsed(), MINUTE * 5);
    }

    #[tokio::test]
    async fn a_time_limit_ends_work_that_waits_for_longer() {
        let clock = Clock::new_virtual();
        let (at, own) = (clock.now() + MINUTE, clock.clone());
        let found = clock
            .drive(async move {
                let slow = own.until(at, own.sleep(MINUTE * 2)).await;
                let quick = own.until(at + MINUTE, own.sleep(MINUTE / 2)).await;
                (slow, quick)
            })
            .await;
        assert_eq!(found, (None, Some(())));
        assert_eq!(clock.elapsed(), MINUTE + MINUTE / 2);
    }

    /// Yields, channels and spawned tasks are no waiting for time.
    #[tokio::test(flavor = "multi_thread")]
    async fn time_stands_still_while_there_is_something_to_do() {
        let clock = Clock::new_virtual();
        let own = clock.clone();
        let run = async move {
            let limit = own.now() + MINUTE;
            let busy = async {
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
                let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
                let sending = async move {
                    for number in 0..1_000 {
                        sender.send(number).await.unwrap();
                    }
                };
                let receiving = async move { while receiver.recv().await.is_some() {} };
                tokio::join!(sending, receiving);
                let outside = own.outside();
                let elsewhere = tokio::spawn(async {
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                });
                elsewhere.await.unwrap();
                drop(outside);
            };
            own.until(limit, busy).await
        };
        assert_eq!(clock.drive(run).await, Some(()));
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_that_share_a_clock_wait_for_one_another() {
        let clock = Clock::new_virtual();
        let runs = (1..=20).map(|step| {
            let clock = clock.clone();
            tokio::spawn(async move {
                let began = clock.now();
                let own = clock.clone();
                let run = async {
                    for _ in 0..50 {
                        own.sleep(MINUTE * step).await;
                        tokio::task::yield_now().await;
                    }
                };
                clock.drive(run).await;
                assert!(clock.since(began) >= MINUTE * step * 50);
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.unwrap();
        }
        assert!(clock.elapsed() >= MINUTE * 1_000);
    }

    #[tokio::test]
    async fn a_host_moves_time_by_hand() {
        let clock = Clock::new_virtual();
        let sleeping = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(MINUTE).await }
        });
        tokio::task::yield_now().await;
        clock.advance(MINUTE / 2);
        tokio::task::yield_now().await;
        assert!(!sleeping.is_finished());
        clock.advance(MINUTE / 2);
        sleeping.await.unwrap();
        let seconds = clock.unix_seconds();
        clock.advance(MINUTE);
        assert!((clock.unix_seconds() - seconds - 60.0).abs() < 0.001);
        let system = Clock::system();
        system.advance(MINUTE);
        assert_eq!((system.elapsed(), system.is_virtual()), (Duration::ZERO, false));
    }
}
