//! The requests that published tools send, byte for byte but for the host, the token and the key.

use super::Program;
use super::identities::Board;
use crate::desk::{Answer, Desk, Device, request};
use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, StatusCode};
use serde_json::json;

const IDENTITIES: &str = "/organisation/device-identities";

/// A request as a tool's HTTP library sends it.
async fn send(desk: &Desk, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut sent = request(Method::POST, path, "203.0.113.5");
    for (name, value) in headers {
        sent = sent.header(*name, *value);
    }
    desk.send(sent.body(Body::from(body.to_owned())).expect("a request")).await
}

/// Imager's organisation mode and rpi-sb-provisioner, for a device on USB: Imager's source says that its request is that
/// of rpi-sb-provisioner's script. JSON, no Accept header, PEM with a final newline, the base URL from a setting. The
/// device's firmware signs the digest and returns the signature in Base64 or, in other versions, in hexadecimal.
#[tokio::test]
async fn imager_and_the_provisioner_register_a_device_on_usb() {
    let encodings: [fn(&[u8]) -> String; 2] =
        [|signature| hex::encode(signature), |signature| BASE64_STANDARD.encode(signature)];
    for encode in encodings {
        let desk = Desk::new().await;
        let ann = desk.person("ann").await;
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        let board = Board::new();
        assert!(board.pem().ends_with("-----END PUBLIC KEY-----\n"));
        let body =
            json!({ "description": "line 1 Raspberry Pi 5 ea636879c4d47a37", "public_key": board.pem() })
                .to_string();
        let bearer = format!("Bearer {}", program.token);
        let authorization = format!("Authorization: {bearer}");
        let url = format!("https://pi.example{IDENTITIES}");
        let signature =
            encode(&board.sign(&["POST", &url, &authorization, "Content-Type: application/json"], &body));
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("x-connect-identity-signature", &signature),
        ];
        let made = send(&desk, IDENTITIES, &headers, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert!(uuid::Uuid::parse_str(&made.text("id")).is_ok());
        let linked = board.link(&desk, "ea636879c4d47a37", None).await;
        assert_eq!(Device::of(&desk, &linked).status().await, StatusCode::OK);
    }
}

/// Imager's organisation mode, for a card: a form; it looks for 201, `id` and `secret`, and at 422 for
/// `message`.
#[tokio::test]
async fn imager_makes_an_auth_key_for_a_card() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let bearer = format!("Bearer {}", program.token);
    let headers = [
        ("accept", "*/*"),
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let made =
        send(&desk, "/organisation/auth-keys", &headers, "description=Raspberry%20Pi%20OS&ttl_days=1").await;
    assert_eq!((made.status, made.text("description")), (StatusCode::CREATED, "Raspberry Pi OS".to_owned()));
    let secret = made.text("secret");
    assert!(
        secret.starts_with("rpoak_") && !made.text("id").is_empty() && !made.text("expires_at").is_empty()
    );
    assert_eq!(desk.exchange(&secret, "s1").await.status, StatusCode::OK);
    let refused = send(&desk, "/organisation/auth-keys", &headers, "description=").await;
    assert_eq!(refused.text("message"), "Validation failed: Description can't be blank");
}

/// The Pico's library: Accept is sent and signed, the signature in Base64; and its exchange with a time.
#[tokio::test]
async fn the_library_for_pico_registers_and_exchanges() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let board = Board::new();
    let body =
        json!({ "public_key": board.pem(), "description": "pico", "device_name": "pico-1" }).to_string();
    let bearer = format!("Bearer {}", program.token);
    let authorization = format!("Authorization: {bearer}");
    let url = format!("https://pi.example{IDENTITIES}");
    let lines = ["POST", url.as_str(), &authorization, "Content-Type: application/json", "Accept: */*"];
    let signature = BASE64_STANDARD.encode(board.sign(&lines, &body));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("x-connect-identity-signature", &signature),
    ];
    assert_eq!(send(&desk, IDENTITIES, &headers, &body).await.status, StatusCode::CREATED);
    let linked = board.link(&desk, "e6614c775b8f2a21", Some(desk.app.clock.unix())).await;
    let device = Device::of(&desk, &linked);
    let pico = json!({
        "capabilities": { "vnc": "unavailable", "shell": "unavailable", "ota": "available" },
        "pico": { "platform": "rp2350", "board_name": "pico2_w", "program_name": "blink", "sdk_version": "2.2.0",
                  "rom_version": "2", "chip_version": "2" }
    });
    device.describe(pico).await;
    assert_eq!(device.status().await, StatusCode::OK);
}

/// The example of the public documentation: the payload written to a text file, which ends with a line
/// feed, signed on the device with `rpi-fw-crypto`, and sent with curl.
#[tokio::test]
async fn the_documented_commands_register_a_device() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
    let board = Board::new();
    let body = json!({ "public_key": board.pem(), "description": "my-device-identity", "tags": ["kiosk"] });
    let body = body.to_string();
    let bearer = format!("Bearer {}", program.token);
    let authorization = format!("Authorization: {bearer}");
    let url = format!("https://pi.example{IDENTITIES}");
    let digest = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(body.as_bytes()))
    };
    let file =
        format!("POST\n{url}\n{authorization}\nContent-Type: application/json\nAccept: */*\n{digest}\n");
    let signature = BASE64_STANDARD.encode(board.sign_text(&file));
    let headers = [
        ("accept", "*/*"),
        ("authorization", bearer.as_str()),
        ("x-connect-identity-signature", &signature),
        ("content-type", "application/json"),
    ];
    assert_eq!(send(&desk, IDENTITIES, &headers, &body).await.status, StatusCode::CREATED);
}

/// What Imager opens in a browser: the choice of an account, then a key and the link back.
#[tokio::test]
async fn imager_sends_people_for_a_key() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let (shed, bob) = (desk.organisation(&ann, "Shed").await, desk.person("bob").await);
    desk.join(shed, &bob, bramble_model::account::Role::Member).await;
    let page = ann.get("/imager/").await;
    assert!(page.body.contains(&format!("value=\"{shed}\"")) && page.body.contains("Personal"));
    let choice = format!("value=\"{shed}\"");
    assert!(!bob.get("/imager/").await.body.contains(&choice), "a member makes no keys");
    for (account, prefix) in [(ann.account, "rpuak_"), (shed, "rpoak_")] {
        let made = ann.post("/imager/", &[("account", &account.to_string())]).await;
        let start = format!("rpi-imager://connect?auth_key={prefix}");
        let key: String = made.body.split(&start).nth(1).expect("a link").chars().take(24).collect();
        assert_eq!(
            desk.exchange(&format!("{prefix}{key}"), &format!("s-{prefix}")).await.status,
            StatusCode::OK
        );
    }
    for account in [shed.to_string(), ann.account.to_string(), "x".to_owned(), String::new()] {
        assert_eq!(bob.post("/imager/", &[("account", &account)]).await.status, StatusCode::NOT_FOUND);
    }
}
