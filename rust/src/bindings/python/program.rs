//! `Program` for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::to_py;

/// Name, parameters (name, type, has default) and result of a function.
type Entry = (String, Vec<(String, String, bool)>, String);

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Program {
    pub(super) inner: crate::Program,
}

#[pymethods]
impl Program {
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let owned = data.to_vec();
        let loaded = py.detach(move || crate::Program::from_bytes(&owned));
        loaded.map(|inner| Self { inner }).map_err(|error| to_py(py, error))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.to_bytes())
    }

    fn listing(&self) -> String {
        self.inner.listing()
    }

    fn has_main(&self) -> bool {
        self.inner.has_main()
    }

    fn entry_points(&self) -> Vec<Entry> {
        self.inner.entry_points().into_iter().map(|e| (e.name, e.parameters, e.result)).collect()
    }

    fn permissions(&self) -> (Vec<String>, Vec<String>) {
        let permissions = self.inner.permissions();
        (permissions.env.clone(), permissions.hosts.clone())
    }

    fn connections(&self) -> Vec<String> {
        self.inner.connections()
    }

    fn models(&self) -> Vec<String> {
        self.inner.models()
    }

    fn tests(&self) -> Vec<(String, String, String, u32)> {
        let cases = self.inner.tests().into_iter();
        cases.map(|case| (case.name, case.title, case.path, case.line)).collect()
    }

    /// Name, types of payloads, types of replies.
    fn channels(&self) -> Vec<(String, Vec<String>, Vec<String>)> {
        let channels = self.inner.channels().iter().cloned();
        channels.map(|each| (each.name, each.payloads, each.replies)).collect()
    }

    fn schema(&self, name: &str) -> Option<String> {
        self.inner.schema(name)
    }
}
