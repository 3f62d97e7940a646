//! Turns of a tokio runtime of one thread, which goes on only while somebody drives it. A leaf.

use std::cell::Cell;

use tokio::task::yield_now;

thread_local! {
    static LEFT: Cell<bool> = const { Cell::new(false) };
}

/// Lets a runtime of one thread, which may have had no turn for a while, hear of what has come meanwhile, and then act on it.
pub(crate) async fn look_around() {
    yield_now().await;
    yield_now().await;
}

/// Something was left in the middle on this thread, such as a request: it takes a turn of the runtime until its connection is closed.
pub(crate) fn leave() {
    LEFT.set(true);
}

/// Whether something was left since this was last asked.
pub(crate) fn has_left() -> bool {
    LEFT.take()
}

/// A request under way: unless it is [done](Self::done) it was left in the middle.
pub(crate) struct Underway(bool);

impl Underway {
    pub(crate) fn begin() -> Self {
        Self(true)
    }

    pub(crate) fn done(mut self) {
        self.0 = false;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if self.0 {
            leave();
        }
    }
}
