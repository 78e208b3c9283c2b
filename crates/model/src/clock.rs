//! Time is injected: one [`Clock`], so that tests move it by hand and no rule reads it twice.

use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// A moment in UTC, whole microseconds: the finest that both database engines keep.
pub type Timestamp = OffsetDateTime;

/// Where every part of the server gets the time from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, in whole microseconds.
    fn now(&self) -> Timestamp;

    /// Now, as Unix seconds.
    fn unix(&self) -> i64 {
        self.now().unix_timestamp()
    }
}

/// A clock to hand around.
pub type SharedClock = Arc<dyn Clock>;

/// The computer's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        whole_microseconds(OffsetDateTime::now_utc())
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Mutex::new(whole_microseconds(start)))
    }

    /// Moves it; a negative duration moves it back.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_microseconds(at: Timestamp) -> Timestamp {
    let nanosecond = at.nanosecond() / 1000 * 1000;
    at.replace_nanosecond(nanosecond).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_clock_tells_more_than_both_engines_keep() {
        assert_eq!(SystemClock.now().nanosecond() % 1000, 0);
        let odd = OffsetDateTime::UNIX_EPOCH + Duration::nanoseconds(1_234_567);
        let clock = ManualClock::at(odd);
        assert_eq!(clock.now().nanosecond(), 1_234_000);
        clock.advance(Duration::minutes(2));
        assert_eq!(clock.unix(), 120);
    }
}
