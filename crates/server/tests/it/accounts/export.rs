//! What a person takes with them: everything, and no secrets.

use crate::desk::{Desk, Device};
use bramble_model::account::Role;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

const EXPORT: &str = "/settings/account/export";

#[tokio::test]
async fn everything_is_in_it_and_no_secret() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&bob, "Shed \"&\" Barn").await;
    desk.join(shed, &ann, Role::Member).await;
    let key = desk.key(&ann).await;
    let device = Device::of(&desk, &desk.exchange(&key, "s1").await).online().await;
    let theirs = desk.device(&bob, "s2").await;
    desk.deployment(&ann, ann.account, device.id).await;
    let opened = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(opened.status, StatusCode::CREATED);
    desk.mails_to(&ann.email).await;

    let answer = ann.post(EXPORT, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"bramble-account.json\"");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let all: Value = serde_json::from_str(&answer.body).expect("one JSON document");
    assert_eq!(all["person"]["email"], "ann@example.org");
    assert_eq!(all["accounts"][1]["name"], "Shed \"&\" Barn");
    assert_eq!(all["accounts"][1]["role"], "member");
    assert_eq!(all["browsers"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["auth_keys"][0]["used_by_serial_number"], "s1");
    assert_eq!(all["devices"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["devices"][0]["serial_number"], "s1");
    assert_eq!(all["deployments"][0]["state"], "pending");
    assert_eq!(all["artefacts"].as_array().map(Vec::len), Some(1));
    assert_eq!(all["remote_sessions"][0]["id"], opened.text("id"));
    let actions = all["activity"].as_array().expect("a list");
    assert!(actions.iter().any(|line| line["action"] == "Device linked"));

    let cookie = ann.cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    for secret in [&key, &device.token, &cookie, "argon2", "rpuak_", "rpdev_", &theirs.id.to_string()] {
        assert!(!answer.body.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn long_lists_come_whole_and_once() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    for many in [0, 200, 401] {
        let have = desk.app.store.account(ann.account).await.expect("reads").expect("hers").device_count;
        for number in have..many {
            desk.device(&ann, &format!("s{number}")).await;
        }
        let answer = ann.post(EXPORT, &[]).await;
        let all: Value = serde_json::from_str(&answer.body).expect("one JSON document");
        let mut serials: Vec<&str> = all["devices"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|d| d["serial_number"].as_str())
            .collect();
        serials.sort_unstable();
        serials.dedup();
        assert_eq!(serials.len() as u64, many);
    }
}

#[tokio::test]
async fn it_wants_a_fresh_proof() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    desk.clock.advance(Duration::hours(1));
    let answer = ann.post(EXPORT, &[]).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/fresh".parse().expect("a header"))
    );
}
