//! The live link to devices: open event streams, presence, orders.
//!
//! A stream is a bounded queue of finished events ([`outbox`]) that a connection empties, whatever it
//! speaks: the front door writes it raw on HTTP/1.1 ([`raw`]), axum sends it as a body ([`body`]).
//! [`keep`] is the one task behind all streams: pings, presence after the grace, what the store is told.
//! No timer per device. Nothing here decides who a device is; see [`crate::auth::device`].

pub mod body;
pub mod keep;
mod outbox;
pub mod raw;

pub use outbox::DeviceStream;

use crate::live::{Change, Live};
use bramble_wire::events::{Command, MAX_EVENT, ServerEvent};
use bramble_wire::{AccountId, DeviceId};
use bytes::Bytes;
use outbox::Outbox;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Streams that may replace each other within [`DUPLICATE_WINDOW`] before the token counts as copied.
const DUPLICATE_REPLACEMENTS: usize = 3;
/// In which time.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(1);

/// The device streams of this node.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ping_interval: Duration,
    grace: Duration,
    live: Live,
    devices: Mutex<HashMap<DeviceId, Presence>>,
    closed: AtomicBool,
    open_streams: AtomicU64,
}

/// What is known of a device that has a stream, or lost it a moment ago.
#[derive(Debug)]
struct Presence {
    account: AccountId,
    state: State,
    /// When a newer stream replaced an open one, within the last minute.
    replacements: Vec<Instant>,
    /// Whether the store must hear that this device was seen.
    seen: bool,
    /// Whether the store must hear that two clients use this token.
    duplicate: bool,
}

#[derive(Debug)]
enum State {
    Open { outbox: Arc<Outbox>, next_ping: Instant },
    Lost { at: Instant },
}

impl Link {
    /// No streams yet.
    pub fn new(ping_interval: Duration, grace: Duration, live: Live) -> Self {
        let devices = Mutex::new(HashMap::new());
        let (closed, open_streams) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { ping_interval, grace, live, devices, closed, open_streams }) }
    }

    /// Opens the stream of a device; an older one is closed. `sid` is a random name for it.
    pub fn open(&self, device: DeviceId, account: AccountId, sid: String) -> DeviceStream {
        let outbox = Arc::new(Outbox::default());
        for event in [ServerEvent::Welcome { sid }, ServerEvent::ConfirmSubscription] {
            outbox.push(Bytes::from(event.to_bytes()));
        }
        let stream = DeviceStream::new(device, Arc::clone(&outbox), Arc::clone(&self.shared));
        let now = Instant::now();
        let next_ping = now + self.shared.ping_interval;
        let mut devices = self.shared.lock();
        // Asked under the lock: a stream must not slip in while all are being closed.
        if self.shared.closed.load(Ordering::Acquire) {
            drop(devices);
            outbox.end();
            return stream;
        }
        let known = devices.remove(&device);
        let appeared = known.is_none();
        let mut replacements = Vec::new();
        if let Some(former) = known {
            replacements = former.replacements;
            replacements.retain(|at| now.duration_since(*at) < DUPLICATE_WINDOW);
            if let State::Open { outbox, .. } = former.state {
                outbox.end();
                replacements.push(now);
            }
        }
        let duplicate = replacements.len() > DUPLICATE_REPLACEMENTS;
        if duplicate {
            tracing::warn!(device.id = %device, "two clients use the token of one device");
            replacements.clear();
        }
        let state = State::Open { outbox, next_ping };
        devices.insert(device, Presence { account, state, replacements, seen: true, duplicate });
        drop(devices);
        if appeared {
            self.shared.live.tell(Change { account, device: Some(device) });
        }
        stream
    }

    /// Sends an order to the device's stream. `false` if it has none here or its queue is full; orders
    /// are hints that may be lost, because a device asks for what is pending after every connection.
    pub fn send(&self, device: DeviceId, command: Command) -> bool {
        let Some(event) = event_bytes(command) else { return false };
        match self.shared.lock().get(&device).map(|presence| &presence.state) {
            Some(State::Open { outbox, .. }) => outbox.push(event),
            _ => false,
        }
    }

    /// Whether the device has a stream, or lost it less than the grace ago.
    pub fn is_online(&self, device: DeviceId) -> bool {
        self.shared.lock().contains_key(&device)
    }

    /// The devices of an account that are online.
    pub fn online(&self, account: AccountId) -> Vec<DeviceId> {
        let devices = self.shared.lock();
        devices.iter().filter(|(_, presence)| presence.account == account).map(|(id, _)| *id).collect()
    }

    /// Closes the stream after an order, for devices that were deleted or signed out. They are offline
    /// at once.
    pub fn disconnect(&self, device: DeviceId, last: Option<Command>) {
        let Some(presence) = self.shared.lock().remove(&device) else { return };
        if let State::Open { outbox, .. } = presence.state {
            if let Some(event) = last.and_then(event_bytes) {
                outbox.push_last(event);
            }
            outbox.end();
        }
        self.shared.live.tell(Change { account: presence.account, device: Some(device) });
    }

    /// The device now belongs to another account: its presence is told there.
    pub fn moved(&self, device: DeviceId, account: AccountId) {
        if let Some(presence) = self.shared.lock().get_mut(&device) {
            presence.account = account;
        }
    }

    /// Ends every stream, and every one that opens from now on: devices connect again, elsewhere or
    /// to this server's successor.
    pub fn close_all(&self) {
        let devices = self.shared.lock();
        self.shared.closed.store(true, Ordering::Release);
        for presence in devices.values() {
            if let State::Open { outbox, .. } = &presence.state {
                outbox.end();
            }
        }
    }

    /// Devices with an open stream here.
    pub fn open_streams(&self) -> u64 {
        self.shared.open_streams.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Presence>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is gone. Only the device's present stream makes it lost, not one that was replaced.
    fn gone(&self, device: DeviceId, gone: &Arc<Outbox>) {
        if let Some(presence) = self.lock().get_mut(&device)
            && matches!(&presence.state, State::Open { outbox, .. } if Arc::ptr_eq(outbox, gone))
        {
            presence.state = State::Lost { at: Instant::now() };
            presence.seen = true;
        }
    }
}

