//! The live link to devices: open event streams, presence, orders.

use bramble_wire::events::Command;
use bramble_wire::{AccountId, DeviceId};
use std::time::Duration;

/// The device streams of this node.
#[derive(Debug, Default)]
pub struct Link {}

impl Link {
    /// No streams yet.
    pub fn new(ping_interval: Duration, grace: Duration) -> Self {
        let _ = (ping_interval, grace);
        Self {}
    }

    /// Sends an order to the device's stream. `false` if it has none here or its queue is full; orders
    /// are hints that may be lost, because a device asks for what is pending after every connection.
    pub fn send(&self, device: DeviceId, command: Command) -> bool {
        let _ = (device, command);
        false
    }

    /// Whether the device has a stream, or lost it less than the grace ago.
    pub fn is_online(&self, device: DeviceId) -> bool {
        let _ = device;
        false
    }

    /// Closes the stream after an order, for devices that were deleted or signed out.
    pub fn disconnect(&self, device: DeviceId, last: Option<Command>) {
        let _ = (device, last);
    }

    /// The device now belongs to another account: its presence is told there.
    pub fn moved(&self, device: DeviceId, account: AccountId) {
        let _ = (device, account);
    }

    /// Ends every stream.
    pub fn close_all(&self) {}
}
