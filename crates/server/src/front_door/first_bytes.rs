//! Who goes on with a connection, from the first bytes of it.

use bytes::BytesMut;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How the request for the event stream begins.
const EVENTS: &[u8] = b"GET /events";
/// The most bytes that are needed to tell STUN and HTTP apart, and `/events` from other paths.
const ENOUGH: usize = EVENTS.len() + 1;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// STUN or TURN: its first two bits are zero, which no HTTP begins with.
    Stun,
    /// `GET /events` on HTTP/1.1; the whole head was read.
    Events,
    /// Anything else; axum answers, be it with 400.
    Http,
}

/// Reads until it is clear who goes on. Returns what was read, to be replayed.
pub(super) async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
    head_bytes: usize,
) -> io::Result<(Speaks, BytesMut)> {
    let mut read = BytesMut::with_capacity(512);
    let mut speaks = None;
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        speaks = speaks.or_else(|| decide(&read));
        match speaks {
            Some(Speaks::Events) if read.len() > head_bytes => return Ok((Speaks::Http, read)),
            Some(Speaks::Events) if !has_whole_head(&read) => {}
            Some(speaks) => return Ok((speaks, read)),
            None => {}
        }
    }
}

fn decide(read: &[u8]) -> Option<Speaks> {
    if bramble_relay::Relay::looks_like_stun(read) {
        return Some(Speaks::Stun);
    }
    let compared = read.len().min(EVENTS.len());
    if read[..compared] != EVENTS[..compared] {
        return Some(Speaks::Http);
    }
    match read.get(ENOUGH - 1) {
        Some(b'?' | b' ') => Some(Speaks::Events),
        Some(_) => Some(Speaks::Http),
        None => None,
    }
}

fn has_whole_head(read: &[u8]) -> bool {
    read.windows(4).any(|four| four == b"\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn speaks(text: &[u8]) -> Speaks {
        // One byte at a time, as the slowest client would.
        let mut slow = tokio_test_bytes(text);
        read(&mut slow, 64).await.expect("decided").0
    }

    fn tokio_test_bytes(text: &[u8]) -> impl AsyncRead + Unpin + use<> {
        let (mut writer, reader) = tokio::io::duplex(1);
        let text = text.to_vec();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let _ = writer.write_all(&text).await;
        });
        reader
    }

    #[tokio::test]
    async fn the_first_bytes_tell() {
        assert_eq!(speaks(b"\x00\x01\x00\x00\x21\x12\xa4\x42rest").await, Speaks::Stun);
        assert_eq!(speaks(b"GET /events?channel=D HTTP/1.1\r\n\r\n").await, Speaks::Events);
        assert_eq!(speaks(b"GET /events HTTP/1.1\r\nA: b\r\n\r\n").await, Speaks::Events);
        assert_eq!(speaks(b"GET /eventslog").await, Speaks::Http);
        assert_eq!(speaks(b"GET /even HTTP/1.1").await, Speaks::Http);
        assert_eq!(speaks(b"PRI * HTTP/2.0").await, Speaks::Http);
        let long = [b"GET /events HTTP/1.1\r\n".as_slice(), &[b'x'; 80]].concat();
        assert_eq!(speaks(&long).await, Speaks::Http, "too long for a head: axum refuses it");
        assert!(read(&mut tokio_test_bytes(b"GET /ev"), 64).await.is_err(), "gone before it was clear");
    }
}
