//! Registering identities, line by line as it is documented.

use super::{Board, IDENTITIES, SIGNATURE, TIMESTAMP, post, refused};
use crate::desk::Desk;
use crate::management::{Program, header};
use bramble_store::testing::Engine as Database;
use http::StatusCode;
use serde_json::{Value, json};

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
