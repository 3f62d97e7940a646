//! The C interface: `include/concerto.h`, which `make header` generates from this folder. Converts, calls, converts back: nothing is decided here.
//!
//! A handle is a pointer that one `_new` function gives and one `_free` function takes back. What a handle points to is shared (`Arc`) with the calls that
//! are under way, so that freeing it on another thread ends them but never pulls the memory away from under them. Replies are an exception: they have no
//! `_free`, so they are numbers in a table (`reply.rs`).

#![expect(unsafe_code, reason = "the border to C: raw pointers in and out")]
#![allow(non_camel_case_types, reason = "the names are those of the C interface")]

mod border;
mod callbacks;
mod error;
mod gate;
mod program;
mod reply;
mod run;
mod runtime;

use std::ffi::{CStr, c_char};

/// Handles are used from any thread.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<program::concerto_program>();
    shared::<runtime::concerto_runtime>();
    shared::<run::concerto_run>();
    shared::<error::concerto_error>();
};

/// 0 is success; anything else says what went wrong, or what a wait came to.
pub type concerto_status = i32;

/// Success.
pub const CONCERTO_OK: concerto_status = 0;
/// Compiled bytes that are malformed or of another version.
pub const CONCERTO_IR: concerto_status = 2;
/// An unknown connection or option, or a setting that is unknown or out of range.
pub const CONCERTO_CONFIG: concerto_status = 3;
/// The program ended with an error that it did not catch.
pub const CONCERTO_PROGRAM: concerto_status = 4;
/// The program ended with a failed model call that it did not catch; the error's JSON has its fields.
pub const CONCERTO_LLM: concerto_status = 5;
/// The program panicked.
pub const CONCERTO_PANIC: concerto_status = 6;
/// A handler of the host failed.
pub const CONCERTO_HANDLER: concerto_status = 7;
/// The host cancelled the run: a callback gave non-zero, or the run or its runtime was cancelled or freed.
pub const CONCERTO_CANCELLED: concerto_status = 8;
/// A limit of the run was exceeded.
pub const CONCERTO_LIMIT: concerto_status = 9;
/// A bug of the runtime.
pub const CONCERTO_INTERNAL: concerto_status = 10;
/// An argument is NULL, no UTF-8 or no JSON, or does not fit the function of the program.
pub const CONCERTO_INVALID_ARGUMENT: concerto_status = 11;
/// A file cannot be read.
pub const CONCERTO_IO: concerto_status = 12;
/// A callback freed the handle that it was called for, or waited for a run on its own thread.
pub const CONCERTO_BUSY: concerto_status = 13;
/// Of `concerto_run_next_emit`: the run is over and all emits were taken.
pub const CONCERTO_END: concerto_status = 100;
/// Of a wait: the time is over. The run goes on.
pub const CONCERTO_TIMEOUT: concerto_status = 101;

/// Counts changes of signatures; functions may be added without one.
#[unsafe(no_mangle)]
pub extern "C" fn concerto_abi_version() -> u32 {
    1
}

/// The version of the library, such as "0.1.0". It lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn concerto_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}
