//! Reading a STUN message without copying it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{HEADER_BYTES, attribute};

/// The fixed value that tells STUN from its predecessor (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;
/// XORed into the checksum, so that a CRC of something else is not taken for it (RFC 8489 §14.7).
pub(super) const FINGERPRINT_XOR: u32 = 0x5354_554E;
const INTEGRITY_BYTES: usize = 20;

/// Chosen by the client, repeated in the answer (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What kind of message it is (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// A good answer.
    Success,
    /// A bad answer.
    Error,
}

/// Value of the address family attributes (RFC 8656 §18.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// 0x01.
    V4,
    /// 0x02.
    V6,
}

impl AddressFamily {
    /// The family an address belongs to.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Why bytes are not a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Fewer than 20 bytes, or fewer than the header promises.
    #[error("the message ends early")]
    Truncated,
    /// First two bits, cookie or length are not those of STUN.
    #[error("not a STUN message")]
    NotStun,
    /// An attribute reaches beyond the end of the message.
    #[error("an attribute does not fit its message")]
    BadAttribute,
    /// There is a FINGERPRINT and it is wrong.
    #[error("the checksum is wrong")]
    BadFingerprint,
}

/// A message whose shape has been checked; the attributes are read on demand.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Where readable attributes end: at MESSAGE-INTEGRITY if there is one (RFC 8489 §14.5: what follows
    /// it, save FINGERPRINT, must be ignored), else at the end.
    end: usize,
    integrity: Option<usize>,
    class: Class,
    method: u16,
}

impl<'a> Message<'a> {
    /// Reads one whole message (RFC 8489 §5, §14): header, that every attribute fits, and the fingerprint
    /// if there is one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(ParseError::Truncated)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if kind & 0xC000 != 0 || cookie != MAGIC_COOKIE || !length.is_multiple_of(4) {
            return Err(ParseError::NotStun);
        }
        if bytes.len() != HEADER_BYTES + length {
            return Err(ParseError::Truncated);
        }
        let (end, integrity) = scan(bytes)?;
        Ok(Self { bytes, end, integrity, class: class_of(kind), method: method_of(kind) })
    }

    /// Request, indication or answer.
    pub fn class(&self) -> Class {
        self.class
    }

    /// See [`super::method`].
    pub fn method(&self) -> u16 {
        self.method
    }

    /// The id an answer must repeat.
    pub fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_BYTES]);
        TransactionId(id)
    }

    /// All attributes before MESSAGE-INTEGRITY, in order.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        Attributes { bytes: &self.bytes[..self.end], at: HEADER_BYTES }
    }

    /// The first attribute of this type; later ones of the same type are ignored (RFC 8489 §14).
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(it, _)| *it == kind).map(|(_, value)| value)
    }

    /// A text attribute.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// A four byte number.
    pub fn number(&self, kind: u16) -> Option<u32> {
        self.get(kind).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
    }

    /// The first XOR-…-ADDRESS of this type (RFC 8489 §14.2).
    pub fn xor_address(&self, kind: u16) -> Option<SocketAddr> {
        self.xor_addresses(kind).next().flatten()
    }

    /// All addresses of this type; `None` for one that is malformed.
    pub fn xor_addresses(&self, kind: u16) -> impl Iterator<Item = Option<SocketAddr>> + use<'a> {
        let transaction = self.transaction();
        self.attributes()
            .filter(move |(it, _)| *it == kind)
            .map(move |(_, value)| read_xor_address(value, transaction))
    }

    /// REQUESTED-ADDRESS-FAMILY and its like: `None` if absent, `Some(None)` for a family unknown to the RFC.
    pub fn family(&self, kind: u16) -> Option<Option<AddressFamily>> {
        self.get(kind).map(|value| match value {
            [0x01, _, _, _] => Some(AddressFamily::V4),
            [0x02, _, _, _] => Some(AddressFamily::V6),
            _ => None,
        })
    }

    /// The number and class of an ERROR-CODE (RFC 8489 §14.8), as in 401.
    pub fn error_code(&self) -> Option<u16> {
        let value = self.get(attribute::ERROR_CODE)?;
        let [_, _, class, number, ..] = value else { return None };
        Some(u16::from(class & 0x07) * 100 + u16::from(*number))
    }

    /// Whether the message carries a MESSAGE-INTEGRITY at all.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Checks MESSAGE-INTEGRITY in constant time (RFC 8489 §14.5): HMAC-SHA1 over everything before it, with
    /// the length in the header as if the message ended right after it.
    pub fn verify_integrity(&self, key: &[u8]) -> bool {
        let Some(at) = self.integrity else { return false };
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return false };
        let Ok(length) = u16::try_from(at + 4 + INTEGRITY_BYTES - HEADER_BYTES) else { return false };
        mac.update(&self.bytes[..2]);
        mac.update(&length.to_be_bytes());
        mac.update(&self.bytes[4..at]);
        mac.verify_slice(&self.bytes[at + 4..at + 4 + INTEGRITY_BYTES]).is_ok()
    }
}

struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, value, next) = attribute_at(self.bytes, self.at)?;
        self.at = next;
        Some((kind, value))
    }
}

/// Type, value and the place of the next attribute; values are padded to four bytes (RFC 8489 §14).
fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let head = bytes.get(at..at + 4)?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = bytes.get(at + 4..at + 4 + length)?;
    Some((kind, value, at + 4 + length.next_multiple_of(4)))
}

/// Walks all attributes once: they must fill the message exactly.
fn scan(bytes: &[u8]) -> Result<(usize, Option<usize>), ParseError> {
    let mut at = HEADER_BYTES;
    let mut integrity = None;
    while at < bytes.len() {
        let (kind, value, next) = attribute_at(bytes, at).ok_or(ParseError::BadAttribute)?;
        if next > bytes.len() {
            return Err(ParseError::BadAttribute);
        }
        match kind {
            attribute::MESSAGE_INTEGRITY if integrity.is_none() => {
                if value.len() != INTEGRITY_BYTES {
                    return Err(ParseError::BadAttribute);
                }
                integrity = Some(at);
            }
            attribute::FINGERPRINT => {
                let sum = crc32fast::hash(&bytes[..at]) ^ FINGERPRINT_XOR;
                if next != bytes.len() || value != sum.to_be_bytes() {
                    return Err(ParseError::BadFingerprint);
                }
            }
            _ => {}
        }
        at = next;
    }
    Ok((integrity.unwrap_or(bytes.len()), integrity))
}

/// The class bits lie between the method bits (RFC 8489 §5, figure 3).
fn class_of(kind: u16) -> Class {
    match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    }
}

fn method_of(kind: u16) -> u16 {
    (kind & 0x000F) | ((kind & 0x00E0) >> 1) | ((kind & 0x3E00) >> 2)
}

pub(super) fn type_of(class: Class, method: u16) -> u16 {
    let bits = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    (method & 0x000F) | ((method & 0x0070) << 1) | ((method & 0x0F80) << 2) | bits
}

/// The mask of an XOR address: cookie, then transaction id (RFC 8489 §14.2).
pub(super) fn address_mask(transaction: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn read_xor_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let mask = address_mask(transaction);
    let [_, family, high, low, address @ ..] = value else { return None };
    let port = u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]);
    let ip = match (family, address.len()) {
        (0x01, 4) => {
            let mut raw = [0; 4];
            raw.iter_mut().zip(address).zip(mask).for_each(|((to, from), mask)| *to = from ^ mask);
            IpAddr::V4(Ipv4Addr::from(raw))
        }
        (0x02, 16) => {
            let mut raw = [0; 16];
            raw.iter_mut().zip(address).zip(mask).for_each(|((to, from), mask)| *to = from ^ mask);
            IpAddr::V6(Ipv6Addr::from(raw))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
