//! Secrets that must be readable again (relay secret, SMTP password, deployment key) are sealed with
//! the master key: XChaCha20-Poly1305, the purpose as associated data, so that a sealed value moved to
//! another place does not open.

use crate::Random;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::fmt;

/// Bytes of the nonce before the ciphertext.
const NONCE: usize = 24;

/// The key in `DIR/secrets/master.key`.
pub struct MasterKey(XChaCha20Poly1305);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// A sealed value that this key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open with this master key")]
pub struct Sealed;

impl MasterKey {
    /// From the 32 bytes of the file.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(Key::from_slice(bytes)))
    }

    /// Seals `plain` for one purpose.
    pub fn seal(&self, purpose: &str, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce: [u8; NONCE] = random.bytes();
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        // Fails only for messages of 256 GB.
        let body = self.0.encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &body].concat()
    }

    /// Opens what was sealed for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Sealed> {
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or(Sealed)?;
        let payload = Payload { msg: body, aad: purpose.as_bytes() };
        self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn opens_only_for_its_purpose_and_key() {
        let random = SeededRandom::new(1);
        let key = MasterKey::new(&[1; 32]);
        let sealed = key.seal("relay", b"hush", &random);
        assert_eq!(key.open("relay", &sealed).as_deref(), Ok(b"hush".as_slice()));
        assert_eq!(key.open("smtp", &sealed), Err(Sealed));
        assert_eq!(MasterKey::new(&[2; 32]).open("relay", &sealed), Err(Sealed));
        assert_eq!(key.open("relay", &sealed[..10]), Err(Sealed));
    }
}
