//! `Run` for Python.

use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::errors::run_error;
use super::metrics::Metrics;
use super::values::value_to_py;

/// Emits that are handed over at once.
const BATCH: usize = 256;
/// How long a wait may last before Python's signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Run {
    inner: crate::Run,
}

impl Run {
    pub(super) fn new(inner: crate::Run) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl Run {
    #[getter]
    fn id(&self) -> String {
        format!("run-{}", self.inner.id())
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
            let items: PyResult<Vec<_>> = batch
                .iter()
                .map(|emit| {
                    Ok((
                        emit.channel.as_str(),
                        value_to_py(py, &emit.payload)?,
                        emit.time,
                        emit.sequence,
                    ))
                })
                .collect();
            return PyList::new(py, items?).map(Some);
        }
    }

    fn result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let mut left = timeout.map(|t| Duration::try_from_secs_f64(t).unwrap_or(Duration::ZERO));
        loop {
            let slice = left.unwrap_or(SLICE).min(SLICE);
            let outcome = py.detach(|| self.inner.outcome_blocking(slice));
            py.check_signals()?;
            match outcome.as_deref() {
                Some(Ok(value)) => return value_to_py(py, value),
                Some(Err(error)) => return Err(run_error(py, error)),
                None => {}
            }
            if let Some(left) = &mut left {
                *left = left.saturating_sub(slice);
                if left.is_zero() {
                    return Err(PyTimeoutError::new_err("the run has not ended in time"));
                }
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
