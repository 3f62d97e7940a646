//! Requests that are answered together: proof that a client has so many in flight at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Where requests wait for one another.
#[derive(Debug)]
pub(super) struct Meeting {
    state: Mutex<State>,
    /// Number of the group that waits.
    group: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    group: u64,
    waiting: usize,
}

impl Default for Meeting {
    fn default() -> Self {
        Self { state: Mutex::default(), group: watch::Sender::new(0) }
    }
}

impl Meeting {
    /// Waits until `size` requests wait here, this one included.
    pub(super) async fn join(&self, size: usize) {
        let mut groups = self.group.subscribe();
        let place = {
            let mut state = self.state();
            state.waiting += 1;
            let place = Place { meeting: self, group: state.group };
            if state.waiting >= size {
                *state = State { group: state.group + 1, waiting: 0 };
                self.group.send_replace(state.group);
            }
            place
        };
        // The sender lives as long as this borrow.
        let _ = groups.wait_for(|now| *now != place.group).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits; it leaves when its client goes away.
struct Place<'a> {
    meeting: &'a Meeting,
    group: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.meeting.state();
        if state.group == self.group {
            state.waiting -= 1;
        }
    }
}
