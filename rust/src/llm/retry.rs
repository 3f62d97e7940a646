//! Who is tried again, and how long to wait first. Pure: the caller owns clock, dice and sleep.

use std::time::Duration;

use crate::config::RetryConfig;
use crate::providers::{Failure, RetryClass};

/// The longest wait that a server may ask for where the program wrote no cap.
const LONGEST_WISH: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backoff {
    None,
    Linear,
    Exponential,
}

/// The policy of one call, defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    max_attempts: u32,
    backoff: Backoff,
    initial_delay: Duration,
    max_delay: Duration,
    longest_wish: Duration,
    retry_on: Vec<RetryClass>,
    jitter: f64,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    GiveUp,
    RetryAfter(Duration),
}

impl Policy {
    /// The policy that these fields mean; none makes one attempt. `jitter` is the share of a delay that may be added to it.
    pub(super) fn new(written: Option<&RetryConfig>, jitter: f64) -> Self {
        let fields = written.cloned().unwrap_or_default();
        let backoff = match fields.backoff.as_deref() {
            Some("linear") => Backoff::Linear,
            Some("exponential") => Backoff::Exponential,
            _ => Backoff::None,
        };
        // "none" means that the delay does not grow: one that was written is kept, none is made up (C-69).
        let unwritten = if backoff == Backoff::None { 0 } else { 1000 };
        let max_delay = fields.max_delay_ms.map(Duration::from_millis);
        let classes = fields.retry_on.as_ref().map(|names| names.iter().filter_map(|n| class(n)));
        Self {
            max_attempts: fields
                .max_attempts
                .map_or(1, |most| u32::try_from(most).unwrap_or(u32::MAX)),
            backoff,
            initial_delay: Duration::from_millis(fields.initial_delay_ms.unwrap_or(unwritten)),
            max_delay: max_delay.unwrap_or(Duration::from_secs(30)),
            longest_wish: max_delay.unwrap_or(LONGEST_WISH),
            retry_on: classes.map_or_else(
                || vec![RetryClass::RateLimit, RetryClass::ServerError, RetryClass::Timeout],
                Iterator::collect,
            ),
            jitter: jitter.max(0.0),
        }
    }

    /// Attempts of one round at most, the first included.
    pub(super) fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Decides after attempt number `attempt`, counted from 1. `room` is what is left of the call's time; `draw` is random, 0 to 1.
    pub(super) fn after(
        &self,
        attempt: u32,
        failure: &Failure,
        room: Option<Duration>,
        draw: f64,
    ) -> Decision {
        let listed = failure.class.is_some_and(|class| self.retry_on.contains(&class));
        // Waiting less than the server asks is useless, and waiting more breaks a cap that someone chose (C-71).
        let too_long = failure.retry_after.is_some_and(|wish| wish > self.longest_wish);
        if attempt >= self.max_attempts || !listed || too_long {
            return Decision::GiveUp;
        }
        let delay = self.delay(attempt, failure.retry_after, draw);
        if room.is_some_and(|room| delay > room) {
            return Decision::GiveUp;
        }
        Decision::RetryAfter(delay)
    }

    /// Jitter is only added, so that a delay is a lower bound, and never above the cap.
    pub(super) fn delay(&self, attempt: u32, wish: Option<Duration>, draw: f64) -> Duration {
        let grown = match self.backoff {
            Backoff::None => self.initial_delay,
            Backoff::Linear => self.initial_delay.saturating_mul(attempt),
            Backoff::Exponential => {
                let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
                self.initial_delay.saturating_mul(factor)
            }
        };
        let cap = if wish.is_some() { self.longest_wish } else { self.max_delay };
        let low = grown.min(self.max_delay).max(wish.unwrap_or_default());
        let most = Duration::try_from_secs_f64(low.as_secs_f64() * (1.0 + self.jitter));
        let high = most.unwrap_or(cap).min(cap).max(low);
        low + (high - low).mul_f64(draw.clamp(0.0, 1.0))
    }
}

