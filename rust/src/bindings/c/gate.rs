//! When callbacks of a handle may run: never after its `_free` has returned, and `_free` inside of one is refused.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

thread_local! {
    /// The gates of the callbacks that this thread is in, by address.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread is in a callback of any handle: it must not wait for a run then, since that run may wait for it.
pub(super) fn in_callback() -> bool {
    INSIDE.with_borrow(|inside| !inside.is_empty())
}

/// Belongs to one handle.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    callbacks: usize,
    /// A callback tried to free the handle that it was called for.
    is_misused: bool,
}

impl Gate {
    /// Calls back, unless the gate is closed.
    pub(super) fn pass<T>(&self, callback: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.locked();
            if state.is_closed {
                return None;
            }
            state.callbacks += 1;
        }
        let _pass = Pass::new(self);
        Some(callback())
    }

    /// Lets no callback through from now on, and waits for those that are under way. Inside of one nothing is closed: false.
    pub(super) fn close(&self) -> bool {
        let mut state = self.locked();
        if INSIDE.with_borrow(|inside| inside.contains(&self.address())) {
            state.is_misused = true;
            return false;
        }
        state.is_closed = true;
        while state.callbacks > 0 {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.locked().is_closed
    }

    /// Whether a callback tried to free the handle since this was asked last.
    pub(super) fn was_misused(&self) -> bool {
        std::mem::take(&mut self.locked().is_misused)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One callback under way.
struct Pass<'a>(&'a Gate);

impl<'a> Pass<'a> {
    fn new(gate: &'a Gate) -> Self {
        INSIDE.with_borrow_mut(|inside| inside.push(gate.address()));
        Self(gate)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(Vec::pop);
        self.0.locked().callbacks -= 1;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn closing_waits_for_callbacks_and_lets_none_through() {
        let gate = Arc::new(Gate::default());
        let (entered, inside) = channel();
        let (go, gone) = channel();
        let other = Arc::clone(&gate);
        let calling = std::thread::spawn(move || {
            other.pass(|| {
                entered.send(()).unwrap();
                gone.recv().unwrap();
            })
        });
        inside.recv().unwrap();
        let closing = {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || gate.close())
        };
        while !gate.is_closed() {
            std::thread::yield_now();
        }
        assert!(!closing.is_finished());
        go.send(()).unwrap();
        assert_eq!(calling.join().unwrap(), Some(()));
        assert!(closing.join().unwrap());
        assert_eq!(gate.pass(|| ()), None);
    }

    #[test]
    fn a_callback_cannot_close_its_own_gate() {
        let (gate, other) = (Gate::default(), Gate::default());
        assert!(!in_callback());
        assert_eq!(
            gate.pass(|| (in_callback(), gate.close(), other.close())),
            Some((true, false, true))
        );
        assert!(gate.was_misused());
        assert!(!gate.was_misused());
        assert!(gate.close());
    }
}
