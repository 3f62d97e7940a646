//! `Run` for Python: looked at by a thread that waits, or by an event loop that is told when to look.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use super::errors::run_error;
use super::mailbox::{Mailbox, Notice};
use super::metrics::Metrics;
use super::serve::{Request, serve};
use super::values::{emit_to_py, run_name, value_to_py};
use crate::{Emit, EndOrRequest, Events, HostRequest};

/// Emits that are handed over at once.
const BATCH: usize = 256;
/// How long a wait may last before Python's signals are looked at.
const SLICE: Duration = Duration::from_millis(50);

#[pyclass(frozen, weakref, module = "concerto._native")]
pub(super) struct Run {
    inner: crate::Run,
    /// Answers its requests on a thread that waits for it.
    on_request: Option<Py<PyAny>>,
    /// For the event loop that looked last.
    waker: Mutex<Option<(Py<Mailbox>, Waker)>>,
}

/// As long as it lives, emits of the run wait for somebody who reads them.
#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Reader {
    _inner: crate::Reader,
}

impl Run {
    pub(super) fn new(inner: crate::Run, on_request: Option<Py<PyAny>>) -> Self {
        Self { inner, on_request, waker: Mutex::default() }
    }

    /// Answers requests of the run on this thread, which waits for it anyway.
    fn serve(&self, py: Python<'_>, requests: Vec<HostRequest>) -> PyResult<()> {
        let Some(callback) = &self.on_request else { return Ok(()) };
        requests.into_iter().try_for_each(|request| serve(py, callback, request))
    }

    /// The waker for a loop; the same as before if the loop is the same, so that the run keeps it once.
    fn waker(&self, mailbox: &Bound<'_, Mailbox>) -> Waker {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, waker)) = &*kept
            && owner.is(mailbox)
        {
            return waker.clone();
        }
        let waker = Waker::from(Arc::new(Notice::new(mailbox.get(), self.inner.id())));
        *kept = Some((mailbox.clone().unbind(), waker.clone()));
        waker
    }
}

/// Emits, all of one run.
fn emits_to_py<'py>(py: Python<'py>, batch: &[Emit]) -> PyResult<Bound<'py, PyList>> {
    let run = PyString::new(py, &batch.first().map_or(String::new(), |e| run_name(e.run_id)));
    let items: PyResult<Vec<_>> = batch.iter().map(|emit| emit_to_py(py, emit, &run)).collect();
    PyList::new(py, items?)
}

/// Emits and requests that an event loop takes.
type News<'py> = (Bound<'py, PyList>, Vec<Request>);

#[pymethods]
impl Run {
    #[getter]
    fn number(&self) -> u64 {
        self.inner.id()
    }

    #[getter]
    fn id(&self) -> String {
        run_name(self.inner.id())
    }

    fn read(&self) -> Reader {
        Reader { _inner: self.inner.read() }
    }

    fn emits<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyList>>> {
        let mut left = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        loop {
            let slice = left.min(SLICE);
            let arrived = py.detach(|| self.inner.events_blocking(BATCH, slice));
            py.check_signals()?;
            let Some(Events { emits, requests }) = arrived else { return Ok(None) };
            let is_late = emits.is_empty() && requests.is_empty() && left <= slice;
            left = left.saturating_sub(slice);
            self.serve(py, requests)?;
            if is_late || !emits.is_empty() {
                return emits_to_py(py, &emits).map(Some);
            }
        }
    }

    fn events_now<'py>(
        &self,
        py: Python<'py>,
        mailbox: &Bound<'py, Mailbox>,
    ) -> PyResult<Option<News<'py>>> {
        let waker = self.waker(mailbox);
        match self.inner.poll_events(&Context::from_waker(&waker), BATCH) {
            Poll::Ready(None) => Ok(None),
            Poll::Ready(Some(Events { emits, requests })) => {
                let requests = requests.into_iter().map(Request::new).collect();
                Ok(Some((emits_to_py(py, &emits)?, requests)))
            }
            Poll::Pending => Ok(Some((PyList::empty(py), Vec::new()))),
        }
    }

    fn end_now(&self, mailbox: &Bound<'_, Mailbox>) -> Option<Vec<Request>> {
        let waker = self.waker(mailbox);
        let context = Context::from_waker(&waker);
        let mut requests = Vec::new();
        loop {
            match self.inner.poll_end_or_request(&context) {
                Poll::Ready(EndOrRequest::End(_)) => return None,
                Poll::Ready(EndOrRequest::Request(request)) => requests.push(Request::new(request)),
                Poll::Pending => return Some(requests),
            }
        }
    }

    fn result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let mut left = timeout.map(|t| Duration::try_from_secs_f64(t).unwrap_or(Duration::ZERO));
        loop {
            let now = self.inner.poll_end_or_request(&Context::from_waker(Waker::noop()));
            let arrived = match now {
                Poll::Ready(arrived) => Some(arrived),
                Poll::Pending if left.is_some_and(|left| left.is_zero()) => {
                    return Err(PyTimeoutError::new_err("the run has not ended in time"));
                }
                Poll::Pending => {
                    let slice = left.unwrap_or(SLICE).min(SLICE);
                    let arrived = py.detach(|| self.inner.end_or_request_blocking(slice));
                    left = left.map(|left| left.saturating_sub(slice));
                    py.check_signals()?;
                    arrived
                }
            };
            match arrived {
                Some(EndOrRequest::End(outcome)) => {
                    return match &*outcome {
                        Ok(value) => value_to_py(py, value),
                        Err(error) => Err(run_error(py, error)),
                    };
                }
                Some(EndOrRequest::Request(request)) => self.serve(py, vec![request])?,
                None => {}
            }
        }
    }

    fn cancel(&self) {
        self.inner.cancel();
    }

    fn done(&self) -> bool {
        self.inner.is_done()
    }

    fn metrics(&self) -> Metrics {
        Metrics::new(self.inner.metrics())
    }
}
