//! Chance that repeats.

use std::sync::{Mutex, PoisonError};

/// A seeded source of decisions.
#[derive(Debug)]
pub(super) struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// True with this probability.
    pub(super) fn hit(&self, chance: f64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).f64() < chance
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&self, from: &[T]) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).choice(from).copied()
    }
}
