//! The rate limits of one connection: who may start now, and when the next one may.
//!
//! Pure: a function of its state and the time that the caller gives. Requests and tokens are counted in exact sliding windows of 60 s, since
//! a bucket that refills would let twice the limit through in some minute. Attempts start in the order in which their calls arrived; nothing
//! overtakes the first, also not a smaller one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::RateLimitConfig;

/// Starts without a limit are kept in sums of this length, which count from their end: a limit that comes later holds no less than it should.
const GRAIN: Duration = Duration::from_millis(100);
/// The length of the sliding windows: half-open, so a start 60 s after another one is in a window without it.
const WINDOW: Duration = Duration::from_secs(60);
/// How much the newest answer weighs in the correction of estimates.
const WEIGHT: f64 = 0.2;
/// Where the correction is kept.
const CORRECTION: (f64, f64) = (0.5, 3.0);
/// Tokens of an answer without a limit of its own, and of the frame of a message.
const ANSWER: u64 = 256;

/// What an attempt is expected to cost before it is sent (C-82).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Estimate {
    /// The provider's id of the model: its correction counts.
    pub(super) model_id: String,
    /// Texts, tools and schemas.
    pub(super) text: u64,
    /// The frames of the messages.
    pub(super) frames: u64,
    /// The answer's limit, if it has one.
    pub(super) max_tokens: Option<u64>,
}

impl Estimate {
    fn input(&self) -> u64 {
        self.text.saturating_add(self.frames)
    }
}

/// What an attempt turned out to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Input and output.
    pub(super) tokens: u64,
    /// The prompt, if the server counted it.
    pub(super) counted_input: Option<u64>,
}

/// The place of a call in the queue: earlier calls have lower ones.
pub(super) type Arrival = u64;

/// A started attempt.
#[derive(Clone, Debug)]
pub(super) struct Started {
    /// Counts the entries that are in the window or were.
    number: u64,
    /// What it is charged so far.
    charge: u64,
    estimate: Estimate,
}

/// Whether the attempt at some place may start.
#[derive(Debug)]
pub(super) enum Admission {
    /// It has started.
    Now(Started),
    /// It is the first, and the windows let it start then unless something changes.
    At(Instant),
    /// Others are before it, or all slots are taken.
    Later,
}

/// One start, or several of an unlimited time.
#[derive(Debug)]
struct Start {
    first: Instant,
    at: Instant,
    count: u64,
    tokens: u64,
}

/// State of the limits of one connection.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    limits: RateLimitConfig,
    arrivals: Arrival,
    waiting: BTreeMap<Arrival, Estimate>,
    in_flight: u64,
    /// Starts of the last 60 s, oldest first.
    window: VecDeque<Start>,
    /// How many entries have left the window: the number of its oldest.
    gone: u64,
    /// The sum of the window's starts.
    count: u64,
    /// The sum of the window's tokens.
    tokens: u64,
    corrections: HashMap<String, f64>,
}

impl Limiter {
    /// Changes the limits; starts of the past 60 s stay charged (O-11).
    pub(super) fn set(&mut self, limits: RateLimitConfig) {
        self.limits = limits;
    }

    /// A place behind all calls so far. A call keeps its place for all its attempts (C-86).
    pub(super) fn arrive(&mut self) -> Arrival {
        self.arrivals += 1;
        self.arrivals
    }

    /// An attempt of the call at this place waits.
    pub(super) fn enqueue(&mut self, place: Arrival, estimate: Estimate) {
        self.waiting.insert(place, estimate);
    }

    /// Nobody waits at this place any more; nothing is charged (C-88).
    pub(super) fn cancel(&mut self, place: Arrival) {
        self.waiting.remove(&place);
    }

    /// How much is kept of the past minute.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.window.len()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The place of the first that waits: the only one that can start.
    pub(super) fn first(&self) -> Option<Arrival> {
        self.waiting.first_key_value().map(|(place, _)| *place)
    }

    /// Starts the attempt at this place if all limits let it.
    pub(super) fn admit(&mut self, place: Arrival, now: Instant) -> Admission {
        let Some((first, estimate)) = self.waiting.first_key_value() else {
            return Admission::Later;
        };
        let full = self.limits.concurrent_requests.is_some_and(|most| self.in_flight >= most);
        if *first != place || full {
            return Admission::Later;
        }
        let charge = self.charge(estimate);
        self.forget(now);
        if let Some(at) = self.opens(charge) {
            return Admission::At(at);
        }
        let estimate = self.waiting.remove(&place).unwrap_or_default();
        Admission::Now(self.start(estimate, charge, now))
    }

