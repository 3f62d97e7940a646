//! `Run` for Python.

use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::errors::run_error;
use super::metrics::Metrics;
use super::serve::serve;
use super::values::{emit_to_py, run_name, value_to_py};
use crate::{EndOrRequest, Events, HostRequest};

/// Emits that are handed over at once.
const BATCH: usize = 256;
/// How long a wait may last before Python's signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Run {
    inner: crate::Run,
    on_request: Option<Py<PyAny>>,
}

impl Run {
    pub(super) fn new(inner: crate::Run, on_request: Option<Py<PyAny>>) -> Self {
        Self { inner, on_request }
    }

    /// Answers requests of the run on this thread, which waits for it anyway.
    fn serve(&self, py: Python<'_>, requests: Vec<HostRequest>) -> PyResult<()> {
        let Some(callback) = &self.on_request else { return Ok(()) };
        requests.into_iter().try_for_each(|request| serve(py, callback, request))
    }
}

#[pymethods]
impl Run {
    #[getter]
    fn id(&self) -> String {
        run_name(self.inner.id())
    }

    fn emits<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyList>>> {
        let mut left = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        loop {
            let slice = left.min(SLICE);
            let arrived = py.detach(|| self.inner.events_blocking(BATCH, slice));
            py.check_signals()?;
            let Some(Events { emits, requests }) = arrived else { return Ok(None) };
            self.serve(py, requests)?;
            left = left.saturating_sub(slice);
            if emits.is_empty() && !left.is_zero() {
                continue;
            }
            let items: PyResult<Vec<_>> = emits.iter().map(|emit| emit_to_py(py, emit)).collect();
            return PyList::new(py, items?).map(Some);
        }
    }

    fn result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let mut left = timeout.map(|t| Duration::try_from_secs_f64(t).unwrap_or(Duration::ZERO));
        loop {
            let slice = left.unwrap_or(SLICE).min(SLICE);
            let arrived = py.detach(|| self.inner.end_or_request_blocking(slice));
            py.check_signals()?;
            match arrived {
                Some(EndOrRequest::End(outcome)) => {
                    return match &*outcome {
                        Ok(value) => value_to_py(py, value),
                        Err(error) => Err(run_error(py, error)),
                    };
                }
                Some(EndOrRequest::Request(request)) => self.serve(py, vec![request])?,
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
