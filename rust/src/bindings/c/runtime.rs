//! `concerto_runtime`: a program with its settings, handlers and metrics; runs on the caller's thread.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value as Json};

use super::border::{Out, guard, optional_text, owned_text, quiet, text};
use super::callbacks::{
    Answers, OnEmit, User, concerto_emit_fn, concerto_request_fn, concerto_tool_fn, heard,
};
use super::error::{Stop, concerto_error};
use super::gate::Gate;
use super::program::concerto_program;
use super::reply::forget_withdrawn;
use super::{CONCERTO_OK, concerto_status};
use crate::{Args, BoxError, Emit, Error, HostRequest, Observer, PriceConfig, Runtime, to_json};

/// A program with its settings, connection pools, handlers and metrics. Reusable, and usable from any thread.
pub struct concerto_runtime(Arc<Host>);

/// What calls under way share with the handle.
pub(super) struct Host {
    pub(super) runtime: Runtime,
    pub(super) gate: Arc<Gate>,
    /// Who answers requests, each place once; the index of one is its token.
    answering: Mutex<Vec<(Place, Answers)>>,
}

/// What a callback answers for: a channel, or a method of a tool.
#[derive(PartialEq, Eq)]
enum Place {
    Channel(String),
    Tool(String, String),
}

/// Drives a run on this thread.
struct Calling<'a>(&'a Host);

impl Observer for Calling<'_> {
    fn emit(&mut self, emit: Emit) -> Result<(), BoxError> {
        self.0.deliver(&emit)
    }

    fn request(&mut self, request: HostRequest) -> Result<(), BoxError> {
        self.0.serve(request)
    }

    fn print(&mut self, text: &str) -> Result<(), BoxError> {
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    fn interrupted(&mut self) -> Result<(), BoxError> {
        if self.0.gate.is_closed() { Err(Stop::Cancelled.into()) } else { Ok(()) }
    }
}

impl Host {
    fn call(&self, name: Option<&str>, args: &Args) -> Result<String, concerto_error> {
        let outcome = self.runtime.blocking().observe(name, args, &mut Calling(self));
        forget_withdrawn();
        Ok(to_json(&outcome?).to_string())
    }

    /// Hands an emit to the callbacks that match, on this thread.
    pub(super) fn deliver(&self, emit: &Emit) -> Result<(), BoxError> {
        heard(|| self.runtime.deliver(emit))
    }

    /// Hands a request to its callback, on this thread.
    pub(super) fn serve(&self, request: HostRequest) -> Result<(), BoxError> {
        let token = usize::try_from(request.token).unwrap_or(usize::MAX);
        let found = self.answering().get(token).map(|(_, handler)| *handler);
        match found {
            Some(handler) if !request.is_withdrawn() => handler.ask(&self.gate, request),
            _ => Ok(()),
        }
    }

    fn answering(&self) -> MutexGuard<'_, Vec<(Place, Answers)>> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps who answers, in place of who did before, and gives the token for it.
    fn answer_by(&self, place: Place, handler: Answers) -> u64 {
        let mut answering = self.answering();
        let index = answering.iter().position(|(known, _)| *known == place);
        match index.and_then(|index| answering.get_mut(index)) {
            Some(entry) => entry.1 = handler,
            None => answering.push((place, handler)),
        }
        index.unwrap_or(answering.len() - 1) as u64
    }
}

/// # Safety
/// `runtime` is NULL, which is refused, or valid.
pub(super) unsafe fn host(runtime: *const concerto_runtime) -> Result<Arc<Host>, concerto_error> {
    // SAFETY: NULL, or valid as the caller promises.
    let runtime = unsafe { runtime.as_ref() }.ok_or_else(|| concerto_error::is_null("runtime"))?;
    Ok(Arc::clone(&runtime.0))
}

/// An array by position, an object by name, nothing for NULL.
///
/// # Safety
/// `args` is NULL or ends in NUL.
pub(super) unsafe fn arguments(args: *const c_char) -> Result<Args, concerto_error> {
    // SAFETY: as the caller promises.
    let Some(text) = (unsafe { optional_text("args_json", args) })? else {
        return Ok(Args::default());
    };
    match serde_json::from_str(text) {
        Ok(Json::Array(positional)) => Ok(Args { positional, named: Map::new() }),
        Ok(Json::Object(named)) => Ok(Args { positional: Vec::new(), named }),
        Ok(_) => Err(concerto_error::invalid_argument(
            "`args_json` must be an array or an object".to_owned(),
        )),
        Err(wrong) => Err(concerto_error::not_json("args_json", "JSON", &wrong)),
    }
}

fn object(name: &str, text: &str) -> Result<Map<String, Json>, concerto_error> {
    serde_json::from_str(text)
        .map_err(|wrong| concerto_error::not_json(name, "JSON object", &wrong))
}

