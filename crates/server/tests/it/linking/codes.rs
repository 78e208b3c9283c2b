//! Codes that a device shows: from the question to the token, and the ways that lead to none.

use super::{approve, ask, ask_for_code, names, poll, verify};
use crate::desk::{Desk, Device};
use bramble_model::query::Query;
use bramble_store::device_search::Slice;
use bramble_store::testing::Engine;
use http::StatusCode;
use time::Duration;

async fn polled(desk: &Desk, device_code: &str) -> String {
    let answer = poll(desk, device_code).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    answer.text("error")
}

#[tokio::test]
async fn a_new_name_that_comes_with_a_replacement_is_in_the_audit_log() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let old = desk.device(&ann, "s1").await;
    let code = ask_for_code(&desk, "s1").await;
    let answer = approve(&ann, &code, "Cellar", &old.id.to_string()).await;
    assert!(!answer.status.is_client_error(), "{}", answer.body);
    assert_eq!(names(&desk, &ann).await, ["Cellar"]);
    let log = desk.audit(ann.account).await;
    for action in ["Device relinked", "Device renamed"] {
        assert_eq!(log.iter().filter(|it| *it == action).count(), 1, "{log:?}");
    }
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
