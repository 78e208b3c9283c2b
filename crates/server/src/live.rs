//! Open dashboards: tells every browser that looks at an account that something of it changed.
//!
//! A hint, not data: the page asks for the changed rows itself, with its own credentials.

use bramble_wire::{AccountId, DeviceId};
use tokio::sync::broadcast;

/// Changes that a slow browser may miss before it is told to reload everything.
const BACKLOG: usize = 256;

/// Something of an account changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub account: AccountId,
    /// Which device; `None` when the list itself changed (one was added or removed).
    pub device: Option<DeviceId>,
}

/// All dashboards of this node.
#[derive(Debug)]
pub struct Live {
    sender: broadcast::Sender<Change>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0 }
    }
}

impl Live {
    /// Tells. Never waits, never fails.
    pub fn tell(&self, change: Change) {
        // No receiver means that nobody looks.
        let _ = self.sender.send(change);
    }

    /// Listens.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }
}
