//! `/organisation/auth-keys`, line by line.

use super::{Program, header};
use crate::desk::Desk;
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

const KEYS: &str = "/organisation/auth-keys";

#[tokio::test]
async fn the_documented_requests_get_the_documented_answers() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let wanted = json!({
            "description": "my-auth-key", "ttl_days": 1, "device_name": "pi5-001", "tags": ["production", "kiosk"]
        });
        let made = program.json("POST", KEYS, wanted).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(header(&made, "content-type"), "application/json; charset=utf-8");
        let (id, secret) = (made.text("id"), made.text("secret"));
        assert!(secret.starts_with("rpoak_") && secret.len() == 30);
        let text = format!(
            r#"{{"id":"{id}","description":"my-auth-key","device_name":"pi5-001","tags":["kiosk","production"],"secret":"{secret}","expires_at":"2026-11-23T12:00:00Z","exchanged_at":null,"created_at":"2026-11-22T12:00:00Z"}}"#
        );
        assert_eq!(made.body, text, "names, order and format");
        let shown = text.replace(&format!(r#""secret":"{secret}","#), "");
        let path = format!("{KEYS}/{id}");
        assert_eq!(program.get(&path).await.body, shown);
        let meta = r#""meta":{"page":1,"per_page":100,"total_count":1,"total_pages":1}"#;
        assert_eq!(program.get(KEYS).await.body, format!(r#"{{"auth_keys":[{shown}],{meta}}}"#));
        let form = "description=my-auth-key&ttl_days=1&device_name=pi5-001&tags[]=production&tags[]=kiosk";
        let by_form = program.form("POST", KEYS, form).await;
        assert_eq!(by_form.status, StatusCode::CREATED);
        let mut same = by_form.json();
        same["id"] = json!(id);
        same["secret"] = json!(secret);
        assert_eq!(same.to_string(), made.json().to_string());

        let change =
            json!({ "description": "my-renamed-auth-key", "device_name": "pi5-002", "tags": ["b", "a"] });
        let changed = program.json("PATCH", &path, change).await;
        assert_eq!(changed.status, StatusCode::OK);
        let renamed = shown
            .replace("my-auth-key", "my-renamed-auth-key")
            .replace("pi5-001", "pi5-002")
            .replace(r#"["kiosk","production"]"#, r#"["a","b"]"#);
        assert_eq!(changed.body, renamed);
        assert_eq!(program.json("PATCH", &path, json!({})).await.body, renamed, "nothing changes nothing");
        let cleared = program.json("PATCH", &path, json!({ "device_name": null, "tags": null })).await;
        assert_eq!((&cleared.json()["device_name"], &cleared.json()["tags"]), (&Value::Null, &json!([])));

        let gone = program.raw("DELETE", &path, &[], Vec::new()).await;
        assert_eq!((gone.status, gone.body.as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(program.raw("DELETE", &path, &[], Vec::new()).await.status, StatusCode::NOT_FOUND);
        let other = format!("{KEYS}/{}", by_form.text("id"));
        let was = program.raw("DELETE", &other, &[("prefer", "return=representation")], Vec::new()).await;
        assert_eq!((was.status, was.text("id")), (StatusCode::OK, by_form.text("id")));
        assert_eq!(header(&was, "preference-applied"), "return=representation");
        let lines = desk.audit(shed).await;
        for action in ["Auth key created", "Auth key updated", "Auth key deleted"] {
            assert!(lines.iter().filter(|line| *line == action).count() >= 1, "{action}: {lines:?}");
        }
        let events = desk.app.store.audit_events(shed, 100).await.expect("reads");
        let ours = events.iter().filter(|event| event.subject.contains("auth-key"));
        assert!(ours.clone().count() >= 5 && ours.into_iter().all(|e| e.source == "API" && e.actor == "ci"));
    }
}

#[tokio::test]
async fn keys_come_usable_first_then_expired_then_exchanged() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let make = async |name: &str, days: u8| {
            desk.clock.advance(Duration::SECOND);
            let wanted = json!({ "description": name, "ttl_days": days, "device_name": name, "tags": ["t"] });
            program.json("POST", KEYS, wanted).await
        };
        let used = make("used", 90).await;
        make("short 1", 1).await;
        make("short 2", 1).await;
        make("long 1", 90).await;
        make("long 2", 90).await;
        let linked = desk.exchange(&used.text("secret"), "s1").await;
        assert_eq!(linked.status, StatusCode::OK, "{}", linked.body);
        desk.clock.advance(Duration::days(2));
        let listed = program.get(&format!("{KEYS}?page=1&per_page=3")).await.json();
        let names = |listed: &Value| -> Vec<String> {
            let keys = listed["auth_keys"].as_array().expect("keys");
            keys.iter().map(|key| key["description"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(names(&listed), ["long 2", "long 1", "short 2"]);
        assert_eq!(listed["meta"], json!({"page": 1, "per_page": 3, "total_count": 5, "total_pages": 2}));
        let second = program.get(&format!("{KEYS}?page=2&per_page=3")).await.json();
        assert_eq!(names(&second), ["short 1", "used"]);
        let beyond = program.get(&format!("{KEYS}?page=99999999999999999999")).await.json();
        assert_eq!((names(&beyond).len(), &beyond["meta"]["total_count"]), (0, &json!(5)));
        for bad in ["page=0", "page=-1", "page=x", "per_page=0", "per_page=ten"] {
            assert_eq!(program.get(&format!("{KEYS}?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
        }
        // What was used or has expired is no longer edited, and can be deleted; its device stays.
        let expired = second["auth_keys"][0]["id"].as_str().expect("an id").to_owned();
        for id in [&used.text("id"), &expired] {
            let path = format!("{KEYS}/{id}");
            let refused = program.json("PATCH", &path, json!({ "description": "x" })).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(refused.json(), json!({ "message": "This auth key can no longer be edited." }));
            assert_eq!(program.raw("DELETE", &path, &[], Vec::new()).await.status, StatusCode::NO_CONTENT);
        }
        let devices = program.get("/organisation/devices").await.json();
        assert_eq!(
            (&devices["devices"][0]["name"], &devices["devices"][0]["tags"]),
            (&json!("used"), &json!(["t"]))
        );
    }
}

#[tokio::test]
async fn bad_input_is_named_in_the_words_of_the_contract() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    let long = "x".repeat(256);
    let many: Vec<String> = (0..11).map(|n| format!("t{n}")).collect();
    for (body, message) in [
        (json!({}), "Description can't be blank"),
        (json!({ "description": null }), "Description can't be blank"),
        (json!({ "description": " \t" }), "Description can't be blank"),
        (json!({ "description": long }), "Description is too long (maximum is 255 characters)"),
        (json!({ "description": 7 }), "Description is invalid"),
        (json!({ "description": "a\u{0}b" }), "Description is invalid"),
        (json!({ "description": "x", "ttl_days": 0 }), "Ttl days must be between 1 and 90"),
        (json!({ "description": "x", "ttl_days": "91" }), "Ttl days must be between 1 and 90"),
        (json!({ "description": "x", "ttl_days": u64::MAX }), "Ttl days must be between 1 and 90"),
        (json!({ "description": "x", "ttl_days": 1.5 }), "Ttl days is invalid"),
        (json!({ "description": "x", "ttl_days": "soon" }), "Ttl days is invalid"),
        (
            json!({ "description": "x", "device_name": long }),
            "Device name is too long (maximum is 255 characters)",
        ),
        (json!({ "description": "x", "tags": "kiosk" }), "Tags is invalid"),
        (json!({ "description": "x", "tags": [7] }), "Tags is invalid"),
        (json!({ "description": "x", "tags": ["Kiosk"] }), "Tags contains an invalid tag \"Kiosk\""),
        (json!({ "description": "x", "tags": many }), "Tags is too long (maximum is 10 tags)"),
        (
            json!({ "ttl_days": 0, "tags": ["!"] }),
            "Description can't be blank, Ttl days must be between 1 and 90, Tags contains an invalid tag \"!\"",
        ),
    ] {
        let answer = program.json("POST", KEYS, body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.json(), json!({ "message": format!("Validation failed: {message}") }), "{body}");
    }
    let json_type = [("content-type", "application/json")];
    let raw = async |kind: &[(&str, &str)], body: &[u8]| program.raw("POST", KEYS, kind, body.to_vec()).await;
    for bad in [&b"{"[..], b"[]", b"null", b"{\"description\":\xFF}", b"nonsense"] {
        let answer = raw(&json_type, bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
        assert!(!answer.text("message").is_empty());
    }
    let answer = raw(&json_type, b"{\"description\":\"a\xFF\"}").await;
    assert_eq!(answer.text("message"), "Validation failed: Description is invalid");
    assert_eq!(
        raw(&[("content-type", "text/xml")], b"<x/>").await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(raw(&[], b"{}").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(raw(&[], b"").await.status, StatusCode::UNPROCESSABLE_ENTITY, "nothing is no description");
    for size in [65 * 1024, 300 * 1024] {
        let answer =
            raw(&json_type, format!("{{\"description\":\"{}\"}}", "x".repeat(size)).as_bytes()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{size}");
        assert_eq!(header(&answer, "content-type"), "application/json; charset=utf-8");
    }
    let answer = raw(&json_type, b"{\"description\":\"a\",\"description\":\"b\",\"unknown\":1}").await;
    assert_eq!((answer.status, answer.text("description")), (StatusCode::CREATED, "b".to_owned()));
    let answer = program.form("POST", KEYS, "description=x&tags[]=&device_name=").await;
    assert_eq!((&answer.json()["tags"], &answer.json()["device_name"]), (&json!([]), &Value::Null));
    let answer = program.form("POST", KEYS, "description=x&tags=kiosk").await;
    assert_eq!(answer.text("message"), "Validation failed: Tags is invalid");
    let answer = program.form("POST", KEYS, "description=%FF").await;
    assert_eq!(answer.text("message"), "Validation failed: Description is invalid");
    let answer = program.raw("PUT", KEYS, &[], Vec::new()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&answer, "allow"), "GET,HEAD,POST");
    assert_eq!(answer.json(), json!({ "message": "Method not allowed" }));
    assert!(answer.headers.contains_key("x-rate-limit-remaining"));
}

#[tokio::test]
async fn another_organisations_key_does_not_exist() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&eve, "Barn").await);
    let (ours, theirs) = (Program::of(&desk, shed).await, Program::of(&desk, barn).await);
    let made = ours.json("POST", KEYS, json!({ "description": "x" })).await;
    let path = format!("{KEYS}/{}", made.text("id"));
    for id in [path.as_str(), "/organisation/auth-keys/none", "/organisation/auth-keys/%00"] {
        for (method, body) in
            [("GET", json!({})), ("PATCH", json!({ "description": "y" })), ("DELETE", json!({}))]
        {
            let answer = theirs.json(method, id, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {id}");
            assert_eq!(answer.json(), json!({ "message": "Not found" }));
        }
    }
    assert_eq!(theirs.get(KEYS).await.json()["meta"]["total_count"], json!(0));
    assert_eq!(ours.get(&path).await.text("description"), "x");
}
