//! Requests of programs that Python answers: at once, by a callback, or later, by an event loop.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;

use super::values::{py_to_json, value_to_py};
use crate::HostRequest;
use crate::value::from_json;

/// Answers one by `callback(token, payload, channel, expected)`. An exception is the error of the reply; one that is no `Exception`, such as
/// `KeyboardInterrupt`, is the caller's.
pub(super) fn serve(py: Python<'_>, callback: &Py<PyAny>, request: HostRequest) -> PyResult<()> {
    if request.is_withdrawn() {
        return Ok(());
    }
    let name = request.question.kind.to_string();
    let replied = value_to_py(py, &request.question.payload).and_then(|payload| {
        let expected = request.question.expected.as_str();
        callback.call1(py, (request.token, payload, name.as_str(), expected))
    });
    settle(py, request, replied.map(|reply| reply.into_bound(py)))
}

/// Sends a reply, or the text of an exception.
fn settle(
    py: Python<'_>,
    request: HostRequest,
    replied: PyResult<Bound<'_, PyAny>>,
) -> PyResult<()> {
    match replied.and_then(|reply| py_to_json(&reply, 0)) {
        Ok(reply) => request.reply(Ok(from_json(&reply))),
        Err(error) if error.is_instance_of::<PyException>(py) => {
            let text = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
            let name = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
            request.reply(Err(if text.is_empty() { name } else { text }.into()));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// A request that is answered later, once.
#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Request {
    inner: Mutex<Option<HostRequest>>,
    #[pyo3(get)]
    token: u64,
}

impl Request {
    pub(super) fn new(request: HostRequest) -> Self {
        Self { token: request.token, inner: Mutex::new(Some(request)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<HostRequest>) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> PyResult<HostRequest> {
        let request = self.with(Option::take);
        request.ok_or_else(|| PyRuntimeError::new_err("the request was answered already"))
    }
}

#[pymethods]
impl Request {
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let payload = self.with(|held| held.as_ref().map(|held| held.question.payload.clone()));
        value_to_py(py, &payload.unwrap_or_default())
    }

    fn is_withdrawn(&self) -> bool {
        self.with(|held| held.as_ref().is_none_or(HostRequest::is_withdrawn))
    }

    fn reply(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        settle(py, self.take()?, Ok(value))
    }

    fn fail(&self, py: Python<'_>, error: Bound<'_, PyAny>) -> PyResult<()> {
        settle(py, self.take()?, Err(PyErr::from_value(error)))
    }
}
