//! U+0000 wherever a text can be sent. PostgreSQL refuses it, so whatever reaches the database with it looks
//! as if the database were gone.

use crate::desk::{Desk, Device};
use bramble_server::routes::{Credential, TABLE, credential_of};
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::json;

/// Names of parameters and fields of pages.
const FIELDS: [&str; 34] = [
    "q",
    "query",
    "name",
    "page",
    "state",
    "tag",
    "tags",
    "description",
    "email",
    "password",
    "code",
    "user_code",
    "return_to",
    "done",
    "role",
    "account",
    "device",
    "devices",
    "device_name",
    "artefact",
    "uri",
    "checksum",
    "model",
    "os",
    "memory",
    "actor",
    "action",
    "from",
    "to",
    "ids",
    "iss",
    "error",
    "confirm",
    "subject",
];

#[tokio::test]
async fn no_page_takes_it_to_the_database() {
    let desk = Desk::on(Engine::Postgres).await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let device = desk.device(&ann, "s1").await;
    let query: String = FIELDS.map(|name| format!("{name}=a%00b")).join("&");
    let form = FIELDS.map(|name| (name, "a\0b"));
    let mut asked = 0;
    for (method, path, _) in TABLE {
        // Streams do not end, and without a session the rest shows nothing.
        let skipped =
            path.ends_with("/events") || ["/live", "/sign-out", "/sign-out-everywhere"].contains(path);
        if skipped || credential_of(path) != Credential::Cookie {
            continue;
        }
        let path = path
            .replace("/organisations/{id}", &format!("/organisations/{shed}"))
            .replace("/organisations/{organisation}", &format!("/organisations/{shed}"))
            .replace("/devices/{id}", &format!("/devices/{}", device.id));
        let path: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "a%00b" } else { part }).collect();
        let path = path.join("/");
        let answer = match *method {
            "GET" => ann.get(&format!("{path}?{query}")).await,
            "POST" => ann.post(&format!("{path}?{query}"), &form).await,
            _ => continue,
        };
        assert!(!answer.status.is_server_error(), "{method} {path}: {} {}", answer.status, answer.body);
        asked += 1;
    }
    assert!(asked > 80, "{asked}");
    assert_eq!(ann.get("/devices").await.status, StatusCode::OK, "still signed in: the rest was asked for");
}

#[tokio::test]
async fn no_device_takes_it_to_the_database() {
    let desk = Desk::on(Engine::Postgres).await;
    let ann = desk.person("ann").await;
    let key = desk.key(&ann).await;
    let odd = "a\0b";
    let claim = json!({
        "auth_key": key, "serial_number": "s1", "login_hint": "s1", "hostname": odd, "client_id": odd, "model": odd,
        "device_code": odd, "grant_type": odd, "public_key": odd
    });
    for path in ["/client/device", "/client/token", "/client/device-identity-exchange"] {
        let answer = desk.device_call("POST", path, None, Some(claim.clone())).await;
        assert!(!answer.status.is_server_error(), "{path}: {}", answer.body);
    }
    let device =
        Device::of(&desk, &desk.device_call("POST", "/client/auth-key-exchange", None, Some(claim)).await);
    let deployment = desk.deployment(&ann, ann.account, device.id).await;
    device
        .describe(json!({
            "hostname": odd, "client_version": odd, "kernel_architecture": odd,
            "board": { "model": odd, "revision": odd, "memory": odd },
            "os": { "name": odd, "version": odd, "filter": odd },
            "pico": { "platform": odd, "board_name": odd, "program_name": odd }
        }))
        .await;
    for (report, body) in [
        ("start", json!({})),
        ("progress", json!({ "percent": 5, "step": odd, "output": odd })),
        ("fail", json!({ "reason": odd, "output": odd })),
    ] {
        let answer = device.call("POST", &format!("/deployments/{deployment}/{report}"), body).await;
        assert!(answer.status.is_success(), "{report}: {} {}", answer.status, answer.body);
    }
}
