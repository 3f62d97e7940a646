//! `concerto_reply`: what a program waits for. A number in a table, since it has no `_free`: answered twice, or late, it is not there any more.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::border::{quiet, text};
use super::error::concerto_error;
use crate::value::from_json;
use crate::{BoxError, HostRequest, Value};

/// A reply that a program waits for. To be answered once, now or later, on any thread; it frees itself. One that is answered twice, or after its run has ended, is let go.
pub struct concerto_reply {
    /// Never made: a pointer to it is a number.
    _opaque: [u8; 0],
}

static WAITING: Mutex<Option<HashMap<usize, HostRequest>>> = Mutex::new(None);

fn waiting<T>(work: impl FnOnce(&mut HashMap<usize, HostRequest>) -> T) -> T {
    let mut table = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    work(table.get_or_insert_default())
}

/// Keeps a request until it is answered.
pub(super) fn keep(request: HostRequest) -> *mut concerto_reply {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    waiting(|table| table.insert(number, request));
    std::ptr::without_provenance_mut(number)
}

/// Lets go of requests that no program waits for: for a run that has ended.
pub(super) fn forget_withdrawn() {
    waiting(|table| table.retain(|_, request| !request.is_withdrawn()));
}

fn answer(reply: *mut concerto_reply, said: impl FnOnce() -> Result<Value, BoxError>) {
    quiet((), || {
        if let Some(request) = waiting(|table| table.remove(&reply.addr())) {
            request.reply(said());
        }
    });
}

/// Answers with a value: `len` bytes of JSON. What is no JSON fails in the program, as if the handler had failed.
///
/// # Safety
/// `json` is NULL or has `len` bytes. `reply` may be any value: one that is not waited for is let go.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_reply_ok(
    reply: *mut concerto_reply,
    json: *const c_char,
    len: usize,
) {
    answer(reply, || {
        if json.is_null() {
            return Err("the reply is NULL".into());
        }
        // SAFETY: not NULL, so it has so many bytes, as the caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(json.cast::<u8>(), len) };
        let value: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|wrong| format!("the reply is no JSON: {wrong}"))?;
        Ok(from_json(&value))
    });
}

/// Answers with a failure: `EmitError::Handler`, or a `ToolError`, with this message in the program.
///
/// # Safety
/// `message` is NULL or ends in NUL. `reply` may be any value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_reply_error(reply: *mut concerto_reply, message: *const c_char) {
    answer(reply, || {
        // SAFETY: as the caller promises.
        let message = unsafe { text("message", message) };
        let said =
            message.map_err(|wrong: concerto_error| wrong.message().to_string_lossy().into_owned());
        Err(said.map_or_else(|wrong| wrong, str::to_owned).into())
    });
}
