//! A UDP socket that moves datagrams by the batch.
//!
//! In: `recvmmsg`, so that a burst costs one system call. Out: equal-sized datagrams to one address leave
//! in one `sendmsg` with `UDP_SEGMENT`, which the kernel (or the card) cuts apart.

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams per receive. The peer connection must be polled after at most this many: DTLS queues 30.
pub(crate) const BATCH: usize = 16;
/// Bytes for one datagram; WebRTC's stay below 1300.
pub(crate) const DATAGRAM: usize = 2048;
/// Datagrams per send; the kernel takes 64.
const MOST_SEGMENTS: usize = 48;
/// Bytes per send: one IP packet before it is cut.
const MOST_BYTES: usize = 60_000;
/// Bytes wished for each of the socket's buffers, so that a burst of one window is not lost. The kernel
/// grants what its limits allow.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Where received datagrams go; one serves all sockets of a session.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: Box<[u8]>,
    received: Vec<(usize, SocketAddr)>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BATCH * DATAGRAM].into(), received: Vec::with_capacity(BATCH) }
    }

    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let slots = self.buffer.chunks_exact(DATAGRAM);
        self.received.iter().zip(slots).map(|((length, from), slot)| (*from, &slot[..*length]))
    }
}

/// Datagrams waiting to leave together.
#[derive(Debug, Default)]
struct Batch {
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    /// A shorter datagram can only be the last.
    full: bool,
}

impl Batch {
    fn takes(&self, to: SocketAddr, length: usize) -> bool {
        self.count == 0
            || (!self.full
                && self.to == Some(to)
                && length <= self.segment
                && self.count < MOST_SEGMENTS
                && self.bytes.len() + length <= MOST_BYTES)
    }

    fn added(&mut self, to: SocketAddr, length: usize) {
        if self.count == 0 {
            self.to = Some(to);
            self.segment = length;
        }
        self.full = length < self.segment;
        self.count += 1;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.full = false;
    }
}

#[derive(Debug)]
pub(crate) struct BatchSocket {
    socket: UdpSocket,
    local: SocketAddr,
    batch: Batch,
    /// Turned off for good when the kernel or the card refuses to cut.
    segmentation: bool,
}

