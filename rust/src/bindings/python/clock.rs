//! `VirtualClock` for Python.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Clock;

#[pyclass(frozen, module = "concerto")]
pub(super) struct VirtualClock {
    pub(super) inner: Clock,
}

#[pymethods]
impl VirtualClock {
    #[new]
    fn new() -> Self {
        Self { inner: Clock::new_virtual() }
    }

    #[getter]
    fn elapsed(&self) -> f64 {
        self.inner.elapsed().as_secs_f64()
    }

    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let by = Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!("`seconds` must be a number from 0 on, not {seconds}"))
        })?;
        py.detach(|| self.inner.advance(by));
        Ok(())
    }
}
