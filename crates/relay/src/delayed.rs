//! Datagrams that wait because their credential is over its rate. A sender that sees its path get slower slows down; one
//! that loses a burst takes the path for congested and stops for a second (SCTP's least retransmission time-out).
//!
//! Each allocation has a queue for each direction, first in, first out. Nothing of it exists while nobody is too fast.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::allocation::Direction;
use crate::throttle::lock;

/// What a waiting datagram costs beside its bytes.
const OVERHEAD: usize = 64;

/// How many bytes may wait in all queues of a relay together.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    used: AtomicUsize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One that waits: whom it is for (from the client) or who sent it (to the client).
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) peer: SocketAddr,
    pub(crate) payload: Box<[u8]>,
}

impl Waiting {
    fn cost(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

/// The queues of one allocation.
#[derive(Debug)]
pub(crate) struct Delayed {
    /// Bytes in each queue.
    most: usize,
    room: Arc<Room>,
    queues: Mutex<Queues>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    from_client: Queue,
    to_client: Queue,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Queues {
    fn of(&mut self, direction: Direction) -> &mut Queue {
        match direction {
            Direction::FromClient => &mut self.from_client,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Delayed {
    pub(crate) fn new(most: usize, room: Arc<Room>) -> Self {
        Self { most, room, queues: Mutex::default(), filled: Notify::new() }
    }

    /// Whether one that comes now would overtake others.
    pub(crate) fn has_any(&self, direction: Direction) -> bool {
        !lock(&self.queues).of(direction).waiting.is_empty()
    }

    /// Puts one at the end. `false`: it is full.
    pub(crate) fn push(&self, direction: Direction, peer: SocketAddr, payload: &[u8]) -> bool {
        let cost = payload.len() + OVERHEAD;
        let was_empty = {
            let mut queues = lock(&self.queues);
            let queue = queues.of(direction);
            if queue.bytes + cost > self.most || !self.room.take(cost) {
                return false;
            }
            let was_empty = queue.waiting.is_empty();
            queue.waiting.push_back(Waiting { peer, payload: payload.into() });
            queue.bytes += cost;
            was_empty
        };
        if was_empty {
            self.filled.notify_one();
        }
        true
    }

    /// The length of the first one.
    pub(crate) fn first(&self, direction: Direction) -> Option<usize> {
        lock(&self.queues).of(direction).waiting.front().map(|it| it.payload.len())
    }

    pub(crate) fn pop(&self, direction: Direction) -> Option<Waiting> {
        let mut queues = lock(&self.queues);
        let queue = queues.of(direction);
        let waiting = queue.waiting.pop_front()?;
        queue.bytes -= waiting.cost();
        if queue.waiting.is_empty() {
            // The next burst may never come.
            queue.waiting = VecDeque::new();
        }
        drop(queues);
        self.room.give_back(waiting.cost());
        Some(waiting)
    }

    /// Waits until an empty queue gets its first.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues);
        self.room.give_back(queues.of(Direction::FromClient).bytes + queues.of(Direction::ToClient).bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    fn used(room: &Room) -> usize {
        room.used.load(Ordering::Relaxed)
    }

    #[test]
    fn each_queue_holds_so_much_and_all_together_so_much() {
        let room = Arc::new(Room::new(1000));
        let one = Delayed::new(2 * (100 + OVERHEAD), Arc::clone(&room));
        let push = |it: &Delayed, direction| it.push(direction, PEER, &[1; 100]);
        assert!(push(&one, Direction::FromClient) && push(&one, Direction::FromClient));
        assert!(!push(&one, Direction::FromClient), "its own bound");
        assert!(push(&one, Direction::ToClient) && push(&one, Direction::ToClient), "the other direction");
        let other = Delayed::new(10_000, Arc::clone(&room));
        assert!(push(&other, Direction::FromClient) && push(&other, Direction::FromClient));
        assert!(!push(&other, Direction::FromClient), "the bound of all");
        assert_eq!(used(&room), 6 * (100 + OVERHEAD));
        drop(one);
        assert!(push(&other, Direction::FromClient));
        while other.pop(Direction::FromClient).is_some() {}
        assert_eq!(used(&room), 0);
    }

    #[test]
    fn they_leave_in_the_order_in_which_they_came() {
        let it = Delayed::new(10_000, Arc::new(Room::new(10_000)));
        for number in 0..3 {
            assert!(it.push(Direction::ToClient, PEER, &[number]));
        }
        assert_eq!(it.first(Direction::ToClient), Some(1));
        let order: Vec<u8> =
            std::iter::from_fn(|| it.pop(Direction::ToClient)).map(|it| it.payload[0]).collect();
        assert_eq!(order, [0, 1, 2]);
        assert!(!it.has_any(Direction::ToClient));
    }
}
