//! The queue between whoever has an order for a device and the connection that writes it.

use super::Shared;
use bramble_wire::DeviceId;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Events that wait for one device: the candidates of a session fit, a stalled device does not.
pub(super) const CAPACITY: usize = 128;

/// Finished events. An idle one owns no memory but itself.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Bytes>,
    ended: bool,
    cut: bool,
    waker: Option<Waker>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = act(&mut inner);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Queues an event unless the queue is full or ended.
    pub(super) fn push(&self, event: Bytes) -> bool {
        self.change(|inner| {
            let room = !inner.ended && inner.queue.len() < CAPACITY;
            if room {
                inner.queue.push_back(event);
            }
            room
        })
    }

    /// Queues an event even if the queue is full: the one that explains the end.
    pub(super) fn push_last(&self, event: Bytes) {
        self.change(|inner| inner.queue.push_back(event));
    }

    /// The stream ends after what is queued.
    pub(super) fn end(&self) {
        self.change(|inner| inner.ended = true);
    }

    /// Queues a ping, or gives the stream up if the last events were not taken since.
    pub(super) fn ping(&self, event: Bytes) {
        self.change(|inner| {
            if inner.queue.is_empty() {
                inner.queue.push_back(event);
            } else {
                inner.ended = true;
                inner.cut = true;
                inner.queue.clear();
            }
        });
    }
}

/// The connection's end of a stream. Dropped, the device is lost.
#[derive(Debug)]
pub struct DeviceStream {
    device: DeviceId,
    outbox: Arc<Outbox>,
    shared: Arc<Shared>,
}

impl DeviceStream {
    pub(super) fn new(device: DeviceId, outbox: Arc<Outbox>, shared: Arc<Shared>) -> Self {
        shared.open_streams.fetch_add(1, Ordering::Relaxed);
        Self { device, outbox, shared }
    }

    /// The next event; `None` at the end of the stream.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut inner = self.outbox.lock();
        if let Some(event) = inner.queue.pop_front() {
            if inner.queue.is_empty() {
                // An idle stream keeps no buffer.
                inner.queue = VecDeque::new();
            }
            return Poll::Ready(Some(event));
        }
        if inner.ended {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when the connection must be given up in the middle of a write.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.outbox.lock();
        if inner.cut {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for DeviceStream {
    fn drop(&mut self) {
        self.outbox.lock().ended = true;
        self.shared.open_streams.fetch_sub(1, Ordering::Relaxed);
        self.shared.gone(self.device, &self.outbox);
    }
}
