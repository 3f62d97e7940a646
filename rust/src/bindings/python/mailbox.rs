//! How runs in the background tell an event loop of Python that it should look at them.
//!
//! A run that has something new posts its number; the first post rings, and the loop takes all numbers at once. Ringing is a byte through a
//! pair of sockets that the loop watches like any other, so the I/O threads never wait for the interpreter.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
type Socket = std::os::unix::net::UnixStream;
#[cfg(not(unix))]
type Socket = std::net::TcpStream;

#[pyclass(frozen, module = "concerto._native")]
pub(super) struct Mailbox {
    inner: Arc<Posted>,
}

struct Posted {
    numbers: Mutex<Vec<u64>>,
    bell: Socket,
    heard: Socket,
}

impl Posted {
    fn post(&self, number: u64) {
        let is_first = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.push(number);
            numbers.len() == 1
        };
        if is_first {
            // It fails only where nobody listens any more, or where it rings already.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

#[cfg(unix)]
fn pair() -> std::io::Result<(Socket, Socket)> {
    Socket::pair()
}

#[cfg(not(unix))]
fn pair() -> std::io::Result<(Socket, Socket)> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let one = Socket::connect(listener.local_addr()?)?;
    loop {
        // Whoever else has found the port is turned away.
        let (other, peer) = listener.accept()?;
        if peer == one.local_addr()? {
            return Ok((one, other));
        }
    }
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new() -> PyResult<Self> {
        let made = pair().and_then(|(bell, heard)| {
            bell.set_nonblocking(true)?;
            heard.set_nonblocking(true)?;
            Ok(Posted { numbers: Mutex::default(), bell, heard })
        });
        match made {
            Ok(posted) => Ok(Self { inner: Arc::new(posted) }),
            Err(error) => Err(PyOSError::new_err(format!("cannot wake an event loop: {error}"))),
        }
    }

    #[cfg(unix)]
    fn fileno(&self) -> i32 {
        self.inner.heard.as_raw_fd()
    }

    #[cfg(windows)]
    fn fileno(&self) -> u64 {
        std::os::windows::io::AsRawSocket::as_raw_socket(&self.inner.heard)
    }

    fn take(&self) -> Vec<u64> {
        // What is posted after this rings again.
        let _ = (&self.inner.heard).read(&mut [0; 64]);
        std::mem::take(&mut *self.inner.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The waker of one run for one event loop.
pub(super) struct Notice {
    mailbox: Arc<Posted>,
    number: u64,
}

impl Notice {
    pub(super) fn new(mailbox: &Mailbox, number: u64) -> Self {
        Self { mailbox: Arc::clone(&mailbox.inner), number }
    }
}

impl Wake for Notice {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.post(self.number);
    }
}
