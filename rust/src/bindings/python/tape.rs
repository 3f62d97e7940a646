//! Recorded traffic for Python: what the proxy and the server of `concerto mock` write and play.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::{HttpRequest, Played, Secret, Take};

fn asked(url: String, body: Vec<u8>) -> HttpRequest {
    HttpRequest { url, headers: Vec::new(), body: body.into() }
}

fn secrets(keys: Vec<String>) -> Vec<Secret> {
    keys.into_iter().map(Secret::new).collect()
}

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Recording {
    inner: Arc<crate::Recording>,
}

#[pymethods]
impl Recording {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "an argument of a Python method")]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(Self { inner: Arc::new(crate::Recording::create(&path)?) })
    }

    /// An answer has begun; it is written at its `end`.
    fn begin(
        &self,
        url: String,
        body: Vec<u8>,
        keys: Vec<String>,
        status: u16,
        headers: Vec<(String, String)>,
    ) -> PyResult<Answer> {
        let take = self.inner.begin(&asked(url, body), secrets(keys), status, headers);
        take.map(|take| Answer { take: Mutex::new(Some(take)) }).map_err(PyOSError::new_err)
    }
}

/// An answer that is being recorded.
#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Answer {
    take: Mutex<Option<Take>>,
}

#[pymethods]
impl Answer {
    fn push(&self, piece: &[u8]) {
        if let Some(take) = &mut *self.take.lock().unwrap_or_else(PoisonError::into_inner) {
            take.push(piece);
        }
    }

    fn end(&self) {
        drop(self.take.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Playing {
    inner: Played,
}

/// Status, headers and body.
type Whole = (u16, Vec<(String, String)>, Vec<u8>);

#[pymethods]
impl Playing {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "an argument of a Python method")]
    fn new(path: PathBuf) -> PyResult<Self> {
        let text = std::fs::read_to_string(&path)?;
        let inner = Played::parse(&text).map_err(|wrong| {
            PyValueError::new_err(format!("`{}` is no recording: {wrong}", path.display()))
        })?;
        Ok(Self { inner })
    }

    /// The next answer to a request; None if there is no more.
    fn answer(&self, url: String, body: Vec<u8>, keys: Vec<String>) -> Option<Whole> {
        let found = self.inner.answer(&asked(url, body), &secrets(keys))?;
        Some((found.status, found.headers, found.body.to_vec()))
    }
}