/// Makes a runtime for a program. `config_json` is an object of options, or NULL for the defaults; `docs/hosts/c.md` lists them.
///
/// # Safety
/// `program` is NULL or valid; `config_json` is NULL or ends in NUL; `out` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_new(
    program: *const concerto_program,
    config_json: *const c_char,
    out: *mut *mut concerto_runtime,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, program, config) = unsafe {
            (Out::new("out", out)?, program.as_ref(), optional_text("config_json", config_json)?)
        };
        let program = program.ok_or_else(|| concerto_error::is_null("program"))?;
        let options = config.map_or(Ok(Map::new()), |text| object("config_json", text))?;
        let builder = Runtime::builder(program.0.clone()).options(&options);
        let runtime = builder.map_err(Error::from)?.build()?;
        let host = Host { runtime, gate: Arc::default(), answering: Mutex::default() };
        Ok(out.set(Box::into_raw(Box::new(concerto_runtime(Arc::new(host))))))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Replaces settings of one connection, an object of fields, for model calls that start after this one; an earlier override of the same name is gone.
///
/// Gives `CONCERTO_CONFIG` for an unknown name or a bad field. A rejected override also fails the next run, until it is replaced or cleared.
///
/// # Safety
/// `runtime` is NULL or valid; `name` and `json` are NULL or end in NUL; `err` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_override_connection(
    runtime: *mut concerto_runtime,
    name: *const c_char,
    json: *const c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, name, json) =
            unsafe { (host(runtime)?, text("name", name)?, text("json", json)?) };
        let fields = object("json", json)?;
        let set = host.runtime.override_connection_json(name, &fields, false);
        set.map_err(Error::from)?;
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Restores the program's settings of one connection, or of all for a `name` of NULL.
///
/// # Safety
/// `runtime` is NULL or valid; `name` is NULL or ends in NUL; `err` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_clear_override(
    runtime: *mut concerto_runtime,
    name: *const c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, name) = unsafe { (host(runtime)?, optional_text("name", name)?) };
        match name {
            Some(name) => host.runtime.clear_override(name),
            None => host.runtime.clear_overrides(),
        }
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// The settings of one connection that a call would use now, as a JSON object: each field as `{"value", "origin"}`, secrets masked, with an `error` where the
/// value cannot be evaluated. To be freed with `concerto_string_free`.
///
/// Gives `CONCERTO_CONFIG` for an unknown name.
///
/// # Safety
/// `runtime` is NULL or valid; `name` is NULL or ends in NUL; `json` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_connection_settings(
    runtime: *const concerto_runtime,
    name: *const c_char,
    json: *mut *mut c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, host, name) =
            unsafe { (Out::new("json", json)?, host(runtime)?, text("name", name)?) };
        Ok(out.set_text(host.runtime.connection_settings_json(name)?.to_string()))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Calls `handler` with `user` for each emit on `channel`, which may end in `*`, before the program goes on.
///
/// All that match are called, the most specific first, then in order of registration, on the thread that is inside `concerto_runtime_run`, `_call` or
/// `concerto_run_wait`. A callback may call the runtime
/// again, at most 16 deep; it must not throw, and must not free the handle that it is called for.
///
/// # Safety
/// `runtime` is NULL or valid; `channel` is NULL or ends in NUL; `handler` may be called with `user` until the runtime is freed; `err` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_on(
    runtime: *mut concerto_runtime,
    channel: *const c_char,
    handler: concerto_emit_fn,
    user: *mut c_void,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, channel) = unsafe { (host(runtime)?, text("channel", channel)?) };
        let function = handler.ok_or_else(|| concerto_error::is_null("handler"))?;
        let gate = Arc::clone(&host.gate);
        host.runtime.on(channel, OnEmit { gate, function, user: User(user) });
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Answers `await emit` on `channel`, which may end in `*`: the most specific channel wins, and a second handler for the same one replaces the first.
///
/// It is called with `user`, on the same threads as those of `concerto_runtime_on`. Requests may be answered in any order.
///
/// # Safety
/// As for `concerto_runtime_on`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_on_emit(
    runtime: *mut concerto_runtime,
    channel: *const c_char,
    handler: concerto_request_fn,
    user: *mut c_void,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, channel) = unsafe { (host(runtime)?, text("channel", channel)?) };
        let function = handler.ok_or_else(|| concerto_error::is_null("handler"))?;
        let place = Place::Channel(channel.to_owned());
        let token = host.answer_by(place, Answers::Emits(function, User(user)));
        host.runtime.on_emit_by_host(channel, token);
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Stands in for a method of a tool of the program: `handler` is called with `user` instead of the method's body, on the same threads as those of
/// `concerto_runtime_on`.
///
/// Gives `CONCERTO_CONFIG` if the program has no such tool or method.
///
/// # Safety
/// As for `concerto_runtime_on`; `tool` and `method` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_register_tool(
    runtime: *mut concerto_runtime,
    tool: *const c_char,
    method: *const c_char,
    handler: concerto_tool_fn,
    user: *mut c_void,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, tool, method) =
            unsafe { (host(runtime)?, text("tool", tool)?, text("method", method)?) };
        let function = handler.ok_or_else(|| concerto_error::is_null("handler"))?;
        let place = Place::Tool(tool.to_owned(), method.to_owned());
        let token = host.answer_by(place, Answers::Tool(function, User(user)));
        host.runtime.register_tool_by_host(tool, method, token)?;
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Removes the callbacks that `concerto_runtime_on` and `concerto_runtime_on_emit` registered for exactly this `channel`; none is no error.
///
/// Requests that are not answered yet fail in the program as `EmitError::Closed`. A callback that another thread is inside of goes on to its end.
///
/// # Safety
/// `runtime` is NULL or valid; `channel` is NULL or ends in NUL; `err` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_off(
    runtime: *mut concerto_runtime,
    channel: *const c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, channel) = unsafe { (host(runtime)?, text("channel", channel)?) };
        host.runtime.off(channel);
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Runs the top-level statements and `main` on this thread, to their end. The result is JSON, to be freed with `concerto_string_free`.
///
/// # Safety
/// `runtime` is NULL or valid; `result_json` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_run(
    runtime: *mut concerto_runtime,
    result_json: *mut *mut c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, host) = unsafe { (Out::new("result_json", result_json)?, host(runtime)?) };
        Ok(out.set_text(host.call(None, &Args::default())?))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Calls a `pub fn` on this thread. `args_json` is an array (by position), an object (by name), or NULL for none.
