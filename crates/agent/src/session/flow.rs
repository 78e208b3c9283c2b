//! How much output may wait in the peer connection: enough to keep the path full, and no more, because
//! what waits there stands between a key press and its echo.
//!
//! The mark follows the path: 1.5 × the best delivery rate seen lately × the shortest time from write to
//! acknowledgement. A fixed mark is either slow on long paths or sluggish on short ones.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes. Below this even a local path runs dry between two acknowledgements.
const LEAST: usize = 64 * 1024;
/// Bytes. Bounds a session's memory.
pub(crate) const MOST: usize = 2 * 1024 * 1024;
/// Bytes added to the product, so that a first estimate of nearly nothing can grow.
const SLACK: f64 = 16.0 * 1024.0;
/// The rate is measured over windows of at least this length.
const RATE_WINDOW: Duration = Duration::from_millis(10);
/// The peak rate halves in this time.
const RATE_HALF_LIFE: f64 = 2.0;
/// A latency is forgotten after one to two of these.
const LATENCY_WINDOW: Duration = Duration::from_secs(5);
/// Writes whose acknowledgement is being timed at once.
const TIMED_WRITES: usize = 64;

#[derive(Debug)]
pub(crate) struct Flow {
    mark: usize,
    written: u64,
    acknowledged: u64,
    timed: VecDeque<(u64, Instant)>,
    window: (Instant, u64),
    peak: f64,
    latency: (Option<Duration>, Option<Duration>),
    latency_since: Instant,
}

impl Flow {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            mark: LEAST,
            written: 0,
            acknowledged: 0,
            timed: VecDeque::new(),
            window: (now, 0),
            peak: 0.0,
            latency: (None, None),
            latency_since: now,
        }
    }

    /// Bytes that may be written with this many still unacknowledged.
    pub(crate) fn room(&self, buffered: usize) -> usize {
        self.mark.saturating_sub(buffered)
    }

    pub(crate) fn wrote(&mut self, now: Instant, bytes: usize) {
        self.written += bytes as u64;
        let recent = self.timed.back().is_some_and(|(_, at)| now - *at < Duration::from_millis(1));
        if !recent && self.timed.len() < TIMED_WRITES {
            self.timed.push_back((self.written, now));
        }
    }

    /// Takes note of how many bytes are unacknowledged now.
    pub(crate) fn observe(&mut self, now: Instant, buffered: usize) {
        let acknowledged = self.written.saturating_sub(buffered as u64);
        if acknowledged <= self.acknowledged {
            return;
        }
        self.acknowledged = acknowledged;
        if now - self.latency_since > LATENCY_WINDOW {
            self.latency = (None, self.latency.0);
            self.latency_since = now;
        }
        while let Some((offset, at)) = self.timed.front().copied()
            && offset <= acknowledged
        {
            let took = now - at;
            self.latency.0 = Some(self.latency.0.map_or(took, |least| least.min(took)));
            self.timed.pop_front();
        }
        self.measure_rate(now);
        let latency = [self.latency.0, self.latency.1].into_iter().flatten().min();
        if let Some(latency) = latency {
            let bytes = 1.5 * self.peak * latency.as_secs_f64() + SLACK;
            self.mark = whole(bytes).clamp(LEAST, MOST);
        }
    }

    fn measure_rate(&mut self, now: Instant) {
        let (since, before) = self.window;
        let span = now - since;
        if span < RATE_WINDOW {
            return;
        }
        let seconds = span.as_secs_f64();
        let rate = approximate(self.acknowledged - before) / seconds;
        self.peak = (self.peak * 0.5_f64.powf(seconds / RATE_HALF_LIFE)).max(rate);
        self.window = (now, self.acknowledged);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, clamped by the caller"
)]
fn whole(bytes: f64) -> usize {
    bytes as usize
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn approximate(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers at this rate with this delay for two seconds and returns the mark.
    fn settled(rate: f64, delay: Duration) -> usize {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        let step = Duration::from_millis(1);
        let mut in_flight = VecDeque::new();
        let mut buffered = 0;
        for tick in 0..2000 {
            let now = start + step * tick;
            let mut budget = whole(rate / 1000.0);
            while let Some((at, bytes)) = in_flight.front().copied() {
                if now - at < delay || budget < bytes {
                    break;
                }
                budget -= bytes;
                buffered -= bytes;
                in_flight.pop_front();
            }
            flow.observe(now, buffered);
            while flow.room(buffered) >= 1024 {
                flow.wrote(now, 1024);
                buffered += 1024;
                in_flight.push_back((now, 1024));
            }
        }
        flow.mark
    }

    #[test]
    fn a_long_fat_path_gets_a_high_mark_and_a_short_one_a_low_one() {
        assert!(settled(30e6, Duration::from_millis(40)) > 512 * 1024);
        assert_eq!(settled(1e6, Duration::from_millis(2)), LEAST);
    }

    #[test]
    fn the_mark_never_exceeds_its_bound() {
        assert!(settled(1e9, Duration::from_millis(500)) <= MOST);
    }

    #[test]
    fn a_full_peer_connection_has_no_room() {
        let flow = Flow::new(Instant::now());
        assert_eq!(flow.room(LEAST), 0);
        assert_eq!(flow.room(LEAST + 1), 0);
    }
}
