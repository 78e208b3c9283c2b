//! Writing messages.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::message::{FINGERPRINT_XOR, address_mask, type_of};
use super::{Class, HEADER_BYTES, MAGIC_COOKIE, TransactionId, attribute, method, padded};

/// A message being written, attribute by attribute.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl Builder {
    /// Starts a message with its header (RFC 8489 §5).
    pub fn new(class: Class, method: u16, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        write_header(&mut bytes, class, method, transaction);
        Self { bytes, transaction }
    }

    /// Appends an attribute, padded with zeros to four bytes (RFC 8489 §14). Values longer than an attribute can
    /// hold are cut; nothing this server writes comes near.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let value = &value[..value.len().min(usize::from(u16::MAX) - 3)];
        write_attribute_header(&mut self.bytes, kind, value.len());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_length(0);
        self
    }

    /// Appends a four byte number.
    #[must_use]
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends an XOR address (RFC 8489 §14.2).
    #[must_use]
    pub fn xor_address(mut self, kind: u16, address: SocketAddr) -> Self {
        write_xor_address(&mut self.bytes, kind, address, self.transaction);
        self.set_length(0);
        self
    }

    /// Appends ERROR-CODE (RFC 8489 §14.8) without a reason phrase: nobody reads it, and an answer to a stranger
    /// should be short.
    #[must_use]
    pub fn error_code(self, code: u16) -> Self {
        let value = [0, 0, low_byte(code / 100), low_byte(code % 100)];
        self.attribute(attribute::ERROR_CODE, &value)
    }

    /// Appends MESSAGE-INTEGRITY (RFC 8489 §14.5).
    #[must_use]
    pub fn integrity(mut self, key: &[u8]) -> Self {
        self.set_length(24);
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return self };
        mac.update(&self.bytes);
        let sum = mac.finalize().into_bytes();
        self.attribute(attribute::MESSAGE_INTEGRITY, &sum)
    }

    /// Appends FINGERPRINT, which must be the last (RFC 8489 §14.7).
    #[must_use]
    pub fn fingerprint(mut self) -> Self {
        self.set_length(8);
        let sum = crc32fast::hash(&self.bytes) ^ FINGERPRINT_XOR;
        self.number(attribute::FINGERPRINT, sum)
    }

    /// The finished message.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn set_length(&mut self, to_come: usize) {
        let length = self.bytes.len() - HEADER_BYTES + to_come;
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

fn low_byte(value: u16) -> u8 {
    u8::try_from(value & 0xFF).unwrap_or_default()
}

fn write_header(to: &mut Vec<u8>, class: Class, method: u16, transaction: TransactionId) {
    to.extend_from_slice(&type_of(class, method).to_be_bytes());
    to.extend_from_slice(&[0, 0]);
    to.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    to.extend_from_slice(&transaction.0);
}

fn write_attribute_header(to: &mut Vec<u8>, kind: u16, length: usize) {
    to.extend_from_slice(&kind.to_be_bytes());
    to.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
}

fn write_xor_address(to: &mut Vec<u8>, kind: u16, address: SocketAddr, transaction: TransactionId) {
    let mask = address_mask(transaction);
    let port = address.port().to_be_bytes();
    let port = [port[0] ^ mask[0], port[1] ^ mask[1]];
    match address.ip() {
        IpAddr::V4(ip) => {
            write_attribute_header(to, kind, 8);
            to.extend_from_slice(&[0, 0x01, port[0], port[1]]);
            to.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
        IpAddr::V6(ip) => {
            write_attribute_header(to, kind, 20);
            to.extend_from_slice(&[0, 0x02, port[0], port[1]]);
            to.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
    }
}

/// Appends a Data indication (RFC 8656 §11.4) and returns its length: what a client gets from a peer without a
/// channel. Payloads too long for an attribute are not written and give 0.
pub fn write_data_indication(
    to: &mut Vec<u8>,
    transaction: TransactionId,
    peer: SocketAddr,
    payload: &[u8],
) -> usize {
    let start = to.len();
    let address = if peer.is_ipv4() { 12 } else { 24 };
    let Ok(length) = u16::try_from(address + 4 + padded(payload.len())) else { return 0 };
    write_header(to, Class::Indication, method::DATA, transaction);
    to[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    write_xor_address(to, attribute::XOR_PEER_ADDRESS, peer, transaction);
    write_attribute_header(to, attribute::DATA, payload.len());
    to.extend_from_slice(payload);
    let end = to.len() + padded(payload.len()) - payload.len();
    to.resize(end, 0);
    end - start
}

/// Appends ChannelData (RFC 8656 §12.4). On a stream it must be padded to four bytes, in a datagram it need not
/// be (§12.5). Payloads longer than 65,535 bytes are not written.
pub fn write_channel_data(to: &mut Vec<u8>, channel: u16, payload: &[u8], pad: bool) {
    let Ok(length) = u16::try_from(payload.len()) else { return };
    to.extend_from_slice(&channel.to_be_bytes());
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(payload);
    if pad {
        to.resize(to.len() + padded(payload.len()) - payload.len(), 0);
    }
}