    fn start(&mut self, estimate: Estimate, charge: u64, now: Instant) -> Started {
        self.in_flight += 1;
        self.count += 1;
        let is_limited =
            self.limits.requests_per_minute.or(self.limits.tokens_per_minute).is_some();
        // Nobody estimates without a limit; what an attempt cost is charged at its end.
        let charge = if is_limited { charge } else { 0 };
        match self.window.back_mut() {
            Some(sum) if !is_limited && now < sum.first + GRAIN => {
                sum.at = now;
                sum.count += 1;
            }
            _ => self.window.push_back(Start { first: now, at: now, count: 1, tokens: charge }),
        }
        self.tokens = self.tokens.saturating_add(charge);
        Started { number: self.gone + self.window.len() as u64 - 1, charge, estimate }
    }

    /// An attempt has ended: its slot is free, and its charge becomes what it cost (C-83). Without a cost the estimate stands.
    pub(super) fn end(&mut self, started: &Started, cost: Option<Cost>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(cost) = cost else { return };
        self.learn(&started.estimate, cost.counted_input);
        let index = started.number.checked_sub(self.gone);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(start) = index.and_then(|index| self.window.get_mut(index)) {
            let settled = |sum: u64| sum.saturating_sub(started.charge).saturating_add(cost.tokens);
            self.tokens = settled(self.tokens);
            start.tokens = settled(start.tokens);
        }
    }

    /// Moves the correction of a model towards what the server counted (C-82).
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn learn(&mut self, estimate: &Estimate, counted: Option<u64>) {
        let Some(counted) = counted.filter(|counted| *counted > 0) else { return };
        if estimate.input() == 0 {
            return;
        }
        let ratio = counted as f64 / estimate.input() as f64;
        let (least, most) = CORRECTION;
        if let Some(old) = self.corrections.get_mut(&estimate.model_id) {
            *old = ((1.0 - WEIGHT) * *old + WEIGHT * ratio).clamp(least, most);
        } else {
            let first = (1.0 - WEIGHT + WEIGHT * ratio).clamp(least, most);
            self.corrections.insert(estimate.model_id.clone(), first);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, and the cast saturates"
    )]
    fn charge(&self, estimate: &Estimate) -> u64 {
        let correction = self.corrections.get(&estimate.model_id).copied().unwrap_or(1.0);
        // Not one more for the noise of the product.
        let text = (estimate.text as f64 * correction - 1e-6).ceil() as u64;
        let answer = estimate.max_tokens.unwrap_or(ANSWER);
        text.saturating_add(estimate.frames).saturating_add(answer)
    }

    /// Drops the starts that no window from `now` on holds.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.window.front()
            && oldest.at + WINDOW <= now
        {
            self.tokens = self.tokens.saturating_sub(oldest.tokens);
            self.count = self.count.saturating_sub(oldest.count);
            self.window.pop_front();
            self.gone += 1;
        }
    }

    /// When the windows have room for one more start of this charge; `None` if now.
    fn opens(&self, charge: u64) -> Option<Instant> {
        self.opens_for_requests().max(self.opens_for_tokens(charge))
    }

    fn opens_for_requests(&self) -> Option<Instant> {
        let mut surplus = self.count.checked_sub(self.limits.requests_per_minute?)?;
        let mut leaving = self.window.iter();
        let last = leaving.find(|start| {
            let leaves = start.count > surplus;
            surplus = surplus.saturating_sub(start.count);
            leaves
        });
        last.map(|start| start.at + WINDOW)
    }

    /// A charge that alone is above the limit starts when the window holds no other (C-84).
    fn opens_for_tokens(&self, charge: u64) -> Option<Instant> {
        let most = self.limits.tokens_per_minute?;
        let mut left = self.tokens;
        let mut leaving = self.window.iter();
        let mut at = None;
        while left > 0 && left.saturating_add(charge) > most {
            let Some(start) = leaving.next() else { break };
            left = left.saturating_sub(start.tokens);
            at = Some(start.at + WINDOW);
        }
        at
    }
}
