//! The wire formats, as pure functions: bytes in, values out, no I/O and no state.
//!
//! What it is: STUN messages (RFC 8489 §5, §14), the attributes TURN adds (RFC 8656 §18), ChannelData
//! (RFC 8656 §12.4) and the framing of both on a byte stream (RFC 8656 §12.5). Everything that reads
//! bytes of a stranger is here, so that a fuzzer needs nothing else: [`Message::parse`],
//! [`Frame::of_datagram`], [`Frame::first_of_stream`] and [`Splitter::feed`].
//!
//! What it is not: the rules of who may do what. Those are in `requests`.
//!
//! To add an attribute: a constant in [`attribute`], a reader on [`Message`] if its value is not plain
//! bytes, a writer on [`Builder`]; and add it to [`attribute::is_understood`] if it is comprehension-required.

pub mod attribute;
mod builder;
mod frame;
mod message;

pub use builder::{Builder, write_channel_data, write_data_indication};
pub(crate) use frame::could_be_stun;
pub use frame::{CHANNELS, ChannelData, Frame, FrameError, Splitter, padded};
pub use message::{AddressFamily, Class, MAGIC_COOKIE, Message, ParseError, TransactionId};

/// Length of the fixed header of every STUN message (RFC 8489 §5).
pub const HEADER_BYTES: usize = 20;

/// The methods this server answers (RFC 8489 §18.2, RFC 8656 §17).
pub mod method {
    /// RFC 8489 §18.2.
    pub const BINDING: u16 = 0x001;
    /// RFC 8656 §7.
    pub const ALLOCATE: u16 = 0x003;
    /// RFC 8656 §8.
    pub const REFRESH: u16 = 0x004;
    /// RFC 8656 §11.
    pub const SEND: u16 = 0x006;
    /// RFC 8656 §11.
    pub const DATA: u16 = 0x007;
    /// RFC 8656 §10.
    pub const CREATE_PERMISSION: u16 = 0x008;
    /// RFC 8656 §12.
    pub const CHANNEL_BIND: u16 = 0x009;
}

/// Error codes of answers (RFC 8489 §14.8, RFC 8656 §19).
pub mod code {
    /// The request is malformed.
    pub const BAD_REQUEST: u16 = 400;
    /// No, wrong or expired credential.
    pub const UNAUTHENTICATED: u16 = 401;
    /// Credential is right, the thing asked for is not allowed.
    pub const FORBIDDEN: u16 = 403;
    /// A comprehension-required attribute is not understood.
    pub const UNKNOWN_ATTRIBUTE: u16 = 420;
    /// The 5-tuple has no allocation, or another one.
    pub const ALLOCATION_MISMATCH: u16 = 437;
    /// The nonce is not (or no longer) ours: try again with the one in the answer.
    pub const STALE_NONCE: u16 = 438;
    /// The requested address family is not offered.
    pub const FAMILY_NOT_SUPPORTED: u16 = 440;
    /// The allocation was made with another username.
    pub const WRONG_CREDENTIALS: u16 = 441;
    /// Something other than UDP was requested.
    pub const UNSUPPORTED_TRANSPORT: u16 = 442;
    /// Peer and relayed address are of different families.
    pub const PEER_FAMILY_MISMATCH: u16 = 443;
    /// This credential has as many allocations, or bytes, as it may.
    pub const QUOTA_REACHED: u16 = 486;
    /// The server is full, or does not reserve ports.
    pub const INSUFFICIENT_CAPACITY: u16 = 508;
}
