//! Tests of a program for Python.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::attach;
use super::errors::{frames, to_py};
use super::metrics::Metrics;
use super::program::Program;
use super::values::value_to_py;
use crate::{BoxError, Error, TestOptions};

/// Message, active calls.
type Failure<'py> = (String, Bound<'py, PyTuple>);
/// Failure, emits, printed text, snapshots that were written, points that were covered, what was used.
type Report<'py> =
    (Option<Failure<'py>>, Bound<'py, PyList>, String, Vec<PathBuf>, Vec<u32>, Metrics);

#[pyfunction]
#[pyo3(signature = (program, index, *, live, timeout, snapshots, update, env, cancelled))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
#[expect(clippy::needless_pass_by_value, reason = "arguments come from Python as values")]
pub(super) fn run_test<'py>(
    py: Python<'py>,
    program: &Bound<'py, Program>,
    index: usize,
    live: bool,
    timeout: f64,
    snapshots: Option<PathBuf>,
    update: bool,
    env: HashMap<String, String>,
    cancelled: Option<Py<PyAny>>,
) -> PyResult<Report<'py>> {
    let builder = crate::Runtime::builder(program.get().inner.clone()).env(env);
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
    let options = TestOptions { live, timeout, snapshots, update };
    let mut interrupted = || -> Result<(), BoxError> {
        attach(|py| -> PyResult<()> {
            py.check_signals()?;
            match &cancelled {
                Some(callback) if callback.call0(py)?.is_truthy(py)? => {
                    Err(PyKeyboardInterrupt::new_err("the tests were interrupted"))
                }
                _ => Ok(()),
            }
        })
        .map_err(BoxError::from)
    };
    // A test may take long: other Python threads, perhaps with other tests, must run meanwhile.
    let ran = py.detach(|| builder.run_test(index, &options, &mut interrupted));
    let report = ran.map_err(|error: Error| to_py(py, error))?;
    let failure = match report.failure {
        Some(failure) => Some((failure.message, frames(py, &failure.trace)?)),
        None => None,
    };
    let emits: PyResult<Vec<_>> = report
        .emits
        .iter()
        .map(|emit| Ok((emit.channel.as_str(), value_to_py(py, &emit.payload)?)))
        .collect();
    let (emits, metrics) = (PyList::new(py, emits?)?, Metrics::new(report.metrics));
    Ok((failure, emits, report.printed, report.written, report.covered, metrics))
}
