//! How many requests a token may make in an hour of the clock, and how seldom its use is written down.
//!
//! Each node counts for itself, in memory. What nobody knows is counted under a keyed hash, and no more
//! than so many of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bramble_model::Timestamp;
use bramble_wire::ApiTokenId;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::Duration;

/// Unknown tokens that are counted. Beyond, their senders' addresses bound them.
const MAX_STRANGERS: usize = 10_000;
/// A token's use is written at most this often.
pub const USE_NOTED_EVERY: Duration = Duration::minutes(1);
const HOUR: i64 = 3600;

/// Counts requests.
#[derive(Debug, Default)]
pub struct RateLimit {
    counts: Mutex<Counts>,
    /// Keyed at random in each process: nothing that is kept leads back to a token.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Counts {
    hour: i64,
    tokens: HashMap<ApiTokenId, u32>,
    strangers: HashMap<u64, u32>,
    noted: HashMap<ApiTokenId, Timestamp>,
}

/// What is left to a token after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    limit: u32,
    remaining: u32,
    /// Seconds until it begins anew.
    reset: u32,
    /// Whether this request was one too many.
    pub exceeded: bool,
}

impl Allowance {
    /// Says it to the client.
    pub fn write(self, headers: &mut HeaderMap) {
        let all = [
            ("x-rate-limit-limit", self.limit),
            ("x-rate-limit-remaining", self.remaining),
            ("x-rate-limit-reset", self.reset),
        ];
        for (name, value) in all {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

impl RateLimit {
    /// Counts a request of a token. `limit` 0 counts nothing.
    pub fn spend(&self, token: ApiTokenId, limit: u32, now: Timestamp) -> Option<Allowance> {
        if limit == 0 {
            return None;
        }
        let mut counts = self.at(now);
        let count = counts.tokens.entry(token).or_default();
        *count = count.saturating_add(1);
        let exceeded = *count > limit;
        let reset = HOUR - now.unix_timestamp().rem_euclid(HOUR);
        let reset = u32::try_from(reset).unwrap_or_default();
        Some(Allowance { limit, remaining: limit.saturating_sub(*count), reset, exceeded })
    }

    /// Counts a request with something that is no token. `false` if it was one too many.
    pub fn spend_unknown(&self, token: &str, limit: u32, now: Timestamp) -> bool {
        if limit == 0 {
            return true;
        }
        let id = self.hasher.hash_one(token);
        let mut counts = self.at(now);
        if counts.strangers.len() >= MAX_STRANGERS && !counts.strangers.contains_key(&id) {
            return true;
        }
        let count = counts.strangers.entry(id).or_default();
        *count = count.saturating_add(1);
        *count <= limit
    }

    /// Whether the use of a token, known to the store as `last`, is to be written down now. Of many at
    /// once one hears yes.
    pub fn is_use_news(&self, token: ApiTokenId, last: Option<Timestamp>, now: Timestamp) -> bool {
        let recent = |at: Timestamp| at <= now && now - at < USE_NOTED_EVERY;
        if last.is_some_and(recent) {
            return false;
        }
        let mut counts = self.at(now);
        if counts.noted.get(&token).copied().is_some_and(recent) {
            return false;
        }
        counts.noted.insert(token, now);
        true
    }

    fn at(&self, now: Timestamp) -> MutexGuard<'_, Counts> {
        let hour = now.unix_timestamp().div_euclid(HOUR);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.hour != hour {
            *counts = Counts { hour, ..Counts::default() };
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use uuid::Uuid;

    #[test]
    fn an_hour_of_the_clock() {
        let limit = RateLimit::default();
        let (a, b) = (ApiTokenId(Uuid::from_u128(1)), ApiTokenId(Uuid::from_u128(2)));
        let now = datetime!(2026-11-22 12:59:50 UTC);
        let left = |token, now| limit.spend(token, 2, now).map(|it| (it.remaining, it.reset, it.exceeded));
        assert_eq!(left(a, now), Some((1, 10, false)));
        assert_eq!(left(a, now), Some((0, 10, false)));
        assert_eq!(left(a, now), Some((0, 10, true)));
        assert_eq!(left(b, now), Some((1, 10, false)), "others are not concerned");
        assert_eq!(left(a, datetime!(2026-11-22 13:00 UTC)), Some((1, 3600, false)));
        assert_eq!(limit.spend(a, 0, now), None, "switched off");
    }

    #[test]
    fn strangers_are_counted_and_bounded() {
        let limit = RateLimit::default();
        let now = datetime!(2026-11-22 12:00 UTC);
        assert!(limit.spend_unknown("x", 1, now) && !limit.spend_unknown("x", 1, now));
        for n in 0..MAX_STRANGERS + 10 {
            limit.spend_unknown(&n.to_string(), 1, now);
        }
        assert_eq!(limit.at(now).strangers.len(), MAX_STRANGERS);
        assert!(!limit.spend_unknown("x", 1, now), "those that are counted stay");
    }

    #[test]
    fn use_is_noted_once_a_minute() {
        let limit = RateLimit::default();
        let token = ApiTokenId(Uuid::from_u128(1));
        let now = datetime!(2026-11-22 12:00 UTC);
        assert!(limit.is_use_news(token, None, now) && !limit.is_use_news(token, None, now));
        assert!(!limit.is_use_news(token, Some(now), now + Duration::seconds(59)));
        assert!(limit.is_use_news(token, Some(now), now + Duration::seconds(60)));
    }
}
