//! `MockServer` for Python.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::mock::{MockError, MockOptions};

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct MockServer {
    inner: Mutex<crate::mock::MockServer>,
}

#[pymethods]
impl MockServer {
    #[new]
    #[pyo3(signature = (*, port = 0, script = None, latency_ms = 0, chunk_delay_ms = 0, error_rate = 0.0, rate_limit = None, seed = 0, log = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        port: u16,
        script: Option<String>,
        latency_ms: u64,
        chunk_delay_ms: u64,
        error_rate: f64,
        rate_limit: Option<u32>,
        seed: u64,
        log: Option<String>,
    ) -> PyResult<Self> {
        let options = MockOptions {
            port,
            script,
            latency: Duration::from_millis(latency_ms),
            chunk_delay: Duration::from_millis(chunk_delay_ms),
            error_rate,
            rate_limit,
            seed,
            log,
        };
        match crate::mock::MockServer::start(&options) {
            Ok(inner) => Ok(Self { inner: Mutex::new(inner) }),
            Err(error @ MockError::Io { .. }) => Err(PyOSError::new_err(error.to_string())),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    #[getter]
    fn url(&self) -> String {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).url()
    }

    #[getter]
    fn root(&self) -> String {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).root()
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let counts = self.inner.lock().unwrap_or_else(PoisonError::into_inner).counts();
        let text = serde_json::to_string(&counts)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.import("json")?.getattr("loads")?.call1((text,))
    }

    fn requests<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let requests = self.inner.lock().unwrap_or_else(PoisonError::into_inner).requests();
        let loads = py.import("json")?.getattr("loads")?;
        let items: PyResult<Vec<_>> =
            requests.iter().map(|request| loads.call1((request.to_string(),))).collect();
        PyList::new(py, items?)
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).stop());
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.stop(py);
    }
}
