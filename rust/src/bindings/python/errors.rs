//! Errors to Python exceptions, by one match.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::values::error_to_py;
use crate::{Error, ErrorKind, RunError, TraceFrame, Value};

/// The home of our own exceptions.
const ERRORS: &str = "concerto.errors";

/// The exception for an error. A handler's own exception comes back as itself.
pub(super) fn to_py(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::Run(error) => run_error(py, &error),
        other => make(py, class(other.kind()), (other.to_string(),)).unwrap_or_else(|error| error),
    }
}

/// Module and name of the class of exceptions.
fn class(kind: ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::Io => ("builtins", "OSError"),
        ErrorKind::Arguments => ("builtins", "TypeError"),
        ErrorKind::InsideAsync | ErrorKind::Nested | ErrorKind::Forked => {
            ("builtins", "RuntimeError")
        }
        ErrorKind::Ir => (ERRORS, "IrError"),
        ErrorKind::Config => (ERRORS, "ConfigError"),
        ErrorKind::Program => (ERRORS, "ProgramError"),
        ErrorKind::Llm => (ERRORS, "LlmError"),
        ErrorKind::Panic => (ERRORS, "PanicError"),
        ErrorKind::Handler => (ERRORS, "HandlerError"),
        ErrorKind::Cancelled => (ERRORS, "RunCancelled"),
        ErrorKind::Limit => (ERRORS, "LimitError"),
        ErrorKind::Decode | ErrorKind::Internal => (ERRORS, "InternalError"),
    }
}

/// The exception for a failed run.
pub(super) fn run_error(py: Python<'_>, error: &RunError) -> PyErr {
    let (class, message) = (class(error.kind()), error.to_string());
    let made = match error {
        RunError::Program { value, trace, .. } => uncaught(py, class, &message, value, trace),
        RunError::Llm { error, value, trace } => py
            .import(ERRORS)
            .and_then(|errors| errors.call_method1("llm_error_class", (error.kind.as_str(),)))
            .and_then(|class| class.getattr("__name__")?.extract::<String>())
            .and_then(|class| uncaught(py, (ERRORS, &class), &message, value, trace)),
        RunError::Panic { kind, trace, .. } => {
            frames(py, trace).and_then(|trace| make(py, class, (message, kind.as_str(), trace)))
        }
        RunError::Handler { cause, trace } => match cause.downcast_ref::<PyErr>() {
            Some(own) => noted(py, own.clone_ref(py), trace),
            None => frames(py, trace).and_then(|trace| make(py, class, (message, trace))),
        },
        RunError::Limit { limit } => make(py, class, (message, limit.as_str())),
        RunError::Cancelled | RunError::Internal { .. } => make(py, class, (message,)),
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
    class: (&str, &str),
    message: &str,
    value: &Value,
    trace: &[TraceFrame],
) -> PyResult<PyErr> {
    make(py, class, (message, error_to_py(py, value)?, frames(py, trace)?))
}

fn make<'py>(
    py: Python<'py>,
    (module, class): (&str, &str),
    args: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<PyErr> {
    let made = py.import(module)?.getattr(class)?.call1(args)?;
    Ok(PyErr::from_value(made))
}

pub(super) fn frames<'py>(py: Python<'py>, trace: &[TraceFrame]) -> PyResult<Bound<'py, PyTuple>> {
    let class = py.import(ERRORS)?.getattr("TraceFrame")?;
    let made: PyResult<Vec<_>> = trace
        .iter()
        .map(|f| class.call1((f.function.as_str(), f.path.as_str(), f.line, f.column)))
        .collect();
    PyTuple::new(py, made?)
}
