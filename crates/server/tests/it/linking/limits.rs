//! Guessing codes, and asking for too many.

use super::{approve, ask, ask_for_code, verify};
use crate::desk::Desk;
use http::StatusCode;
use serde_json::json;
use time::Duration;

#[tokio::test]
async fn guessing_codes_is_throttled_by_person() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let code = ask_for_code(&desk, "s1").await;
    for n in 0..20 {
        // Looking at a right one in between excuses none of the wrong ones.
        assert_eq!(ann.get(&verify(&code)).await.status, StatusCode::OK, "{n}");
        assert_eq!(ann.get("/verify/2222-2222").await.status, StatusCode::NOT_FOUND, "{n}");
    }
    assert_eq!(ann.get("/verify/2222-2222").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ann.get(&verify(&code)).await.status, StatusCode::TOO_MANY_REQUESTS, "right ones too");
    assert_eq!(approve(&ann, &code, "x", "new").await.status, StatusCode::TOO_MANY_REQUESTS);
    let bob = desk.person("bob").await;
    assert_eq!(bob.get(&verify(&code)).await.status, StatusCode::OK, "nobody else is locked out");
    desk.clock.advance(Duration::hours(1));
    assert_eq!(ann.get("/verify/2222-2222").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn open_codes_are_limited_for_each_address_and_forgotten_in_time() {
    let desk = Desk::new().await;
    for n in 0..10 {
        assert_eq!(ask(&desk, &format!("s{n}")).await.status, StatusCode::OK);
    }
    let refused = ask(&desk, "s11").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers.contains_key("retry-after"));
    let body = Some(json!({ "login_hint": "s12" }));
    let elsewhere = desk.device_call_from("203.0.113.9", "POST", "/client/device", None, body).await;
    assert_eq!(elsewhere.status, StatusCode::OK);
    desk.clock.advance(Duration::minutes(15) + Duration::seconds(1));
    assert_eq!(ask(&desk, "s11").await.status, StatusCode::OK);
    bramble_server::linking::sweep(&desk.app).await.expect("sweeps");
    let tx = desk.app.store.begin().await.expect("begins");
    let left = tx.erase_link_request_addresses(bramble_model::Clock::now(&*desk.clock)).await;
    assert_eq!(left.expect("counts"), 0, "every older address is erased already");
}

#[tokio::test]
async fn one_network_cannot_take_all_codes() {
    let desk = Desk::new().await;
    let ask = async |address: String| {
        let body = json!({ "client_id": "t", "login_hint": "s" });
        desk.device_call_from(&address, "POST", "/client/device", None, Some(body)).await.status
    };
    for n in 0..100 {
        assert_eq!(ask(format!("2001:db8::{n:x}")).await, StatusCode::OK);
    }
    assert_eq!(ask("2001:db8::ffff".to_owned()).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("2001:db8:0:1::1".to_owned()).await, StatusCode::OK);
}

#[tokio::test]
async fn guessing_codes_is_throttled_by_address_whoever_guesses() {
    let desk = Desk::new().await;
    let code = ask_for_code(&desk, "s1").await;
    for name in ["ann", "bob", "cem"] {
        let person = desk.person(name).await;
        for n in 0..20 {
            assert_eq!(person.get("/verify/2222-2222").await.status, StatusCode::NOT_FOUND, "{name} {n}");
        }
    }
    let dee = desk.person("dee").await;
    assert_eq!(dee.get(&verify(&code)).await.status, StatusCode::TOO_MANY_REQUESTS, "the sixty-first");
    let mut elsewhere = dee.clone();
    elsewhere.address = "203.0.113.9".into();
    assert_eq!(elsewhere.get(&verify(&code)).await.status, StatusCode::OK);
    desk.clock.advance(Duration::hours(1));
    assert_eq!(dee.get("/verify/2222-2222").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ten_thousand_codes_may_be_open_and_not_one_more() {
    let desk = Desk::new().await;
    let now = bramble_model::Clock::now(&*desk.clock).unix_timestamp() * 1_000_000;
    // All but one, each from an address of its own.
    desk.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
         INSERT INTO link_requests (id, device_code_hash, user_code, serial_number, hostname, model, client_id,
                                    address, state, created_at, expires_at)
         SELECT randomblob(16), randomblob(32), 'code' || i, 's', '', '', 't', 'address' || i, 'open', {now},
                {now} + 900000000 FROM n"
    ))
    .await;
    let last = ask(&desk, "s1").await;
    assert_eq!(last.status, StatusCode::OK, "{}", last.body);
    let refused = ask(&desk, "s2").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    // One is decided: there is room again.
    let ann = desk.person("ann").await;
    let answer = ann.post(&verify(&last.text("user_code")), &[("decision", "deny")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(ask(&desk, "s2").await.status, StatusCode::OK);
}
