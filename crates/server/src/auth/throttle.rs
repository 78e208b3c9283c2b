//! Slows down guessing: per account, per address, and per browser that signed in before, each with a
//! budget of its own.
//!
//! Everything is in memory, bounded, and under a keyed hash, so that no address is kept. Each node
//! counts for itself. To add a limit: a [`Scope`] with its [`Rule`]; call [`Throttle::attempt`] before
//! the check, [`Throttle::succeeded`] after it went well.

use bramble_model::Timestamp;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::Duration;

/// Keys that are remembered. Beyond, the longest unused are forgotten.
const MAX_KEYS: usize = 20_000;
/// Longest delay between two tries.
const MAX_DELAY: Duration = Duration::minutes(15);
/// Failures older than this are forgotten.
const FORGET: Duration = Duration::hours(1);

/// What is being tried, by whom. Each has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Passwords for one account, from browsers that it does not know.
    SignInAccount,
    /// Passwords from one address.
    SignInAddress,
    /// Passwords from one browser that signed in to the account before.
    SignInBrowser,
    /// Proofs of one person who is signed in.
    Proof,
    /// Second factors of somebody who gave the right password.
    SecondFactor,
    /// Sign-ups and requests for mail from one address.
    RequestAddress,
    /// Links for a new password to one address. Nothing else counts here, so that whatever strangers do with
    /// an address, its owner has a link that works: the last of those that were sent within the hour.
    ResetRecipient,
    /// Mails to one address about signing up with it.
    SignUpRecipient,
    /// Mails to one address that somebody wants for an account they have.
    ChangeRecipient,
    /// Invitations of one person, whomever they invite.
    Inviter,
    /// Invitations of one person to one address, in whichever organisation.
    InviterRecipient,
    /// Invitations of one organisation to one address. No limit is the address's alone: a stranger would use
    /// it up, and nobody else could invite its owner.
    OrganisationRecipient,
    /// Codes of devices by one account.
    CodeAccount,
    /// Codes of devices from one address.
    CodeAddress,
    /// Codes that devices of one address ask for.
    CodeRequests,
    /// Journeys to other providers that begin at one address.
    ProviderFlow,
    /// Relay credentials that one device asks for outside of sessions.
    IceServers,
    /// Reports of files by one device.
    Transfers,
    /// Unknown tokens of the management API from one address.
    ApiTokens,
    /// Exchanges of device identities from one address that were refused, or are not answered yet.
    IdentityAddress,
    /// Exchanges of one device identity.
    IdentityExchanges,
}

/// How a scope slows down.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// After `free` failures each further one doubles the delay, which begins with a second.
    Backoff { free: u32 },
    /// `count` tries in any `per`.
    Window { count: usize, per: Duration },
    /// `count` tries at once, and as many in each `per` from then on. Needs the same memory for any count.
    Bucket { count: u32, per: Duration },
}

impl Scope {
    fn rule(self) -> Rule {
        let hourly = |count| Rule::Window { count, per: Duration::hours(1) };
        match self {
            Self::SignInAccount | Self::Proof | Self::SecondFactor => Rule::Backoff { free: 5 },
            // Offices and mobile networks share one.
            Self::SignInAddress => Rule::Backoff { free: 30 },
            Self::SignInBrowser => Rule::Backoff { free: 10 },
            Self::RequestAddress | Self::CodeAccount | Self::IceServers => hourly(20),
            Self::ResetRecipient
            | Self::SignUpRecipient
            | Self::ChangeRecipient
            | Self::InviterRecipient
            | Self::OrganisationRecipient => hourly(5),
            // A team is invited in an afternoon; whoever writes to strangers is stopped.
            Self::Inviter => hourly(100),
            Self::CodeAddress => hourly(60),
            // A device that has to wait for it transfers more slowly.
            Self::Transfers => Rule::Window { count: 300, per: Duration::seconds(30) },
            Self::ApiTokens => Rule::Window { count: 100, per: Duration::minutes(1) },
            // Each costs up to twelve checks of a signature. A factory behind one router starts its devices
            // together: what is not answered yet must not be in the way of the others.
            Self::IdentityAddress => Rule::Bucket { count: 300, per: Duration::minutes(1) },
            // A device exchanges it when it is installed. Each one writes, and may cause mail.
            Self::IdentityExchanges => Rule::Bucket { count: 60, per: Duration::hours(1) },
            // As many as may be open at once and those that were decided, of a workshop behind one router.
            Self::CodeRequests | Self::ProviderFlow => {
                Rule::Window { count: 100, per: Duration::minutes(15) }
            }
        }
    }
}

impl Rule {
    /// How much of a bucket's time one try takes.
    fn drop(self) -> Duration {
        match self {
            Self::Bucket { count, per } => per / count,
            Self::Backoff { .. } | Self::Window { .. } => Duration::ZERO,
        }
    }
}

/// Too many tries: wait that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries")]
pub struct Wait(pub Duration);

