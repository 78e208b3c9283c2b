//! `/organisation/device-identities` and their exchange, line by line.

use super::{Program, header};
use crate::desk::{Answer, Desk, Device, request};
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bramble_server::admin::{Request, Response, handle};
use bramble_store::testing::Engine as Database;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use time::Duration;
use tokio::task::JoinSet;

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

#[tokio::test]
async fn the_documented_requests_get_the_documented_answers() {
    for engine in Database::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let board = Board::new();
        let wanted = json!({
            "description": "my-device-identity", "device_name": "pi5-001", "tags": ["production", "kiosk"]
        });
        let made = board.register(&program, wanted).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(header(&made, "content-type"), "application/json; charset=utf-8");
        let (id, pem) = (made.text("id"), json!(board.pem()).to_string());
        let shown = format!(
            r#"{{"id":"{id}","description":"my-device-identity","device_name":"pi5-001","tags":["kiosk","production"],"created_at":"2026-11-22T12:00:00Z","public_key":{pem}}}"#
        );
        assert_eq!(made.body, shown, "names, order and format");
        let path = format!("{IDENTITIES}/{id}");
        assert_eq!(program.get(&path).await.body, shown);
        let meta = r#""meta":{"page":1,"per_page":100,"total_count":1,"total_pages":1}"#;
        assert_eq!(
            program.get(IDENTITIES).await.body,
            format!(r#"{{"device_identities":[{shown}],{meta}}}"#)
        );
        Board::new().registered(&program, json!({ "description": "Another" })).await;
        Board::new().registered(&program, json!({ "description": "zulu", "tags": null })).await;
        let listed = program.get(&format!("{IDENTITIES}?per_page=2")).await.json();
        let names: Vec<_> = listed["device_identities"].as_array().expect("a list").iter().collect();
        assert_eq!((&names[0]["description"], &names[1]["id"]), (&json!("Another"), &json!(id)));
        assert_eq!((&names[0]["device_name"], &names[0]["tags"]), (&Value::Null, &json!([])));
        assert_eq!(listed["meta"], json!({"page": 1, "per_page": 2, "total_count": 3, "total_pages": 2}));

        let change = json!({ "description": "renamed", "device_name": "pi5-002", "tags": ["b"] });
        let changed = program.json("PATCH", &path, change).await;
        assert_eq!(changed.status, StatusCode::OK);
        let renamed = shown
            .replace("my-device-identity", "renamed")
            .replace("pi5-001", "pi5-002")
            .replace(r#"["kiosk","production"]"#, r#"["b"]"#);
        assert_eq!(changed.body, renamed);
        assert_eq!(program.json("PATCH", &path, json!({})).await.body, renamed);
        refused(
            &program.json("PATCH", &path, json!({ "description": "" })).await,
            "Description can't be blank",
        );

        let gone = program.raw("DELETE", &path, &[], Vec::new()).await;
        assert_eq!((gone.status, gone.body.as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
        board.registered(&program, json!({ "description": "again" })).await;
        let events = desk.app.store.audit_events(shed, 100).await.expect("reads");
        for title in ["Device identity created", "Device identity updated", "Device identity deleted"] {
            let ours = events.iter().filter(|e| e.action.is_some_and(|action| action.title() == title));
            assert!(ours.clone().count() > 0 && ours.into_iter().all(|e| e.source == "API"), "{title}");
        }
    }
}

#[tokio::test]
async fn bad_input_is_named_in_the_words_of_the_contract() {
    for engine in Database::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        let other = Program::of(&desk, desk.organisation(&eve, "Barn").await).await;
        let board = Board::new();
        for (fields, problems) in [
            (json!({}), "Description can't be blank"),
            (
                json!({ "description": 7, "tags": ["A"] }),
                "Description is invalid, Tags contains an invalid tag \"A\"",
            ),
            (
                json!({ "description": "x", "device_name": "y".repeat(256) }),
                "Device name is too long (maximum is 255 characters)",
            ),
        ] {
            refused(&board.register(&program, fields).await, problems);
        }
        for key in
            [json!(null), json!(7), json!(""), json!("x"), json!(board.pem().replace("PUBLIC", "PRIVATE"))]
        {
            let body = json!({ "public_key": key, "description": "x" }).to_string();
            refused(
                &post(&program, &board.registration(&program, &body), body).await,
                "Public key is invalid",
            );
        }
        // The same key in other words is the same key.
        let body =
            json!({ "public_key": board.pem().trim().replace('\n', "\r\n"), "description": "x" }).to_string();
        let made = post(&program, &board.registration(&program, &body), body.clone()).await;
        assert_eq!((made.status, made.text("public_key")), (StatusCode::CREATED, board.pem()));
        for program in [&program, &other] {
            let again = board.register(program, json!({ "description": "y" })).await;
            refused(&again, "Public key has already been taken");
        }
        // Signatures of something else, or of somebody else.
        let (board, signer) = (Board::new(), Board::new());
        let body = json!({ "public_key": board.pem(), "description": "x" }).to_string();
        let good = board.registration(&program, &body);
        for (headers, body) in [
            (good[..1].to_vec(), body.clone()),
            (signer.registration(&program, &body), body.clone()),
            (board.registration(&other, &body), body.clone()),
            (board.registration(&program, "{}"), body.clone()),
            ([good.as_slice(), &[("accept", "*/*".to_owned())]].concat(), body.clone()),
            (vec![good[0].clone(), (SIGNATURE, "0".repeat(300))], body.clone()),
        ] {
            refused(&post(&program, &headers, body).await, "Signature is invalid");
        }
        let stale = (desk.app.clock.unix() - 360).to_string();
        let late = post(&program, &[good.as_slice(), &[(TIMESTAMP, stale)]].concat(), body.clone()).await;
        let message = json!({ "message": "X-Connect-Timestamp is more than 5 minutes off" });
        assert_eq!((late.status, late.json()), (StatusCode::FORBIDDEN, message));
        let made = post(&program, &good, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let path = format!("{IDENTITIES}/{}", made.text("id"));
        for (method, body) in [("GET", json!({})), ("PATCH", json!({ "tags": 1 })), ("DELETE", json!({}))] {
            assert_eq!(other.json(method, &path, body).await.status, StatusCode::NOT_FOUND, "{method}");
        }
    }
}

#[tokio::test]
async fn an_identity_links_its_own_device_again_and_again() {
    for engine in Database::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let board = Board::new();
        let fields = json!({ "description": "b", "device_name": "kiosk", "tags": ["t"] });
        let id = board.registered(&program, fields).await;
        let first = Device::of(&desk, &board.link(&desk, "s1", None).await);
        assert_eq!(first.status().await, StatusCode::OK);
        let listed = devices(&program).await;
        assert_eq!((&listed[0]["name"], &listed[0]["tags"]), (&json!("kiosk"), &json!(["t"])));
        // A person's changes survive the next linking, and so does the entry.
        let device = format!("/organisation/devices/{}", first.id);
        program.json("PATCH", &device, json!({ "name": "lobby", "tags": [] })).await;
        let path = format!("{IDENTITIES}/{id}");
        let change = json!({ "description": "c", "device_name": "ignored", "tags": "not even looked at" });
        let changed = program.json("PATCH", &path, change).await;
        assert_eq!((changed.status, changed.text("description")), (StatusCode::OK, "c".to_owned()));
        assert_eq!(
            (changed.text("device_name"), &changed.json()["tags"]),
            ("kiosk".to_owned(), &json!(["t"]))
        );
        let second = Device::of(&desk, &board.link(&desk, "s2", None).await);
        assert_eq!(second.id, first.id);
        assert_eq!((first.status().await, second.status().await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
        let listed = devices(&program).await;
        assert_eq!(
            (&listed[0]["name"], &listed[0]["tags"], &listed[0]["serial_number"]),
            (&json!("lobby"), &json!([]), &json!("s2"))
        );
        // An auth key with its serial number makes another entry, and another identity as well.
        let key = program.json("POST", "/organisation/auth-keys", json!({ "description": "k" })).await;
        let third = Device::of(&desk, &desk.exchange(&key.text("secret"), "s2").await);
        let other = Board::new();
        other.registered(&program, json!({ "description": "o" })).await;
        let fourth = Device::of(&desk, &other.link(&desk, "s2", None).await);
        assert!(third.id != first.id && fourth.id != first.id && fourth.id != third.id);
        assert_eq!(second.status().await, StatusCode::OK);

        let gone = program.raw("DELETE", &path, &[], Vec::new()).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(second.status().await, StatusCode::UNAUTHORIZED, "signed out with its identity");
        assert_eq!(program.get(&device).await.status, StatusCode::NOT_FOUND);
        let none = board.link(&desk, "s1", None).await;
        assert_eq!(
            (none.status, none.text("error")),
            (StatusCode::UNAUTHORIZED, "invalid_device_identity".into())
        );
        assert!(!none.text("message").is_empty());
        let log = desk.audit(shed).await;
        for title in ["Device identity exchanged", "Device relinked", "Device linked", "Device deleted"] {
            assert!(log.iter().any(|line| line == title), "{title}: {log:?}");
        }
    }
}

#[tokio::test]
async fn a_copy_of_an_old_request_links_nothing() {
    for engine in Database::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let (board, now) = (Board::new(), desk.app.clock.unix());
        board.registered(&program, json!({ "description": "b" })).await;
        // Undated ones only as long as the device is offline.
        let device = Device::of(&desk, &board.link(&desk, "s1", None).await).online().await;
        assert_eq!(board.link(&desk, "s1", None).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(device.status().await, StatusCode::OK, "it was not cut off");
        // Dated ones forward in time, and from then on none without a date.
        let device = Device::of(&desk, &board.link(&desk, "s1", Some(now)).await);
        for replay in [Some(now), Some(now - 1), None] {
            let answer = board.link(&desk, "s1", replay).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{replay:?}");
        }
        assert_eq!(device.status().await, StatusCode::OK);
        assert_eq!(board.link(&desk, "s1", Some(now + 1)).await.status, StatusCode::OK);
        for late in [now - 360, now + 360] {
            let answer = board.link(&desk, "s1", Some(late)).await;
            assert_eq!(
                (answer.status, answer.text("error")),
                (StatusCode::FORBIDDEN, "invalid_timestamp".into())
            );
        }
        // A date that was put there afterwards is not signed.
        let mut tampered = board.exchange("s1", None);
        tampered.headers_mut().insert(TIMESTAMP, (now + 2).into());
        assert_eq!(desk.send(tampered).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(Board::new().link(&desk, "s1", None).await.status, StatusCode::UNAUTHORIZED);
        let log = desk.audit(shed).await;
        let refusals = log.iter().filter(|line| *line == "Device identity refused").count();
        assert_eq!(refusals, 1, "once an hour is enough: {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_the_same_request_many_times_at_once_one_is_answered() {
    for engine in Database::BOTH {
        let desk = Arc::new(Desk::on(engine).await);
        let ann = desk.person("ann").await;
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        let (board, now) = (Arc::new(Board::new()), desk.app.clock.unix());
        board.registered(&program, json!({ "description": "b" })).await;
        let mut all = JoinSet::new();
        for _ in 0..16 {
            let (desk, board) = (Arc::clone(&desk), Arc::clone(&board));
            all.spawn(async move { board.link(&desk, "s1", Some(now)).await.status });
        }
        let answers = all.join_all().await;
        let linked = answers.iter().filter(|status| **status == StatusCode::OK).count();
        assert!(answers.iter().all(|status| !status.is_server_error()), "{answers:?}");
        assert_eq!((linked, devices(&program).await.as_array().map(Vec::len)), (1, Some(1)));
    }
}

#[tokio::test]
async fn an_identity_follows_its_device_to_an_organisation_and_not_home() {
    for engine in Database::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&ann, "Barn").await);
        let (from, to) = (Program::of(&desk, shed).await, Program::of(&desk, barn).await);
        let board = Board::new();
        let path = format!("{IDENTITIES}/{}", board.registered(&from, json!({ "description": "b" })).await);
        let device = Device::of(&desk, &board.link(&desk, "s1", None).await);
        desk.give(&ann, &device, barn).await;
        assert_eq!(
            (from.get(&path).await.status, to.get(&path).await.status),
            (StatusCode::NOT_FOUND, StatusCode::OK)
        );
        let again = Device::of(&desk, &board.link(&desk, "s1", None).await);
        assert_eq!(again.id, device.id);
        desk.give(&ann, &again, ann.account).await;
        assert_eq!(to.get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(again.status().await, StatusCode::OK, "the device itself goes on");
        assert_eq!(board.link(&desk, "s1", None).await.status, StatusCode::UNAUTHORIZED);
        assert!(desk.audit(barn).await.iter().any(|line| line == "Device identity deleted"));
        // A device that somebody deleted is linked anew.
        let path = format!("{IDENTITIES}/{}", board.registered(&from, json!({ "description": "b" })).await);
        let first = Device::of(&desk, &board.link(&desk, "s1", None).await);
        from.raw("DELETE", &format!("/organisation/devices/{}", first.id), &[], Vec::new()).await;
        let second = Device::of(&desk, &board.link(&desk, "s1", None).await);
        assert!(second.id != first.id && second.status().await == StatusCode::OK);
        // A time that has been told once counts for the new entry as well.
        desk.clock.advance(Duration::SECOND);
        assert_eq!(board.link(&desk, "s1", Some(desk.app.clock.unix())).await.status, StatusCode::OK);
        assert_eq!(board.link(&desk, "s1", None).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(from.get(&path).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_operator_frees_the_key_of_a_board_that_was_sold() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let seller = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let buyer = Program::of(&desk, desk.organisation(&eve, "Barn").await).await;
    let board = Board::new();
    board.registered(&seller, json!({ "description": "b" })).await;
    let old = Device::of(&desk, &board.link(&desk, "s1", None).await);
    refused(
        &board.register(&buyer, json!({ "description": "b" })).await,
        "Public key has already been taken",
    );
    let release =
        async |public_key: String| match handle(&desk.app, Request::IdentityRelease { public_key }).await {
            Response::Done { .. } => Ok(()),
            Response::Refused { text } => Err(text),
        };
    assert!(release("x".to_owned()).await.expect_err("no key").contains("no public key"));
    assert_eq!(release(board.pem()).await, Ok(()));
    assert!(release(board.pem()).await.expect_err("gone").contains("Nobody here"));
    assert_eq!(old.status().await, StatusCode::UNAUTHORIZED);
    assert_eq!(devices(&seller).await.as_array().map(Vec::len), Some(1), "the entry stays with the seller");
    board.registered(&buyer, json!({ "description": "b" })).await;
    let new = Device::of(&desk, &board.link(&desk, "s1", None).await);
    assert_ne!(new.id, old.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_cannot_ask_without_end_and_a_factory_is_no_stranger() {
    let desk = Arc::new(Desk::new().await);
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let (stranger, board) = (Board::new(), Board::new());
    board.registered(&program, json!({ "description": "b" })).await;
    let mut factory = Vec::new();
    for n in 0..50 {
        let one = Board::new();
        one.registered(&program, json!({ "description": format!("f{n}") })).await;
        factory.push(one);
    }
    // A key that nobody registered, one that somebody else signs for, and a request that is none.
    let ask = async |n: usize| match n % 3 {
        0 => stranger.link(&desk, "s", None).await,
        1 => {
            let mut forged = board.exchange("s", None);
            forged.headers_mut().insert(SIGNATURE, "00".parse().expect("a value"));
            desk.send(forged).await
        }
        _ => stranger.link(&desk, "no serial number", None).await,
    };
    for n in 0..300 {
        let status = ask(n).await.status;
        assert!(matches!(status.as_u16(), 400 | 401), "{n}: {status}");
    }
    for n in 0..3 {
        let answer = ask(n).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
        assert_eq!(header(&answer, "retry-after"), "1");
        assert_eq!(answer.text("error"), "temporarily_unavailable");
    }
    assert_eq!(board.link(&desk, "s", None).await.status, StatusCode::TOO_MANY_REQUESTS, "same address");
    let elsewhere = desk.send(board.exchange_from("203.0.113.9", "s", None)).await;
    assert_eq!(elsewhere.status, StatusCode::OK, "{}", elsewhere.body);
    desk.clock.advance(Duration::minutes(1));
    // Fifty devices of one router, many times what the limit would allow if good ones counted.
    let mut all = JoinSet::new();
    for (n, one) in factory.into_iter().enumerate() {
        let desk = Arc::clone(&desk);
        all.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..8 {
                answers.push(one.link(&desk, &format!("f{n}"), None).await.status);
            }
            answers
        });
    }
    let answers = all.join_all().await.concat();
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
}

#[tokio::test]
async fn one_identity_does_not_fill_the_log_by_linking_again_and_again() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let board = Board::new();
    board.registered(&program, json!({ "description": "b" })).await;
    for _ in 0..60 {
        assert_eq!(board.link(&desk, "s", None).await.status, StatusCode::OK);
    }
    let device = devices(&program).await[0]["id"].clone();
    let answer = board.link(&desk, "s", None).await;
    assert_eq!((answer.status, header(&answer, "retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    desk.clock.advance(Duration::minutes(1));
    let answer = board.link(&desk, "s", None).await;
    assert_eq!((answer.status, &answer.json()["device_id"]), (StatusCode::OK, &device));
}
