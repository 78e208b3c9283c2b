//! An authenticator in software: one key pair, as a browser would speak for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

pub struct Authenticator {
    keys: EcdsaKeyPair,
    id: Vec<u8>,
    user: Vec<u8>,
    pub counter: u32,
    pub verifies: bool,
    pub origin: String,
    pub host: String,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A CBOR head: major type and a length below 2^16.
fn head(major: u8, length: usize) -> Vec<u8> {
    let major = major << 5;
    match u8::try_from(length) {
        Ok(short) if short < 24 => vec![major | short],
        Ok(byte) => vec![major | 0x18, byte],
        Err(_) => {
            let [high, low] = u16::try_from(length).expect("short").to_be_bytes();
            vec![major | 0x19, high, low]
        }
    }
}

fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

fn cbor_text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

impl Authenticator {
    pub fn new(origin: &str, host: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let keys = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random);
        let keys = keys.expect("a key");
        let id = Sha256::digest(keys.public_key().as_ref()).to_vec();
        let (origin, host) = (origin.to_owned(), host.to_owned());
        Self { keys, id, user: Vec::new(), counter: 1, verifies: true, origin, host }
    }

    fn client_data(&self, kind: &str, question: &Value) -> Vec<u8> {
        let challenge = &question["options"]["challenge"];
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8, more: &[u8]) -> Vec<u8> {
        let verified = if self.verifies { USER_VERIFIED } else { 0 };
        let host = Sha256::digest(self.host.as_bytes()).to_vec();
        let flags = vec![flags | USER_PRESENT | verified];
        [host, flags, self.counter.to_be_bytes().to_vec(), more.to_vec()].concat()
    }

    /// What `navigator.credentials.create` gives for a question.
    pub fn create(&mut self, question: &Value) -> String {
        let user = question["options"]["user"]["id"].as_str().expect("a user");
        self.user = URL_SAFE_NO_PAD.decode(user).expect("base 64");
        let point = self.keys.public_key().as_ref();
        let key = [
            head(5, 5),
            vec![0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21],
            cbor_bytes(&point[1..33]),
            vec![0x22],
            cbor_bytes(&point[33..65]),
        ]
        .concat();
        let length = u16::try_from(self.id.len()).expect("short").to_be_bytes();
        let attested = [vec![0; 16], length.to_vec(), self.id.clone(), key].concat();
        let data = self.authenticator_data(ATTESTED, &attested);
        let attestation = [
            head(5, 3),
            cbor_text("fmt"),
            cbor_text("none"),
            cbor_text("attStmt"),
            head(5, 0),
            cbor_text("authData"),
            cbor_bytes(&data),
        ]
        .concat();
        let client = self.client_data("webauthn.create", question);
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "attestationObject": text(&attestation), "clientDataJSON": text(&client),
                "transports": ["internal"],
            },
        })
        .to_string()
    }

    /// What `navigator.credentials.get` gives for a question.
    pub fn get(&mut self, question: &Value) -> String {
        self.counter += 1;
        self.get_again(question)
    }

    /// The same without counting on.
    pub fn get_again(&self, question: &Value) -> String {
        let data = self.authenticator_data(0, &[]);
        let client = self.client_data("webauthn.get", question);
        let signed = [data.clone(), Sha256::digest(&client).to_vec()].concat();
        let signature = self.keys.sign(&SystemRandom::new(), &signed).expect("a signature");
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "authenticatorData": text(&data), "clientDataJSON": text(&client),
                "signature": text(signature.as_ref()), "userHandle": text(&self.user),
            },
        })
        .to_string()
    }
}