impl Wait {
    /// For `Retry-After`: whole seconds, at least one.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0.whole_milliseconds()).map_or(1, |ms| ms.div_ceil(1000).max(1))
    }

    /// For people: "20 seconds", "3 minutes".
    pub fn words(self) -> String {
        let seconds = self.seconds();
        let (count, unit) = if seconds < 60 { (seconds, "second") } else { (seconds.div_ceil(60), "minute") };
        format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[derive(Debug)]
enum Record {
    Backoff {
        failures: u32,
        last: Timestamp,
    },
    Window {
        tries: VecDeque<Timestamp>,
    },
    /// When everything that was tried will have been forgotten.
    Bucket {
        empty_at: Timestamp,
    },
}

#[derive(Debug)]
struct Entry {
    record: Record,
    used: u64,
}

#[derive(Debug, Default)]
struct Records {
    entries: HashMap<u64, Entry>,
    uses: u64,
}

/// Slows down guessing.
#[derive(Debug, Default)]
pub struct Throttle {
    records: Mutex<Records>,
    /// Keyed at random in each process: what is kept cannot be turned back into an address.
    hasher: RandomState,
}

impl Throttle {
    /// Counts a try. It counts as failed until [`Self::succeeded`]: of many at once no more get through
    /// than one after the other.
    pub fn attempt(&self, now: Timestamp, scope: Scope, key: &str) -> Result<(), Wait> {
        let id = self.hasher.hash_one((scope, key));
        let mut records = self.lock();
        records.make_room(id);
        records.uses += 1;
        let used = records.uses;
        let entry = records
            .entries
            .entry(id)
            .or_insert_with(|| Entry { record: Record::new(scope.rule(), now), used });
        entry.used = used;
        entry.record.attempt(scope.rule(), now)
    }

    /// The try went well: what failed before is forgotten.
    pub fn succeeded(&self, scope: Scope, key: &str) {
        let id = self.hasher.hash_one((scope, key));
        self.lock().entries.remove(&id);
    }

    /// The last try was right and does not count; those before it still do.
    pub fn take_back(&self, scope: Scope, key: &str) {
        let id = self.hasher.hash_one((scope, key));
        match self.lock().entries.get_mut(&id).map(|entry| &mut entry.record) {
            Some(Record::Window { tries }) => {
                tries.pop_back();
            }
            Some(Record::Backoff { failures, .. }) => *failures = failures.saturating_sub(1),
            Some(Record::Bucket { empty_at }) => *empty_at -= scope.rule().drop(),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a client's address. Of an IPv6 address the network counts: one customer has all of it.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

impl Records {
    fn make_room(&mut self, id: u64) {
        if self.entries.len() < MAX_KEYS || self.entries.contains_key(&id) {
            return;
        }
        // A part at once, so that the search for the oldest is paid rarely.
        let mut uses: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let (_, &mut limit, _) = uses.select_nth_unstable(MAX_KEYS / 8);
        self.entries.retain(|_, entry| entry.used > limit);
    }
}

impl Record {
    fn new(rule: Rule, now: Timestamp) -> Self {
        match rule {
            Rule::Backoff { .. } => Self::Backoff { failures: 0, last: now },
            Rule::Window { .. } => Self::Window { tries: VecDeque::new() },
            Rule::Bucket { .. } => Self::Bucket { empty_at: now },
        }
    }

    fn attempt(&mut self, rule: Rule, now: Timestamp) -> Result<(), Wait> {
        match (self, rule) {
            (Self::Backoff { failures, last }, Rule::Backoff { free }) => {
                // A clock that was set back must not lock anybody out until it has caught up.
                *last = (*last).min(now);
                if now - *last >= FORGET {
                    *failures = 0;
                }
                let wait = *last + delay(*failures, free) - now;
                if *failures >= free && wait.is_positive() {
                    return Err(Wait(wait));
                }
                *failures = failures.saturating_add(1);
                *last = now;
                Ok(())
            }
            (Self::Window { tries }, Rule::Window { count, per }) => {
                for at in tries.iter_mut() {
                    *at = (*at).min(now);
                }
                while tries.front().is_some_and(|first| *first + per <= now) {
                    tries.pop_front();
                }
                if tries.len() >= count {
                    let first = tries.front().copied().unwrap_or(now);
                    return Err(Wait(first + per - now));
                }
                tries.push_back(now);
                Ok(())
            }
            (Self::Bucket { empty_at }, Rule::Bucket { per, .. }) => {
                // Never more than full: a clock that was set back locks nobody out for longer.
                let after = (*empty_at).clamp(now, now + per) + rule.drop();
                if after > now + per {
                    return Err(Wait(after - now - per));
                }
                *empty_at = after;
                Ok(())
            }
            // A scope never changes its rule.
            _ => Ok(()),
        }
    }
}

/// After `free` failures a second, then twice as long after each.
fn delay(failures: u32, free: u32) -> Duration {
    let Some(beyond) = failures.checked_sub(free) else { return Duration::ZERO };
    Duration::seconds(1i64 << beyond.min(20)).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_delay() {
        let throttle = Throttle::default();
        let mut now = START;
        for _ in 0..5 {
            assert_eq!(throttle.attempt(now, Scope::SignInAccount, "a"), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = throttle.attempt(now, Scope::SignInAccount, "a").expect_err("too early");
            assert_eq!(wait, Wait(Duration::seconds(seconds)));
            now += Duration::seconds(seconds) - Duration::microseconds(1);
            assert!(throttle.attempt(now, Scope::SignInAccount, "a").is_err(), "still too early");
            now += Duration::microseconds(1);
            assert_eq!(throttle.attempt(now, Scope::SignInAccount, "a"), Ok(()));
        }
        // Others are not slowed down, and neither is the same key in another scope.
        assert_eq!(throttle.attempt(now, Scope::SignInAccount, "b"), Ok(()));
        assert_eq!(throttle.attempt(now, Scope::SignInBrowser, "a"), Ok(()));
        throttle.succeeded(Scope::SignInAccount, "a");
        assert_eq!(throttle.attempt(now, Scope::SignInAccount, "a"), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let throttle = Throttle::default();
        let tomorrow = START + Duration::days(1);
        for _ in 0..5 {
            throttle.attempt(tomorrow, Scope::SignInAccount, "a").expect("free");
        }
        for _ in 0..20 {
            throttle.attempt(tomorrow, Scope::CodeAccount, "a").expect("free");
        }
        let wait = throttle.attempt(START, Scope::SignInAccount, "a").expect_err("too early");
        assert_eq!(wait, Wait(Duration::seconds(1)));
        let wait = throttle.attempt(START, Scope::CodeAccount, "a").expect_err("too early");
        assert_eq!(wait, Wait(Duration::hours(1)));
    }

    #[test]
    fn right_tries_taken_back_leave_the_wrong_ones() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            throttle.attempt(START, Scope::SignInAddress, "a").expect("right");
            throttle.take_back(Scope::SignInAddress, "a");
        }
        for _ in 0..30 {
            throttle.attempt(START, Scope::SignInAddress, "a").expect("free");
            throttle.attempt(START, Scope::SignInAccount, "b").ok();
        }
        throttle.attempt(START, Scope::SignInAddress, "a").expect_err("thirty wrong ones");
    }

    #[test]
    fn failures_are_forgotten_after_an_hour() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.attempt(START, Scope::Proof, "a").expect("free");
        }
        let later = START + FORGET;
        for _ in 0..5 {
            throttle.attempt(later, Scope::Proof, "a").expect("free again");
        }
        throttle.attempt(later, Scope::Proof, "a").expect_err("and then not");
    }

    #[test]
    fn no_hour_has_more_tries_than_its_window_allows() {
        let throttle = Throttle::default();
        let mut allowed = Vec::new();
        for minute in 0..300 {
            let now = START + Duration::minutes(minute);
            if throttle.attempt(now, Scope::CodeAccount, "a").is_ok() {
                allowed.push(minute);
            }
        }
        for (first, twenty_later) in allowed.iter().zip(allowed.iter().skip(20)) {
            assert!(twenty_later - first >= 60);
        }
        assert_eq!(allowed.len(), 100);
    }

    #[test]
    fn a_bucket_takes_its_fill_at_once_and_then_one_after_the_other() {
        let throttle = Throttle::default();
        let try_at = |now| throttle.attempt(now, Scope::IdentityAddress, "a");
        for _ in 0..1000 {
            try_at(START).expect("right");
            throttle.take_back(Scope::IdentityAddress, "a");
        }
        for _ in 0..300 {
            try_at(START).expect("free");
        }
        let (wait, little) = (Duration::milliseconds(200), Duration::microseconds(1));
        assert_eq!(try_at(START), Err(Wait(wait)));
        assert_eq!(try_at(START + wait - little), Err(Wait(little)), "a refused try costs nothing");
        assert_eq!((try_at(START + wait), try_at(START + wait)), (Ok(()), Err(Wait(wait))));
        let before = START - Duration::days(1);
        assert_eq!(try_at(before), Err(Wait(wait)), "the clock was set back");
        let later = START + Duration::days(1);
        assert_eq!((0..400).filter(|_| try_at(later).is_ok()).count(), 300, "and no more for having waited");
    }

    #[test]
    fn memory_is_bounded_and_the_unused_go_first() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.attempt(START, Scope::SignInAccount, "victim").expect("free");
        }
        for number in 0..3 * MAX_KEYS {
            let _ = throttle.attempt(START, Scope::SignInAccount, &number.to_string());
            if number % 1000 == 0 {
                throttle.attempt(START, Scope::SignInAccount, "victim").expect_err("still remembered");
            }
        }
        assert!(throttle.lock().entries.len() <= MAX_KEYS);
    }

    #[test]
    fn an_ipv6_customer_is_one_and_mapped_addresses_are_ipv4() {
        let key = |text: &str| address_key(text.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::9"), key("2001:db8:1:3::9"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn waits_are_told_in_words() {
        assert_eq!(Wait(Duration::milliseconds(10)).seconds(), 1);
        assert_eq!(Wait(Duration::milliseconds(10)).words(), "1 second");
        assert_eq!(Wait(Duration::seconds(61)).words(), "2 minutes");
        assert_eq!(Wait(Duration::seconds(-5)).seconds(), 1);
    }
}
