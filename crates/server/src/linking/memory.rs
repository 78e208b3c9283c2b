//! What linking keeps in memory only: when codes were polled and which refusals were audited.
//! Bounded, and not missed after a restart.

use bramble_model::Timestamp;
use bramble_wire::LinkRequestId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::Duration;
use uuid::Uuid;

/// Entries of each map.
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
    refused: HashMap<Uuid, Timestamp>,
}

impl Linking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this poll comes no sooner than `interval` after the last one that did.
    pub(super) fn may_poll(&self, id: LinkRequestId, now: Timestamp, interval: Duration) -> bool {
        let mut state = self.state();
        // A last poll in the future is from before the clock was set back.
        if state.polled.get(&id).is_some_and(|last| *last <= now && now < *last + interval) {
            return false;
        }
        if state.polled.len() < MAX_ENTRIES || state.polled.contains_key(&id) {
            state.polled.insert(id, now);
        }
        true
    }

    /// A request was answered for good.
    pub(super) fn polled_last(&self, id: LinkRequestId) {
        self.state().polled.remove(&id);
    }

    /// Whether this refusal of a key or an identity should be written down.
    pub(super) fn audit_refusal(&self, key: Uuid, now: Timestamp) -> bool {
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
        state.refused.retain(|_, last| now < *last + REFUSAL_EVERY);
    }
}
