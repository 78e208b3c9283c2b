//! UDP sockets that take and give many datagrams per system call, and the buffers for that.
//!
//! Receiving and forwarding is one synchronous stretch without an await in it, so the buffers belong to the thread and not
//! to the socket: a thousand idle allocations hold none.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// What one receive may put into one slot: with GRO the kernel joins datagrams up to this.
const SLOT_BYTES: usize = 65_536;
/// Datagrams longer than this are sent one by one: joined ones must not exceed the interface's MTU.
const LONGEST_JOINED: usize = 1_400;
/// The longest joined send the kernel takes (a UDP datagram's limit).
const LONGEST_SEND: usize = 65_000;
/// Asked for the sockets; the kernel gives what `net.core.[rw]mem_max` allows. 50 Mbit/s for 160 ms.
const ALLOCATION_BUFFER_BYTES: usize = 1_000_000;
/// The listening socket serves all clients.
const LISTENER_BUFFER_BYTES: usize = 4_000_000;

/// Whether the socket is for clients or for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Listener { only_v6: bool },
    Relayed,
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl UdpPort {
    /// Must run inside the runtime.
    pub(crate) fn bind(address: SocketAddr, purpose: Purpose) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(purpose != Purpose::Listener { only_v6: false })?;
        }
        let buffer = match purpose {
            Purpose::Listener { .. } => LISTENER_BUFFER_BYTES,
            Purpose::Relayed => ALLOCATION_BUFFER_BYTES,
        };
        // Less is slower and not wrong.
        let _ = socket.set_recv_buffer_size(buffer);
        let _ = socket.set_send_buffer_size(buffer);
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // That has set DF, which a relay must not (RFC 8656 §14). OMIT lets routers fragment and ignores path MTU
        // messages, which anyone can forge.
        let _ = set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::OMIT);
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives what is there and gives each datagram with its source and, where known, the address it was sent to.
    /// Returns how many buffers were filled. What cannot be sent on is counted in `lost`.
    pub(crate) fn receive(
        &self,
        lost: &AtomicU64,
        mut each: impl FnMut(Received<'_>, &mut Outbox),
    ) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { slots, metas, out } = scratch;
            let filled = self.socket.try_io(Interest::READABLE, || {
                let mut chunks = slots.chunks_mut(SLOT_BYTES);
                let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
                    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
                self.state.recv((&self.socket).into(), &mut buffers, metas)
            })?;
            for (slot, meta) in slots.chunks(SLOT_BYTES).zip(metas.iter()).take(filled) {
                let source = crate::address::unmapped(meta.addr);
                let bytes = &slot[..meta.len.min(SLOT_BYTES)];
                // Nobody can be answered at port 0, and trying makes the kernel's EINVAL look like missing offload.
                if source.port() == 0 {
                    continue;
                }
                let received =
                    Received { source, arrived_at: meta.dst_ip, bytes, stride: meta.stride.max(1) };
                each(received, out);
            }
            out.finish(lost);
            Ok(filled)
        })
    }

    fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.native(to),
            ecn: None,
            contents: bytes,
            segment_size: segment,
            src_ip: from,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// A socket of both families wants IPv4 addresses mapped.
    fn native(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
            }
            other => other,
        }
    }
}

/// One or more datagrams of one sender, joined by the kernel.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) arrived_at: Option<IpAddr>,
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Received<'a> {
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // An empty datagram is one, too.
        let empty = self.bytes.is_empty().then_some(self.bytes);
        empty.into_iter().chain(self.bytes.chunks(self.stride))
    }
}

/// Datagrams on their way out. Those of one size for one receiver, one after the other, leave in one system call.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    to: Option<Destination>,
    /// Size of all but the last.
    segment: usize,
    count: usize,
    lost: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) port: Arc<UdpPort>,
    pub(crate) to: SocketAddr,
    pub(crate) from: Option<IpAddr>,
}

impl Destination {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.port, &other.port) && self.to == other.to && self.from == other.from
    }
}

impl Outbox {
    /// Adds a datagram of exactly `length` bytes, which `write` appends.
    pub(crate) fn push(&mut self, to: &Destination, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.joins(to, length) {
            self.flush();
            self.to = Some(to.clone());
            self.segment = length;
        }
        write(&mut self.bytes);
        self.count += 1;
        // Only the last of a joined send may be shorter, and none may be empty.
        if length == 0 || length < self.segment || length > LONGEST_JOINED {
            self.flush();
        }
    }

    fn joins(&self, to: &Destination, length: usize) -> bool {
        self.count > 0
            && self.count < to.port.state.max_gso_segments()
            && (1..=self.segment).contains(&length)
            && self.bytes.len() + length <= LONGEST_SEND
            && self.to.as_ref().is_some_and(|it| it.is(to))
    }

    /// Sends what is there. A full socket drops datagrams, as every router does.
    pub(crate) fn flush(&mut self) {
        let Some(Destination { port, to, from }) = self.to.take().filter(|_| self.count > 0) else { return };
        let segment = (self.count > 1).then_some(self.segment);
        let sent = port.send(to, from, &self.bytes, segment);
        if let Err(error) = sent {
            if self.count > 1 && error.kind() != io::ErrorKind::WouldBlock {
                // The interface cannot do it joined.
                for datagram in self.bytes.chunks(self.segment.max(1)) {
                    self.lost += u64::from(port.send(to, from, datagram, None).is_err());
                }
            } else {
                self.lost += u64::try_from(self.count).unwrap_or_default();
            }
        }
        self.bytes.clear();
        self.count = 0;
    }

    /// Sends what is there, at the end of a stretch, and counts what could not be sent in it.
    fn finish(&mut self, lost: &AtomicU64) {
        self.flush();
        let amount = std::mem::take(&mut self.lost);
        if amount > 0 {
            lost.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

struct Scratch {
    slots: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    out: Outbox,
}

thread_local! {
    /// Zeroed lazily by the kernel, so only what traffic touches is resident.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        slots: vec![0; SLOT_BYTES * BATCH_SIZE],
        metas: [RecvMeta::default(); BATCH_SIZE],
        out: Outbox::default(),
    });
}

/// Lends the thread's first slot and outbox to a synchronous stretch; what was put into the outbox is sent at its end.
pub(crate) fn with_buffers<T>(lost: &AtomicU64, work: impl FnOnce(&mut [u8], &mut Outbox) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { slots, out, .. } = scratch;
        let result = work(&mut slots[..SLOT_BYTES], out);
        out.finish(lost);
        result
    })
}
