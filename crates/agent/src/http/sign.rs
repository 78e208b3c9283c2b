//! `X-Connect-Signature` (part A of the protocol).

use bramble_wire::signature;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Signs with the serial number of this board.
#[derive(Clone)]
pub struct Signer {
    /// The text of the lower-case hex SHA-256 of the serial number.
    key: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub fn new(serial_number: &str) -> Self {
        Self { key: hex::encode(Sha256::digest(serial_number.as_bytes())) }
    }

    /// The header's value. `headers` are those of the request that are signed, in the order they are
    /// sent.
    pub fn sign(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let digest = (!body.is_empty()).then(|| hex::encode(Sha256::digest(body)));
        let message = signature::message(method, url, headers, digest.as_deref());
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) else { return String::new() };
        mac.update(message.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // key=$(printf 10000000abcdef01 | sha256sum); printf 'POST\n…' | openssl dgst -sha256 -hmac $key
        let signer = Signer::new("10000000abcdef01");
        let body = br#"{"a":1}"#;
        let headers =
            [("Authorization", "Bearer t"), ("Content-Type", "application/json"), ("Accept", "*/*")];
        assert_eq!(signer.sign("POST", "https://pi.example/me", &headers, body), EXPECTED);
    }

    const EXPECTED: &str = "6398c12d0a1a9436ab037ad984926844f2924e69b3cac361809d6738ae0ac68f";
}
