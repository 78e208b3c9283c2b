//! Auth keys: used once, answered again when the answer was lost, beside devices of the same serial number.

use super::{ask_for_code, names, verify};
use crate::desk::{Desk, Device, exchange_body, request};
use axum::body::Body;
use bramble_store::testing::Engine;
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_exchanges_at_once_one_links() {
    for engine in Engine::BOTH {
        let desk = Arc::new(Desk::on(engine).await);
        let ann = desk.person("ann").await;
        let key = desk.key(&ann).await;
        let all: Vec<_> = (0..100)
            .map(|n| {
                let (desk, key) = (Arc::clone(&desk), key.clone());
                tokio::spawn(async move { desk.exchange(&key, &format!("serial{n}")).await })
            })
            .collect();
        let mut linked = 0;
        for one in all {
            let answer = one.await.expect("no panic");
            if answer.status == StatusCode::OK {
                linked += 1;
            } else {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{engine:?} {}", answer.body);
            }
        }
        assert_eq!((linked, names(&desk, &ann).await.len()), (1, 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_answer_asked_for_by_many_at_once_leaves_one_device_with_one_token() {
    for engine in Engine::BOTH {
        let desk = Arc::new(Desk::on(engine).await);
        let ann = desk.person("ann").await;
        let key = desk.key(&ann).await;
        let all: Vec<_> = (0..20)
            .map(|_| {
                let (desk, key) = (Arc::clone(&desk), key.clone());
                tokio::spawn(async move { desk.exchange(&key, "s1").await })
            })
            .collect();
        let mut devices = Vec::new();
        for one in all {
            devices.push(Device::of(&desk, &one.await.expect("no panic")));
        }
        let mut valid = 0;
        for device in devices {
            valid += usize::from(device.status().await == StatusCode::OK);
        }
        assert_eq!((valid, names(&desk, &ann).await.len()), (1, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn unusable_keys_all_get_the_same_answer() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let used = desk.key(&ann).await;
    assert_eq!(desk.exchange(&used, "s1").await.status, StatusCode::OK);
    let replaced = desk.key(&ann).await;
    let expired = desk.key(&ann).await;
    desk.clock.advance(Duration::days(7));
    let unknown = format!("rpuak_{}", "2".repeat(24));
    let other_kind = used.replace("rpuak_", "rpoak_");
    let malformed = "rpuak_0OIl".to_owned();
    let mut bodies = Vec::new();
    for key in [used, replaced, expired, unknown, other_kind, malformed, String::new()] {
        let answer = desk.exchange(&key, "s2").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.text("error"), "invalid_auth_key");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(names(&desk, &ann).await, ["host-s1"]);
    let refused = desk.audit(ann.account).await.into_iter().filter(|a| a == "Auth key refused").count();
    assert_eq!(refused, 2, "the used and the expired one; nobody owns the others");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_until_its_token_was_used() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let key = desk.key(&ann).await;
        let first = Device::of(&desk, &desk.exchange(&key, "s1").await);
        desk.clock.advance(Duration::minutes(9));
        let second = Device::of(&desk, &desk.exchange(&key, "s1").await);
        assert_eq!(first.id, second.id);
        assert_eq!(first.status().await, StatusCode::UNAUTHORIZED, "the former token is revoked");
        assert_eq!(desk.exchange(&key, "s2").await.status, StatusCode::UNAUTHORIZED, "another serial number");
        assert_eq!(second.status().await, StatusCode::OK);
        assert_eq!(desk.exchange(&key, "s1").await.status, StatusCode::UNAUTHORIZED, "it was used");
        assert_eq!(second.status().await, StatusCode::OK, "and stays valid");
    }
}

#[tokio::test]
async fn a_lost_answer_has_its_time() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let key = desk.key(&ann).await;
    let device = Device::of(&desk, &desk.exchange(&key, "s1").await);
    desk.clock.advance(Duration::minutes(10));
    assert_eq!(desk.exchange(&key, "s1").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(device.status().await, StatusCode::OK);
}

#[tokio::test]
async fn a_strangers_key_with_somebodys_serial_number_changes_nothing_of_theirs() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let hers = desk.device(&ann, "s1").await;
    let before = desk.app.store.device(ann.account, hers.id).await.expect("reads");
    let log = desk.audit(ann.account).await;
    let eves = desk.device(&eve, "s1").await;
    assert_ne!(eves.id, hers.id);
    assert_eq!(desk.app.store.device(ann.account, hers.id).await.expect("reads"), before);
    assert_eq!((desk.audit(ann.account).await, names(&desk, &eve).await), (log, vec!["host-s1".into()]));
    // Nor does her page offer to replace it.
    let code = ask_for_code(&desk, "s1").await;
    assert!(!eve.get(&verify(&code)).await.body.contains(&hers.id.to_string()));
    let form = [("decision", "approve"), ("name", "mine now"), ("entry", &*hers.id.to_string())];
    let account = eve.account.to_string();
    let answer = eve.post(&verify(&code), &[form[0], form[1], form[2], ("account", &account)]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let account = ann.account.to_string();
    let answer = eve.post(&verify(&code), &[form[0], form[1], ("entry", "new"), ("account", &account)]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "an account that she is not in");
    assert_eq!(hers.status().await, StatusCode::OK);
}

#[tokio::test]
async fn a_key_reuses_an_offline_device_and_adds_beside_an_online_one() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let old = desk.device(&ann, "s1").await;
    desk.app.store.device(ann.account, old.id).await.expect("reads").expect("there");
    let answer = ann.post(&format!("/devices/{}/settings", old.id), &[("name", "Kitchen")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let again = desk.device(&ann, "s1").await;
    assert_eq!(again.id, old.id, "offline: the entry is reused");
    assert_eq!(old.status().await, StatusCode::UNAUTHORIZED, "the old token is revoked");
    assert_eq!(names(&desk, &ann).await, ["Kitchen"]);
    assert!(desk.audit(ann.account).await.contains(&"Device relinked".to_owned()));
    let page = ann.get(&format!("/devices/{}", old.id)).await.body;
    assert!(page.contains("Linked again"));

    let online = again.online().await;
    let beside = desk.device(&ann, "s1").await;
    assert_ne!(beside.id, online.id, "online: left alone");
    assert_eq!(names(&desk, &ann).await, ["host-s1 (2)", "Kitchen"]);
    assert_eq!(online.status().await, StatusCode::OK);

    desk.clock.advance(Duration::hours(24));
    assert!(!ann.get(&format!("/devices/{}", old.id)).await.body.contains("Linked again"));
}

#[tokio::test]
async fn bodies_may_be_forms_and_have_limits() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let key = desk.key(&ann).await;
    let bad = [
        json!({ "auth_key": key }),
        json!([]),
        exchange_body(&key, ""),
        exchange_body(&key, "a b"),
        exchange_body(&key, &"1".repeat(65)),
        json!({ "auth_key": key, "serial_number": "s1", "hostname": "h".repeat(254) }),
        json!({ "auth_key": key, "serial_number": "s1", "client_id": "c".repeat(256) }),
    ];
    for body in bad {
        let answer = desk.device_call("POST", "/client/auth-key-exchange", None, Some(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        assert_eq!(answer.text("error"), "invalid_request");
    }
    let huge = Some(json!({ "auth_key": "x".repeat(1 << 20) }));
    let answer = desk.device_call("POST", "/client/auth-key-exchange", None, huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let form = format!("auth_key={key}&serial_number=s1&hostname=caf%C3%A9");
    let request = request(Method::POST, "/client/auth-key-exchange", "198.51.100.7")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("a request");
    assert_eq!(desk.send(request).await.status, StatusCode::OK);
    assert_eq!(names(&desk, &ann).await, ["café"]);
}

#[tokio::test]
async fn the_settings_page_makes_one_key_and_shows_it_once() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let make = |days| [("description", "lobby <i>"), ("ttl_days", days)];
    for days in ["0", "91", "", "x"] {
        let answer = ann.post("/settings/auth-keys", &make(days)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains("Ttl days must be between 1 and 90"));
        assert!(answer.body.contains("lobby &#60;i&#62;"), "what was typed is kept");
    }
    let answered = ann.post("/settings/auth-keys", &make("30")).await;
    assert_eq!(answered.status, StatusCode::OK);
    let at = answered.body.find("rpuak_").expect("the key");
    let key = answered.body[at..at + 30].to_owned();
    assert!(
        answered.body.contains(&format!("rpi-connect signin --auth-key={key} --server https://pi.example"))
    );
    let page = ann.get("/settings").await.body;
    assert!(!page.contains(&key) && page.contains("replaces it") && page.contains("by ann"));
    ann.post("/settings/auth-keys", &make("1")).await;
    assert_eq!(desk.exchange(&key, "s1").await.status, StatusCode::UNAUTHORIZED, "replaced");
    let keys = desk.app.store.auth_keys(ann.account, 10).await.expect("reads");
    assert_eq!(keys.len(), 1);
    let eve = desk.person("eve").await;
    let path = format!("/settings/auth-keys/{}/delete", keys[0].id);
    assert_eq!(eve.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(eve.post(&path, &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ann.get(&path).await.status, StatusCode::OK);
    assert_eq!(ann.post(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(desk.app.store.auth_keys(ann.account, 10).await.expect("reads").is_empty());
}
