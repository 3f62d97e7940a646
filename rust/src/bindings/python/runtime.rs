//! `Runtime` for Python.

use std::cell::RefCell;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::{Map, Value as Json};

use super::attach;
use super::clock::VirtualClock;
use super::errors::to_py;
use super::metrics::Metrics;
use super::program::Program;
use super::run::Run;
use super::serve::serve;
use super::values::{dict_to_json, emit_to_py, py_to_json, run_name, value_to_py};
use crate::{Args, BoxError, Emit, Error, HostRequest, Observer, OfOneRun, PriceConfig, Variables};

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Runtime {
    inner: crate::Runtime,
}

thread_local! {
    /// What the function of the option `env` raised last on this thread: a look-up by itself can only say that there is no such variable.
    static LOOKUP_FAILED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Variables that a function of Python looks up, on the thread that drives the run.
fn looked_up(function: Py<PyAny>) -> Variables {
    Variables::lookup(move |name| {
        let found = attach(|py| -> PyResult<Option<String>> {
            let found = function.bind(py).call1((name,))?;
            found.extract().map_err(|_| {
                let kind = found.get_type().name().map(|kind| kind.to_string()).unwrap_or_default();
                PyTypeError::new_err(format!(
                    "the function of the option `env` must give a str or None, and gave a value of type `{kind}` for `{name}`"
                ))
            })
        });
        found.unwrap_or_else(|error| {
            LOOKUP_FAILED.set(Some(error));
            None
        })
    })
}

/// Raises what a look-up on this thread has raised.
fn lookup_failed() -> PyResult<()> {
    LOOKUP_FAILED.take().map_or(Ok(()), Err)
}

/// Calls back into Python on the thread that drives the run.
struct Callbacks {
    on_emit: Option<Py<PyAny>>,
    on_print: Option<Py<PyAny>>,
    on_request: Option<Py<PyAny>>,
    /// The id of the run, once it has sent something.
    run: Option<Py<PyString>>,
}

impl Observer for Callbacks {
    fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        let Some(callback) = &self.on_emit else { return Ok(()) };
        let id = emit.run_id;
        attach(|py| -> PyResult<()> {
            let run = self.run.get_or_insert_with(|| PyString::new(py, &run_name(id)).unbind());
            callback.call1(py, emit_to_py(py, &emit, run.bind(py))?)?;
            Ok(())
        })
        .map_err(BoxError::from)
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        attach(|py| -> PyResult<()> {
            match &self.on_print {
                Some(callback) => callback.call1(py, (text,))?,
                // Python's own standard output, so that tests and notebooks see it.
                None => {
                    py.import("sys")?.getattr("stdout")?.call_method1("write", (text,))?.unbind()
                }
            };
            Ok(())
        })
        .map_err(BoxError::from)
    }

    fn request(&mut self, request: HostRequest) -> Result<(), BoxError> {
        let Some(callback) = &self.on_request else { return Ok(()) };
        attach(|py| serve(py, callback, request)).map_err(BoxError::from)
    }

    fn interrupted(&mut self) -> Result<(), BoxError> {
        lookup_failed()?;
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method alone is not general enough"
        )]
        let signals = attach(|py| py.check_signals());
        signals.map_err(BoxError::from)
    }
}

/// A list by position, a dictionary by name; the key "" of a dictionary holds the positional ones.
fn arguments(args: &Bound<'_, PyAny>) -> PyResult<Args> {
    if let Ok(list) = args.cast::<PyList>() {
        let positional: PyResult<_> = list.iter().map(|item| py_to_json(&item, 0)).collect();
        return Ok(Args { positional: positional?, ..Args::default() });
    }
    let dict = args
        .cast::<PyDict>()
        .map_err(|_| PyTypeError::new_err("arguments are a list or a dictionary"))?;
    let mut named = dict_to_json(dict, 0)?;
    let positional = match named.shift_remove("") {
        Some(Json::Array(items)) => items,
        _ => Vec::new(),
    };
    Ok(Args { positional, named })
}

/// The option `timeout` of a call, in seconds.
fn time_limit(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if !limit.is_zero() => Ok(Some(limit)),
        _ => {
            Err(PyValueError::new_err(format!("`timeout` must be positive seconds, not {seconds}")))
        }
    }
}

/// The text of a JSON object.
fn object(what: &str, text: &str) -> PyResult<Map<String, Json>> {
    let wrong = |error| PyValueError::new_err(format!("the {what} are no JSON object: {error}"));
    serde_json::from_str(text).map_err(wrong)
}

#[pymethods]
impl Runtime {
    #[new]
    #[pyo3(signature = (program, options, clock = None, env = None))]
    fn new(
        py: Python<'_>,
        program: &Bound<'_, Program>,
        options: &str,
        clock: Option<&Bound<'_, VirtualClock>>,
        env: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let options = object("options", options)?;
        let builder = crate::Runtime::builder(program.get().inner.clone());
        let builder = builder.options(&options).map_err(|error| to_py(py, error.into()))?;
        let builder = match clock {
            Some(clock) => builder.clock(clock.get().inner.clone()),
            None => builder,
        };
        let builder = match env {
            Some(function) => builder.env(looked_up(function)),
            None => builder,
        };
        builder.build().map(|inner| Self { inner }).map_err(|error| to_py(py, error))
    }

