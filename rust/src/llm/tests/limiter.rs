//! The rules of the limits on a simulated clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use crate::clock;
use crate::config::RateLimitConfig;
use crate::llm::limit::{Admission, Arrival, Cost, Estimate, Limiter, Started};

const MINUTE: u64 = 60_000;

fn limits(json: &str) -> RateLimitConfig {
    serde_json::from_str(json).unwrap()
}

fn limiter(json: &str) -> Limiter {
    let mut limiter = Limiter::default();
    limiter.set(limits(json));
    limiter
}

/// An attempt that is charged this much.
fn charged(tokens: u64) -> Estimate {
    Estimate { model_id: "m".to_owned(), text: 0, frames: tokens, max_tokens: Some(0) }
}

fn cost(tokens: u64) -> Option<Cost> {
    Some(Cost { tokens, counted_input: None })
}

struct Times(Instant);

impl Times {
    fn at(&self, seconds: u64) -> Instant {
        self.0 + Duration::from_secs(seconds)
    }
}

fn times() -> Times {
    Times(clock::now())
}

fn arrive(limiter: &mut Limiter, tokens: u64) -> Arrival {
    let place = limiter.arrive();
    limiter.enqueue(place, charged(tokens));
    place
}

fn starts(limiter: &mut Limiter, place: Arrival, now: Instant) -> Started {
    match limiter.admit(place, now) {
        Admission::Now(started) => started,
        other => panic!("{other:?}"),
    }
}

fn waits_until(limiter: &mut Limiter, place: Arrival, now: Instant) -> Instant {
    match limiter.admit(place, now) {
        Admission::At(at) => at,
        other => panic!("{other:?}"),
    }
}

