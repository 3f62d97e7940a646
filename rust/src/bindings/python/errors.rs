//! Errors to Python exceptions, by one match.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::values::error_to_py;
use crate::{Error, RunError, TraceFrame, Value};

/// The exception for an error. A handler's own exception comes back as itself.
pub(super) fn to_py(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let made = match error {
        Error::Io { .. } => return PyOSError::new_err(message),
        Error::Arguments { .. } => return PyTypeError::new_err(message),
        Error::InsideAsync | Error::Nested => return PyRuntimeError::new_err(message),
        Error::Ir(_) => make(py, "IrError", (message,)),
        Error::Config(_) | Error::Settings(_) | Error::NothingToRun => {
            make(py, "ConfigError", (message,))
        }
        Error::Run(error) => return run_error(py, &error),
        Error::Decode { .. } => make(py, "InternalError", (message,)),
    };
    made.unwrap_or_else(|error| error)
}

/// The exception for a failed run.
pub(super) fn run_error(py: Python<'_>, error: &RunError) -> PyErr {
    let message = error.to_string();
    let made = match error {
        RunError::Program { value, trace, .. } => {
            uncaught(py, "ProgramError", &message, value, trace)
        }
        RunError::Llm { error, value, trace } => py
            .import("concerto.errors")
            .and_then(|errors| errors.call_method1("llm_error_class", (error.kind.as_str(),)))
            .and_then(|class| class.getattr("__name__")?.extract::<String>())
            .and_then(|class| uncaught(py, &class, &message, value, trace)),
        RunError::Panic { kind, trace, .. } => frames(py, trace)
            .and_then(|trace| make(py, "PanicError", (message, kind.as_str(), trace))),
        RunError::Handler { cause, trace } => match cause.downcast_ref::<PyErr>() {
            Some(own) => noted(py, own.clone_ref(py), trace),
            None => frames(py, trace).and_then(|trace| make(py, "HandlerError", (message, trace))),
        },
        RunError::Cancelled => make(py, "RunCancelled", (message,)),
        RunError::Limit { limit } => make(py, "LimitError", (message, limit.as_str())),
        RunError::Internal { .. } => make(py, "InternalError", (message,)),
    };
    made.unwrap_or_else(|error| error)
}

/// An exception of a handler, with the place of the program at which it was raised as a note.
fn noted(py: Python<'_>, error: PyErr, trace: &[TraceFrame]) -> PyResult<PyErr> {
    if !trace.is_empty() {
        let frame =
            |f: &TraceFrame| format!("\n  {} {}:{}:{}", f.function, f.path, f.line, f.column);
        let calls: String = trace.iter().map(frame).collect();
        let note = format!("raised by a handler of what a Concerto program sent at{calls}");
        error.value(py).call_method1("add_note", (note,))?;
    }
    Ok(error)
}

fn uncaught(
    py: Python<'_>,
    class: &str,
    message: &str,
    value: &Value,
    trace: &[TraceFrame],
) -> PyResult<PyErr> {
    make(py, class, (message, error_to_py(py, value)?, frames(py, trace)?))
}

fn make<'py>(
    py: Python<'py>,
    class: &str,
    args: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<PyErr> {
    let made = py.import("concerto.errors")?.getattr(class)?.call1(args)?;
    Ok(PyErr::from_value(made))
}

pub(super) fn frames<'py>(py: Python<'py>, trace: &[TraceFrame]) -> PyResult<Bound<'py, PyTuple>> {
    let class = py.import("concerto.errors")?.getattr("TraceFrame")?;
    let made: PyResult<Vec<_>> = trace
        .iter()
        .map(|f| class.call1((f.function.as_str(), f.path.as_str(), f.line, f.column)))
        .collect();
    PyTuple::new(py, made?)
}
