//! What came from the browser and its receiver has not taken yet.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// Above this the session reads its network less eagerly while the receiver keeps taking.
const HIGH: usize = 256 * 1024;
/// A receiver that took nothing for this long is not waited for.
const STALL: Duration = Duration::from_millis(20);
/// Bytes of room that are kept; what a paste took beyond is given back.
const KEPT: usize = 4096;

/// Bytes on their way to a terminal or a socket.
#[derive(Debug)]
pub(crate) struct Queue {
    bytes: VecDeque<u8>,
    moved: Instant,
    most: usize,
}

impl Queue {
    /// An empty one that holds at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: VecDeque::new(), moved: Instant::now(), most }
    }

    /// Takes what fits and says how many bytes did not.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(self.most.saturating_sub(self.bytes.len()));
        self.bytes.extend(&bytes[..fits]);
        bytes.len() - fits
    }

    /// Moves on as much as `write` takes. After an error other than "not now" nothing is left.
    pub(crate) fn pass(&mut self, write: impl Fn(&[u8]) -> io::Result<usize>) {
        while !self.bytes.is_empty() {
            match write(self.bytes.as_slices().0) {
                Ok(0) => self.bytes.clear(),
                Ok(written) => {
                    self.bytes.drain(..written);
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.bytes.clear(),
            }
        }
        self.bytes.shrink_to(KEPT);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the network should wait for the receiver: it lags, but it takes.
    pub(crate) fn lags(&self) -> bool {
        self.bytes.len() > HIGH && self.moved.elapsed() < STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn bytes_leave_in_the_order_they_came_and_wait_for_a_busy_receiver() {
        let mut queue = Queue::new(100);
        assert_eq!(queue.push(b"abc"), 0);
        assert_eq!(queue.push(b"def"), 0);
        let taken: RefCell<Vec<u8>> = RefCell::default();
        let room = RefCell::new(4);
        let take = |bytes: &[u8]| {
            let most = bytes.len().min(*room.borrow());
            if most == 0 {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            *room.borrow_mut() -= most;
            taken.borrow_mut().extend(&bytes[..most]);
            Ok(most)
        };
        queue.pass(take);
        assert_eq!(taken.borrow().as_slice(), b"abcd");
        assert!(!queue.is_empty());
        *room.borrow_mut() = 100;
        queue.pass(take);
        assert_eq!(taken.borrow().as_slice(), b"abcdef");
        assert!(queue.is_empty());
    }

    #[test]
    fn it_holds_no_more_than_its_bound() {
        let mut queue = Queue::new(10);
        assert_eq!(queue.push(&[0; 8]), 0);
        assert_eq!(queue.push(&[0; 8]), 6);
        assert_eq!(queue.push(&[0; 8]), 8);
        queue.pass(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(queue.is_empty());
    }
}
