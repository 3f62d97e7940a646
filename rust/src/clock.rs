//! The only reader of time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Monotonic now; follows tokio's clock, which tests pause.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Wall-clock time in seconds since the Unix epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only reader of time")]
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Wall-clock time, for dates in headers.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only reader of time")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Whole milliseconds, saturating.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
