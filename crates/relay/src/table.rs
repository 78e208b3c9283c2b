//! All allocations, found by client and by relayed address, and what is remembered about credentials.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;

use crate::allocation::{Account, Allocation};
use crate::client_path::FiveTuple;
use crate::config::Limits;
use crate::credentials::{LONGEST_VALIDITY_SECONDS, Username};

#[derive(Debug, Default)]
pub(crate) struct Table(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_client: HashMap<FiveTuple, Arc<Allocation>>,
    by_relayed: HashMap<SocketAddr, Arc<Allocation>>,
    accounts: HashMap<String, Arc<Account>>,
    /// Sessions that were ended, with the time until which one of their credentials might still be valid.
    ended: HashMap<String, u64>,
    is_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The session was ended.
    Ended,
    /// The credential has used up what it may.
    Quota,
    /// The server has.
    Full,
}

impl Table {
    pub(crate) fn of_client(&self, tuple: &FiveTuple, now: Instant) -> Option<Arc<Allocation>> {
        self.read().by_client.get(tuple).filter(|it| it.is_live(now)).cloned()
    }

    /// The allocation with this relayed address.
    pub(crate) fn of_relayed(&self, address: SocketAddr, now: Instant) -> Option<Arc<Allocation>> {
        self.read().by_relayed.get(&address).filter(|it| it.is_live(now)).cloned()
    }

    pub(crate) fn is_relayed(&self, address: SocketAddr, now: Instant) -> bool {
        self.read().by_relayed.get(&address).is_some_and(|it| it.is_live(now))
    }

    /// Whether any relayed address is at `ip`.
    pub(crate) fn relays_at(&self, ip: IpAddr, now: Instant) -> bool {
        self.read().by_relayed.iter().any(|(address, it)| address.ip() == ip && it.is_live(now))
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_client.len()
    }

    /// Takes the place of one more allocation of this credential. It must be given to [`Self::insert`] or back with
    /// [`Self::give_back`].
    pub(crate) fn reserve(
        &self,
        text: &str,
        username: Username<'_>,
        limits: &Limits,
        now: Instant,
    ) -> Result<Arc<Account>, Refusal> {
        let mut inner = self.write();
        if inner.ended.contains_key(username.session) {
            return Err(Refusal::Ended);
        }
        if inner.by_client.len() >= limits.allocations || inner.is_closed {
            return Err(Refusal::Full);
        }
        let account = inner.accounts.entry(text.to_owned()).or_insert_with(|| {
            Arc::new(Account::new(text, username.session, username.expires_at, limits, now))
        });
        if account.is_exhausted()
            || account.allocations.load(Ordering::Relaxed) >= limits.allocations_per_credential
        {
            return Err(Refusal::Quota);
        }
        account.allocations.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::clone(account))
    }

    pub(crate) fn give_back(&self, account: &Account) {
        let _inner = self.write();
        account.allocations.fetch_sub(1, Ordering::Relaxed);
    }

    /// Adds an allocation. `false`: its session ended, or its address was taken, in the meantime.
    pub(crate) fn insert(&self, allocation: &Arc<Allocation>) -> bool {
        let mut inner = self.write();
        let gone = inner.is_closed
            || inner.ended.contains_key(&allocation.account.session)
            || inner.by_relayed.contains_key(&allocation.relayed);
        if gone {
            allocation.account.allocations.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let replaced = inner.by_client.insert(allocation.tuple, Arc::clone(allocation));
        inner.by_relayed.insert(allocation.relayed, Arc::clone(allocation));
        if let Some(former) = replaced {
            // It expired a moment ago and its task has not noticed yet.
            former.ended.cancel();
            inner.forget(&former);
        }
        true
    }

    pub(crate) fn remove(&self, allocation: &Arc<Allocation>) {
        allocation.ended.cancel();
        self.write().forget(allocation);
    }

    /// Ends all allocations of a session and lets its credentials make no other. Returns how many there were.
    pub(crate) fn end_session(&self, session: &str, now: u64) -> usize {
        let mut inner = self.write();
        inner.ended.insert(session.to_owned(), now.saturating_add(LONGEST_VALIDITY_SECONDS));
        let of_session: Vec<_> =
            inner.by_client.values().filter(|it| it.account.session == session).cloned().collect();
        for allocation in &of_session {
            allocation.ended.cancel();
            inner.forget(allocation);
        }
        of_session.len()
    }

    pub(crate) fn close(&self) {
        let mut inner = self.write();
        inner.is_closed = true;
        let all: Vec<_> = inner.by_client.values().cloned().collect();
        for allocation in &all {
            allocation.ended.cancel();
            inner.forget(allocation);
        }
    }

    /// Forgets what can no longer matter.
    pub(crate) fn sweep(&self, now: u64) {
        let mut inner = self.write();
        inner.ended.retain(|_, until| *until > now);
        inner.accounts.retain(|_, it| it.expires_at > now || it.allocations.load(Ordering::Relaxed) > 0);
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Idempotent; never removes another allocation that has taken the place.
    fn forget(&mut self, allocation: &Arc<Allocation>) {
        let is_it = |found: Option<&Arc<Allocation>>| found.is_some_and(|it| Arc::ptr_eq(it, allocation));
        if is_it(self.by_client.get(&allocation.tuple)) {
            self.by_client.remove(&allocation.tuple);
        }
        if is_it(self.by_relayed.get(&allocation.relayed)) {
            self.by_relayed.remove(&allocation.relayed);
            allocation.account.allocations.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
