//! The Python extension `concerto._native`. Converts, releases the interpreter, calls, converts back: nothing is decided here.

mod clock;
mod errors;
mod mailbox;
mod metrics;
#[cfg(feature = "mock")]
mod mock;
mod program;
mod run;
mod runtime;
mod serve;
mod tape;
mod testing;
mod values;

use pyo3::prelude::*;

/// Works with the interpreter. A thread that comes when the process ends already stops for ever, as Python's own threads do.
fn attach<T>(work: impl FnOnce(Python<'_>) -> T) -> T {
    match Python::try_attach(work) {
        Some(done) => done,
        None => loop {
            std::thread::park();
        },
    }
}

/// Names of all IR instructions.
#[pyfunction]
fn instruction_names() -> Vec<&'static str> {
    let mut names = crate::ir::ops::names();
    names.sort_unstable();
    names
}

/// Name, number of arguments with the receiver, and whether the receiver is changed, of each native function.
#[pyfunction]
fn native_functions() -> Vec<(&'static str, usize, bool)> {
    crate::native_functions()
}

/// Name and number of arguments of each request to the world.
#[pyfunction]
fn requests() -> Vec<(&'static str, usize)> {
    crate::requests()
}

/// The built-in records as JSON.
#[pyfunction]
fn builtin_records() -> String {
    crate::builtin::describe()
}

/// What is wrong with a pattern of a schema.
#[pyfunction]
fn pattern_error(pattern: &str) -> Option<String> {
    crate::ir::pattern(pattern).err()
}

/// Whether a pattern is found in a text; a wrong pattern is in none.
#[pyfunction]
fn pattern_matches(pattern: &str, text: &str) -> bool {
    crate::ir::pattern(pattern).is_ok_and(|found| found.is_match(text))
}

/// Free-threaded Python need not switch its lock on: all classes are frozen, and what changes in them is behind a lock or atomic.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("ir_version", crate::ir::program::VERSION)?;
    module.add_function(wrap_pyfunction!(instruction_names, module)?)?;
    module.add_function(wrap_pyfunction!(native_functions, module)?)?;
    module.add_function(wrap_pyfunction!(requests, module)?)?;
    module.add_function(wrap_pyfunction!(builtin_records, module)?)?;
    module.add_function(wrap_pyfunction!(pattern_error, module)?)?;
    module.add_function(wrap_pyfunction!(pattern_matches, module)?)?;
    module.add_function(wrap_pyfunction!(testing::run_test, module)?)?;
    module.add_class::<program::Program>()?;
    module.add_class::<runtime::Runtime>()?;
    module.add_class::<clock::VirtualClock>()?;
    module.add_class::<run::Run>()?;
    module.add_class::<run::Reader>()?;
    module.add_class::<mailbox::Mailbox>()?;
    module.add_class::<serve::Request>()?;
    module.add_class::<metrics::Metrics>()?;
    module.add_class::<tape::Recording>()?;
    module.add_class::<tape::Answer>()?;
    module.add_class::<tape::Playing>()?;
    #[cfg(feature = "mock")]
    module.add_class::<mock::MockServer>()?;
    Ok(())
}
