//! The way to a relay: datagrams, or messages framed on a TCP or TLS stream (RFC 8656, section 12.5).

use super::gather::Stream;
use super::socket::{BatchSocket, Inbox, any_port};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes waiting for a slow stream above which the sender has to wait.
const MOST_OUTGOING: usize = 128 * 1024;
/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Messages handed out per look, as for datagrams.
const MESSAGES: usize = super::socket::BATCH;

pub(crate) enum Leg {
    Datagrams(BatchSocket),
    Framed(Framed),
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datagrams(_) => "Datagrams",
            Self::Framed(_) => "Framed",
        })
    }
}

impl Leg {
    pub(crate) fn datagrams(server: SocketAddr) -> io::Result<Self> {
        let any = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(Self::Datagrams(BatchSocket::bind(any_port(any))?))
    }

    pub(crate) fn framed(stream: Box<dyn Stream>, local: SocketAddr) -> Self {
        let (outgoing, incoming) = (Vec::new(), Vec::new());
        Self::Framed(Framed { stream, local, outgoing, incoming, unflushed: false, closed: false })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Self::Datagrams(socket) => socket.local(),
            Self::Framed(framed) => framed.local,
        }
    }

    /// Takes a message for the server; `false` if there is no room.
    pub(crate) fn send(&mut self, server: SocketAddr, length: usize, write: impl FnOnce(&mut [u8])) -> bool {
        match self {
            Self::Datagrams(socket) => socket.send(server, length, write),
            Self::Framed(framed) => framed.send(length, write),
        }
    }

    pub(crate) fn flush(&mut self) -> bool {
        match self {
            Self::Datagrams(socket) => socket.flush(),
            Self::Framed(framed) => {
                let mut cx = Context::from_waker(Waker::noop());
                let _ = framed.poll_write(&mut cx);
                framed.has_room()
            }
        }
    }

    pub(crate) fn drop_batch(&mut self) {
        if let Self::Datagrams(socket) = self {
            socket.drop_batch();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Framed(framed) if framed.closed)
    }

    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Datagrams(socket) => socket.poll_writable(cx),
            Self::Framed(framed) => {
                let _ = framed.poll_write(cx);
                if framed.has_room() || framed.closed { Poll::Ready(()) } else { Poll::Pending }
            }
        }
    }

    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Datagrams(socket) => socket.poll_readable(cx),
            Self::Framed(framed) => {
                let _ = framed.poll_write(cx);
                framed.poll_read(cx)
            }
        }
    }

    /// Hands over what has arrived, a bounded number of messages.
    pub(crate) fn receive(
        &mut self,
        inbox: &mut Inbox,
        mut sink: impl FnMut(SocketAddr, &[u8]),
        server: SocketAddr,
    ) {
        match self {
            Self::Datagrams(socket) => {
                if socket.receive(inbox) {
                    inbox.datagrams().for_each(|(from, bytes)| sink(from, bytes));
                }
            }
            Self::Framed(framed) => framed.receive(|message| sink(server, message)),
        }
    }
}

pub(crate) struct Framed {
    stream: Box<dyn Stream>,
    local: SocketAddr,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    unflushed: bool,
    closed: bool,
}

impl Framed {
    fn has_room(&self) -> bool {
        self.outgoing.len() < MOST_OUTGOING
    }

    fn send(&mut self, length: usize, write: impl FnOnce(&mut [u8])) -> bool {
        if self.closed {
            return true;
        }
        if !self.has_room() {
            return false;
        }
        let start = self.outgoing.len();
        self.outgoing.resize(start + length.next_multiple_of(4), 0);
        write(&mut self.outgoing[start..start + length]);
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut written = 0;
        while written < self.outgoing.len() && !self.closed {
            match Pin::new(&mut self.stream).poll_write(cx, &self.outgoing[written..]) {
                Poll::Ready(Ok(0) | Err(_)) => self.closed = true,
                Poll::Ready(Ok(bytes)) => {
                    written += bytes;
                    self.unflushed = true;
                }
                Poll::Pending => break,
            }
        }
        self.outgoing.drain(..written);
        if self.unflushed
            && let Poll::Ready(result) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            self.unflushed = false;
            self.closed |= result.is_err();
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.closed || matches!(frame(&self.incoming), Frame::Whole(..) | Frame::Nonsense) {
                return Poll::Ready(());
            }
            let mut space = [std::mem::MaybeUninit::<u8>::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.incoming.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => self.closed = true,
            }
        }
    }

    fn receive(&mut self, mut sink: impl FnMut(&[u8])) {
        let mut taken = 0;
        for _ in 0..MESSAGES {
            match frame(&self.incoming[taken..]) {
                Frame::Whole(message, padded) => {
                    sink(&self.incoming[taken..taken + message]);
                    taken += padded;
                }
                Frame::Partial => break,
                Frame::Nonsense => {
                    self.closed = true;
                    break;
                }
            }
        }
        self.incoming.drain(..taken);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Frame {
    /// Its length, and with padding.
    Whole(usize, usize),
    Partial,
    Nonsense,
}

fn frame(bytes: &[u8]) -> Frame {
    let &[first, _, high, low, ..] = bytes else { return Frame::Partial };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (message, padded) = match first >> 6 {
        0 => (20 + length, 20 + length),
        1 => (4 + length, (4 + length).next_multiple_of(4)),
        _ => return Frame::Nonsense,
    };
    if bytes.len() < padded { Frame::Partial } else { Frame::Whole(message, padded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_padded_on_the_way_out_and_cut_apart_on_the_way_in() {
        let (near, far) = tokio::io::duplex(4096);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut sender = Leg::framed(Box::new(near), nowhere);
        let mut receiver = Leg::framed(Box::new(far), nowhere);
        let short = [0x40, 0, 0, 1, 7];
        let long = [0x40, 1, 0, 4, 1, 2, 3, 4];
        for message in [&short[..], &long[..]] {
            assert!(sender.send(nowhere, message.len(), |buffer| buffer.copy_from_slice(message)));
        }
        sender.flush();
        let mut got = Vec::new();
        while got.len() < 2 {
            std::future::poll_fn(|cx| receiver.poll_readable(cx)).await;
            receiver.receive(&mut Inbox::new(), |_, bytes| got.push(bytes.to_vec()), nowhere);
        }
        assert_eq!(got, [short.to_vec(), long.to_vec()]);
    }

    #[test]
    fn frames_are_recognised() {
        assert_eq!(frame(&[0, 1, 0]), Frame::Partial);
        assert_eq!(frame(&[0x40, 0, 0, 1, 7, 0, 0]), Frame::Partial);
        assert_eq!(frame(&[0x40, 0, 0, 1, 7, 0, 0, 0]), Frame::Whole(5, 8));
        assert_eq!(frame(b"HTTP"), Frame::Partial);
        assert_eq!(frame(&[0xff; 4]), Frame::Nonsense);
    }
}
