//! Linking: keys, codes, serial numbers, lost answers.

use crate::desk::{Answer, Desk, Device, Person, exchange_body, request};
use axum::body::Body;
use bramble_model::query::Query;
use bramble_server::mail::digest;
use bramble_store::device_search::Slice;
use bramble_store::testing::Engine;
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use time::Duration;

async fn names(desk: &Desk, person: &Person) -> Vec<String> {
    let (devices, total) = desk
        .app
        .store
        .devices(person.account, &Query::default(), &[], Slice { offset: 0, limit: 1000 })
        .await
        .expect("reads");
    let account = desk.app.store.account(person.account).await.expect("reads").expect("there");
    assert_eq!((account.device_count, devices.len() as u64), (total, total), "the count is kept");
    devices.into_iter().map(|d| d.name).collect()
}

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

async fn ask(desk: &Desk, serial: &str) -> Answer {
    let body = json!({ "client_id": "test", "login_hint": serial, "hostname": "kiosk" });
    desk.device_call("POST", "/client/device", None, Some(body)).await
}

async fn ask_for_code(desk: &Desk, serial: &str) -> String {
    let answer = ask(desk, serial).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.text("user_code")
}

fn verify(code: &str) -> String {
    format!("/verify/{code}")
}

async fn poll(desk: &Desk, device_code: &str) -> Answer {
    let body = json!({ "client_id": "test", "device_code": device_code });
    desk.device_call("POST", "/client/token", None, Some(body)).await
}

async fn polled(desk: &Desk, device_code: &str) -> String {
    let answer = poll(desk, device_code).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    answer.text("error")
}

async fn approve(person: &Person, code: &str, name: &str, entry: &str) -> Answer {
    let account = person.account.to_string();
    let form = [("decision", "approve"), ("name", name), ("entry", entry), ("account", &*account)];
    person.post(&verify(code), &form).await
}

#[tokio::test]
async fn the_code_flow_from_the_question_to_the_token() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let asked = ask(&desk, "s1").await.json();
        let (device_code, code) =
            (asked["device_code"].as_str().expect("text"), asked["user_code"].as_str().expect("text"));
        assert_eq!((asked["expires_in"].as_u64(), asked["interval"].as_u64()), (Some(900), Some(5)));
        assert_eq!(asked["verification_uri"], "https://pi.example/verify");
        assert_eq!(asked["verification_uri_complete"], format!("https://pi.example/verify/{code}"));

        assert_eq!(polled(&desk, device_code).await, "authorization_pending");
        desk.clock.advance(Duration::seconds(2));
        assert_eq!(polled(&desk, device_code).await, "slow_down");
        desk.clock.advance(Duration::seconds(3));
        assert_eq!(polled(&desk, device_code).await, "authorization_pending");

        let page = ann.get(&verify(&code.to_lowercase())).await;
        assert_eq!(page.status, StatusCode::OK);
        for shown in ["s1", "198.51.100.7", "kiosk", "Only approve a device in front of you"] {
            assert!(page.body.contains(shown), "{shown}");
        }
        let blank = approve(&ann, code, " ", "new").await;
        assert_eq!(blank.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(blank.body.contains("Name can&#39;t be blank"), "{}", blank.body);
        let done = approve(&ann, code, "Lobby <b>", "new").await;
        assert_eq!(done.status, StatusCode::OK);
        assert!(done.body.contains("Lobby &#60;b&#62; is linked"), "{}", done.body);
        assert_eq!(approve(&ann, code, "again", "new").await.status, StatusCode::NOT_FOUND, "works once");

        let first = Device::of(&desk, &poll(&desk, device_code).await);
        let second = Device::of(&desk, &poll(&desk, device_code).await);
        assert_eq!(first.id, second.id, "the answer may have been lost");
        assert_eq!(first.status().await, StatusCode::UNAUTHORIZED);
        assert_eq!(second.status().await, StatusCode::OK);
        assert_eq!(polled(&desk, device_code).await, "invalid_grant");
        assert_eq!(names(&desk, &ann).await, ["Lobby <b>"]);
        let mails = bramble_server::mail::list(&desk.app).await.expect("the outbox");
        assert!(mails.iter().any(|m| m.recipient == ann.email && m.kind == "device_linked"));
    }
}

