//! Attribute types (RFC 8489 §18.3, RFC 8656 §18).

/// RFC 8489 §14.3.
pub const USERNAME: u16 = 0x0006;
/// RFC 8489 §14.5.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// RFC 8489 §14.8.
pub const ERROR_CODE: u16 = 0x0009;
/// RFC 8489 §14.13.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
/// RFC 8656 §18.1.
pub const CHANNEL_NUMBER: u16 = 0x000C;
/// RFC 8656 §18.2.
pub const LIFETIME: u16 = 0x000D;
/// RFC 8656 §18.3.
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
/// RFC 8656 §18.4.
pub const DATA: u16 = 0x0013;
/// RFC 8489 §14.9.
pub const REALM: u16 = 0x0014;
/// RFC 8489 §14.10.
pub const NONCE: u16 = 0x0015;
/// RFC 8656 §18.5.
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
/// RFC 8656 §18.6.
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// RFC 8656 §18.7.
pub const EVEN_PORT: u16 = 0x0018;
/// RFC 8656 §18.8.
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
/// RFC 8656 §18.9.
pub const DONT_FRAGMENT: u16 = 0x001A;
/// RFC 8489 §14.6.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
/// RFC 8489 §14.2.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// RFC 8656 §18.10.
pub const RESERVATION_TOKEN: u16 = 0x0022;
/// RFC 8656 §18.11; comprehension-optional.
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
/// RFC 8656 §18.12; comprehension-optional.
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
/// RFC 8489 §14.7; comprehension-optional.
pub const FINGERPRINT: u16 = 0x8028;

/// Types below this must be understood or the request is refused with 420 (RFC 8489 §14).
pub const FIRST_OPTIONAL: u16 = 0x8000;

/// Whether this server knows what the attribute asks for.
///
/// PRIORITY, USE-CANDIDATE (RFC 8445) and the like never come to a relay and are not known. DONT-FRAGMENT is
/// deliberately absent: RFC 8656 §7.2 tells a server that cannot set DF to answer as if it were unknown.
pub const fn is_understood(kind: u16) -> bool {
    kind >= FIRST_OPTIONAL
        || matches!(
            kind,
            USERNAME
                | MESSAGE_INTEGRITY
                | MESSAGE_INTEGRITY_SHA256
                | CHANNEL_NUMBER
                | LIFETIME
                | XOR_PEER_ADDRESS
                | DATA
                | REALM
                | NONCE
                | REQUESTED_ADDRESS_FAMILY
                | EVEN_PORT
                | REQUESTED_TRANSPORT
                | RESERVATION_TOKEN
        )
}
