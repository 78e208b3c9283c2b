//! Time-limited credentials, as draft-uberti-behave-turn-rest-00 §2.2 describes them.
//!
//! `username = "<expiry>:<session id>:<b|d>"` and `credential = base64(HMAC-SHA1(secret, username))`. Whoever knows the
//! secret can issue and check them, so an external coturn (`use-auth-secret`) can take this relay's place.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The realm of every challenge. Clients only repeat it (RFC 8489 §14.9).
pub const REALM: &str = "bramble";

/// A credential that expires later than this is refused. It bounds how long an ended session must be remembered so that
/// its credentials cannot open a new allocation. Issue for less; Bramble issues for ten minutes.
pub const LONGEST_VALIDITY_SECONDS: u64 = 3600;

const LONGEST_SESSION_ID: usize = 64;
/// Twelve digits reach beyond the year 30000.
const LONGEST_EXPIRY: usize = 12;

/// What the server and the relay (or an external one) share. At least 16 bytes; 32 random ones are right.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes as they are; for coturn they are the text after `static-auth-secret=`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// HMAC-SHA1 over the parts, one after the other.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length (RFC 2104 §3)")
        };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which end of the session the credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The person's browser.
    Browser,
    /// The device's agent.
    Device,
}

impl Side {
    const fn letter(self) -> char {
        match self {
            Self::Browser => 'b',
            Self::Device => 'd',
        }
    }
}

/// What goes into `iceServers` of one side.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// `username` of RTCIceServer.
    pub username: String,
    /// `credential` of RTCIceServer.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A session id that cannot be written into a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id for the relay has 1 to 64 letters, digits, hyphens or underscores")]
pub struct BadSessionId;

/// Makes the credential of one side of a session, valid for a first Allocate until `expires_at` (Unix seconds).
///
/// ```
/// use bramble_relay::credentials::{Secret, Side, Username, issue, verify};
///
/// let secret = Secret::new("north wind and the sun");
/// let it = issue(&secret, "9f2c", Side::Device, 1_800_000_000)?;
/// assert_eq!(it.username, "1800000000:9f2c:d");
/// assert!(verify(&secret, &it.username, &it.password));
/// assert_eq!(Username::parse(&it.username).expect("well-formed").session, "9f2c");
/// # Ok::<(), bramble_relay::credentials::BadSessionId>(())
/// ```
pub fn issue(
    secret: &Secret,
    session_id: &str,
    side: Side,
    expires_at: u64,
) -> Result<Credential, BadSessionId> {
    if !is_session_id(session_id) {
        return Err(BadSessionId);
    }
    let username = format!("{expires_at}:{session_id}:{}", side.letter());
    let password = password(secret, &username).to_string();
    Ok(Credential { username, password })
}

/// Whether the password belongs to the username; in constant time.
pub fn verify(secret: &Secret, username: &str, given: &str) -> bool {
    password(secret, username).as_bytes().ct_eq(given.as_bytes()).into()
}

fn password(secret: &Secret, username: &str) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(secret.sign(&[username.as_bytes()])))
}

/// The parts of a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Username<'a> {
    /// Until when an Allocate is accepted, in Unix seconds.
    pub expires_at: u64,
    /// The session both sides belong to.
    pub session: &'a str,
    /// Whose credential it is.
    pub side: Side,
}

impl<'a> Username<'a> {
    /// Takes a username apart; `None` if it is not one of ours.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (expiry, rest) = text.split_once(':')?;
        let (session, side) = rest.split_once(':')?;
        if expiry.len() > LONGEST_EXPIRY || !expiry.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let side = match side {
            "b" => Side::Browser,
            "d" => Side::Device,
            _ => return None,
        };
        let expires_at = expiry.parse().ok()?;
        is_session_id(session).then_some(Self { expires_at, session, side })
    }
}

fn is_session_id(text: &str) -> bool {
    (1..=LONGEST_SESSION_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The key of MESSAGE-INTEGRITY (RFC 8489 §18.5.1.1): MD5 of `username:realm:password`. All three are ASCII, so the
/// string preparation of RFC 8265 changes nothing.
#[derive(Clone)]
pub struct LongTermKey(Zeroizing<[u8; 16]>);

impl LongTermKey {
    /// The key for a username under the shared secret.
    pub fn of(secret: &Secret, username: &str) -> Self {
        Self::of_password(username, REALM, &password(secret, username))
    }

    /// The key for a password that is known, as a client computes it.
    pub fn of_password(username: &str, realm: &str, password: &str) -> Self {
        let mut hash = Md5::new();
        for part in [username, ":", realm, ":", password] {
            hash.update(part.as_bytes());
        }
        Self(Zeroizing::new(hash.finalize().into()))
    }

    /// The sixteen bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongTermKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_has_exactly_three_parts() {
        let good = Username::parse("1800000000:5f0c-aa_B:b").expect("well-formed");
        assert_eq!((good.expires_at, good.session, good.side), (1_800_000_000, "5f0c-aa_B", Side::Browser));
        for bad in [
            "",
            "1800000000",
            "1800000000:x",
            "1800000000:x:",
            "1800000000:x:c",
            "1800000000:x:bb",
            "1800000000::b",
            "+180:x:b",
            "-1:x:b",
            " 1:x:b",
            "x:y:b",
            "1800000000:x:b:",
            "1800000000:x:y:b",
            "1:é:b",
            "1:a b:b",
            "1234567890123:x:b",
            ":x:b",
        ] {
            assert_eq!(Username::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Username::parse(&format!("1:{}:b", "x".repeat(65))), None);
    }

    #[test]
    fn the_password_is_what_coturn_computes() {
        // printf 1433895918:x:b | openssl dgst -sha1 -hmac north -binary | base64
        let secret = Secret::new("north");
        let it = issue(&secret, "x", Side::Browser, 1_433_895_918).expect("a good id");
        assert!(verify(&secret, &it.username, &it.password));
        assert!(!verify(&secret, &it.username, "AAAA"));
        assert!(!verify(&Secret::new("south"), &it.username, &it.password));
        assert!(!verify(&secret, "1433895918:x:d", &it.password));
        assert_eq!(it.password, "HMMNSr2YfdfnAeqxEYl0PvaOXQk=");
    }

    #[test]
    fn ids_that_would_change_the_meaning_of_a_username_are_refused() {
        for id in ["", "a:b", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(issue(&Secret::new("s"), id, Side::Device, 1), Err(BadSessionId));
        }
    }

    #[test]
    fn nothing_secret_is_in_debug_output() {
        let secret = Secret::new("do not tell");
        let it = issue(&secret, "x", Side::Device, 1).expect("a good id");
        let text = format!("{secret:?} {it:?} {:?}", LongTermKey::of(&secret, &it.username));
        assert!(!text.contains("do not tell") && !text.contains(&it.password), "{text}");
    }
}
