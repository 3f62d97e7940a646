//! Functions of the host as handlers of the runtime.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use super::border::owned_text;
use super::error::Stop;
use super::gate::Gate;
use super::reply::{concerto_reply, keep};
use crate::{BoxError, Emit, EmitHandler, HostRequest, to_json};

/// Takes one emit: the channel, and the payload as JSON of `len` bytes with a NUL behind them. Both live until it returns. Non-zero cancels the run.
pub type concerto_emit_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        channel: *const c_char,
        json: *const c_char,
        len: usize,
    ) -> c_int,
>;

/// Takes a request: the channel, and the payload as JSON of `len` bytes with a NUL behind them, which live until it returns. `reply` is answered then, or later on
/// any thread, with `concerto_reply_ok` or `concerto_reply_error`.
pub type concerto_request_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        channel: *const c_char,
        json: *const c_char,
        len: usize,
        reply: *mut concerto_reply,
    ),
>;

/// What the host wants to get back with each call.
#[derive(Clone, Copy)]
pub(super) struct User(pub(super) *mut c_void);

// SAFETY: the pointer is handed back and never followed. That callbacks run on any thread that is inside a call of the library is part of the interface.
unsafe impl Send for User {}
// SAFETY: the same.
unsafe impl Sync for User {}

/// An emit handler of the host.
pub(super) struct OnEmit {
    pub(super) gate: Arc<Gate>,
    pub(super) function:
        unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, usize) -> c_int,
    pub(super) user: User,
}

thread_local! {
    /// Why a callback on this thread ends the run that it was called for; also where errors of handlers are only logged.
    static STOP: Cell<Option<Stop>> = const { Cell::new(None) };
}

/// Calls callbacks, by way of the runtime, and says whether one of them ends the run.
pub(super) fn heard(deliver: impl FnOnce() -> Result<(), BoxError>) -> Result<(), BoxError> {
    let delivered = deliver();
    STOP.take().map_or(delivered, |stop| Err(stop.into()))
}

impl EmitHandler for OnEmit {
    fn emit(&self, emit: &Emit) -> Result<(), BoxError> {
        let channel = owned_text(emit.channel.clone());
        let json = owned_text(to_json(&emit.payload).to_string());
        let called = self.gate.pass(|| {
            // SAFETY: the host promised that the function takes these arguments; they outlive the call.
            unsafe {
                let len = json.as_bytes().len();
                (self.function)(self.user.0, channel.as_ptr(), json.as_ptr(), len)
            }
        });
        let stop = match called {
            _ if self.gate.was_misused() => Stop::Busy,
            Some(0) => return Ok(()),
            Some(_) | None => Stop::Cancelled,
        };
        STOP.set(Some(stop));
        Err(stop.into())
    }
}

/// A request handler of the host.
#[derive(Clone)]
pub(super) struct OnRequest {
    pub(super) function:
        unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, usize, *mut concerto_reply),
    pub(super) user: User,
}

impl OnRequest {
    pub(super) fn ask(&self, gate: &Gate, request: HostRequest) -> Result<(), BoxError> {
        let channel = owned_text(request.question.kind.to_string());
        let json = owned_text(to_json(&request.question.payload).to_string());
        let called = gate.pass(|| {
            // SAFETY: the host promised that the function takes these arguments; they outlive the call.
            unsafe {
                let len = json.as_bytes().len();
                let (user, channel) = (self.user.0, channel.as_ptr());
                (self.function)(user, channel, json.as_ptr(), len, keep(request));
            }
        });
        match called {
            _ if gate.was_misused() => Err(Stop::Busy.into()),
            Some(()) => Ok(()),
            None => Err(Stop::Cancelled.into()),
        }
    }
}
