//! What crosses the border: texts in and out, results through pointers, panics caught.

use std::any::Any;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::concerto_error;
use super::{CONCERTO_OK, concerto_status};

/// Does the work of a function. What fails, and what panics, becomes its status and its error.
///
/// # Safety
/// `err` is NULL or can be written.
pub(super) unsafe fn guard(
    err: *mut *mut concerto_error,
    work: impl FnOnce() -> Result<concerto_status, concerto_error>,
) -> concerto_status {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let outcome = outcome.unwrap_or_else(|panic| Err(concerto_error::internal(&said(&*panic))));
    let (status, error) = match outcome {
        Ok(status) => (status, None),
        Err(error) => (error.kind(), Some(error)),
    };
    if !err.is_null() {
        let given = error.map_or(std::ptr::null_mut(), |error| Box::into_raw(Box::new(error)));
        // SAFETY: not NULL, so the caller lets it be written.
        unsafe { err.write(given) };
    }
    status
}

/// The same for functions that can neither fail nor say so: `otherwise` after a panic.
pub(super) fn quiet<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// A place for a result, set to NULL until there is one.
pub(super) struct Out<T>(*mut *mut T);

impl<T> Out<T> {
    /// # Safety
    /// `at` is NULL, which is refused, or can be written.
    pub(super) unsafe fn new(name: &'static str, at: *mut *mut T) -> Result<Self, concerto_error> {
        if at.is_null() {
            return Err(concerto_error::is_null(name));
        }
        // SAFETY: not NULL, so the caller lets it be written.
        unsafe { at.write(std::ptr::null_mut()) };
        Ok(Self(at))
    }

    pub(super) fn set(&self, value: *mut T) -> concerto_status {
        // SAFETY: `new` wrote to the same place in the same call.
        unsafe { self.0.write(value) };
        CONCERTO_OK
    }
}

impl Out<c_char> {
    pub(super) fn set_text(&self, text: String) -> concerto_status {
        self.set(owned_text(text).into_raw())
    }
}

/// A text that C gives.
///
/// # Safety
/// `at` is NULL, which is refused, or ends in NUL and stays as it is while the result is used.
pub(super) unsafe fn text<'a>(
    name: &'static str,
    at: *const c_char,
) -> Result<&'a str, concerto_error> {
    // SAFETY: as the caller promises.
    unsafe { optional_text(name, at) }?.ok_or_else(|| concerto_error::is_null(name))
}

/// The same where NULL means that there is none.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(
    name: &'static str,
    at: *const c_char,
) -> Result<Option<&'a str>, concerto_error> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so it ends in NUL, as the caller promises.
    let text = unsafe { CStr::from_ptr(at) };
    let text = text.to_str().map_err(|wrong| concerto_error::not_utf8(name, wrong))?;
    Ok(Some(text))
}

/// A text for C. What holds a NUL, which C would take for its end, shows U+FFFD there.
pub(super) fn owned_text(text: String) -> CString {
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    CString::new(text).unwrap_or_default()
}

/// Gives back a text that a function of this library made. NULL is no text: nothing happens.
///
/// # Safety
/// `text` is NULL or was given by this library and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn concerto_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: made by `CString::into_raw` in `set_text`, as the caller promises.
        drop(unsafe { CString::from_raw(text) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::concerto_error_free;
    use super::super::{CONCERTO_INTERNAL, CONCERTO_INVALID_ARGUMENT};
    use super::*;

    #[test]
    fn a_panic_stops_at_the_border() {
        let panics: [fn() -> Result<concerto_status, concerto_error>; 2] =
            [|| panic!("plain"), || panic!("with {}", "words")];
        for (work, expected) in panics.into_iter().zip(["plain", "with words"]) {
            let mut err = std::ptr::null_mut();
            // SAFETY: `err` is a variable.
            assert_eq!(unsafe { guard(&raw mut err, work) }, CONCERTO_INTERNAL);
            // SAFETY: `guard` has just made it.
            let message = unsafe { (*err).message() }.to_string_lossy().into_owned();
            assert!(message.contains(expected), "{message}");
            // SAFETY: the same.
            unsafe { concerto_error_free(err) };
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { guard(std::ptr::null_mut(), || panic!("none")) }, CONCERTO_INTERNAL);
        assert_eq!(quiet(7, || panic!("quiet")), 7);
    }

    #[test]
    fn texts_are_checked() {
        // SAFETY: NULL is allowed.
        let missing = unsafe { text("channel", std::ptr::null()) }.unwrap_err();
        assert_eq!(missing.message(), c"`channel` is NULL");
        // SAFETY: ends in NUL.
        let broken = unsafe { text("channel", c"ab\xff".as_ptr()) }.unwrap_err();
        assert_eq!(broken.message(), c"`channel` is no UTF-8 from byte 2 on");
        assert_eq!(broken.kind(), CONCERTO_INVALID_ARGUMENT);
        assert_eq!(owned_text("a\0b".to_owned()).to_str(), Ok("a\u{fffd}b"));
    }
}
