//! Functions of the host as handlers of the runtime.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use super::border::owned_text;
use super::error::Stop;
use super::gate::Gate;
use crate::{BoxError, Emit, EmitHandler, to_json};

/// Takes one emit: the channel, and the payload as JSON of `len` bytes with a NUL behind them. Both live until it returns. Non-zero cancels the run.
pub type concerto_emit_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        channel: *const c_char,
        json: *const c_char,
        len: usize,
    ) -> c_int,
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
        match called {
            _ if self.gate.was_misused() => Err(Stop::Busy.into()),
            Some(0) => Ok(()),
            Some(_) | None => Err(Stop::Cancelled.into()),
        }
    }
}
