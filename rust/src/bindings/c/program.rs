//! `concerto_program`.

use std::ffi::c_char;

use super::border::{Out, guard, quiet, text};
use super::concerto_status;
use super::error::concerto_error;
use crate::Program;

/// A verified program. Runtimes share it; it may be freed before them.
pub struct concerto_program(pub(super) Program);

/// Reads a `.conc-ir` file, which `concerto build` writes.
///
/// Gives `CONCERTO_IO` if it cannot be read, `CONCERTO_IR` if it is no program of this format.
///
/// # Safety
/// `path` is NULL or ends in NUL; `out` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_program_load(
    path: *const c_char,
    out: *mut *mut concerto_program,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let (out, path) = unsafe { (Out::new("out", out)?, text("path", path)?) };
        Ok(out.set(given(Program::load(path)?)))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

/// Loads and verifies `len` bytes of a compiled program.
///
/// # Safety
/// `data` is NULL or has `len` bytes; `out` and `err` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_program_from_bytes(
    data: *const u8,
    len: usize,
    out: *mut *mut concerto_program,
    err: *mut *mut concerto_error,
) -> concerto_status {
    let work = || {
        // SAFETY: as the caller promises.
        let out = unsafe { Out::new("out", out) }?;
        if data.is_null() {
            return Err(concerto_error::is_null("data"));
        }
        // SAFETY: not NULL, so it has so many bytes, as the caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(data, len) };
        Ok(out.set(given(Program::from_bytes(bytes)?)))
    };
    // SAFETY: as the caller promises.
    unsafe { guard(err, work) }
}

fn given(program: Program) -> *mut concerto_program {
    Box::into_raw(Box::new(concerto_program(program)))
}

/// Gives a program back. Runtimes that were made of it keep what they need. NULL is no program: nothing happens.
///
/// # Safety
/// `program` is NULL or was given by this library and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_program_free(program: *mut concerto_program) {
    quiet((), || {
        if !program.is_null() {
            // SAFETY: made by `given`, as the caller promises.
            drop(unsafe { Box::from_raw(program) });
        }
    });
}
