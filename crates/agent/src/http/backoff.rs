//! When to try again: exponential backoff with full jitter, so that ten thousand devices that lost the
//! same server do not come back in the same second.

use bramble_model::{Random, SharedRandom};
use std::time::Duration;

/// The longest `Retry-After` that is believed: a typing error at the server must not silence a device
/// for a year.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(15);

/// The waits between attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    random: SharedRandom,
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// The first wait is at most `first`, every later one at most twice the one before, none longer than
    /// `longest`.
    pub fn new(random: SharedRandom, first: Duration, longest: Duration) -> Self {
        Self { random, first, longest, attempts: 0 }
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// It worked, but not for long: remembers at most this many failures.
    pub fn ease(&mut self, attempts: u32) {
        self.attempts = self.attempts.min(attempts);
    }

    /// How long to wait now. What the server asked for is the least.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX).max(1);
        let window = self.first.saturating_mul(factor).min(self.longest);
        self.attempts = self.attempts.saturating_add(1).min(31);
        let thousandths = (&*self.random as &dyn Random).below(1000) + 1;
        let jittered = window.mul_f64(f64::from(thousandths) / 1000.0);
        retry_after.map_or(jittered, |asked| asked.min(LONGEST_RETRY_AFTER) + jittered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_model::SeededRandom;
    use std::sync::Arc;

    const LONGEST: Duration = Duration::from_mins(2);

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Arc::new(SeededRandom::new(seed)), Duration::from_secs(1), LONGEST)
    }

    #[test]
    fn waits_stay_inside_a_window_that_doubles_up_to_two_minutes() {
        for seed in 0..50 {
            let mut it = backoff(seed);
            for attempt in 0..40 {
                let window = Duration::from_secs(1 << attempt.min(7)).min(LONGEST);
                let wait = it.next(None);
                assert!(wait > Duration::ZERO && wait <= window, "{attempt}: {wait:?}");
            }
        }
    }

    #[test]
    fn the_server_may_ask_for_more_but_not_for_ever() {
        let mut it = backoff(1);
        assert!(it.next(Some(Duration::from_secs(30))) > Duration::from_secs(30));
        assert!(it.next(Some(Duration::from_secs(1 << 40))) < Duration::from_mins(20));
    }

    #[test]
    fn two_devices_do_not_wait_alike() {
        assert_ne!(backoff(1).next(None), backoff(2).next(None));
    }
}
