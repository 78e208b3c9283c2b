//! How much work strangers get out of the server, by address. Everything here is bounded: a flood from invented
//! addresses fills the table and then shares one bucket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::quota::TokenBucket;

/// Addresses remembered at once; about 1.5 MB when full.
const REMEMBERED: usize = 16_384;

/// Requests without an allocation behind them, per address.
#[derive(Debug)]
pub struct Throttle {
    per_second: f64,
    burst: f64,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    by_address: HashMap<IpAddr, TokenBucket>,
    /// For those who find the table full.
    others: TokenBucket,
    swept_at: Instant,
}

impl Throttle {
    /// Lets every address do `burst` requests and then `per_second`.
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (per_second, burst) = (f64::from(per_second), f64::from(burst));
        let others = TokenBucket::new(per_second * 16.0, burst * 16.0, now);
        let buckets = Buckets { by_address: HashMap::new(), others, swept_at: now };
        Self { per_second, burst, buckets: Mutex::new(buckets) }
    }

    /// Whether one more request from here is answered.
    pub fn admits(&self, from: IpAddr, now: Instant) -> bool {
        let mut buckets = lock(&self.buckets);
        if buckets.by_address.len() >= REMEMBERED {
            buckets.sweep(now);
        }
        let full = buckets.by_address.len() >= REMEMBERED;
        let Buckets { by_address, others, .. } = &mut *buckets;
        match by_address.entry(network(from)) {
            Entry::Occupied(mut it) => it.get_mut().take(1.0, now),
            Entry::Vacant(_) if full => others.take(1.0, now),
            Entry::Vacant(it) => it.insert(TokenBucket::new(self.per_second, self.burst, now)).take(1.0, now),
        }
    }

    /// Forgets addresses that have been quiet.
    pub fn sweep(&self, now: Instant) {
        let mut buckets = lock(&self.buckets);
        buckets.by_address.retain(|_, bucket| !bucket.is_full(now));
        buckets.by_address.shrink_to(64);
    }
}

impl Buckets {
    /// At most once a second, because a flood calls it with every datagram.
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept_at).as_secs() >= 1 {
            self.swept_at = now;
            self.by_address.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}

/// How many streams each address has open.
#[derive(Debug)]
pub struct StreamCount {
    most: usize,
    most_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One open stream; dropping it makes room for another.
#[derive(Debug)]
pub struct StreamSlot<'a> {
    count: &'a StreamCount,
    from: IpAddr,
}

impl StreamCount {
    /// Both numbers are limits, not targets.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, open: Mutex::default() }
    }

    /// Room for one more from here, if there is any.
    pub fn admit(&self, from: IpAddr) -> Option<StreamSlot<'_>> {
        let from = network(from);
        let mut open = lock(&self.open);
        if open.total >= self.most
            || open.by_address.get(&from).is_some_and(|it| *it >= self.most_per_address)
        {
            return None;
        }
        open.total += 1;
        *open.by_address.entry(from).or_default() += 1;
        Some(StreamSlot { count: self, from })
    }

    /// Open now.
    pub fn total(&self) -> usize {
        lock(&self.open).total
    }
}

impl Drop for StreamSlot<'_> {
    fn drop(&mut self) {
        let mut open = lock(&self.count.open);
        open.total -= 1;
        if let Entry::Occupied(mut it) = open.by_address.entry(self.from) {
            *it.get_mut() -= 1;
            if *it.get() == 0 {
                it.remove();
            }
        }
    }
}

/// One household: an IPv4 address, or the /64 that one IPv6 subscriber gets at least.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A poisoned lock means that a thread died in between; every value behind ours is whole at any time.
pub(crate) fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn one_address_is_held_back_and_others_are_not() {
        let now = Instant::now();
        let it = Throttle::new(10, 3, now);
        assert!((0..3).all(|_| it.admits(ip(1), now)));
        assert!(!it.admits(ip(1), now));
        assert!(it.admits(ip(2), now));
        assert!(it.admits(ip(1), now + Duration::from_millis(100)));
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        let now = Instant::now();
        let it = Throttle::new(1, 1, now);
        assert!(it.admits("2a01:4f8::1".parse().expect("an address"), now));
        assert!(!it.admits("2a01:4f8::2".parse().expect("an address"), now));
        assert!(it.admits("2a01:4f8:0:1::1".parse().expect("an address"), now));
    }

    #[test]
    fn invented_addresses_do_not_fill_the_memory() {
        let now = Instant::now();
        let it = Throttle::new(1, 1, now);
        let admitted = (0..100_000).filter(|number| it.admits(ip(*number), now)).count();
        assert_eq!(admitted, REMEMBERED + 16);
        assert_eq!(lock(&it.buckets).by_address.len(), REMEMBERED);
        it.sweep(now + Duration::from_secs(2));
        assert_eq!(lock(&it.buckets).by_address.len(), 0);
    }

    #[test]
    fn streams_are_counted_until_they_close() {
        let it = StreamCount::new(3, 2);
        let first = it.admit(ip(1)).expect("room");
        let _second = it.admit(ip(1)).expect("room");
        assert!(it.admit(ip(1)).is_none(), "two per address");
        let _third = it.admit(ip(2)).expect("room");
        assert!(it.admit(ip(3)).is_none(), "three in all");
        drop(first);
        assert!(it.admit(ip(1)).is_some());
        assert_eq!(it.total(), 2);
    }
}
