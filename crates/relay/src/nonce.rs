//! Nonces that need no memory (RFC 8489 §9.2): the minute they were made in and a keyed hash over it and the client's
//! address. A flood of strangers costs a hash each and nothing afterwards.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::address::octets;
use crate::credentials::Secret;

/// How long a nonce is good for; then the client is told to take a new one (438). RFC 8656 §5 asks for an hour at most.
const LIFETIME_MINUTES: u32 = 60;
const HASH_BYTES: usize = 8;
const NONCE_BYTES: usize = 4 + HASH_BYTES;

/// The nonce for a client at this time.
pub fn issue(secret: &Secret, client: SocketAddr, now: u64) -> String {
    encode(secret, client, minute(now))
}

/// Whether we made this nonce for this client, not too long ago.
pub fn is_fresh(secret: &Secret, client: SocketAddr, now: u64, nonce: &[u8]) -> bool {
    let Ok(raw) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
    let Some(made) = raw.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes)) else { return false };
    let expected = encode(secret, client, made);
    let ours: bool = expected.as_bytes().ct_eq(nonce).into();
    // The clock may have been set back a little between the two.
    let age = minute(now).saturating_sub(made);
    ours && age < LIFETIME_MINUTES && made <= minute(now).saturating_add(1)
}

fn minute(now: u64) -> u32 {
    u32::try_from(now / 60).unwrap_or(u32::MAX)
}

fn encode(secret: &Secret, client: SocketAddr, minute: u32) -> String {
    let minute = minute.to_be_bytes();
    let sum = secret.sign(&[b"nonce\0", &minute, &octets(client.ip()), &client.port().to_be_bytes()]);
    let mut raw = [0; NONCE_BYTES];
    raw[..4].copy_from_slice(&minute);
    raw[4..].copy_from_slice(&sum[..HASH_BYTES]);
    URL_SAFE_NO_PAD.encode(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000;

    fn client(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_nonce_is_good_for_its_client_for_an_hour() {
        let secret = Secret::new("s");
        let alice = client("192.0.2.1:4000");
        let nonce = issue(&secret, alice, NOON);
        assert_eq!(nonce.len(), 16, "short, because it goes to strangers");
        assert!(is_fresh(&secret, alice, NOON, nonce.as_bytes()));
        assert!(is_fresh(&secret, alice, NOON + 59 * 60, nonce.as_bytes()));
        assert!(!is_fresh(&secret, alice, NOON + 60 * 60, nonce.as_bytes()));
        assert!(!is_fresh(&secret, alice, NOON - 600, nonce.as_bytes()), "made in the future");
        assert!(!is_fresh(&secret, client("192.0.2.1:4001"), NOON, nonce.as_bytes()));
        assert!(!is_fresh(&secret, client("[2001:db8::1]:4000"), NOON, nonce.as_bytes()));
        assert!(!is_fresh(&Secret::new("t"), alice, NOON, nonce.as_bytes()));
    }

    #[test]
    fn what_is_not_a_nonce_is_not_fresh() {
        let secret = Secret::new("s");
        let alice = client("192.0.2.1:4000");
        for bad in [&b""[..], b"AAAA", b"AAAAAAAAAAAAAAAA", b"\xff\xfe", &[b'A'; 700]] {
            assert!(!is_fresh(&secret, alice, NOON, bad));
        }
    }
}
