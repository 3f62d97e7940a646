//! The queue of a connection under many schedules: nobody is forgotten, and never more start than may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::future::{self, block_on};
use shuttle::thread;

use crate::clock::Clock;
use crate::config::RateLimitConfig;
use crate::llm::limit::{Cost, Estimate};
use crate::llm::queue::{Entry, Permit, Queue};
use crate::sync::interleaved;

fn queue(most: u64) -> Arc<Queue> {
    let queue = Queue::new(None, Clock::system());
    queue.set(Some(&limits(most)), 0);
    queue
}

fn limits(most: u64) -> RateLimitConfig {
    RateLimitConfig { concurrent_requests: Some(most), ..RateLimitConfig::default() }
}

async fn started(queue: &Arc<Queue>) -> Permit {
    match queue.enter(queue.arrive(), Estimate::default()) {
        Entry::Started(permit) => permit,
        Entry::Waits(waiting) => waiting.started().await,
        Entry::Full(_) => unreachable!("the queue has no bound"),
    }
}

/// Has a slot for a while, of which there are so many.
fn work(queue: &Arc<Queue>, at_work: &AtomicU64, most: u64) {
    let permit = block_on(started(queue));
    assert!(at_work.fetch_add(1, Ordering::SeqCst) < most, "more have started than may");
    thread::yield_now();
    at_work.fetch_sub(1, Ordering::SeqCst);
    permit.end(Cost { tokens: 1, counted_input: None });
}

#[test]
fn each_gets_its_turn_and_no_slot_is_taken_twice() {
    interleaved(|| {
        let (queue, at_work) = (queue(2), Arc::new(AtomicU64::new(0)));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (queue, at_work) = (Arc::clone(&queue), Arc::clone(&at_work));
                thread::spawn(move || work(&queue, &at_work, 2))
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn who_is_cancelled_while_it_is_woken_hands_the_turn_on() {
    interleaved(|| {
        let queue = queue(1);
        let first = block_on(started(&queue));
        let cancelled = future::spawn({
            let queue = Arc::clone(&queue);
            async move { drop(started(&queue).await) }
        });
        let last = thread::spawn({
            let queue = Arc::clone(&queue);
            move || drop(block_on(started(&queue)))
        });
        let release = thread::spawn(move || drop(first));
        cancelled.abort();
        let _ = block_on(cancelled);
        release.join().unwrap();
        last.join().unwrap();
        assert!(matches!(queue.enter(queue.arrive(), Estimate::default()), Entry::Started(_)));
    });
}

#[test]
fn new_limits_reach_those_that_wait() {
    interleaved(|| {
        let queue = queue(1);
        let held = block_on(started(&queue));
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || block_on(started(&queue)))
            })
            .collect();
        let change = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.set(Some(&limits(3)), 1)
        });
        // Nobody ends meanwhile: only the new limits let them start.
        let permits: Vec<_> = waiting.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        change.join().unwrap();
        drop((held, permits));
    });
}