fn class(name: &str) -> Option<RetryClass> {
    match name {
        "rate_limit" => Some(RetryClass::RateLimit),
        "server_error" => Some(RetryClass::ServerError),
        "timeout" => Some(RetryClass::Timeout),
        _ => None,
    }
}

/// The word of the language for a class.
pub(super) fn class_word(class: RetryClass) -> &'static str {
    match class {
        RetryClass::RateLimit => "rate_limit",
        RetryClass::ServerError => "server_error",
        RetryClass::Timeout => "timeout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::FailureKind;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn policy(json: &str, jitter: f64) -> Policy {
        Policy::new(Some(&serde_json::from_str(json).unwrap()), jitter)
    }

    fn failure(class: Option<RetryClass>) -> Failure {
        Failure { class, ..Failure::new(FailureKind::ServerError, "busy") }
    }

    fn wish(wish: Duration) -> Failure {
        Failure { retry_after: Some(wish), ..failure(Some(RetryClass::RateLimit)) }
    }

    fn delays(json: &str) -> Vec<u64> {
        let (policy, failure) = (policy(json, 0.0), failure(Some(RetryClass::ServerError)));
        let delay = |attempt| match policy.after(attempt, &failure, None, 0.5) {
            Decision::RetryAfter(delay) => u64::try_from(delay.as_millis()).unwrap(),
            Decision::GiveUp => panic!("attempts are left"),
        };
        (1..=6).map(delay).collect()
    }

    /// C-67, C-69, C-70: rows of the table, the cap, saturation.
    #[test]
    fn delays_are_as_tabled() {
        for (fields, expected) in [
            (r#""backoff": "none""#, [0; 6]),
            (r#""initial_delay_ms": 250"#, [250; 6]),
            (r#""backoff": "none", "initial_delay_ms": 40000"#, [30_000; 6]),
            (r#""backoff": "linear""#, [1000, 2000, 3000, 4000, 5000, 6000]),
            (r#""backoff": "exponential""#, [1000, 2000, 4000, 8000, 16_000, 30_000]),
            (
                r#""backoff": "exponential", "initial_delay_ms": 500, "max_delay_ms": 5000"#,
                [500, 1000, 2000, 4000, 5000, 5000],
            ),
            (
                r#""backoff": "linear", "initial_delay_ms": 700, "max_delay_ms": 1500"#,
                [700, 1400, 1500, 1500, 1500, 1500],
            ),
            (r#""backoff": "exponential", "initial_delay_ms": 0"#, [0; 6]),
            (r#""backoff": "exponential", "max_delay_ms": 0"#, [0; 6]),
        ] {
            assert_eq!(
                delays(&format!(r#"{{"max_attempts": 9, {fields}}}"#)),
                expected,
                "{fields}"
            );
        }
        let json = r#"{"max_attempts": 100, "backoff": "exponential", "initial_delay_ms": 600000,
                       "max_delay_ms": 3600000}"#;
        let failure = failure(Some(RetryClass::Timeout));
        let last = policy(json, 0.1).after(99, &failure, None, 1.0);
        assert_eq!(last, Decision::RetryAfter(MS(3_600_000)), "arithmetic saturates");
    }

    /// C-70: only added, within the cap, none on 0, none when off.
    #[test]
    fn jitter_is_only_added() {
        let failure = failure(Some(RetryClass::ServerError));
        let json = r#"{"max_attempts": 9, "backoff": "exponential", "max_delay_ms": 4100}"#;
        for (jitter, attempt, draw, expected) in [
            (0.1, 1, 0.0, 1000),
            (0.1, 1, 0.5, 1050),
            (0.1, 1, 1.0, 1100),
            (0.1, 3, 1.0, 4100),
            (0.1, 4, 1.0, 4100),
            (0.0, 2, 1.0, 2000),
            (1.0, 1, 1.0, 2000),
        ] {
            let decision = policy(json, jitter).after(attempt, &failure, None, draw);
            assert_eq!(decision, Decision::RetryAfter(MS(expected)), "{jitter} {attempt} {draw}");
        }
        let none = policy(r#"{"max_attempts": 2}"#, 0.5).after(1, &failure, None, 1.0);
        assert_eq!(none, Decision::RetryAfter(Duration::ZERO));
    }

    /// C-71: a floor with jitter on top, bounded by the written cap or 300 s.
    #[test]
    fn the_servers_wish_is_a_floor_and_a_cap_decides_whether_it_is_obeyed() {
        let capped = r#"{"max_attempts": 9, "backoff": "linear", "max_delay_ms": 5000}"#;
        let open = r#"{"max_attempts": 9, "backoff": "linear"}"#;
        use Decision::{GiveUp, RetryAfter};
        for (json, attempt, wished, draw, expected) in [
            (capped, 1, MS(3000), 0.0, RetryAfter(MS(3000))),
            (capped, 1, MS(3000), 1.0, RetryAfter(MS(3300))),
            (capped, 1, MS(4900), 1.0, RetryAfter(MS(5000))),
            (capped, 1, MS(5000), 1.0, RetryAfter(MS(5000))),
            (capped, 1, MS(5001), 0.0, GiveUp),
            (capped, 4, MS(3000), 0.0, RetryAfter(MS(4000))),
            (capped, 1, Duration::ZERO, 0.0, RetryAfter(MS(1000))),
            (open, 1, MS(299_000), 1.0, RetryAfter(MS(300_000))),
            (open, 1, MS(300_000), 1.0, RetryAfter(MS(300_000))),
            (open, 1, MS(300_001), 0.0, GiveUp),
            (open, 1, MS(40_000), 0.5, RetryAfter(MS(42_000))),
            (open, 1, Duration::MAX, 0.0, GiveUp),
        ] {
            let decision = policy(json, 0.1).after(attempt, &wish(wished), None, draw);
            assert_eq!(decision, expected, "{json} {attempt} {wished:?} {draw}");
        }
    }

    /// C-67, C-72, C-73: classes, attempts left, the call's deadline.
    #[test]
    fn what_is_listed_and_in_time_is_retried() {
        use RetryClass::{RateLimit, ServerError, Timeout};
        let all = r#"{"max_attempts": 2}"#;
        for (json, classes) in [
            (all, vec![RateLimit, ServerError, Timeout]),
            (r#"{"max_attempts": 2, "retry_on": ["timeout"]}"#, vec![Timeout]),
            (
                r#"{"max_attempts": 2, "retry_on": ["rate_limit", "server_error"]}"#,
                vec![RateLimit, ServerError],
            ),
            (r#"{"max_attempts": 2, "retry_on": []}"#, vec![]),
            (r#"{"max_attempts": 1}"#, vec![]),
            ("{}", vec![]),
        ] {
            for class in [None, Some(RateLimit), Some(ServerError), Some(Timeout)] {
                let decision = policy(json, 0.1).after(1, &failure(class), None, 0.0);
                let retried = decision != Decision::GiveUp;
                assert_eq!(
                    retried,
                    class.is_some_and(|c| classes.contains(&c)),
                    "{json} {class:?}"
                );
            }
        }
        let (slow, failure) =
            (r#"{"max_attempts": 3, "backoff": "linear"}"#, failure(Some(Timeout)));
        for (attempt, room, expected) in [
            (1, MS(1000), Decision::RetryAfter(MS(1000))),
            (1, MS(999), Decision::GiveUp),
            (2, MS(2000), Decision::RetryAfter(MS(2000))),
            (3, MS(9000), Decision::GiveUp),
        ] {
            assert_eq!(policy(slow, 0.1).after(attempt, &failure, Some(room), 0.0), expected);
        }
        let once = Policy::new(None, 0.1).after(1, &failure, None, 0.0);
        assert_eq!(once, Decision::GiveUp, "no block makes one attempt");
    }
}
