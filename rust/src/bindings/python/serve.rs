//! Requests of programs that Python answers.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::values::{py_to_json, value_to_py};
use crate::value::from_json;
use crate::{HostRequest, RequestKind};

/// Answers one by `callback(token, payload, channel, expected)`. An exception is the error of the reply; one that is no `Exception`, such as
/// `KeyboardInterrupt`, is the caller's.
pub(super) fn serve(py: Python<'_>, callback: &Py<PyAny>, request: HostRequest) -> PyResult<()> {
    if request.is_withdrawn() {
        return Ok(());
    }
    let RequestKind::Emit { channel } = &request.question.kind;
    let replied = value_to_py(py, &request.question.payload)
        .and_then(|payload| {
            let expected = request.question.expected.as_str();
            callback.call1(py, (request.token, payload, channel.as_str(), expected))
        })
        .and_then(|reply| py_to_json(reply.bind(py), 0));
    match replied {
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
