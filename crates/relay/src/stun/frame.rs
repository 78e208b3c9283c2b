//! Telling STUN from ChannelData, in datagrams and in a byte stream.

use std::ops::RangeInclusive;

use super::{HEADER_BYTES, MAGIC_COOKIE};

/// The numbers a channel may have. RFC 8656 §12 has narrowed the range of RFC 5766 §11 to 0x4FFF, but clients in use (coturn's
/// among them) still choose from all of it, and on this port nothing else begins so.
pub const CHANNELS: RangeInclusive<u16> = 0x4000..=0x7FFF;
const CHANNEL_HEADER_BYTES: usize = 4;

/// The length with its padding: on streams frames start at multiples of four (RFC 8656 §12.5).
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Application data with its channel (RFC 8656 §12.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// One of [`CHANNELS`].
    pub channel: u16,
    /// The peer's or the client's bytes.
    pub payload: &'a [u8],
}

/// One unit of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A STUN message, not yet parsed.
    Stun(&'a [u8]),
    /// Application data.
    Channel(ChannelData<'a>),
}

/// Why a stream cannot be split any further; the connection is of no use then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Neither STUN nor ChannelData.
    #[error("the stream does not speak STUN")]
    NotStun,
    /// Longer than allowed here.
    #[error("the frame is too long")]
    TooLong,
}

impl<'a> Frame<'a> {
    /// What a datagram holds: its first byte is 0–3 for STUN and 64–127 for [`CHANNELS`]. Anything else is `None`.
    pub fn of_datagram(bytes: &'a [u8]) -> Option<Self> {
        match *bytes.first()? {
            0..=3 => Some(Self::Stun(bytes)),
            64..=127 => {
                let (header, rest) = bytes.split_first_chunk::<CHANNEL_HEADER_BYTES>()?;
                let channel = u16::from_be_bytes([header[0], header[1]]);
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                // A datagram may be padded (RFC 8656 §12.5), so a longer one is not an error.
                let payload = rest.get(..length)?;
                Some(Self::Channel(ChannelData { channel, payload }))
            }
            _ => None,
        }
    }

    /// The first frame of a stream and how many bytes it takes, padding included; `None` if more bytes are needed.
    pub fn first_of_stream(bytes: &'a [u8], longest: usize) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let is_stun = match first {
            0..=3 => true,
            64..=127 => false,
            _ => return Err(FrameError::NotStun),
        };
        if is_stun && !could_be_stun(bytes) {
            return Err(FrameError::NotStun);
        }
        let Some(header) = bytes.first_chunk::<CHANNEL_HEADER_BYTES>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let total = if is_stun { HEADER_BYTES + length } else { CHANNEL_HEADER_BYTES + padded(length) };
        if total > longest {
            return Err(FrameError::TooLong);
        }
        let Some(frame) = bytes.get(..total) else { return Ok(None) };
        if is_stun {
            return Ok(Some((Self::Stun(frame), total)));
        }
        let channel = u16::from_be_bytes([header[0], header[1]]);
        let payload = &frame[CHANNEL_HEADER_BYTES..CHANNEL_HEADER_BYTES + length];
        Ok(Some((Self::Channel(ChannelData { channel, payload }), total)))
    }
}

/// Whether the bytes may be the beginning of a STUN message: first two bits zero, method in the range in use,
/// length a multiple of four, cookie in its place (RFC 8489 §5). Bytes not yet there are taken to be right.
pub(crate) fn could_be_stun(bytes: &[u8]) -> bool {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    bytes.first().is_some_and(|first| *first <= 3)
        && bytes.get(3).is_none_or(|low| low % 4 == 0)
        && bytes.iter().skip(4).zip(cookie).all(|(byte, expected)| *byte == expected)
}

/// Cuts a byte stream into frames. Holds only what is left of an unfinished frame.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes of the stream and gives every frame they complete to `each`, in order. `longest` asks
    /// anew before each frame how long it may be, because an answer to one may change what is allowed next.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        longest: impl Fn() -> usize,
        mut each: impl FnMut(Frame<'_>),
    ) -> Result<(), FrameError> {
        while !self.pending.is_empty() && !bytes.is_empty() {
            // Enough of a header first, so that the length is known; then exactly the rest of the frame.
            let wanted = self.missing().clamp(1, bytes.len());
            let (head, tail) = bytes.split_at(wanted);
            self.pending.extend_from_slice(head);
            bytes = tail;
            if let Some((frame, _)) = Frame::first_of_stream(&self.pending, longest())? {
                each(frame);
                self.pending.clear();
            }
        }
        if self.pending.is_empty() {
            self.pending.shrink_to(0);
        }
        while !bytes.is_empty() {
            let Some((frame, length)) = Frame::first_of_stream(bytes, longest())? else {
                self.pending.extend_from_slice(bytes);
                break;
            };
            each(frame);
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Whether a frame has begun and not ended.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    fn missing(&self) -> usize {
        let Some(header) = self.pending.first_chunk::<CHANNEL_HEADER_BYTES>() else {
            return CHANNEL_HEADER_BYTES - self.pending.len();
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let total =
            if header[0] <= 3 { HEADER_BYTES + length } else { CHANNEL_HEADER_BYTES + padded(length) };
        total.saturating_sub(self.pending.len())
    }
}
