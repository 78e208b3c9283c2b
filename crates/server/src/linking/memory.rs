//! What linking keeps in memory only: when codes were polled, how many codes somebody tried, which
//! refusals were audited. All of it bounded, none of it missed after a restart.

use bramble_model::Timestamp;
use bramble_wire::{AuthKeyId, LinkRequestId, UserId};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::Duration;

/// Codes that one person may try in [`TRY_WINDOW`].
const TRIES_PER_USER: u32 = 20;
/// Codes that may be tried from one address in [`TRY_WINDOW`].
const TRIES_PER_ADDRESS: u32 = 60;
/// The window of both.
const TRY_WINDOW: Duration = Duration::hours(1);
/// Entries of each map. When one is full of what still counts, the newcomer is refused rather than
/// somebody forgotten.
const MAX_ENTRIES: usize = 20_000;
/// A refused key is written to the audit log at most this often: a device that keeps asking with a
/// used key must not fill the log.
const REFUSAL_EVERY: Duration = Duration::hours(1);

/// Linking's memory.
#[derive(Debug, Default)]
pub struct Linking(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    polled: HashMap<LinkRequestId, Timestamp>,
    tries: HashMap<Who, Tries>,
    refused: HashMap<AuthKeyId, Timestamp>,
}

/// Who tries codes. Addresses are kept as digests that nothing else can be joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    User(UserId),
    Address([u8; 16]),
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    since: Timestamp,
    count: u32,
}

impl Linking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this poll comes no sooner than `interval` after the last one that did.
    pub(super) fn may_poll(&self, id: LinkRequestId, now: Timestamp, interval: Duration) -> bool {
        let mut state = self.state();
        if state.polled.get(&id).is_some_and(|last| now < *last + interval) {
            return false;
        }
        if state.polled.len() < MAX_ENTRIES {
            state.polled.insert(id, now);
        }
        true
    }

    /// A request was answered for good.
    pub(super) fn polled_last(&self, id: LinkRequestId) {
        self.state().polled.remove(&id);
    }

    /// Counts one more code that a person tries, until [`Self::was_right`]. `false` if that was one
    /// too many.
    pub(super) fn may_try(&self, user: UserId, address: IpAddr, now: Timestamp) -> bool {
        let mut state = self.state();
        let person = count(&mut state.tries, Who::User(user), TRIES_PER_USER, now);
        let place = count(&mut state.tries, Who::Address(digest(address)), TRIES_PER_ADDRESS, now);
        person && place
    }

    /// The code that was tried exists: only wrong ones count.
    pub(super) fn was_right(&self, user: UserId, address: IpAddr) {
        let mut state = self.state();
        for who in [Who::User(user), Who::Address(digest(address))] {
            if let Some(tries) = state.tries.get_mut(&who) {
                tries.count = tries.count.saturating_sub(1);
            }
        }
    }

    /// Whether this refusal of a key should be written down.
    pub(super) fn audit_refusal(&self, key: AuthKeyId, now: Timestamp) -> bool {
        let mut state = self.state();
        if state.refused.get(&key).is_some_and(|last| now < *last + REFUSAL_EVERY)
            || state.refused.len() >= MAX_ENTRIES
        {
            return false;
        }
        state.refused.insert(key, now);
        true
    }

    /// Forgets what no longer counts.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut state = self.state();
        state.polled.retain(|_, last| now < *last + bramble_model::link_request::LIFETIME);
        state.tries.retain(|_, tries| now < tries.since + TRY_WINDOW);
        state.refused.retain(|_, last| now < *last + REFUSAL_EVERY);
    }
}

fn count<K: Hash + Eq>(all: &mut HashMap<K, Tries>, key: K, limit: u32, now: Timestamp) -> bool {
    if let Some(tries) = all.get_mut(&key) {
        if now >= tries.since + TRY_WINDOW {
            *tries = Tries { since: now, count: 0 };
        }
        tries.count = tries.count.saturating_add(1);
        return tries.count <= limit;
    }
    if all.len() >= MAX_ENTRIES {
        all.retain(|_, tries| now < tries.since + TRY_WINDOW);
    }
    if all.len() >= MAX_ENTRIES {
        return false;
    }
    all.insert(key, Tries { since: now, count: 1 });
    true
}

/// One IPv4 address, or the network of 2^64 IPv6 addresses that one customer has.
fn digest(address: IpAddr) -> [u8; 16] {
    let canonical = address.to_canonical();
    let place = match canonical {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets()[..8].to_vec(),
    };
    let mut out = [0; 16];
    out.copy_from_slice(&Sha256::digest(place)[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u8) -> UserId {
        UserId::from_random([n; 16])
    }

    #[test]
    fn twenty_codes_a_person_and_sixty_an_address() {
        let memory = Linking::default();
        let start = Timestamp::UNIX_EPOCH;
        let here: IpAddr = "192.0.2.1".parse().expect("an address");
        for n in 0..20 {
            assert!(memory.may_try(user(1), here, start), "{n}");
        }
        assert!(!memory.may_try(user(1), here, start));
        // 21 from this address so far, refused ones included.
        for n in 0..39 {
            assert!(memory.may_try(user(2 + n / 20), here, start), "{n}");
        }
        assert!(!memory.may_try(user(9), here, start));
        assert!(memory.may_try(user(9), "192.0.2.2".parse().expect("an address"), start));
        assert!(memory.may_try(user(1), here, start + TRY_WINDOW));
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let a = digest("2001:db8:1:2::1".parse().expect("an address"));
        assert_eq!(a, digest("2001:db8:1:2:ffff::9".parse().expect("an address")));
        assert_ne!(a, digest("2001:db8:1:3::1".parse().expect("an address")));
    }
}
