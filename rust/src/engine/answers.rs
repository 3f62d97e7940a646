//! Effects that tasks of a run wait for: polled together, each let go of at once when its task is cancelled.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::RunError;
use crate::value::Value;
use crate::vm::Resume;

/// What a task goes on with, and what the host is told before it does: a channel and a value.
#[derive(Debug)]
pub(super) struct Answer {
    pub resume: Resume,
    pub record: Option<(String, Value)>,
}

impl From<Resume> for Answer {
    fn from(resume: Resume) -> Self {
        Self { resume, record: None }
    }
}

pub(super) type Answered = Result<Answer, RunError>;
pub(super) type Pending<'e> = Pin<Box<dyn Future<Output = Answered> + Send + 'e>>;

/// The effect of a task that waits. Dropping it cancels the effect.
pub(super) struct Slot<'e>(Arc<Mutex<Held<'e>>>);

struct Held<'e> {
    future: Option<Pending<'e>>,
    waker: Option<Waker>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let (future, waker) = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (held.future.take(), held.waker.take())
        };
        drop(future);
        // So that the empty place leaves the queue.
        waker.inspect(Waker::wake_by_ref);
    }
}

/// A place in the queue: the task, and its answer, or none if it was cancelled.
struct Place<'e> {
    task: u64,
    held: Arc<Mutex<Held<'e>>>,
}

impl Future for Place<'_> {
    type Output = Option<(u64, Answered)>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = &mut held.future else { return Poll::Ready(None) };
        match future.as_mut().poll(context) {
            Poll::Ready(answered) => {
                held.future = None;
                Poll::Ready(Some((self.task, answered)))
            }
            Poll::Pending => {
                held.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// All effects of a run. Those that are ready at once answer in the order in which they were asked.
#[derive(Default)]
pub(super) struct Answers<'e>(FuturesUnordered<Place<'e>>);

impl<'e> Answers<'e> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins to wait for an effect of a task.
    pub(super) fn push(&self, task: u64, future: Pending<'e>) -> Slot<'e> {
        let held = Arc::new(Mutex::new(Held { future: Some(future), waker: None }));
        self.0.push(Place { task, held: Arc::clone(&held) });
        Slot(held)
    }

    /// The next answer; `None` if nothing waits.
    pub(super) async fn next(&mut self) -> Option<(u64, Answered)> {
        loop {
            if let Some(answer) = self.0.next().await? {
                return Some(answer);
            }
        }
    }

    /// The answers that are there by now. Effects make progress, whatever the tasks do.
    pub(super) async fn arrived(&mut self) -> Vec<(u64, Answered)> {
        let mut found = Vec::new();
        std::future::poll_fn(|context| {
            while let Poll::Ready(Some(answer)) = self.0.poll_next_unpin(context) {
                found.extend(answer);
            }
            Poll::Ready(())
        })
        .await;
        found
    }
}
