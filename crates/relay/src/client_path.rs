//! The way back to a client: a datagram from the listening socket, or a place in the queue of its stream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::stun::{TransactionId, padded, write_channel_data, write_data_indication};
use crate::throttle::lock;
use crate::udp::{Destination, Outbox};

/// Answers find room in a queue that application data has filled.
const ROOM_FOR_ANSWERS: usize = 16 * 1024;
/// A buffer that grew beyond this is given back once it is written.
const KEPT_BYTES: usize = 16 * 1024;

/// What identifies a client's transport (RFC 8656 §2): both addresses, the protocol, and for streams the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FiveTuple {
    pub(crate) link: Link,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    Datagram,
    /// Numbered, because behind a proxy two connections may show the same addresses.
    Stream(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum ClientPath {
    Datagram(Destination),
    Stream(Arc<StreamQueue>),
}

impl ClientPath {
    /// Sends a STUN message. `false`: there was no room.
    pub(crate) fn send_message(&self, out: &mut Outbox, message: &[u8]) -> bool {
        match self {
            Self::Datagram(to) => {
                out.push(to, message.len(), |bytes| bytes.extend_from_slice(message));
                true
            }
            Self::Stream(queue) => {
                queue.push(message.len(), ROOM_FOR_ANSWERS, |bytes| bytes.extend_from_slice(message))
            }
        }
    }

    /// Sends application data on a channel.
    pub(crate) fn send_channel_data(&self, out: &mut Outbox, channel: u16, payload: &[u8]) -> bool {
        match self {
            Self::Datagram(to) => {
                out.push(to, 4 + payload.len(), |bytes| write_channel_data(bytes, channel, payload, false));
                true
            }
            Self::Stream(queue) => queue.push(4 + padded(payload.len()), 0, |bytes| {
                write_channel_data(bytes, channel, payload, true);
            }),
        }
    }

    /// Sends application data with its peer's address.
    pub(crate) fn send_data_indication(
        &self,
        out: &mut Outbox,
        transaction: TransactionId,
        peer: SocketAddr,
        payload: &[u8],
    ) -> bool {
        let overhead = 20 + 4 + if peer.is_ipv4() { 12 } else { 24 };
        let length = overhead + padded(payload.len());
        if length > usize::from(u16::MAX) {
            return false;
        }
        let write = |bytes: &mut Vec<u8>| {
            write_data_indication(bytes, transaction, peer, payload);
        };
        match self {
            Self::Datagram(to) => {
                out.push(to, length, write);
                true
            }
            Self::Stream(queue) => queue.push(length, 0, write),
        }
    }
}

/// Bytes waiting to be written to a stream. Any task appends whole frames, one writes.
#[derive(Debug)]
pub(crate) struct StreamQueue {
    most: usize,
    waiting: Mutex<Vec<u8>>,
    filled: Notify,
}

impl StreamQueue {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::default(), filled: Notify::new() }
    }

    fn push(&self, length: usize, extra: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let was_empty = {
            let mut waiting = lock(&self.waiting);
            if waiting.len() + length > self.most + extra {
                return false;
            }
            let was_empty = waiting.is_empty();
            write(&mut waiting);
            was_empty
        };
        if was_empty {
            self.filled.notify_one();
        }
        true
    }

    /// Waits for bytes and exchanges them for the (empty) buffer given.
    pub(crate) async fn take(&self, mut empty: Vec<u8>) -> Vec<u8> {
        empty.clear();
        empty.shrink_to(KEPT_BYTES);
        loop {
            {
                let mut waiting = lock(&self.waiting);
                if !waiting.is_empty() {
                    return std::mem::replace(&mut *waiting, empty);
                }
            }
            self.filled.notified().await;
        }
    }
}