/// C-81: half-open windows of exactly 60 s.
#[test]
fn starts_leave_the_window_one_by_one() {
    let (mut limiter, t) = (limiter(r#"{"requests_per_minute": 2}"#), times());
    for second in [0, 10] {
        let place = arrive(&mut limiter, 1);
        starts(&mut limiter, place, t.at(second));
    }
    for (asked, expected) in [(20, 60), (65, 70), (90, 120)] {
        let place = arrive(&mut limiter, 1);
        assert_eq!(waits_until(&mut limiter, place, t.at(asked)), t.at(expected), "{asked}");
        starts(&mut limiter, place, t.at(expected));
    }
}

/// C-86: a small request does not overtake a large one.
#[test]
fn nothing_overtakes_the_first() {
    let (mut limiter, t) = (limiter(r#"{"tokens_per_minute": 100}"#), times());
    let first = arrive(&mut limiter, 60);
    starts(&mut limiter, first, t.at(0));
    let large = arrive(&mut limiter, 90);
    let small = arrive(&mut limiter, 1);
    assert!(matches!(limiter.admit(small, t.at(1)), Admission::Later));
    assert_eq!(waits_until(&mut limiter, large, t.at(1)), t.at(60));
    limiter.cancel(large);
    starts(&mut limiter, small, t.at(1));
    // A retry of the first call comes before later ones.
    let later = arrive(&mut limiter, 1);
    limiter.enqueue(first, charged(1));
    assert!(matches!(limiter.admit(later, t.at(2)), Admission::Later));
    starts(&mut limiter, first, t.at(2));
}

/// C-82, C-83: less is released at once, more holds back, nothing for what never arrived.
#[test]
fn a_charge_becomes_what_the_attempt_cost() {
    let (mut limiter, t) = (limiter(r#"{"tokens_per_minute": 100}"#), times());
    let first = arrive(&mut limiter, 80);
    let started = starts(&mut limiter, first, t.at(0));
    let second = arrive(&mut limiter, 50);
    assert_eq!(waits_until(&mut limiter, second, t.at(1)), t.at(60));
    limiter.end(&started, cost(50));
    let started = starts(&mut limiter, second, t.at(2));
    limiter.end(&started, cost(90));
    let third = arrive(&mut limiter, 20);
    assert_eq!(waits_until(&mut limiter, third, t.at(3)), t.at(62));
    let started = starts(&mut limiter, third, t.at(62));
    limiter.end(&started, cost(0));
    let fourth = arrive(&mut limiter, 100);
    let started = starts(&mut limiter, fourth, t.at(63));
    // Without a known cost the estimate stays.
    limiter.end(&started, None);
    let fifth = arrive(&mut limiter, 1);
    assert_eq!(waits_until(&mut limiter, fifth, t.at(64)), t.at(123));
}

/// C-84: neither refused nor starved.
#[test]
fn a_charge_above_the_limit_waits_for_an_empty_window() {
    let (mut limiter, t) = (limiter(r#"{"tokens_per_minute": 100}"#), times());
    for second in [0, 10] {
        let place = arrive(&mut limiter, 30);
        starts(&mut limiter, place, t.at(second));
    }
    let huge = arrive(&mut limiter, 5000);
    let small = arrive(&mut limiter, 1);
    assert_eq!(waits_until(&mut limiter, huge, t.at(20)), t.at(70));
    starts(&mut limiter, huge, t.at(70));
    assert_eq!(waits_until(&mut limiter, small, t.at(71)), t.at(130));
}

/// C-85
#[test]
fn slots_are_held_until_the_end() {
    let (mut limiter, t) = (limiter(r#"{"concurrent_requests": 2}"#), times());
    let places: Vec<_> = (0..3).map(|_| arrive(&mut limiter, 1)).collect();
    let first = starts(&mut limiter, places[0], t.at(0));
    starts(&mut limiter, places[1], t.at(0));
    assert!(matches!(limiter.admit(places[2], t.at(900)), Admission::Later));
    limiter.end(&first, cost(1));
    starts(&mut limiter, places[2], t.at(900));
}

/// C-82: weight 0.2, per model, within 0.5 and 3.
#[test]
fn estimates_are_corrected_by_what_servers_count() {
    let (mut limiter, t) = (limiter(r#"{"tokens_per_minute": 1000}"#), times());
    let ask = |limiter: &mut Limiter, model: &str, now: Instant| {
        let place = limiter.arrive();
        let model_id = model.to_owned();
        let estimate = Estimate { model_id, text: 100, frames: 0, max_tokens: Some(0) };
        limiter.enqueue(place, estimate);
        starts(limiter, place, now)
    };
    let free = |limiter: &mut Limiter, now: Instant| {
        (0..=1000)
            .rev()
            .find(|tokens| {
                let place = arrive(limiter, *tokens);
                let fits = matches!(limiter.admit(place, now), Admission::Now(_));
                limiter.cancel(place);
                fits
            })
            .unwrap()
    };
    // 0.8 * 1 + 0.2 * 2 = 1.2; then 0.8 * 1.2 + 0.2 * 2 = 1.36; another model has its own.
    for (minute, counted, model, charge) in [
        (0, 200, "a", 100),
        (2, 200, "a", 120),
        (4, 200, "a", 136),
        (6, 100_000, "b", 100),
        (8, 100_000, "b", 300),
        (10, 1, "c", 100),
        (12, 1, "c", 81),
        (14, 1, "c", 65),
        (16, 1, "c", 52),
        (18, 1, "c", 50),
        (20, 1, "c", 50),
    ] {
        let now = t.at(minute * 60);
        let started = ask(&mut limiter, model, now);
        assert_eq!(free(&mut limiter, now), 1000 - charge, "{model} at {minute}");
        limiter.end(&started, Some(Cost { tokens: 0, counted_input: Some(counted) }));
    }
}

/// O-11: no limit, another limit, the past minute.
#[test]
fn changed_limits_see_the_past_minute() {
    let (mut limiter, t) = (limiter(r#"{"requests_per_minute": 5}"#), times());
    for second in 0..5 {
        let place = arrive(&mut limiter, 10);
        starts(&mut limiter, place, t.at(second));
    }
    let next = arrive(&mut limiter, 10);
    limiter.set(limits(r#"{"requests_per_minute": 2}"#));
    assert_eq!(waits_until(&mut limiter, next, t.at(5)), t.at(63));
    limiter.set(limits(r#"{"tokens_per_minute": 55}"#));
    assert_eq!(waits_until(&mut limiter, next, t.at(5)), t.at(60));
    limiter.set(RateLimitConfig::default());
    starts(&mut limiter, next, t.at(5));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// The attempt with this number ends.
    End(u64),
    /// The call at this place gives up if it still waits.
    Cancel(Arrival),
    /// The call at this place tries again.
    Retry(Arrival),
    Wake,
}

/// A start as an observer sees it: when, and what it is charged now.
struct Seen {
    at: u64,
    charge: u64,
}

/// Random calls on a simulated clock, in milliseconds, and an observer that knows nothing of the limiter's inside.
struct Simulation {
    limiter: Limiter,
    limits: RateLimitConfig,
    start: Instant,
    random: Rng,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    /// What those that wait are charged.
    waiting: BTreeMap<Arrival, u64>,
    running: HashMap<u64, (Started, Arrival, u64, u64)>,
    seen: VecDeque<Seen>,
    gone: u64,
    arrivals: u32,
    started: u64,
    in_flight: u64,
    /// The next time that the clock wakes the first in the queue.
    wake: u64,
    /// Starts and what they cost, by the second of the start.
    per_second: Vec<(u64, u64)>,
}

impl Simulation {
    fn new(json: &str, seed: u64) -> Self {
        Self {
            limiter: limiter(json),
            limits: limits(json),
            start: clock::now(),
            random: Rng::with_seed(seed),
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            running: HashMap::new(),
            seen: VecDeque::new(),
            gone: 0,
            arrivals: 0,
            started: 0,
            in_flight: 0,
            wake: 0,
            per_second: Vec::new(),
        }
    }

    /// Lets `calls` calls arrive, one every `gap` milliseconds on average, and runs until all is over. Gives the last moment with a queue.
    fn run(&mut self, calls: u32, gap: u64) -> u64 {
        self.events.push(Reverse((0, Event::Arrive)));
        let mut saturated = 0;
        while let Some(Reverse((now, event))) = self.events.pop() {
            match event {
                Event::Arrive if self.arrivals < calls => {
                    self.arrivals += 1;
                    let place = self.limiter.arrive();
                    self.enqueue(place);
                    if self.random.u8(..100) < 5 {
                        let patience = self.random.u64(..120_000);
                        self.events.push(Reverse((now + patience, Event::Cancel(place))));
                    }
                    let next = now + self.random.u64(0..=2 * gap);
                    self.events.push(Reverse((next, Event::Arrive)));
                }
                Event::End(number) => self.end(number, now),
                Event::Cancel(place) if self.waiting.remove(&place).is_some() => {
                    self.limiter.cancel(place);
                }
                Event::Retry(place) => self.enqueue(place),
                _ => {}
            }
            self.admit(now);
            if !self.waiting.is_empty() {
                saturated = now;
            }
        }
        assert!(self.waiting.is_empty() && self.running.is_empty(), "nobody is starved");
        saturated
    }

    fn enqueue(&mut self, place: Arrival) {
        let large = self.random.u16(..1000) == 0;
        let charge = if large { self.random.u64(..80_000) } else { self.random.u64(50..400) };
        self.limiter.enqueue(place, charged(charge));
        self.waiting.insert(place, charge);
    }

    fn end(&mut self, number: u64, now: u64) {
        let (started, place, charge, since) = self.running.remove(&number).unwrap();
        self.in_flight -= 1;
        let (cost, failed) = match self.random.u8(..100) {
            0..5 => (Some(0), true),
            5..8 => (None, false),
            _ => (Some(charge * self.random.u64(70..=100) / 100), false),
        };
        self.limiter.end(&started, cost.map(|tokens| Cost { tokens, counted_input: None }));
        if let Some(seen) =
            number.checked_sub(self.gone).and_then(|i| self.seen.get_mut(i as usize))
        {
            seen.charge = cost.unwrap_or(charge);
        }
        self.per_second[(since / 1000) as usize].1 += cost.unwrap_or(charge);
        if failed {
            let delay = self.random.u64(..5000);
            self.events.push(Reverse((now + delay, Event::Retry(place))));
        }
    }

    fn admit(&mut self, now: u64) {
        while let Some(first) = self.limiter.first() {
            match self.limiter.admit(first, self.start + Duration::from_millis(now)) {
                Admission::Now(started) => self.check(first, started, now),
                Admission::At(at) => {
                    let at = (at - self.start).as_millis() as u64;
                    assert!(at > now, "the clock goes on");
                    if self.wake <= now || at < self.wake {
                        self.wake = at;
                        self.events.push(Reverse((at, Event::Wake)));
                    }
                    return;
                }
                Admission::Later => return,
            }
        }
    }

    /// What the observer demands of each start.
    fn check(&mut self, place: Arrival, started: Started, now: u64) {
        let (first, charge) = self.waiting.pop_first().unwrap();
        assert_eq!(first, place, "the first in the queue starts (C-86)");
        while self.seen.front().is_some_and(|seen| seen.at + MINUTE <= now) {
            self.seen.pop_front();
            self.gone += 1;
        }
        let before: u64 = self.seen.iter().map(|seen| seen.charge).sum();
        self.seen.push_back(Seen { at: now, charge });
        self.in_flight += 1;
        let Self { limits, .. } = self;
        let within = |most: Option<u64>, found: u64| most.is_none_or(|most| found <= most);
        assert!(within(limits.requests_per_minute, self.seen.len() as u64), "C-81 at {now}");
        assert!(within(limits.concurrent_requests, self.in_flight), "C-85 at {now}");
        assert!(within(limits.tokens_per_minute, before + charge) || before == 0, "C-82 at {now}");
        let second = (now / 1000) as usize;
        self.per_second.resize(self.per_second.len().max(second + 1), (0, 0));
        self.per_second[second].0 += 1;
        let latency = self.random.u64(..4000);
        self.events.push(Reverse((now + latency, Event::End(self.started))));
        self.running.insert(self.started, (started, place, charge, now));
        self.started += 1;
    }
}

/// C-80 to C-88: 100,000 calls with cancels, failures, retries and corrections.
#[test]
fn no_window_is_above_a_limit_and_nobody_is_starved() {
    for (json, calls, gap, seed) in [
        (r#"{"requests_per_minute": 600}"#, 25_000, 80, 1),
        (r#"{"tokens_per_minute": 60000}"#, 15_000, 200, 2),
        (r#"{"concurrent_requests": 20}"#, 20_000, 90, 3),
        (
            r#"{"requests_per_minute": 500, "tokens_per_minute": 100000, "concurrent_requests": 40}"#,
            30_000,
            110,
            4,
        ),
        (r#"{"requests_per_minute": 1000, "concurrent_requests": 16}"#, 10_000, 400, 5),
    ] {
        let mut simulation = Simulation::new(json, seed);
        simulation.run(calls, gap);
        assert!(simulation.started >= u64::from(calls) * 9 / 10, "{json}: {}", simulation.started);
    }
}

/// At least 99 % of a limit is used while there is a queue.
#[test]
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn a_limit_is_used_up_while_there_is_a_queue() {
    for (json, calls, most) in [
        (r#"{"requests_per_minute": 300}"#, 10_000, 300.0),
        (r#"{"tokens_per_minute": 200000}"#, 10_000, 200_000.0),
    ] {
        let mut simulation = Simulation::new(json, 6);
        let minutes = usize::try_from(simulation.run(calls, 10) / MINUTE).unwrap();
        assert!(minutes >= 8, "{json}: saturated for {minutes} minutes only");
        let used: u64 = simulation.per_second[..minutes * 60]
            .iter()
            .map(|(requests, tokens)| if json.contains("tokens") { *tokens } else { *requests })
            .sum();
        let share = used as f64 / (minutes as f64 * most);
        // An attempt counts in the minute in which it starts, with what it cost in the end.
        assert!((0.99..=1.01).contains(&share), "{json}: {share}");
    }
}

/// O-11: a limit that comes later counts what the past minute started and cost, and what is still in flight.
#[test]
fn a_new_limit_counts_the_past_minute() {
    let (mut limiter, t) = (Limiter::default(), times());
    let started: Vec<_> = [0, 10, 20]
        .into_iter()
        .map(|second| {
            let place = limiter.arrive();
            limiter.enqueue(place, Estimate::default());
            starts(&mut limiter, place, t.at(second))
        })
        .collect();
    limiter.end(&started[0], cost(40));
    limiter.set(limits(r#"{"requests_per_minute": 3}"#));
    let fourth = arrive(&mut limiter, 30);
    assert_eq!(waits_until(&mut limiter, fourth, t.at(30)), t.at(60));
    limiter.set(limits(r#"{"tokens_per_minute": 100}"#));
    limiter.end(&started[1], cost(50));
    assert_eq!(waits_until(&mut limiter, fourth, t.at(30)), t.at(60));
    limiter.set(limits(r#"{"concurrent_requests": 1}"#));
    assert!(matches!(limiter.admit(fourth, t.at(60)), Admission::Later), "the third is in flight");
    limiter.end(&started[2], None);
    starts(&mut limiter, fourth, t.at(60));
}

/// O-11: an unlimited connection keeps a bounded memory of the past minute, which never holds less than it should.
#[test]
fn starts_without_a_limit_are_summed() {
    let (mut limiter, t) = (Limiter::default(), times());
    let at = |millis: u64| t.at(0) + Duration::from_millis(millis);
    for millis in 0..90_000 {
        let place = limiter.arrive();
        limiter.enqueue(place, Estimate::default());
        let started = starts(&mut limiter, place, at(millis));
        limiter.end(&started, cost(1));
    }
    assert!(limiter.entries() <= 601, "{}", limiter.entries());
    limiter.set(limits(r#"{"requests_per_minute": 60000}"#));
    let place = arrive(&mut limiter, 1);
    let open = waits_until(&mut limiter, place, at(90_000));
    assert!((at(90_000)..=at(90_100)).contains(&open));
    limiter.set(limits(r#"{"tokens_per_minute": 60000}"#));
    let open = waits_until(&mut limiter, place, at(90_000));
    assert!((at(90_000)..=at(90_200)).contains(&open));
}
