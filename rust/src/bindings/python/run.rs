//! `Run` for Python: looked at by a thread that waits, or by an event loop that is told when to look.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::errors::run_error;
use super::mailbox::{Mailbox, Notice};
use super::metrics::Metrics;
use super::values::value_to_py;
use crate::Emit;

/// Emits that are handed over at once.
const BATCH: usize = 256;
/// How long a wait may last before Python's signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

#[pyclass(frozen, weakref, module = "concerto._native")]
pub(super) struct Run {
    inner: crate::Run,
    /// For the event loop that looked last.
    waker: Mutex<Option<(Py<Mailbox>, Waker)>>,
}

/// As long as it lives, emits of the run wait for somebody who reads them.
#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Reader {
    _inner: crate::Reader,
}

impl Run {
    pub(super) fn new(inner: crate::Run) -> Self {
        Self { inner, waker: Mutex::default() }
    }

    /// The waker for a loop; the same as before if the loop is the same, so that the run keeps it once.
    fn waker(&self, mailbox: &Bound<'_, Mailbox>) -> Waker {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, waker)) = &*kept
            && owner.is(mailbox)
        {
            return waker.clone();
        }
        let waker = Waker::from(Arc::new(Notice::new(mailbox.get(), self.inner.id())));
        *kept = Some((mailbox.clone().unbind(), waker.clone()));
        waker
    }
}

fn emits_to_py<'py>(py: Python<'py>, batch: &[Emit]) -> PyResult<Bound<'py, PyList>> {
    let items: PyResult<Vec<_>> = batch
        .iter()
        .map(|emit| {
            let payload = value_to_py(py, &emit.payload)?;
            Ok((emit.channel.as_str(), payload, emit.time, emit.sequence))
        })
        .collect();
    PyList::new(py, items?)
}

#[pymethods]
impl Run {
    #[getter]
    fn number(&self) -> u64 {
        self.inner.id()
    }

    #[getter]
    fn id(&self) -> String {
        format!("run-{}", self.inner.id())
    }

    fn read(&self) -> Reader {
        Reader { _inner: self.inner.read() }
    }

    fn emits<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyList>>> {
        let mut left = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        loop {
            let slice = left.min(SLICE);
            let batch = py.detach(|| self.inner.emits_blocking(BATCH, slice));
            py.check_signals()?;
            let Some(batch) = batch else { return Ok(None) };
            left = left.saturating_sub(slice);
            if batch.is_empty() && !left.is_zero() {
                continue;
            }
            return emits_to_py(py, &batch).map(Some);
        }
    }

    fn emits_now<'py>(
        &self,
        py: Python<'py>,
        mailbox: &Bound<'py, Mailbox>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let waker = self.waker(mailbox);
        match self.inner.poll_emits(&Context::from_waker(&waker), BATCH) {
            Poll::Ready(None) => Ok(None),
            Poll::Ready(Some(batch)) => emits_to_py(py, &batch).map(Some),
            Poll::Pending => Ok(Some(PyList::empty(py))),
        }
    }

    fn ended_now(&self, mailbox: &Bound<'_, Mailbox>) -> bool {
        let waker = self.waker(mailbox);
        self.inner.poll_outcome(&Context::from_waker(&waker)).is_ready()
    }

    fn result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let mut left = timeout.map(|t| Duration::try_from_secs_f64(t).unwrap_or(Duration::ZERO));
        loop {
            let now = self.inner.poll_outcome(&Context::from_waker(Waker::noop()));
            let outcome = match now {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => {
                    let slice = left.unwrap_or(SLICE).min(SLICE);
                    let outcome = py.detach(|| self.inner.outcome_blocking(slice));
                    left = left.map(|left| left.saturating_sub(slice));
                    py.check_signals()?;
                    outcome
                }
            };
            match outcome.as_deref() {
                Some(Ok(value)) => return value_to_py(py, value),
                Some(Err(error)) => return Err(run_error(py, error)),
                None if left.is_some_and(|left| left.is_zero()) => {
                    return Err(PyTimeoutError::new_err("the run has not ended in time"));
                }
                None => {}
            }
        }
    }

    fn cancel(&self) {
        self.inner.cancel();
    }

    fn done(&self) -> bool {
        self.inner.is_done()
    }

    fn metrics(&self) -> Metrics {
        Metrics::new(self.inner.metrics())
    }
}
