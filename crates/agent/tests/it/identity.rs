//! The machine's own key pair.

use super::{
    device::{Machine, SERIAL},
    fake_server::{FakeServer, Prescribed},
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use bramble_agent::{identity::OwnKey, platform::Platform};
use bramble_wire::signature::identity_message;
use http::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{os::unix::fs::PermissionsExt, process::Command};

const EXCHANGE: &str = "/client/device-identity-exchange";

/// Makes a private key as the documentation of openssl has it.
fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn sec1() -> String {
    let made = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    String::from_utf8(made).expect("PEM")
}

fn pkcs8() -> String {
    let made = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    String::from_utf8(made).expect("PEM")
}

impl Machine {
    fn with_identity(server: &FakeServer, pem: &str) -> Self {
        let this = Self::new();
        this.write("own.pem", pem);
        let path = this.root().with_file_name("own.pem");
        let text = format!("server = \"{}\"\nidentity = \"{}\"\n", server.url, path.display());
        this.write("root/etc/rpi-connect/config.toml", &text);
        this
    }
}

/// The exchange that came, after its signature was checked.
async fn exchanged(server: &FakeServer, n: usize) -> i64 {
    let seen = server.nth(n, Method::POST, EXCHANGE).await;
    let value = |name: &str| seen.headers[name].to_str().expect("text").to_owned();
    assert_eq!(seen.body["serial_number"], SERIAL);
    let pem = seen.body["public_key"].as_str().expect("a key").to_owned();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(base64).expect("Base64");
    let (accept, time) = (value("accept"), value("x-connect-timestamp"));
    let headers =
        [("Content-Type", "application/json"), ("Accept", &accept), ("X-Connect-Timestamp", time.as_str())];
    // Fields are sent in the order of the protocol's structure.
    let body = format!(
        r#"{{"client_id":{},"public_key":{},"hostname":{},"serial_number":"{SERIAL}"}}"#,
        seen.body["client_id"], seen.body["public_key"], seen.body["hostname"]
    );
    let url = format!("{}{EXCHANGE}", server.url);
    let text = identity_message("POST", &url, &headers, &hex::encode(Sha256::digest(body)));
    let signature = BASE64_STANDARD.decode(value("x-connect-identity-signature")).expect("Base64");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &der[26..]);
    key.verify(text.as_bytes(), &signature).expect("it is signed with the key that is sent");
    time.parse().expect("seconds")
}

#[tokio::test]
async fn a_key_file_links_the_machine_again_and_again_and_forward_in_time() {
    for pem in [sec1(), pkcs8()] {
        let server = FakeServer::start().await;
        let later = vec![("retry-after", "0".to_owned())];
        let busy = Prescribed::Answer(StatusCode::SERVICE_UNAVAILABLE, later, json!({}));
        server.prescribe(&format!("POST {EXCHANGE}"), vec![busy]);
        let machine = Machine::with_identity(&server, &pem);
        let identity = OwnKey::of(&Platform::below(machine.root())).expect("readable").expect("configured");
        let device = machine.start_with(|options| options.identity = Some(identity)).await;
        let (first, second) = (exchanged(&server, 1).await, exchanged(&server, 2).await);
        assert!(second > first, "{first} {second}");
        server.heal();
        device.subscribed().await;
        device.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_key_is_named_and_nothing_is_sent() {
    let server = FakeServer::start().await;
    let p384 = openssl(&["ecparam", "-name", "secp384r1", "-genkey", "-noout"]);
    let p384 = String::from_utf8(p384).expect("PEM");
    for (pem, why) in [("x", "not a private key"), (p384.as_str(), "P-256")] {
        let machine = Machine::with_identity(&server, pem);
        let identity = OwnKey::of(&Platform::below(machine.root())).expect("readable");
        let device = machine.start_with(|options| options.identity = identity).await;
        let told = |problem: &str| problem.contains("own.pem") && problem.contains(why);
        device.until("a problem", |status| status.problem.as_deref().is_some_and(told)).await;
        device.stop().await;
    }
    assert!(!server.seen().iter().any(|seen| seen.path == EXCHANGE));
}

/// A program that stands for the firmware's.
fn firmware(machine: &Machine, body: &str) {
    machine.write("root/usr/bin/rpi-fw-crypto", &format!("#!/bin/sh\n{body}\n"));
    let path = machine.root().join("usr/bin/rpi-fw-crypto");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

/// What the firmware's program does with a key: pubkey --key-id 1 --out FILE, and
/// sign --in FILE --key-id 1 --alg ec --out FILE.
fn with_otp_key(machine: &Machine) {
    machine.write("otp.pem", &sec1());
    let key = machine.root().with_file_name("otp.pem");
    let body = format!(
        "case \"$*\" in\n\"pubkey --key-id 1 --out \"*) openssl ec -in {key} -pubout -outform DER -out \"$5\" ;;\n\
         \"sign --in \"*\" --key-id 1 --alg ec --out \"*) openssl dgst -sha256 -sign {key} -out \"$9\" \"$3\" ;;\n\
         *) exit 2 ;;\nesac",
        key = key.display()
    );
    firmware(machine, &body);
}

#[tokio::test]
async fn the_firmwares_key_is_used_through_its_program() {
    let server = FakeServer::start().await;
    let machine = Machine::with_server(&server.url);
    with_otp_key(&machine);
    let identity = OwnKey::of(&Platform::below(machine.root())).expect("readable");
    let device = machine.start_with(|options| options.identity = identity).await;
    exchanged(&server, 1).await;
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn a_board_without_a_key_or_with_an_unknown_one_waits_for_a_person() {
    for has_key in [false, true] {
        let server = FakeServer::start().await;
        let machine = Machine::with_server(&server.url);
        if has_key {
            with_otp_key(&machine);
            let unknown = json!({ "error": "invalid_device_identity", "message": "unknown" });
            let answer = Prescribed::Answer(StatusCode::UNAUTHORIZED, Vec::new(), unknown);
            server.prescribe(&format!("POST {EXCHANGE}"), vec![answer]);
        } else {
            // 250: the key is not set.
            firmware(&machine, "exit 250");
        }
        let identity = OwnKey::of(&Platform::below(machine.root())).expect("readable");
        assert!(identity.is_some());
        let device = machine.start_with(|options| options.identity = identity).await;
        if has_key {
            server.nth(1, Method::POST, EXCHANGE).await;
        }
        server.accept_key("rpuak_person");
        machine.drop_key("rpuak_person");
        device.subscribed().await;
        assert_eq!(server.seen().iter().any(|seen| seen.path == EXCHANGE), has_key);
        device.stop().await;
    }
}