#[tokio::test]
async fn replacing_keeps_the_entry_and_revokes_its_token() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let old = desk.device(&ann, "s1").await;
    let asked = ask(&desk, "s1").await;
    let (device_code, code) = (asked.text("device_code"), asked.text("user_code"));
    let page = ann.get(&verify(&code)).await;
    assert!(page.body.contains("Replace host-s1") && page.body.contains("Add as new"));
    assert_eq!(old.status().await, StatusCode::OK, "looking changes nothing");
    assert_eq!(approve(&ann, &code, "kiosk", &old.id.to_string()).await.status, StatusCode::OK);
    assert_eq!(old.status().await, StatusCode::UNAUTHORIZED);
    let new = Device::of(&desk, &poll(&desk, &device_code).await);
    assert_eq!(new.id, old.id);
    assert_eq!(names(&desk, &ann).await, ["kiosk"]);
}

#[tokio::test]
async fn codes_that_are_denied_expired_unknown_or_whose_device_is_gone() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let denied = ask(&desk, "s1").await;
    let answer = ann.post(&verify(&denied.text("user_code")), &[("decision", "deny")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(polled(&desk, &denied.text("device_code")).await, "access_denied");

    let deleted = ask(&desk, "s2").await;
    approve(&ann, &deleted.text("user_code"), "gone", "new").await;
    let (devices, _) = desk
        .app
        .store
        .devices(ann.account, &Query::default(), &[], Slice { offset: 0, limit: 10 })
        .await
        .expect("reads");
    let path = format!("/devices/{}/sign-out", devices[0].id);
    assert_eq!(ann.post(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(polled(&desk, &deleted.text("device_code")).await, "invalid_grant", "signed out before");

    let late = ask(&desk, "s3").await;
    desk.clock.advance(Duration::minutes(15));
    assert_eq!(polled(&desk, &late.text("device_code")).await, "expired_token");
    let code = late.text("user_code");
    assert_eq!(ann.get(&verify(&code)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(polled(&desk, &"2".repeat(44)).await, "invalid_grant");
    assert_eq!(polled(&desk, "short").await, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_people_who_approve_at_once_link_one_device() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let code = ask_for_code(&desk, "s1").await;
        let (first, second) =
            tokio::join!(approve(&ann, &code, "a", "new"), approve(&bob, &code, "b", "new"));
        let good = [&first, &second].into_iter().filter(|a| a.status == StatusCode::OK).count();
        assert_eq!(good, 1, "{engine:?} {} {}", first.status, second.status);
        let devices = names(&desk, &ann).await.len() + names(&desk, &bob).await.len();
        assert_eq!(devices, 1, "{engine:?}");
    }
}

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

/// The kinds of the mails about devices that somebody got, the oldest first, and the text of the last.
async fn device_mails(desk: &Desk, email: &str) -> (Vec<String>, String) {
    let listed = bramble_server::mail::list(&desk.app).await.expect("reads");
    let about = listed.iter().rev().filter(|it| it.recipient == email && it.kind.starts_with("device"));
    let kinds: Vec<_> = about.map(|it| it.kind.clone()).collect();
    (kinds, desk.mails_to(email).await.pop().unwrap_or_default())
}

#[tokio::test]
async fn a_fleet_of_new_devices_is_one_digest() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let round = async || digest::round(&desk.app).await.expect("a round");
        for number in 0..60 {
            desk.device(&ann, &format!("s{number}")).await;
        }
        desk.device(&bob, "b1").await;
        round().await;
        assert_eq!(
            device_mails(&desk, &ann.email).await.0,
            ["device_linked"],
            "{engine:?}: the first at once"
        );
        desk.clock.advance(Duration::minutes(10) - Duration::SECOND);
        round().await;
        assert_eq!(device_mails(&desk, &ann.email).await.0.len(), 1, "{engine:?}");
        desk.clock.advance(Duration::SECOND);
        tokio::join!(round(), round());
        let (kinds, text) = device_mails(&desk, &ann.email).await;
        assert_eq!(kinds, ["device_linked", "devices_linked"], "{engine:?}");
        assert!(
            text.contains("59 devices are new in your account") && text.contains("And 9 more."),
            "{text}"
        );
        assert!(
            text.contains("Serial number: s1\n") && text.contains("198.51.100.7") && !text.contains("s59")
        );
        // Whoever goes on linking hears of it ten minutes after that.
        desk.device(&ann, "later").await;
        desk.clock.advance(Duration::minutes(10));
        round().await;
        round().await;
        let (kinds, text) = device_mails(&desk, &ann.email).await;
        assert_eq!(kinds.len(), 3, "{engine:?}");
        assert!(text.contains("1 device is new in your account") && text.contains("later"), "{text}");
        assert_eq!(device_mails(&desk, &bob.email).await.0, ["device_linked"]);
        // After a pause it is told at once again.
        desk.clock.advance(Duration::minutes(10));
        desk.device(&ann, "much-later").await;
        assert_eq!(device_mails(&desk, &ann.email).await.0.last().map(String::as_str), Some("device_linked"));
    }
}
