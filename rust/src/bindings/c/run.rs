//! `concerto_run`: one execution in the background.

use std::collections::VecDeque;
use std::ffi::c_char;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::border::{Out, guard, optional_text, owned_text, quiet};
use super::error::{Stop, concerto_error};
use super::gate::Gate;
use super::reply::forget_withdrawn;
use super::runtime::{Host, arguments, concerto_runtime, host};
use super::{CONCERTO_END, CONCERTO_TIMEOUT, concerto_status};
use crate::{BoxError, Emit, Run, clock, to_json};

/// Emits that are taken at once.
const BATCH: usize = 256;
/// As good as for ever: about 136 years.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// One execution in the background. Usable from any thread.
pub struct concerto_run(Arc<Execution>);

struct Execution {
    run: Run,
    host: Arc<Host>,
    gate: Gate,
    /// Taken from the run, not by the host yet.
    waiting: Mutex<VecDeque<Emit>>,
}

impl Execution {
    /// The next emit; `None` after the time. Requests that come meanwhile go to their callbacks, on this thread.
    fn next(&self, timeout: Duration) -> Result<Option<Emit>, Ended> {
        let start = clock::now();
        loop {
            if let Some(emit) = self.waiting().pop_front() {
                return Ok(Some(emit));
            }
            let left = timeout.saturating_sub(start.elapsed());
            let Some(events) = self.run.events_blocking(BATCH, left) else {
                forget_withdrawn();
                return Err(Ended::ByItself);
            };
            let is_over = events.emits.is_empty() && events.requests.is_empty();
            self.waiting().extend(events.emits);
            for request in events.requests {
                self.call_back(|| self.host.serve(request))?;
            }
            if is_over {
                return Ok(None);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Emit>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what is emitted to the handlers of the runtime, until the run is over (true) or the time is.
    fn wait(&self, timeout: Duration) -> Result<bool, concerto_error> {
        let start = clock::now();
        loop {
            let next = self.next(timeout.saturating_sub(start.elapsed()));
            let handled = next.and_then(|next| match next {
                Some(emit) => self.call_back(|| self.host.deliver(&emit)).map(|()| true),
                None => Ok(false),
            });
            match handled {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(Ended::ByItself) => return Ok(true),
                Err(Ended::ByCallback(stop)) => return Err(stop.into()),
            }
        }
    }

    /// Callbacks of a run come one at a time: what one of them waits for would never come.
    fn may_wait(&self) -> Result<(), concerto_error> {
        if self.gate.is_around() {
            return Err(concerto_error::busy(
                "a callback cannot wait for the run that it was called for",
            ));
        }
        Ok(())
    }

    /// Calls back on this thread; what a callback wants to end is cancelled.
    fn call_back(&self, work: impl FnOnce() -> Result<(), BoxError>) -> Result<(), Ended> {
        let called = self.gate.pass(work);
        let stop = match called {
            _ if self.gate.was_misused() => Stop::Busy,
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error.downcast().map_or(Stop::Cancelled, |stop| *stop),
            None => Stop::Cancelled,
        };
        self.run.cancel();
        Err(Ended::ByCallback(stop))
    }
}

/// No emit will come.
enum Ended {
    ByItself,
    ByCallback(Stop),
}
/// # Safety
/// `run` is NULL, which is refused, or valid.
unsafe fn execution(run: *const concerto_run) -> Result<Arc<Execution>, concerto_error> {
    // SAFETY: NULL, or valid as the caller promises.
    let run = unsafe { run.as_ref() }.ok_or_else(|| concerto_error::is_null("run"))?;
    Ok(Arc::clone(&run.0))
}

/// A negative time is none.
fn limit(timeout_ms: i64) -> Duration {
    u64::try_from(timeout_ms).map_or(FOREVER, |ms| Duration::from_millis(ms).min(FOREVER))
}

/// Starts `main` (a `function` of NULL) or a `pub fn` in the background. `args_json` as for `concerto_runtime_call`.
///
/// What the run emits waits in a queue of 1024, then the program waits: take it with `concerto_run_next_emit`, or let `concerto_run_wait` hand it to the handlers.
///
/// # Safety
/// `runtime` is NULL or valid; `function` and `args_json` are NULL or end in NUL; `out` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_start(
    runtime: *mut concerto_runtime,
    function: *const c_char,
    args_json: *const c_char,
    out: *mut *mut concerto_run,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, host, name, args) = unsafe {
            let out = Out::new("out", out)?;
            (out, host(runtime)?, optional_text("function", function)?, arguments(args_json)?)
        };
        let run = host.runtime.start(name, args)?;
        let execution = Execution { run, host, gate: Gate::default(), waiting: Mutex::default() };
        Ok(out.set(Box::into_raw(Box::new(concerto_run(Arc::new(execution))))))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Takes the next emit, after at most `timeout_ms` milliseconds; a negative time waits for ever, 0 not at all. Handlers are not called for it,
/// but requests that come meanwhile go to theirs, on this thread.
///
/// Gives `CONCERTO_OK` with a channel and a JSON payload, both to be freed with `concerto_string_free`; `CONCERTO_END` when the run is over and all were taken;
/// `CONCERTO_TIMEOUT`.
///
/// # Safety
/// `run` is NULL or valid; `channel`, `json` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_next_emit(
    run: *mut concerto_run,
    timeout_ms: i64,
    channel: *mut *mut c_char,
    json: *mut *mut c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (channel, json, execution) =
            unsafe { (Out::new("channel", channel)?, Out::new("json", json)?, execution(run)?) };
        execution.may_wait()?;
        match execution.next(limit(timeout_ms)) {
            Err(Ended::ByItself) => Ok(CONCERTO_END),
            Err(Ended::ByCallback(stop)) => Err(stop.into()),
            Ok(None) => Ok(CONCERTO_TIMEOUT),
            Ok(Some(emit)) => {
                channel.set_text(emit.channel);
                Ok(json.set_text(to_json(&emit.payload).to_string()))
            }
        }
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Waits for the end, at most `timeout_ms` milliseconds, and gives the result as JSON, or the error that `concerto_runtime_call` would; `CONCERTO_TIMEOUT` leaves the
/// run as it is. Emits that were not taken go to the handlers of the runtime, on this thread.
///
/// # Safety
/// `run` is NULL or valid; `result_json` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_wait(
    run: *mut concerto_run,
    timeout_ms: i64,
    result_json: *mut *mut c_char,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, execution) = unsafe { (Out::new("result_json", result_json)?, execution(run)?) };
        execution.may_wait()?;
        if !execution.wait(limit(timeout_ms))? {
            return Ok(CONCERTO_TIMEOUT);
        }
        // The queue is closed a moment before the outcome is there.
        match execution.run.outcome_blocking(FOREVER).as_deref() {
            Some(Ok(value)) => Ok(out.set_text(to_json(value).to_string())),
            Some(Err(error)) => Err(error.into()),
            None => Ok(CONCERTO_TIMEOUT),
        }
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// What this run alone used so far, as a JSON object like that of `concerto_runtime_metrics_json`, to be freed with `concerto_string_free`. NULL for NULL.
///
/// # Safety
/// `run` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_metrics_json(run: *const concerto_run) -> *mut c_char {
    quiet(std::ptr::null_mut(), || {
        // SAFETY: as the caller promises.
        match unsafe { execution(run) } {
            Ok(execution) => owned_text(execution.run.metrics().to_json().to_string()).into_raw(),
            Err(_) => std::ptr::null_mut(),
        }
    })
}

/// Stops the run; requests in flight are dropped. No effect on one that has ended, nor for NULL.
///
/// # Safety
/// `run` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_cancel(run: *mut concerto_run) {
    quiet((), || {
        // SAFETY: as the caller promises.
        if let Ok(execution) = unsafe { execution(run) } {
            execution.run.cancel();
        }
    });
}

/// Gives a run back, and cancels it if it has not ended. When this returns, no callback runs for it any more.
///
/// Inside of a callback of the same run nothing is freed, and `concerto_run_wait` gives `CONCERTO_BUSY`. NULL is no run: nothing happens.
///
/// # Safety
/// `run` is NULL or was given by this library and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_run_free(run: *mut concerto_run) {
    quiet((), || {
        // SAFETY: NULL, or valid as the caller promises.
        let Some(held) = (unsafe { run.as_ref() }) else { return };
        held.0.run.cancel();
        if held.0.gate.close() {
            // SAFETY: made by `Box::into_raw` in `concerto_run_start`, as the caller promises.
            drop(unsafe { Box::from_raw(run) });
        }
    });
}
