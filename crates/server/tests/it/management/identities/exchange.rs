//! Identities that link their devices.

use super::{Board, IDENTITIES, TIMESTAMP, devices, refused};
use crate::desk::{Desk, Device};
use crate::management::Program;
use bramble_server::admin::{Request, Response, handle};
use bramble_store::testing::Engine as Database;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use time::Duration;
use tokio::task::JoinSet;

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
            Response::Refused { text, .. } => Err(text),
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