impl BatchSocket {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        widen(&socket);
        let local = socket.local_addr()?;
        let socket = UdpSocket::from_std(socket)?;
        Ok(Self { socket, local, batch: Batch::default(), segmentation: true })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(cx).map(|_ready| ())
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_send_ready(cx).map(|_ready| ())
    }

    /// Takes up to [`BATCH`] datagrams; `false` if there were none.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> bool {
        inbox.received.clear();
        let Inbox { buffer, received } = inbox;
        let outcome = self.socket.try_io(Interest::READABLE, || {
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
            let mut slots: Vec<[IoSliceMut<'_>; 1]> =
                buffer.chunks_exact_mut(DATAGRAM).map(|slot| [IoSliceMut::new(slot)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages = recvmmsg(self.socket.as_raw_fd(), &mut headers, slots.iter_mut(), flags, None)?;
            // A message without an address stays as an empty datagram, so that slots and lengths agree.
            received.extend(messages.map(|message| match message.address.and_then(address_of) {
                Some(from) => (message.bytes.min(DATAGRAM), from),
                None => (0, SocketAddr::from(([0, 0, 0, 0], 0))),
            }));
            Ok(())
        });
        // Errors here are reports about datagrams sent earlier (ICMP); ICE finds out by itself.
        outcome.is_ok() && !received.is_empty()
    }

    /// Adds a datagram to the batch, which leaves first if this one does not fit it. `Ok(false)`: the
    /// kernel's buffer is full, nothing was added.
    pub(crate) fn send(&mut self, to: SocketAddr, length: usize, write: impl FnOnce(&mut [u8])) -> bool {
        if !self.batch.takes(to, length) && !self.flush() {
            return false;
        }
        let start = self.batch.bytes.len();
        self.batch.bytes.resize(start + length, 0);
        write(&mut self.batch.bytes[start..]);
        self.batch.added(to, length);
        true
    }

    pub(crate) fn has_batch(&self) -> bool {
        self.batch.count > 0
    }

    /// Forgets what could not be sent.
    pub(crate) fn drop_batch(&mut self) {
        self.batch.clear();
    }

    /// Sends the batch. `false`: the kernel's buffer is full, try again when writable.
    pub(crate) fn flush(&mut self) -> bool {
        let Some(to) = self.batch.to.filter(|_| self.batch.count > 0) else { return true };
        let sent = if self.batch.count > 1 && self.segmentation {
            self.send_segmented(to)
        } else {
            self.send_one_by_one(to)
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Unreachable, refused: the path's fault, and ICE's to notice.
            Ok(()) | Err(_) => {
                self.batch.clear();
                true
            }
        }
    }

    fn send_segmented(&mut self, to: SocketAddr) -> io::Result<()> {
        let Ok(segment) = u16::try_from(self.batch.segment) else { return self.send_one_by_one(to) };
        let result = self.socket.try_io(Interest::WRITABLE, || {
            let iov = [IoSlice::new(&self.batch.bytes)];
            let control = [ControlMessage::UdpGsoSegments(&segment)];
            let to = SockaddrStorage::from(to);
            sendmsg(self.socket.as_raw_fd(), &iov, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
            Ok(())
        });
        match result {
            Err(error) if cannot_cut(&error) => {
                self.segmentation = false;
                self.send_one_by_one(to)
            }
            other => other,
        }
    }

    fn send_one_by_one(&mut self, to: SocketAddr) -> io::Result<()> {
        while self.batch.count > 0 {
            let length = self.batch.segment.min(self.batch.bytes.len());
            match self.socket.try_send_to(&self.batch.bytes[..length], to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {
                    self.batch.bytes.drain(..length);
                    self.batch.count -= 1;
                }
            }
        }
        Ok(())
    }
}

fn cannot_cut(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EIO | Errno::EINVAL | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP | Errno::EMSGSIZE)
    )
}

/// With the privilege beyond the system's limit, else up to it.
fn widen(socket: &std::net::UdpSocket) {
    use rustix::net::sockopt;
    if sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, SOCKET_BUFFER);
    }
    let _ = sockopt::set_socket_send_buffer_size(socket, SOCKET_BUFFER);
}

fn address_of(storage: SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

/// Any port on this address.
pub(crate) fn any_port(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(socket: &BatchSocket, inbox: &mut Inbox) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < 4 {
            std::future::poll_fn(|cx| socket.poll_readable(cx)).await;
            if socket.receive(inbox) {
                all.extend(inbox.datagrams().map(|(_, bytes)| bytes.to_vec()));
            }
        }
        all
    }

    #[tokio::test]
    async fn a_batch_arrives_as_the_datagrams_it_was_made_of() {
        for segmentation in [true, false] {
            let local = any_port(IpAddr::from([127, 0, 0, 1]));
            let mut from = BatchSocket::bind(local).expect("a socket");
            from.segmentation = segmentation;
            let to = BatchSocket::bind(local).expect("a socket");
            // The runtime has to see once that the socket is writable.
            std::future::poll_fn(|cx| from.poll_writable(cx)).await;
            for (byte, length) in [(1, 900), (2, 900), (3, 40), (4, 900)] {
                assert!(from.send(to.local(), length, |buffer| buffer.fill(byte)));
            }
            assert!(from.flush());
            let datagrams = received(&to, &mut Inbox::new()).await;
            let lengths: Vec<_> = datagrams.iter().map(|bytes| (bytes[0], bytes.len())).collect();
            assert_eq!(lengths, [(1, 900), (2, 900), (3, 40), (4, 900)]);
        }
    }
}