    #[pyo3(signature = (name, fields, command_line = false))]
    fn override_connection(
        &self,
        py: Python<'_>,
        name: &str,
        fields: &str,
        command_line: bool,
    ) -> PyResult<()> {
        let fields = object("fields", fields)?;
        let set = self.inner.override_connection_json(name, &fields, command_line);
        set.map_err(|error| to_py(py, Error::from(error)))
    }

    fn set_tool_permissions(&self, py: Python<'_>, permissions: &str) -> PyResult<()> {
        let permissions = Json::Object(object("permissions", permissions)?);
        let set = self.inner.set_tool_permissions_json(&permissions);
        set.map_err(|error| to_py(py, Error::from(error)))
    }

    fn clear_override(&self, name: Option<&str>) {
        match name {
            Some(name) => self.inner.clear_override(name),
            None => self.inner.clear_overrides(),
        }
    }

    fn connection_settings(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        let settings = self.inner.connection_settings_json(name);
        lookup_failed()?;
        settings.map(|json| json.to_string()).map_err(|error| to_py(py, error))
    }

    #[pyo3(signature = (function, args, on_emit, on_print, on_request, timeout = None, argv = None, raw = false))]
    #[expect(clippy::too_many_arguments, reason = "arguments of a Python method")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        function: Option<&str>,
        args: &Bound<'py, PyAny>,
        on_emit: Option<Py<PyAny>>,
        on_print: Option<Py<PyAny>>,
        on_request: Option<Py<PyAny>>,
        timeout: Option<f64>,
        argv: Option<Vec<String>>,
        raw: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let args = arguments(args)?;
        let own = OfOneRun {
            timeout: time_limit(timeout)?,
            args: argv,
            is_raw: raw,
            ..OfOneRun::default()
        };
        let mut callbacks = Callbacks { on_emit, on_print, on_request, run: None };
        // The wait may last minutes: other Python threads must run meanwhile.
        let outcome =
            py.detach(|| self.inner.blocking().observe_one(function, &args, own, &mut callbacks));
        lookup_failed()?;
        match outcome {
            Ok(value) => value_to_py(py, &value),
            Err(error) => Err(to_py(py, error)),
        }
    }

    fn start(
        &self,
        py: Python<'_>,
        function: Option<&str>,
        args: &Bound<'_, PyAny>,
        on_request: Option<Py<PyAny>>,
    ) -> PyResult<Run> {
        let args = arguments(args)?;
        let started = py.detach(|| self.inner.start(function, args));
        started.map(|run| Run::new(run, on_request)).map_err(|error| to_py(py, error))
    }

    #[expect(clippy::too_many_arguments, reason = "arguments of a Python method")]
    fn start_call(
        &self,
        py: Python<'_>,
        function: Option<&str>,
        args: &Bound<'_, PyAny>,
        is_heard: bool,
        timeout: Option<f64>,
        argv: Option<Vec<String>>,
        raw: bool,
    ) -> PyResult<Run> {
        let args = arguments(args)?;
        let own = OfOneRun {
            timeout: time_limit(timeout)?,
            args: argv,
            is_raw: raw,
            ..OfOneRun::default()
        };
        let started = py.detach(|| self.inner.start_call(function, &args, own, is_heard));
        started.map(|run| Run::new(run, None)).map_err(|error| to_py(py, error))
    }

    /// Requests on the channel go, with this token, to the `on_request` of the run.
    fn on_emit(&self, channel: &str, token: u64) {
        self.inner.on_emit_by_host(channel, token);
    }

    /// Calls of the method go, with this token, to the `on_request` of the run.
    fn register_tool(&self, py: Python<'_>, tool: &str, method: &str, token: u64) -> PyResult<()> {
        let registered = self.inner.register_tool_by_host(tool, method, token);
        registered.map_err(|error| to_py(py, error))
    }

    fn off(&self, channel: &str) {
        self.inner.off(channel);
    }

    /// Writes an error to the runtime's log.
    fn log_error(&self, message: &str) {
        self.inner.log_error(message);
    }

    fn require_keys(&self, py: Python<'_>) -> PyResult<()> {
        let keys = self.inner.blocking().require_keys();
        lookup_failed()?;
        keys.map_err(|error| to_py(py, error))
    }

    fn metrics(&self) -> Metrics {
        Metrics::new(self.inner.get_metrics())
    }

    fn set_price(
        &self,
        py: Python<'_>,
        pattern: &str,
        input: f64,
        output: f64,
        cached: Option<f64>,
    ) -> PyResult<()> {
        let set = self.inner.set_price(pattern, PriceConfig { cached, input, output });
        set.map_err(|error| to_py(py, Error::from(error)))
    }

    fn reset_metrics(&self) {
        self.inner.reset_metrics();
    }
}
