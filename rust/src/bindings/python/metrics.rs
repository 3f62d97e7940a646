//! `Metrics` for Python: one snapshot, so that every form of it shows the same point in time.

use pyo3::prelude::*;

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Metrics {
    inner: crate::Metrics,
}

impl Metrics {
    pub(super) fn new(inner: crate::Metrics) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl Metrics {
    fn to_json(&self) -> String {
        self.inner.to_json().to_string()
    }

    fn to_prometheus(&self) -> String {
        self.inner.to_prometheus()
    }
}
