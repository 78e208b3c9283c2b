//! `/organisation/device-identities` and their exchange.

mod contract;
mod exchange;
mod limits;

use super::Program;
use crate::desk::{Answer, Desk, request};
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const IDENTITIES: &str = "/organisation/device-identities";
const EXCHANGE: &str = "/client/device-identity-exchange";
const SIGNATURE: &str = "x-connect-identity-signature";
const TIMESTAMP: &str = "x-connect-timestamp";
/// What every P-256 public key begins with in DER, in Base64.
const PREFIX: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// A board with a key in its one-time programmable memory.
pub struct Board {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Board {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        Self {
            pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a pair"),
            random,
        }
    }

    pub fn pem(&self) -> String {
        let der =
            [BASE64_STANDARD.decode(PREFIX).expect("Base64"), self.pair.public_key().as_ref()[1..].to_vec()];
        let text = BASE64_STANDARD.encode(der.concat());
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    pub fn sign(&self, lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
        let digest = hex::encode(Sha256::digest(body.as_ref()));
        self.sign_text(&format!("{}\n{digest}", lines.join("\n")))
    }

    pub fn sign_text(&self, text: &str) -> Vec<u8> {
        self.pair.sign(&self.random, text.as_bytes()).expect("signs").as_ref().to_vec()
    }

    /// Sends a body of this kind to be registered, whatever it says.
    pub async fn send(&self, program: &Program<'_>, kind: Option<&str>, body: &[u8]) -> Answer {
        let url = format!("https://pi.example{IDENTITIES}");
        let token = format!("Authorization: Bearer {}", program.token);
        let kind_line = kind.map(|kind| format!("Content-Type: {kind}"));
        let mut lines = vec!["POST", &url, &token];
        lines.extend(kind_line.as_deref());
        let signature = BASE64_STANDARD.encode(self.sign(&lines, body));
        let mut headers = vec![(SIGNATURE, signature.as_str())];
        headers.extend(kind.map(|kind| ("content-type", kind)));
        program.raw("POST", IDENTITIES, &headers, body.to_vec()).await
    }

    /// The headers of a registration as the documentation has it.
    fn registration(&self, program: &Program<'_>, body: &str) -> Vec<(&'static str, String)> {
        let token = format!("Authorization: Bearer {}", program.token);
        let url = format!("https://pi.example{IDENTITIES}");
        let signature = self.sign(&["POST", &url, &token, "Content-Type: application/json"], body);
        vec![("content-type", "application/json".to_owned()), (SIGNATURE, BASE64_STANDARD.encode(signature))]
    }

    /// Has a program register it, with these fields beside the key.
    pub async fn register(&self, program: &Program<'_>, mut fields: Value) -> Answer {
        fields["public_key"] = json!(self.pem());
        let body = fields.to_string();
        post(program, &self.registration(program, &body), body).await
    }

    async fn registered(&self, program: &Program<'_>, fields: Value) -> String {
        let made = self.register(program, fields).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        made.text("id")
    }

    /// The request that a device sends to link itself.
    fn exchange(&self, serial: &str, timestamp: Option<i64>) -> http::request::Request<Body> {
        self.exchange_from("198.51.100.7", serial, timestamp)
    }

    fn exchange_from(
        &self,
        address: &str,
        serial: &str,
        timestamp: Option<i64>,
    ) -> http::request::Request<Body> {
        let body = json!({
            "client_id": "rpi-connect", "public_key": self.pem(), "hostname": format!("host-{serial}"),
            "serial_number": serial
        });
        let body = body.to_string();
        let url = format!("https://pi.example{EXCHANGE}");
        let time = timestamp.map(|at| format!("X-Connect-Timestamp: {at}"));
        let mut lines = vec!["POST", &url, "Content-Type: application/json", "Accept: */*"];
        lines.extend(time.as_deref());
        let signature = BASE64_STANDARD.encode(self.sign(&lines, &body));
        let mut sent = request(Method::POST, EXCHANGE, address)
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "*/*")
            .header(SIGNATURE, signature);
        if let Some(at) = timestamp {
            sent = sent.header(TIMESTAMP, at.to_string());
        }
        sent.body(Body::from(body)).expect("a request")
    }

    pub async fn link(&self, desk: &Desk, serial: &str, timestamp: Option<i64>) -> Answer {
        desk.send(self.exchange(serial, timestamp)).await
    }
}

async fn post(program: &Program<'_>, headers: &[(&'static str, String)], body: String) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    program.raw("POST", IDENTITIES, &headers, body.into_bytes()).await
}

fn refused(answer: &Answer, problems: &str) {
    let expected = json!({ "message": format!("Validation failed: {problems}") });
    assert_eq!((answer.status, answer.json()), (StatusCode::UNPROCESSABLE_ENTITY, expected));
}

async fn devices(program: &Program<'_>) -> Value {
    program.get("/organisation/devices").await.json()["devices"].clone()
}
