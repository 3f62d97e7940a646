//! `concerto_error`: a kind, a text for people, and everything as JSON.

use std::ffi::{CStr, CString, c_char};
use std::str::Utf8Error;

use serde_json::json;

use super::border::owned_text;
use super::{
    CONCERTO_BUSY, CONCERTO_CANCELLED, CONCERTO_CONFIG, CONCERTO_HANDLER, CONCERTO_INTERNAL,
    CONCERTO_INVALID_ARGUMENT, CONCERTO_IO, CONCERTO_IR, CONCERTO_LIMIT, CONCERTO_LLM, CONCERTO_OK,
    CONCERTO_PANIC, CONCERTO_PROGRAM, concerto_status,
};
use crate::{Error, ErrorKind, RunError};

/// What went wrong in one call.
#[derive(Debug)]
pub struct concerto_error {
    kind: concerto_status,
    message: CString,
    json: CString,
}

/// Why a callback ended a run.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("the run was cancelled")]
    Cancelled,
    #[error("a callback freed the handle that it was called for: it is still there")]
    Busy,
}

impl concerto_error {
    pub(super) fn kind(&self) -> concerto_status {
        self.kind
    }

    pub(super) fn message(&self) -> &CStr {
        &self.message
    }

    fn new(kind: concerto_status, code: &str, message: String) -> Self {
        let json = json!({"kind": code, "message": message, "trace": []}).to_string();
        Self { kind, message: owned_text(message), json: owned_text(json) }
    }

    pub(super) fn invalid_argument(message: String) -> Self {
        Self::new(CONCERTO_INVALID_ARGUMENT, "arguments", message)
    }

    pub(super) fn is_null(name: &str) -> Self {
        Self::invalid_argument(format!("`{name}` is NULL"))
    }

    pub(super) fn not_utf8(name: &str, wrong: Utf8Error) -> Self {
        let at = wrong.valid_up_to();
        Self::invalid_argument(format!("`{name}` is no UTF-8 from byte {at} on"))
    }

    pub(super) fn not_json(name: &str, expected: &str, wrong: &serde_json::Error) -> Self {
        Self::invalid_argument(format!("`{name}` is no {expected}: {wrong}"))
    }

    pub(super) fn internal(panic: &str) -> Self {
        Self::new(CONCERTO_INTERNAL, "internal", format!("internal error: {panic}"))
    }

    pub(super) fn busy(message: &str) -> Self {
        Self::new(CONCERTO_BUSY, "busy", message.to_owned())
    }
}

impl From<Stop> for concerto_error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Self::new(CONCERTO_CANCELLED, "cancelled", stop.to_string()),
            Stop::Busy => Self::busy(&stop.to_string()),
        }
    }
}

impl From<Error> for concerto_error {
    fn from(error: Error) -> Self {
        match &error {
            Error::Run(run) => Self::from(run),
            other => Self::of_error(other.kind(), &other.to_json(), other),
        }
    }
}

impl From<&RunError> for concerto_error {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Handler { cause, .. } if let Some(stop) = cause.downcast_ref::<Stop>() => {
                Self::from(*stop)
            }
            other => Self::of_error(other.kind(), &other.to_json(), other),
        }
    }
}

fn status(kind: ErrorKind) -> concerto_status {
    match kind {
        ErrorKind::Io => CONCERTO_IO,
        ErrorKind::Ir => CONCERTO_IR,
        ErrorKind::Config => CONCERTO_CONFIG,
        ErrorKind::Arguments | ErrorKind::Decode => CONCERTO_INVALID_ARGUMENT,
        ErrorKind::InsideAsync | ErrorKind::Nested | ErrorKind::Forked => CONCERTO_BUSY,
        ErrorKind::Program => CONCERTO_PROGRAM,
        ErrorKind::Llm => CONCERTO_LLM,
        ErrorKind::Panic => CONCERTO_PANIC,
        ErrorKind::Handler => CONCERTO_HANDLER,
        ErrorKind::Cancelled => CONCERTO_CANCELLED,
        ErrorKind::Limit => CONCERTO_LIMIT,
        ErrorKind::Internal => CONCERTO_INTERNAL,
    }
}

impl concerto_error {
    fn of_error(kind: ErrorKind, json: &serde_json::Value, error: &dyn std::error::Error) -> Self {
        let kind = status(kind);
        Self { kind, message: owned_text(error.to_string()), json: owned_text(json.to_string()) }
    }
}

/// The status that came with the error; `CONCERTO_OK` for NULL.
///
/// # Safety
/// `error` is NULL or was given by this library and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_error_kind(error: *const concerto_error) -> i32 {
    // SAFETY: NULL, or valid as the caller promises.
    unsafe { error.as_ref() }.map_or(CONCERTO_OK, |error| error.kind)
}

/// One line for people. It lives as long as the error; "" for NULL.
///
/// # Safety
/// As for `concerto_error_kind`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_error_message(error: *const concerto_error) -> *const c_char {
    // SAFETY: NULL, or valid as the caller promises.
    unsafe { error.as_ref() }.map_or(c"", concerto_error::message).as_ptr()
}

/// The error as a JSON object: `kind` (a word), `message`, `trace` (frames of `function`, `path`, `line`, `column`, innermost first) and, by kind,
/// `code` (a finer word), `value` (of the program) and `fields` (of a failed model call). It lives as long as the error; "null" for NULL.
///
/// # Safety
/// As for `concerto_error_kind`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_error_json(error: *const concerto_error) -> *const c_char {
    // SAFETY: NULL, or valid as the caller promises.
    unsafe { error.as_ref() }.map_or(c"null".as_ptr(), |error| error.json.as_ptr())
}

/// Gives an error back. NULL is no error: nothing happens.
///
/// # Safety
/// As for `concerto_error_kind`; the error is not used after.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_error_free(error: *mut concerto_error) {
    if !error.is_null() {
        // SAFETY: made by `Box::into_raw` in `guard`, as the caller promises.
        drop(unsafe { Box::from_raw(error) });
    }
}
