//! How many connections of strangers come from one place, so that one of them cannot take every place.
//!
//! A place is an IPv4 address or an IPv6 network of one customer. Device streams leave the count once
//! their device has proved itself: a fleet behind one router may be as large as it is. Proxies that the
//! operator trusts, and this very machine, are not counted at all.

use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone)]
pub(super) struct Crowd {
    most: usize,
    trusted: Arc<[IpNet]>,
    places: Arc<Mutex<HashMap<Place, usize>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

/// One connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Guest(Option<(Crowd, Place)>);

impl Crowd {
    pub(super) fn new(most: usize, trusted: &[IpNet]) -> Self {
        Self { most, trusted: trusted.into(), places: Arc::default() }
    }

    /// `None` when there are too many from there.
    pub(super) fn enter(&self, from: IpAddr) -> Option<Guest> {
        let from = from.to_canonical();
        if from.is_loopback() || self.trusted.iter().any(|network| network.contains(&from)) {
            return Some(Guest(None));
        }
        let place = place(from);
        let mut places = self.lock();
        let here = places.entry(place).or_default();
        if *here >= self.most {
            return None;
        }
        *here += 1;
        Some(Guest(Some((self.clone(), place))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some((crowd, place)) = self.0.take() else { return };
        let mut places = crowd.lock();
        if let Some(here) = places.get_mut(&place) {
            *here -= 1;
            if *here == 0 {
                places.remove(&place);
                // After a wave the map is as small as before.
                if places.len() < places.capacity() / 4 {
                    places.shrink_to_fit();
                }
            }
        }
    }
}

fn place(from: IpAddr) -> Place {
    match from {
        IpAddr::V4(address) => Place::V4(address.to_bits()),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64;
            Place::V6(u64::try_from(network).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_place_has_so_many_and_room_comes_back() {
        let crowd = Crowd::new(2, &["10.0.0.0/8".parse().expect("a network")]);
        let mut here: Vec<_> = (0..2).map(|_| crowd.enter(ip("192.0.2.1")).expect("room")).collect();
        assert!(crowd.enter(ip("192.0.2.1")).is_none() && crowd.enter(ip("::ffff:192.0.2.1")).is_none());
        assert!(crowd.enter(ip("192.0.2.2")).is_some(), "others have room");
        here.pop();
        assert!(crowd.enter(ip("192.0.2.1")).is_some());
        here.clear();
        assert!(crowd.lock().is_empty(), "nothing stays");
        let _network: Vec<_> = (1..3).map(|n| crowd.enter(ip(&format!("2001:db8::{n}")))).collect();
        assert!(crowd.enter(ip("2001:db8::9")).is_none() && crowd.enter(ip("2001:db8:0:1::9")).is_some());
        let many: Vec<_> =
            ["127.0.0.1", "::1", "10.1.2.3"].into_iter().flat_map(|a| (0..9).map(move |_| a)).collect();
        let _uncounted: Vec<_> = many.into_iter().map(|a| crowd.enter(ip(a)).expect("uncounted")).collect();
        assert!(crowd.lock().get(&place(ip("10.1.2.3"))).is_none());
    }
}
