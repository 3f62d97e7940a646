//! What a run in the background hands to its host: emits through a bounded queue, requests, then how it ended.
//!
//! Both sides wait with a waker, so a host may be a thread, a task of any executor, or an event loop in another language.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::emits::Emit;
use crate::engine::requests::HostRequest;
use crate::error::RunError;
use crate::sync::{Mutex, MutexGuard};
use crate::value::Value;

pub(super) type Outcome = Arc<Result<Value, RunError>>;

/// What a run has sent, and what it asks.
#[derive(Debug, Default)]
pub struct Events {
    /// In order.
    pub emits: Vec<Emit>,
    /// Those that the host said, by [`Runtime::on_emit_by_host`](super::Runtime::on_emit_by_host), to answer itself; they come alone.
    pub requests: Vec<HostRequest>,
}

/// What somebody waits for who wants the result of a run.
#[derive(Debug)]
pub enum EndOrRequest {
    /// The run is over.
    End(Arc<Result<Value, RunError>>),
    /// The host said, by [`Runtime::on_emit_by_host`](super::Runtime::on_emit_by_host), to answer it itself.
    Request(HostRequest),
}

/// Shared by the run and its host.
pub(super) struct HandOver {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    emits: VecDeque<Emit>,
    /// How many emits came and went before the first of `emits`.
    taken: u64,
    /// Each with the number of emits before it.
    requests: VecDeque<(u64, HostRequest)>,
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

impl State {
    /// All that wait for anything of the run.
    fn all(&mut self) -> Vec<Waker> {
        let mut woken = std::mem::take(&mut self.for_emits);
        woken.append(&mut self.for_outcome);
        woken
    }
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

/// How the run ended; else somebody waits for it from now on.
fn ended(mut state: MutexGuard<'_, State>, context: &Context<'_>) -> Poll<Outcome> {
    if let Some(outcome) = &state.outcome {
        return Poll::Ready(Arc::clone(outcome));
    }
    state.is_awaited = true;
    wait(&mut state.for_outcome, context);
    let_go_on(state);
    Poll::Pending
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

    /// Takes a request of the run.
    pub(super) fn ask(&self, request: HostRequest) {
        let woken = {
            let mut state = self.locked();
            let before = state.taken + state.emits.len() as u64;
            state.requests.push_back((before, request));
            state.all()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// The run has ended. Only the first end counts. What it asked is withdrawn.
    pub(super) fn end(&self, outcome: Result<Value, RunError>) {
        let (woken, withdrawn) = {
            let mut state = self.locked();
            state.outcome.get_or_insert_with(|| Arc::new(outcome));
            (state.all(), std::mem::take(&mut state.requests))
        };
        drop(withdrawn);
        woken.into_iter().for_each(Waker::wake);
    }

    /// What waits: at most `limit` emits, or else requests, in the order in which the program sent them. `None` if the run is over and all was taken.
    pub(super) fn poll_events(&self, context: &Context<'_>, limit: usize) -> Poll<Option<Events>> {
        let mut state = self.locked();
        let ahead =
            state.requests.front().map_or(u64::MAX, |(sent, _)| sent.saturating_sub(state.taken));
        let count = state.emits.len().min(limit).min(usize::try_from(ahead).unwrap_or(usize::MAX));
        let emits: Vec<Emit> = state.emits.drain(..count).collect();
        state.taken += count as u64;
        let mut requests = Vec::new();
        while emits.is_empty()
            && let Some((sent, _)) = state.requests.front()
            && *sent <= state.taken
        {
            requests.extend(state.requests.pop_front().map(|(_, request)| request));
        }
        if emits.is_empty() && requests.is_empty() {
            if state.outcome.is_some() {
                return Poll::Ready(None);
            }
            wait(&mut state.for_emits, context);
            return Poll::Pending;
        }
        let_go_on(state);
        Poll::Ready(Some(Events { emits, requests }))
    }

    /// The emits that wait, at most `limit`; requests stay. `None` if the run is over and all emits were taken.
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
        state.taken += count as u64;
        let_go_on(state);
        Poll::Ready(Some(batch))
    }

    /// How the run ended, or what it asks meanwhile.
    pub(super) fn poll_end_or_request(&self, context: &Context<'_>) -> Poll<EndOrRequest> {
        let mut state = self.locked();
        if let Some((_, request)) = state.requests.pop_front() {
            return Poll::Ready(EndOrRequest::Request(request));
        }
        // Under the same lock: what is asked in between would wake nobody.
        ended(state, context).map(EndOrRequest::End)
    }

    pub(super) fn poll_outcome(&self, context: &Context<'_>) -> Poll<Outcome> {
        ended(self.locked(), context)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.locked().outcome.is_some()
    }

    /// From now on one more reader, or one less, takes emits.
    #[cfg(any(feature = "python", test))]
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
    use crate::engine::requests::{Question, RequestKind};
    use crate::log::{Log, LogLevel, standard_error};

    fn emit(sequence: u64) -> Emit {
        let (channel, payload) = ("c".to_owned(), Value::Nil);
        Emit { channel, payload, time: 0.0, run_id: 1, task_id: 1, sequence }
    }

    fn request(token: u64) -> HostRequest {
        let kind = RequestKind::Emit { channel: "ask".to_owned() };
        let question = Question { kind, payload: Value::Nil, expected: "Any".to_owned() };
        HostRequest::new(token, question, Log::new(LogLevel::Error, standard_error())).0
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

    #[test]
    fn a_request_comes_after_what_was_sent_before_it_and_before_the_rest() {
        let queue = HandOver::new(9);
        let context = Context::from_waker(Waker::noop());
        let next = |limit| match queue.poll_events(&context, limit) {
            Poll::Ready(Some(events)) => Some((
                events.emits.iter().map(|emit| emit.sequence).collect::<Vec<_>>(),
                events.requests.iter().map(|request| request.token).collect::<Vec<_>>(),
            )),
            _ => None,
        };
        for sequence in 0..3 {
            assert!(poll(queue.push(emit(sequence))).is_ready());
        }
        queue.ask(request(7));
        queue.ask(request(8));
        assert!(poll(queue.push(emit(3))).is_ready());
        assert_eq!(next(2), Some((vec![0, 1], vec![])));
        assert_eq!(next(9), Some((vec![2], vec![])));
        assert_eq!(next(9), Some((vec![], vec![7, 8])));
        assert_eq!(next(9), Some((vec![3], vec![])));
        assert_eq!(next(9), None);
        // Who waits for the end alone is asked at once.
        assert!(poll(queue.push(emit(4))).is_ready());
        queue.ask(request(9));
        let Poll::Ready(EndOrRequest::Request(asked)) = queue.poll_end_or_request(&context) else {
            panic!("it has asked")
        };
        assert_eq!(asked.token, 9);
        assert!(queue.poll_end_or_request(&context).is_pending());
    }
}
