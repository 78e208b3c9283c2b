//! When to try again: exponential backoff with full jitter, so that ten thousand devices that lost the
//! same server do not come back in the same second.

use bramble_model::{Random, SharedRandom};
use std::time::{Duration, Instant};

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
    since: Option<Instant>,
}

impl Backoff {
    /// The first wait is at most `first`; the window doubles with every attempt, but is never wider than
    /// the trouble is old: after a restart of the server that took three seconds, everybody is back three
    /// seconds later. None is longer than `longest`.
    pub fn new(random: SharedRandom, first: Duration, longest: Duration) -> Self {
        Self { random, first, longest, attempts: 0, since: None }
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.attempts = 0;
        self.since = None;
    }

    /// It worked, but not for long: remembers at most this many failures.
    pub fn ease(&mut self, attempts: u32) {
        self.attempts = self.attempts.min(attempts);
    }

    /// How long to wait now. What the server asked for is the least.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let age = self.since.get_or_insert_with(Instant::now).elapsed();
        self.next_at(age, retry_after)
    }

    fn next_at(&mut self, age: Duration, retry_after: Option<Duration>) -> Duration {
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX).max(1);
        let window = self.first.saturating_mul(factor).min(age.max(self.first)).min(self.longest);
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
    fn waits_double_up_to_two_minutes_and_never_exceed_the_age_of_the_trouble() {
        for seed in 0..50 {
            let mut it = backoff(seed);
            let (mut age, mut longest) = (Duration::ZERO, Duration::ZERO);
            for attempt in 0..60 {
                let window = Duration::from_secs(1 << attempt.min(7)).min(LONGEST);
                let wait = it.next_at(age, None);
                assert!(wait > Duration::ZERO && wait <= window, "{attempt}: {wait:?}");
                assert!(wait <= age.max(Duration::from_secs(1)), "{attempt}: {wait:?}");
                longest = longest.max(wait);
                age += wait;
            }
            assert!(longest > LONGEST / 2, "it grows: {longest:?}");
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
