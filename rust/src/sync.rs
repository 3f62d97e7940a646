//! The mutex of types whose interleavings are tested. A leaf.
//!
//! It is that of the standard library. Only in the tests of `make interleave` it is one that lets a scheduler choose, at each lock, which thread goes on.

#[cfg(not(all(test, feature = "interleave")))]
pub use std::sync::{Mutex, MutexGuard};

#[cfg(all(test, feature = "interleave"))]
pub use shuttle::sync::{Mutex, MutexGuard};

/// Runs a test with many schedules: threads are chosen at random, and such that few changes at bad moments are likely (PCT). A schedule in which nobody
/// can go on fails, and is printed for `shuttle::replay`.
#[cfg(all(test, feature = "interleave"))]
pub fn interleaved(test: fn()) {
    const SCHEDULES: usize = 5_000;
    shuttle::check_random(test, SCHEDULES);
    shuttle::check_pct(test, SCHEDULES, 3);
}
