//! Waits for the limits of a connection: the shell around [`Limiter`], with the clock and the wake-ups.
//!
//! Only the first in the queue can start, so only it is woken: by the clock, or by whoever changes something. Starting, it wakes the
//! next. Each waiter is woken about once, and nobody looks again and again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::limit::{Admission, Arrival, Cost, Estimate, Limiter, Started};
use crate::clock::Clock;
use crate::config::RateLimitConfig;
use crate::sync::{Mutex, MutexGuard};

/// The queue of one connection, shared by all its models and runs.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// How many may wait (C-90).
    bound: Option<usize>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    limiter: Limiter,
    sleepers: HashMap<Arrival, Arc<Notify>>,
    is_limited: bool,
    /// Of the settings that the limits come from.
    epoch: u64,
}

impl State {
    fn wake_first(&self) {
        if let Some(sleeper) = self.limiter.first().and_then(|place| self.sleepers.get(&place)) {
            sleeper.notify_one();
        }
    }
}

/// What comes of asking to start.
pub(super) enum Entry {
    /// It has started.
    Started(Permit),
    /// It waits.
    Waits(Waiting),
    /// So many wait already.
    Full(usize),
}

impl Queue {
    pub(super) fn new(bound: Option<usize>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { bound, clock, ..Self::default() })
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts limits in force, also for those that wait (O-11), unless others come from later settings.
    pub(super) fn set(&self, limits: Option<&RateLimitConfig>, epoch: u64) {
        let mut state = self.locked();
        if epoch >= state.epoch {
            state.epoch = epoch;
            let limits = limits.cloned().unwrap_or_default();
            state.is_limited = limits != RateLimitConfig::default();
            state.limiter.set(limits);
            state.wake_first();
        }
    }

    /// Whether any limit is in force; without one no estimate is needed.
    pub(super) fn is_limited(&self) -> bool {
        self.locked().is_limited
    }

    /// A place behind all calls so far.
    pub(super) fn arrive(&self) -> Arrival {
        self.locked().limiter.arrive()
    }

    /// Asks to start an attempt of the call at this place.
    pub(super) fn enter(self: &Arc<Self>, place: Arrival, estimate: Estimate) -> Entry {
        let mut state = self.locked();
        state.limiter.enqueue(place, estimate);
        if let Admission::Now(started) = state.limiter.admit(place, self.clock.now()) {
            return Entry::Started(Permit::new(self, started));
        }
        let others = state.limiter.waiting() - 1;
        if self.bound.is_some_and(|bound| others >= bound) {
            state.limiter.cancel(place);
            return Entry::Full(others);
        }
        let sleeper = Arc::new(Notify::new());
        state.sleepers.insert(place, Arc::clone(&sleeper));
        Entry::Waits(Waiting { queue: Arc::clone(self), place, sleeper })
    }
}

/// An attempt in the queue. Dropping it leaves the queue.
pub(super) struct Waiting {
    queue: Arc<Queue>,
    place: Arrival,
    sleeper: Arc<Notify>,
}

impl Waiting {
    /// Waits until the attempt may start, and starts it.
    pub(super) async fn started(self) -> Permit {
        loop {
            let admission = {
                let mut state = self.queue.locked();
                let admission = state.limiter.admit(self.place, self.queue.clock.now());
                if matches!(admission, Admission::Now(_)) {
                    state.sleepers.remove(&self.place);
                    state.wake_first();
                }
                admission
            };
            match admission {
                Admission::Now(started) => {
                    return Permit::new(&self.queue, started);
                }
                Admission::At(at) => {
                    tokio::select! {
                        () = self.sleeper.notified() => {}
                        () = self.queue.clock.sleep_until(at) => {}
                    }
                }
                Admission::Later => self.sleeper.notified().await,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.queue.locked();
        // One that has started is no longer there, and a retry may wait at its place by now only after this.
        if state.sleepers.remove(&self.place).is_some() {
            state.limiter.cancel(self.place);
            state.wake_first();
        }
    }
}

/// A started attempt: it holds a slot until it ends or is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    queue: Arc<Queue>,
    started: Option<Started>,
    /// The place among those of all connections.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Permit {
    fn new(queue: &Arc<Queue>, started: Started) -> Self {
        Self { queue: Arc::clone(queue), started: Some(started), room: None }
    }
}

impl Permit {
    /// The attempt has ended and cost this much.
    pub(super) fn end(mut self, cost: Cost) {
        self.finish(Some(cost));
    }

    fn finish(&mut self, cost: Option<Cost>) {
        self.room = None;
        if let Some(started) = self.started.take() {
            let mut state = self.queue.locked();
            state.limiter.end(&started, cost);
            state.wake_first();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.finish(None);
    }
}
