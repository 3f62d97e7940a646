//! What a run hands to its host, under many schedules: all of it arrives, in order, and nobody waits for what has come already.

use std::future::poll_fn;
use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread;

use crate::engine::emits::Emit;
use crate::engine::requests::{HostRequest, Question, RequestKind};
use crate::error::RunError;
use crate::log::{Log, LogLevel, standard_error};
use crate::runtime::hand_over::{EndOrRequest, HandOver};
use crate::sync::interleaved;
use crate::value::Value;

fn emit(sequence: u64) -> Emit {
    let (channel, payload) = ("c".to_owned(), Value::Nil);
    Emit { channel, payload, time: 0.0, run_id: 1, task_id: 1, sequence }
}

fn request() -> HostRequest {
    let kind = RequestKind::Emit { channel: "ask".to_owned() };
    let question = Question { kind, payload: Value::Nil, expected: "Any".to_owned() };
    HostRequest::new(7, question, Log::new(LogLevel::Error, standard_error())).0
}

#[test]
fn a_slow_host_gets_all_emits_in_order() {
    interleaved(|| {
        let queue = HandOver::new(1);
        let run = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                (0..4).for_each(|sequence| block_on(queue.push(emit(sequence))));
                queue.end(Ok(Value::Nil));
            }
        });
        let mut taken = Vec::new();
        while let Some(batch) = block_on(poll_fn(|context| queue.poll_emits(context, 2))) {
            taken.extend(batch.iter().map(|emit| emit.sequence));
        }
        run.join().unwrap();
        assert_eq!(taken, [0, 1, 2, 3]);
    });
}

#[test]
fn who_waits_for_the_end_hears_of_a_request() {
    interleaved(|| {
        let queue = HandOver::new(9);
        let run = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.ask(request())
        });
        let heard = block_on(poll_fn(|context| queue.poll_end_or_request(context)));
        assert!(matches!(heard, EndOrRequest::Request(request) if request.token == 7));
        run.join().unwrap();
    });
}

#[test]
fn a_run_that_is_cancelled_lets_all_go_on_who_wait() {
    interleaved(|| {
        let queue = HandOver::new(1);
        let other = |work: fn(&HandOver)| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || work(&queue))
        };
        let waiters = [
            other(|queue| {
                let outcome = block_on(poll_fn(|context| queue.poll_outcome(context)));
                assert!(matches!(*outcome, Err(RunError::Cancelled)));
            }),
            other(|queue| while block_on(poll_fn(|c| queue.poll_emits(c, 1))).is_some() {}),
            // With somebody who waits for the end, emits that nobody reads hold it back no more.
            other(|queue| {
                block_on(queue.push(emit(0)));
                block_on(queue.push(emit(1)));
                queue.end(Err(RunError::Cancelled));
            }),
        ];
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(queue.has_ended());
    });
}
