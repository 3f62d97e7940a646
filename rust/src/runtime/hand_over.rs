//! What a run in the background hands to its host: emits through a bounded queue, then how it ended.
//!
//! Both sides wait with a waker, so a host may be a thread, a task of any executor, or an event loop in another language.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::emits::Emit;
use crate::error::RunError;
use crate::value::Value;

pub(super) type Outcome = Arc<Result<Value, RunError>>;

/// Shared by the run and its host.
pub(super) struct HandOver {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    emits: VecDeque<Emit>,
    outcome: Option<Outcome>,
    /// How many iterate over the emits.
    readers: usize,
    /// Somebody has asked for the outcome: emits that nobody reads must not hold the run back any more.
    is_awaited: bool,
    /// The run, while the queue is full.
    program: Option<Waker>,
    for_emits: Vec<Waker>,
    for_outcome: Vec<Waker>,
}

/// Waits for an event; a waker that is there already is not kept twice.
fn wait(waiting: &mut Vec<Waker>, context: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
        waiting.push(context.waker().clone());
    }
}

/// Lets the run look again whether there is room, without the lock.
fn let_go_on(mut state: MutexGuard<'_, State>) {
    let program = state.program.take();
    drop(state);
    if let Some(program) = program {
        program.wake();
    }
}

impl HandOver {
    /// A queue of at most so many emits.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an emit of the run once there is room for it.
    pub(super) async fn push(&self, emit: Emit) {
        let mut emit = Some(emit);
        poll_fn(|context| {
            let woken = {
                let mut state = self.locked();
                if state.emits.len() < self.most {
                    state.emits.extend(emit.take());
                    std::mem::take(&mut state.for_emits)
                } else if state.is_awaited && state.readers == 0 {
                    return Poll::Ready(());
                } else {
                    state.program = Some(context.waker().clone());
                    return Poll::Pending;
                }
            };
            // Without the lock: whoever is woken may look at once.
            woken.into_iter().for_each(Waker::wake);
            Poll::Ready(())
        })
        .await;
    }

    /// The run has ended. Only the first end counts.
    pub(super) fn end(&self, outcome: Result<Value, RunError>) {
        let woken = {
            let mut state = self.locked();
            state.outcome.get_or_insert_with(|| Arc::new(outcome));
            let mut woken = std::mem::take(&mut state.for_emits);
            woken.append(&mut state.for_outcome);
            woken
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// The emits that wait, at most `limit`; `None` if the run is over and all were taken.
    pub(super) fn poll_emits(
        &self,
        context: &Context<'_>,
        limit: usize,
    ) -> Poll<Option<Vec<Emit>>> {
        let mut state = self.locked();
        if state.emits.is_empty() {
            if state.outcome.is_some() {
                return Poll::Ready(None);
            }
            wait(&mut state.for_emits, context);
            return Poll::Pending;
        }
        let count = state.emits.len().min(limit);
        let batch = state.emits.drain(..count).collect();
        let_go_on(state);
        Poll::Ready(Some(batch))
    }

    pub(super) fn poll_outcome(&self, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.locked();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(Arc::clone(outcome));
        }
        state.is_awaited = true;
        wait(&mut state.for_outcome, context);
        let_go_on(state);
        Poll::Pending
    }

    pub(super) fn has_ended(&self) -> bool {
        self.locked().outcome.is_some()
    }

    /// From now on one more reader, or one less, takes emits.
    pub(super) fn count_reader(&self, is_there: bool) {
        let mut state = self.locked();
        if is_there {
            state.readers += 1;
        } else {
            state.readers = state.readers.saturating_sub(1);
            let_go_on(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn emit(sequence: u64) -> Emit {
        Emit { channel: "c".to_owned(), payload: Value::Nil, time: 0.0, sequence }
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn taken(queue: &HandOver, limit: usize) -> Poll<Option<Vec<u64>>> {
        let emits = queue.poll_emits(&Context::from_waker(Waker::noop()), limit);
        emits.map(|batch| batch.map(|batch| batch.iter().map(|emit| emit.sequence).collect()))
    }

    #[test]
    fn a_full_queue_holds_the_program_until_somebody_takes() {
        let queue = HandOver::new(2);
        assert!(poll(queue.push(emit(0))).is_ready() && poll(queue.push(emit(1))).is_ready());
        let mut third = pin!(queue.push(emit(2)));
        assert!(poll(third.as_mut()).is_pending());
        assert_eq!(taken(&queue, 1), Poll::Ready(Some(vec![0])));
        assert!(poll(third.as_mut()).is_ready());
        assert_eq!(taken(&queue, 9), Poll::Ready(Some(vec![1, 2])));
        assert_eq!(taken(&queue, 9), Poll::Pending);
        queue.end(Ok(Value::Nil));
        assert_eq!(taken(&queue, 9), Poll::Ready(None));
    }

    #[test]
    fn who_waits_for_the_end_alone_lets_go_of_emits_that_have_no_room() {
        let queue = HandOver::new(1);
        let context = Context::from_waker(Waker::noop());
        assert!(poll(queue.push(emit(0))).is_ready());
        queue.count_reader(true);
        assert!(queue.poll_outcome(&context).is_pending());
        assert!(poll(queue.push(emit(1))).is_pending());
        queue.count_reader(false);
        assert!(poll(queue.push(emit(2))).is_ready());
        assert_eq!(taken(&queue, 9), Poll::Ready(Some(vec![0])));
        queue.end(Err(RunError::Cancelled));
        queue.end(Ok(Value::Nil));
        let Poll::Ready(outcome) = queue.poll_outcome(&context) else { panic!("it has ended") };
        assert!(matches!(*outcome, Err(RunError::Cancelled)));
        assert!(queue.has_ended());
    }
}
