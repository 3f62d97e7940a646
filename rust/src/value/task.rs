//! Futures and tasks: references to a computation and, once it has ended, to its value.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use triomphe::Arc;

use super::{FunctionValue, Value};

/// How far a computation is.
#[derive(Debug)]
pub enum Progress {
    /// Nothing has run: a function without parameters, with what it captured.
    Cold(Arc<FunctionValue>),
    /// The task of the engine with this number computes it.
    Running(u64),
    /// It has ended with this value.
    Done(Value),
    /// It was cancelled; it has no value.
    Cancelled,
}

/// A `Future<T>` or a `Task<T>`.
#[derive(Debug)]
pub struct TaskValue {
    /// Number of the task within its run, from 1; 0 of a future.
    pub id: u64,
    progress: Mutex<Progress>,
    observed: AtomicBool,
}

impl TaskValue {
    /// A future that nobody has started.
    #[must_use]
    pub fn future(function: Arc<FunctionValue>) -> Self {
        Self::new(0, Progress::Cold(function))
    }

    /// A task that runs.
    #[must_use]
    pub fn task(id: u64) -> Self {
        Self::new(id, Progress::Running(id))
    }

    fn new(id: u64, progress: Progress) -> Self {
        Self { id, progress: Mutex::new(progress), observed: AtomicBool::new(false) }
    }

    /// Looks at the progress, or changes it.
    pub fn progress<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it is a future.
    #[must_use]
    pub fn is_future(&self) -> bool {
        self.id == 0
    }

    /// Whether there is nothing to wait for any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress(|now| matches!(now, Progress::Done(_) | Progress::Cancelled))
    }

    /// Somebody has asked for the value.
    pub fn observe(&self) {
        self.observed.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked for the value.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Relaxed)
    }

    /// What it holds, when nobody can ask for it any more.
    pub(super) fn content(&mut self) -> Option<Value> {
        let progress = self.progress.get_mut().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(progress, Progress::Cancelled) {
            Progress::Cold(function) => Some(Value::Function(function)),
            Progress::Done(value) => Some(value),
            Progress::Running(_) | Progress::Cancelled => None,
        }
    }
}
