//! The only reader of time, and the only sleeper.
//!
//! Everything that waits asks a [`Clock`]. A playground uses [`Clock::real`]. Tests use
//! [`Clock::virtual_from`] on a current-thread runtime whose time is paused: when every task is
//! waiting, time jumps to the next timer, so five minutes of cluster life take milliseconds and
//! nothing can be "a little too slow". Nothing here knows about Kubernetes.
//!
//! Architecture invariant: no other file calls `SystemTime::now`, `Instant::now`, `Timestamp::now`
//! or `tokio::time`.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A source of time. Cheap to copy: all copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    Real,
    Virtual { epoch: Timestamp, start: Instant },
}

/// The time given to [`Clock::timeout`] passed before the future was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Clock(Source::Real)
    }

    /// A clock that starts at `epoch` and follows tokio's own time. On a runtime started paused
    /// (`#[tokio::test(start_paused = true)]`), it jumps from timer to timer.
    pub fn virtual_from(epoch: Timestamp) -> Self {
        Clock(Source::Virtual { epoch, start: Instant::now() })
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Source::Real => Timestamp::now(),
            Source::Virtual { epoch, start } => {
                let passed = SignedDuration::try_from(start.elapsed()).unwrap_or(SignedDuration::MAX);
                epoch.saturating_add(passed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// A point of monotonic time, to measure with [`Clock::since`].
    pub fn tick(&self) -> Tick {
        Tick(Instant::now())
    }

    /// The time that has passed since `tick`, never negative.
    pub fn since(&self, tick: Tick) -> Duration {
        tick.0.elapsed()
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`; returns at once if it has passed.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        let left = deadline.duration_since(self.now());
        if left.is_positive() {
            tokio::time::sleep(left.unsigned_abs()).await;
        }
    }

    /// Waits for `future`, at most for `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when `limit` passed first; the future is dropped.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(limit, future).await.map_err(|_| Elapsed)
    }
}

/// A point of monotonic time, made by [`Clock::tick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(Instant);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_jumps_over_a_wait() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now().as_second(), 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_the_past_is_over() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        clock.sleep_until(Timestamp::MIN).await;
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_ends_a_future_that_never_ends() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        let ended = clock.timeout(Duration::from_secs(5), std::future::pending::<()>()).await;
        assert_eq!(ended, Err(Elapsed));
        assert_eq!(clock.now().as_second(), 5);
    }
}
