//! The only reader of time, and the clock of a runtime: the machine's, or one that tests move (C-91).

mod simulated;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::turns::look_around;
use simulated::Simulated;
pub(crate) use simulated::{Outside, Waiting};

/// Monotonic now of the machine; follows tokio's clock, which tests pause.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time of the machine, for dates in headers.
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

/// Does work until then. Code of the host may have kept this thread from its sockets until the time was over, so what has come is heard of first.
async fn in_time<T>(at: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout_at(at, work.as_mut()).await {
        return Some(done);
    }
    look_around().await;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Where a runtime's time comes from. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
///
/// let clock = concerto::Clock::new_virtual();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.elapsed(), Duration::from_secs(90));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Simulated>);

impl Clock {
    /// The machine's clock: the default.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock for tests, which takes no time. It begins at the machine's present and stands still until each run that uses it waits for time:
    /// then it jumps to the nearest moment that one of them waits for. While a request is under way or a host is asked it stands still.
    #[must_use]
    pub fn new_virtual() -> Self {
        Self(Some(Simulated::new(now(), wall())))
    }

    /// Whether this is a clock for tests.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.0.is_some()
    }

    /// Moves a virtual clock forward; whatever waits for the time between goes on. The machine's clock cannot be moved: nothing happens.
    pub fn advance(&self, by: Duration) {
        if let Some(time) = &self.0 {
            time.advance(by);
        }
    }

    /// How far a virtual clock has moved; zero for the machine's.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, Simulated::elapsed)
    }

    /// Monotonic now.
    pub(crate) fn now(&self) -> Instant {
        self.0.as_ref().map_or_else(now, Simulated::now)
    }

    /// How long ago this was.
    pub(crate) fn since(&self, then: Instant) -> Duration {
        self.now().saturating_duration_since(then)
    }

    /// Wall-clock time in seconds since the Unix epoch.
    pub(crate) fn unix_seconds(&self) -> f64 {
        let wall = self.0.as_ref().map_or_else(wall, Simulated::wall);
        wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    /// Waits so long.
    pub(crate) async fn sleep(&self, time: Duration) {
        match &self.0 {
            None => tokio::time::sleep(time).await,
            Some(simulated) => simulated.timer(simulated.now() + time).await,
        }
    }

    /// Waits until then.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        match &self.0 {
            None => tokio::time::sleep_until(at).await,
            Some(simulated) => simulated.timer(at).await,
        }
    }

    /// Does work until then; `None` if it has not ended.
    pub(crate) async fn until<T>(&self, at: Instant, work: impl Future<Output = T>) -> Option<T> {
        let Some(simulated) = &self.0 else { return in_time(at, work).await };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = simulated.timer(at) => None,
        }
    }

    /// Something outside of the program goes on as long as the guard lives, such as a request: a virtual clock does not move by itself.
    pub(crate) fn outside(&self) -> Option<Outside> {
        self.0.as_ref().map(Simulated::outside)
    }

    /// The same while a host does something for the run that this thread is polling.
    pub(crate) fn host(&self) -> Option<Outside> {
        self.0.as_ref().map(Simulated::host)
    }

    /// This thread waits for a run with this clock as long as the guard lives: runs whose handlers do so do not hold up a virtual clock.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        self.0.as_ref().map(Simulated::waiting)
    }

    /// Executes a run: a virtual clock moves when this run and all others wait for time.
    pub(crate) async fn drive<T>(&self, run: impl Future<Output = T>) -> T {
        match &self.0 {
            None => run.await,
            Some(simulated) => simulated.drive(run).await,
        }
    }
}
