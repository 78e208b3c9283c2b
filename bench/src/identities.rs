//! Boards with key pairs of their own: what they have signed to be registered, and to link themselves.

use base64::{Engine, prelude::BASE64_STANDARD};
use bramble_model::{Clock, SystemClock};
use bramble_wire::device_api::IdentityExchange;
use bramble_wire::signature::{IDENTITY_HEADER, TIMESTAMP_HEADER, identity_message};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Where programs register them.
pub const IDENTITIES: &str = "/organisation/device-identities";
/// Where they link themselves.
pub const EXCHANGE: &str = "/client/device-identity-exchange";
/// What every public key on P-256 begins with in DER, in Base64.
const PREFIX: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// One board.
pub struct Board {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// What is sent.
pub struct Signed {
    /// Headers beside the content type, each with its line's end.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl Board {
    /// With a new key.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a pair");
        Self { pair, random }
    }

    fn pem(&self) -> String {
        let mut der = BASE64_STANDARD.decode(PREFIX).expect("Base64");
        der.extend_from_slice(&self.pair.public_key().as_ref()[1..]);
        let text = BASE64_STANDARD.encode(der);
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// Registers itself with this token, over HTTP and for a host that is called `localhost`.
    pub fn registration(&self, token: &str, number: usize) -> Signed {
        let body = json!({ "public_key": self.pem(), "description": format!("i{number}") }).to_string();
        let bearer = format!("Bearer {token}");
        let signed = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let headers = format!("Authorization: {bearer}\r\n{}", self.signature(IDENTITIES, &signed, &body));
        Signed { headers, body }
    }

    /// Links itself, now.
    pub fn exchange(&self, number: usize) -> Signed {
        let body = IdentityExchange {
            client_id: "bench".to_owned(),
            public_key: self.pem(),
            hostname: format!("i{number}"),
            serial_number: format!("i{number}"),
        };
        let body = serde_json::to_string(&body).expect("JSON");
        let now = SystemClock.unix().to_string();
        let signed = [("Content-Type", "application/json"), (TIMESTAMP_HEADER, now.as_str())];
        let signature = self.signature(EXCHANGE, &signed, &body);
        Signed { headers: format!("{TIMESTAMP_HEADER}: {now}\r\n{signature}"), body }
    }

    fn signature(&self, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let digest = hex::encode(Sha256::digest(body.as_bytes()));
        let text = identity_message("POST", &format!("http://localhost{path}"), headers, &digest);
        let signature = self.pair.sign(&self.random, text.as_bytes()).expect("signs");
        format!("{IDENTITY_HEADER}: {}\r\n", BASE64_STANDARD.encode(signature.as_ref()))
    }
}