///
/// `Ok(v)` gives `v`; `Err(e)` is `CONCERTO_PROGRAM`, or `CONCERTO_LLM` for a failed model call. Arguments that do not fit are `CONCERTO_INVALID_ARGUMENT`, before
/// anything runs.
///
/// # Safety
/// `runtime` is NULL or valid; `function` and `args_json` are NULL or end in NUL; `result_json` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_call(
    runtime: *mut concerto_runtime,
    function: *const c_char,
    args_json: *const c_char,
    result_json: *mut *mut c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, host, name, args) = unsafe {
            let out = Out::new("result_json", result_json)?;
            (out, host(runtime)?, text("function", function)?, arguments(args_json)?)
        };
        Ok(out.set_text(host.call(Some(name), &args)?))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// What all runs of the runtime used so far, as a JSON object, to be freed with `concerto_string_free`. NULL for NULL.
///
/// # Safety
/// `runtime` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_metrics_json(
    runtime: *const concerto_runtime,
) -> *mut c_char {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        match unsafe { host(runtime) } {
            Ok(host) => owned_text(host.runtime.get_metrics().to_json().to_string()).into_raw(),
            Err(_) => std::ptr::null_mut(),
        }
    })
}

/// Sets the price of a model id, or of all ids with a beginning if `pattern` ends in `*`, for tokens that are used from now on.
///
/// `price_json` is an object of US dollars per million tokens: `input`, `output`, and perhaps `cached`. It wins over the prices of the option `prices`, of
/// the manifest, and the built-in ones. Gives `CONCERTO_CONFIG` for a price out of range, `CONCERTO_INVALID_ARGUMENT` for an object that is none.
///
/// # Safety
/// `runtime` is NULL or valid; `pattern` and `price_json` are NULL or end in NUL; `err` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_set_price(
    runtime: *mut concerto_runtime,
    pattern: *const c_char,
    price_json: *const c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (host, pattern, json) =
            unsafe { (host(runtime)?, text("pattern", pattern)?, text("price_json", price_json)?) };
        let price = serde_json::from_str::<PriceConfig>(json)
            .map_err(|wrong| concerto_error::not_json("price_json", "price", &wrong))?;
        host.runtime.set_price(pattern, price).map_err(Error::from)?;
        Ok(CONCERTO_OK)
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Sets all counters to zero; calls in flight count in the new period when they end. NULL is no runtime: nothing happens.
///
/// # Safety
/// `runtime` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_reset_metrics(runtime: *mut concerto_runtime) {
    quiet((), || {
        // SAFETY: as the caller promises.
        if let Ok(host) = unsafe { host(runtime) } {
            host.runtime.reset_metrics();
        }
    });
}

/// Gives a runtime back. Runs of it that other threads are inside of end with `CONCERTO_CANCELLED`; when this returns, no callback runs any more.
///
/// Inside of a callback of the same runtime nothing is freed, and the run ends with `CONCERTO_BUSY`. NULL is no runtime: nothing happens.
///
/// # Safety
/// `runtime` is NULL or was given by this library and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_runtime_free(runtime: *mut concerto_runtime) {
    quiet((), || {
        // SAFETY: NULL, or valid as the caller promises.
        let is_free = unsafe { runtime.as_ref() }.is_some_and(|runtime| runtime.0.gate.close());
        if is_free {
            // SAFETY: made by `Box::into_raw` in `concerto_runtime_new`, as the caller promises.
            drop(unsafe { Box::from_raw(runtime) });
        }
    });
}
