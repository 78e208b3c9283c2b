//! How much one credential, or one stranger, may do.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket. Time comes from outside, so it has no clock of its own.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: f64,
    most: f64,
    left: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket that holds `most` and gains `per_second`.
    pub fn new(per_second: f64, most: f64, now: Instant) -> Self {
        Self { per_second, most, left: most, filled_at: now }
    }

    /// Takes `amount` if all of it is there.
    pub fn take(&mut self, amount: f64, now: Instant) -> bool {
        self.fill(now);
        let enough = self.left >= amount;
        if enough {
            self.left -= amount;
        }
        enough
    }

    /// Takes `amount` even if it is not there; [`Self::debt`] then tells how long to pause.
    pub fn borrow(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.left -= amount;
    }

    /// How long until nothing is owed.
    pub fn debt(&mut self, now: Instant) -> Duration {
        self.fill(now);
        if self.left >= 0.0 || self.per_second <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.left / self.per_second).unwrap_or(Duration::MAX)
    }

    /// How long until `amount` can be taken; `None` if it never can.
    pub fn until(&mut self, amount: f64, now: Instant) -> Option<Duration> {
        self.fill(now);
        if self.left >= amount {
            return Some(Duration::ZERO);
        }
        if amount > self.most || self.per_second <= 0.0 {
            return None;
        }
        Some(Duration::try_from_secs_f64((amount - self.left) / self.per_second).unwrap_or(Duration::MAX))
    }

    /// Whether it is as if it had never been used.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left >= self.most
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.left = (self.left + passed.as_secs_f64() * self.per_second).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 50.0, start);
        assert!(bucket.take(50.0, start));
        assert!(!bucket.take(1.0, start));
        assert!(!bucket.take(11.0, start + Duration::from_millis(100)));
        assert!(bucket.take(10.0, start + Duration::from_millis(100)));
        // It never holds more than it may, however long nothing was taken.
        assert!(!bucket.take(51.0, start + Duration::from_mins(1)));
        assert!(bucket.take(50.0, start + Duration::from_mins(1)));
    }

    #[test]
    fn time_that_goes_backwards_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(100.0, 50.0, start);
        assert!(bucket.take(50.0, start));
        assert!(!bucket.take(1.0, start.checked_sub(Duration::from_secs(5)).expect("ten seconds ahead")));
        assert!(!bucket.take(1.0, start));
    }

    #[test]
    fn it_tells_when_there_will_be_enough() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 50.0, start);
        assert_eq!(bucket.until(50.0, start), Some(Duration::ZERO));
        assert!(bucket.take(50.0, start));
        assert_eq!(bucket.until(25.0, start), Some(Duration::from_millis(250)));
        assert_eq!(bucket.until(51.0, start), None);
        bucket.borrow(50.0, start);
        assert_eq!(bucket.until(50.0, start), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_is_borrowed_is_paid_back_in_time() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 50.0, start);
        bucket.borrow(150.0, start);
        assert_eq!(bucket.debt(start), Duration::from_secs(1));
        assert_eq!(bucket.debt(start + Duration::from_secs(1)), Duration::ZERO);
        assert!(!bucket.is_full(start + Duration::from_secs(1)));
        assert!(bucket.is_full(start + Duration::from_secs(2)));
    }
}
