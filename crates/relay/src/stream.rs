//! Clients over TCP and TLS: frames out of a byte stream, answers and application data into it (RFC 8656 §12.5).
//!
//! A stream is one task. It holds what is left of an unfinished frame and what waits to be written; the buffers for
//! reading belong to the thread.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::address::unmapped;
use crate::allocation::Allocation;
use crate::client_path::{ClientPath, FiveTuple, Link, StreamQueue};
use crate::forward::{Flow, Origin};
use crate::shared::{Shared, count, spawn};
use crate::stun::{FrameError, HEADER_BYTES, Splitter};
use crate::udp::{Outbox, with_buffers};

/// A stranger's requests fit; so nobody makes the server keep 64 KiB without a credential.
const LONGEST_UNAUTHENTICATED: usize = 2048;
/// The longest there can be: a STUN header and what its length field can say.
const LONGEST_FRAME: usize = HEADER_BYTES + u16::MAX as usize;
/// When the system cannot accept (no more file descriptors), trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts TCP, or TLS if there is an acceptor, until the relay stops.
pub(crate) async fn serve_listener(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else { continue };
        // Application data is already in packets of the right size.
        let _ = stream.set_nodelay(true);
        let (of_stream, tls) = (Arc::clone(&shared), tls.clone());
        let serve = async move {
            match tls {
                None => serve(&of_stream, stream, peer, local).await,
                Some(tls) => {
                    // The slot is taken before the handshake, which is the expensive part.
                    let Some(slot) = of_stream.streams.admit(peer.ip()) else { return };
                    // Boxed, so that its large state does not stay for the life of the stream.
                    let handshake = Box::pin(timeout(of_stream.limits.frame_timeout, tls.accept(stream)));
                    if let Ok(Ok(stream)) = handshake.await {
                        serve_admitted(&of_stream, stream, peer, local).await;
                    }
                    drop(slot);
                }
            }
        };
        spawn(&shared, serve);
    }
}

/// Serves one stream until it ends; at once if there are too many.
pub(crate) async fn serve<S>(shared: &Arc<Shared>, stream: S, peer: SocketAddr, local: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    if let Some(_slot) = shared.streams.admit(peer.ip()) {
        serve_admitted(shared, stream, peer, local).await;
    } else {
        count(&shared.counters.dropped, 1);
    }
}

async fn serve_admitted<S>(shared: &Arc<Shared>, stream: S, peer: SocketAddr, local: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let number = shared.next_stream.fetch_add(1, Ordering::Relaxed);
    let queue = Arc::new(StreamQueue::new(shared.limits.stream_queue_bytes));
    let origin = Origin {
        tuple: FiveTuple { link: Link::Stream(number), client: unmapped(peer), server: unmapped(local) },
        client: ClientPath::Stream(Arc::clone(&queue)),
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let connection = Connection { shared, origin: &origin };
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = connection.read_all(&mut reader) => {}
        () = write_all(&mut writer, &queue, shared.limits.write_timeout) => {}
    }
    // RFC 8656 §7: the allocation ends with the connection.
    if let Some(allocation) = shared.table.of_client(&origin.tuple, Instant::now()) {
        shared.table.remove(&allocation);
    }
    let _ = timeout(shared.limits.frame_timeout, writer.shutdown()).await;
}

async fn write_all(writer: &mut (impl AsyncWrite + Unpin), queue: &StreamQueue, patience: Duration) {
    let mut buffer = Vec::new();
    loop {
        buffer = queue.take(buffer).await;
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            // Whoever takes a little now and then keeps the connection; its queue drops what does not fit.
            match timeout(patience, writer.write(rest)).await {
                Ok(Ok(written)) if written > 0 => rest = &rest[written..],
                _ => return,
            }
        }
        if !matches!(timeout(patience, writer.flush()).await, Ok(Ok(()))) {
            return;
        }
    }
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    origin: &'a Origin,
}

impl Connection<'_> {
    async fn read_all(&self, reader: &mut (impl AsyncRead + Unpin)) {
        let mut splitter = Splitter::default();
        let mut without_allocation_since = Instant::now();
        let mut frame_began = Some(without_allocation_since);
        let lost = &self.shared.counters.dropped;
        loop {
            let allocation = self.shared.table.of_client(&self.origin.tuple, Instant::now());
            let mut complete = 0_usize;
            let deadline = self.deadline(allocation.is_some(), without_allocation_since, frame_began);
            let read = tokio::select! {
                () = ended(allocation.as_ref()) => {
                    if !was_released(allocation.as_ref()) { return }
                    without_allocation_since = Instant::now();
                    continue;
                }
                read = read_some(reader, lost, |bytes, out| self.take(&mut splitter, &mut complete, bytes, out)) => read,
                () = sleep_until(deadline) => return,
            };
            let Ok(true) = read else { return };
            // Of a frame that was unfinished before, the time goes on; one behind a complete frame is new.
            let before = frame_began.filter(|_| complete == 0);
            frame_began = splitter.is_waiting().then(|| before.unwrap_or_else(Instant::now));
            if let Some(allocation) = &allocation {
                without_allocation_since = Instant::now();
                let debt = allocation.account.debt(without_allocation_since);
                if !debt.is_zero() {
                    // Reading later is how a stream is told to slow down.
                    tokio::select! {
                        () = ended(Some(allocation)) => {}
                        () = tokio::time::sleep(debt) => {}
                    }
                    // A frame is not late because we made it wait.
                    frame_began = frame_began.map(|_| Instant::now());
                }
            }
        }
    }

    fn deadline(&self, allocated: bool, since: Instant, frame_began: Option<Instant>) -> Option<Instant> {
        let of_frame = frame_began.map(|it| it + self.shared.limits.frame_timeout);
        let of_stranger = (!allocated).then(|| since + self.shared.limits.unallocated_timeout);
        of_frame.into_iter().chain(of_stranger).min()
    }

    fn take(
        &self,
        splitter: &mut Splitter,
        complete: &mut usize,
        bytes: &[u8],
        out: &mut Outbox,
    ) -> Result<(), FrameError> {
        let mut flow = Flow { shared: self.shared, now: Instant::now(), out, may_wait: true };
        let table = &self.shared.table;
        let (tuple, now) = (&self.origin.tuple, flow.now);
        let longest =
            || if table.of_client(tuple, now).is_some() { LONGEST_FRAME } else { LONGEST_UNAUTHENTICATED };
        let mut allocation = None;
        splitter.feed(bytes, longest, |frame| {
            *complete += 1;
            flow.handle(self.origin, &mut allocation, frame);
        })
    }
}

/// A client that gave its allocation up itself may make another on the same connection.
fn was_released(ended: Option<&Arc<Allocation>>) -> bool {
    ended.is_some_and(|it| it.is_released())
}

async fn ended(allocation: Option<&Arc<Allocation>>) {
    match allocation {
        Some(allocation) => allocation.ended.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Reads what is there into the thread's buffer and has it handled on the spot. `false` at the end of the stream.
async fn read_some(
    reader: &mut (impl AsyncRead + Unpin),
    lost: &AtomicU64,
    mut take: impl FnMut(&[u8], &mut Outbox) -> Result<(), FrameError>,
) -> io::Result<bool> {
    poll_fn(|context| {
        with_buffers(lost, |buffer, out| {
            let mut buffer = ReadBuf::new(buffer);
            match Pin::new(&mut *reader).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Ok(false)),
                Poll::Ready(Ok(())) => {
                    let taken = take(buffer.filled(), out);
                    Poll::Ready(
                        taken
                            .map(|()| true)
                            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
                    )
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
    })
    .await
}