fn event_bytes(command: Command) -> Option<Bytes> {
    let bytes = ServerEvent::Command(command).to_bytes();
    if bytes.len() > MAX_EVENT {
        tracing::error!(bytes = bytes.len(), "an order to a device is larger than an event may be");
        return None;
    }
    Some(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::SessionId;
    use uuid::Uuid;

    fn link() -> Link {
        Link::new(Duration::from_secs(25), Duration::from_secs(10), Live::default())
    }

    fn id<I: From<Uuid>>(n: u128) -> I {
        Uuid::from_u128(n).into()
    }

    async fn all(mut stream: DeviceStream) -> String {
        let mut text = Vec::new();
        while let Some(event) = stream.next().await {
            text.extend_from_slice(&event);
        }
        String::from_utf8(text).expect("text")
    }

    #[tokio::test]
    async fn a_newer_stream_closes_the_older_and_orders_go_to_the_newer() {
        let link = link();
        let (device, account) = (id(1), id(2));
        let older = link.open(device, account, "a".into());
        let newer = link.open(device, account, "b".into());
        let older = all(older).await;
        assert!(older.ends_with("}\"}\n\n"), "only greeted: {older}");
        assert!(link.is_online(device), "the older's end does not make it lost");
        assert!(link.send(device, Command::EndSession { id: SessionId(Uuid::nil()), reason: String::new() }));
        link.disconnect(device, Some(Command::SignOut {}));
        let newer = all(newer).await;
        let (session, out) = (newer.find("end_session"), newer.find("sign_out"));
        assert!(session.is_some() && session < out, "{newer}");
        assert!(!link.is_online(device) && !link.send(device, Command::SignOut {}));
    }

    #[tokio::test]
    async fn a_queue_has_an_end() {
        let link = link();
        let device = id(1);
        let stream = link.open(device, id(2), "a".into());
        let taken = (0..1000).take_while(|_| link.send(device, Command::SignOut {})).count();
        assert_eq!(taken, outbox::CAPACITY - 2);
        link.close_all();
        assert_eq!(all(stream).await.matches("sign_out").count(), taken);
        let late = link.open(id(3), id(2), "b".into());
        assert!(all(late).await.starts_with("event: welcome"), "ends at once");
        assert!(!link.is_online(id(3)));
    }

    #[tokio::test]
    async fn alternating_clients_are_noticed_and_reconnects_are_not() {
        let (device, account) = (id(1), id(2));
        let copied = |link: &Link| link.shared.lock()[&device].duplicate;
        let link = self::link();
        for _ in 0..10 {
            drop(link.open(device, account, "one after the other".into()));
        }
        assert!(!copied(&link));
        let _streams: Vec<_> = (0..4).map(|n| link.open(device, account, n.to_string())).collect();
        assert!(!copied(&link), "three replacements");
        let _fifth = link.open(device, account, "5".into());
        assert!(copied(&link), "a fourth within a minute");
    }
}
