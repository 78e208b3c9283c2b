//! `/organisation/devices`, line by line.

use super::{Program, header};
use crate::desk::{Desk, Device};
use bramble_store::testing::Engine;
use http::StatusCode;
use serde_json::{Value, json};

const DEVICES: &str = "/organisation/devices";

async fn device(desk: &Desk, program: &Program<'_>, serial: &str, name: &str, tags: Value) -> Device {
    let wanted = json!({ "description": "k", "device_name": name, "tags": tags });
    let made = program.json("POST", "/organisation/auth-keys", wanted).await;
    Device::of(desk, &desk.exchange(&made.text("secret"), serial).await)
}

async fn described(desk: &Desk, program: &Program<'_>) -> Device {
    let device =
        device(desk, program, "ea636879c4d47a37", "raspberrypi5", json!(["production", "kiosk"])).await;
    device
        .describe(json!({
            "board": { "model": "Raspberry Pi 5", "revision": "1.0", "memory": "8 GB" },
            "os": { "name": "Raspberry Pi OS", "version": "13 (Trixie)", "filter": "raspios-13" },
            "kernel_architecture": "aarch64"
        }))
        .await;
    device
}

#[tokio::test]
async fn the_documented_requests_get_the_documented_answers() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let program = Program::of(&desk, shed).await;
        let device = described(&desk, &program).await;
        let shown = format!(
            r#"{{"id":"{}","name":"raspberrypi5","serial_number":"ea636879c4d47a37","tags":["kiosk","production"],"board":{{"model":"Raspberry Pi 5","revision":"1.0","memory":"8 GB"}},"os":{{"name":"Raspberry Pi OS","version":"13 (Trixie)"}},"kernel_architecture":"aarch64","filters":{{"model":"5","memory":"8gb","os":"raspios-13"}}}}"#,
            device.id
        );
        let path = format!("{DEVICES}/{}", device.id);
        assert_eq!(program.get(&path).await.body, shown);
        let listed = program.get(DEVICES).await;
        let meta = r#""meta":{"page":1,"per_page":100,"total_count":1,"total_pages":1}"#;
        assert_eq!(listed.body, format!(r#"{{"devices":[{shown}],{meta}}}"#));
        assert_eq!(header(&listed, "content-type"), "application/json; charset=utf-8");

        let changed =
            program.json("PATCH", &path, json!({ "name": "kiosk-1", "tags": ["b", "a", "a"] })).await;
        assert_eq!(changed.status, StatusCode::OK);
        assert_eq!(
            changed.body,
            shown.replace("raspberrypi5", "kiosk-1").replace(r#"["kiosk","production"]"#, r#"["a","b"]"#)
        );
        assert_eq!(program.json("PATCH", &path, json!({})).await.body, changed.body);
        assert_eq!(
            program.json("PATCH", &path, json!({ "name": "x" })).await.json()["tags"],
            json!(["a", "b"])
        );
        assert_eq!(program.json("PATCH", &path, json!({ "tags": [] })).await.json()["tags"], json!([]));
        for (body, message) in [
            (json!({ "name": "" }), "Name can't be blank"),
            (json!({ "name": null }), "Name can't be blank"),
            (json!({ "name": "x".repeat(256) }), "Name is too long (maximum is 255 characters)"),
            (json!({ "tags": "a" }), "Tags is invalid"),
            (json!({ "name": 1, "tags": ["A"] }), "Name is invalid, Tags contains an invalid tag \"A\""),
        ] {
            let answer = program.json("PATCH", &path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(answer.text("message"), format!("Validation failed: {message}"));
        }

        assert_eq!(device.status().await, StatusCode::OK);
        assert_eq!(program.raw("DELETE", &path, &[], Vec::new()).await.status, StatusCode::NO_CONTENT);
        assert_eq!(device.status().await, StatusCode::UNAUTHORIZED, "signed out at once");
        assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
        let events = desk.app.store.audit_events(shed, 100).await.expect("reads");
        for title in ["Device renamed", "Device tagged", "Device deleted"] {
            let event = events.iter().find(|event| event.action.is_some_and(|a| a.title() == title));
            let event = event.unwrap_or_else(|| panic!("{title} is not in the log"));
            assert_eq!((event.source.as_str(), event.actor.as_str()), ("API", "ci"), "{title}");
        }
    }
}

#[tokio::test]
async fn devices_that_said_little_of_themselves_are_shown_with_nothing() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let program = Program::of(&desk, shed).await;
    let device = device(&desk, &program, "s1", "old", json!([])).await;
    let shown = program.get(&format!("{DEVICES}/{}", device.id)).await.json();
    let nothing = json!({
        "id": device.id, "name": "old", "serial_number": "s1", "tags": [], "board": null, "os": null,
        "kernel_architecture": null, "filters": {}
    });
    assert_eq!(shown, nothing);
}

#[tokio::test]
async fn queries_find_by_filter_and_by_word_and_only_within_the_organisation() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let (shed, barn) = (desk.organisation(&ann, "Shed").await, desk.organisation(&eve, "Barn").await);
        let (ours, theirs) = (Program::of(&desk, shed).await, Program::of(&desk, barn).await);
        let first = described(&desk, &ours).await;
        device(&desk, &ours, "0002", "Lobby 100%", json!(["production"])).await;
        device(&desk, &ours, "0003", "café", json!([])).await;
        let names = async |query: &str| -> Vec<String> {
            let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let listed = ours.get(&format!("{DEVICES}?query={query}")).await.json();
            let devices = listed["devices"].as_array().expect("devices").clone();
            assert_eq!(listed["meta"]["total_count"], json!(devices.len()));
            devices.iter().map(|device| device["name"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(names("").await, ["café", "Lobby 100%", "raspberrypi5"]);
        assert_eq!(names("tag:production").await, ["Lobby 100%", "raspberrypi5"]);
        assert_eq!(names("TAG:production tag:kiosk").await, ["raspberrypi5"]);
        assert_eq!(names("model:5 memory:8GB os:raspios-13").await, ["raspberrypi5"]);
        assert_eq!(names("model:4b").await, Vec::<String>::new());
        assert_eq!(names("%").await, ["Lobby 100%"], "itself, not any text");
        assert_eq!(names("CAFÉ").await, ["café"]);
        assert_eq!(names("ea636879").await, ["raspberrypi5"]);
        assert_eq!(names("is:online").await, Vec::<String>::new());
        for nothing in ["\0", "tag:\0", "model:5 \0", "tag:", &"x".repeat(2000)] {
            assert_eq!(names(nothing).await, Vec::<String>::new(), "{nothing:?}");
        }
        let page = ours.get(&format!("{DEVICES}?per_page=2&page=2")).await.json();
        assert_eq!(page["devices"].as_array().map(Vec::len), Some(1));
        assert_eq!(page["meta"], json!({"page": 2, "per_page": 2, "total_count": 3, "total_pages": 2}));

        assert_eq!(theirs.get(DEVICES).await.json()["meta"]["total_count"], json!(0));
        for path in [format!("{DEVICES}/{}", first.id), format!("{DEVICES}/x")] {
            for (method, body) in
                [("GET", json!({})), ("PATCH", json!({ "name": "" })), ("DELETE", json!({}))]
            {
                let answer = theirs.json(method, &path, body).await;
                assert_eq!(
                    (answer.status, answer.text("message")),
                    (StatusCode::NOT_FOUND, "Not found".into())
                );
            }
        }
        assert_eq!(first.status().await, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_list_and_its_entries_are_written_alike() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let program = Program::of(&desk, desk.organisation(&ann, "Shed").await).await;
        let said = [
            json!({}),
            json!({ "board": { "model": "Raspberry Pi 4B" } }),
            json!({ "os": { "version": "1 \"quoted\" \\ / <é> \u{1F980}" }, "kernel_architecture": "" }),
            json!({ "board": { "model": "?", "revision": "1", "memory": "8 GB" }, "os": { "filter": "x-1" } }),
        ];
        for (n, me) in said.into_iter().enumerate() {
            let name = format!("\u{e9} \"{n}\" \\ </b>");
            let device = device(&desk, &program, &format!("s{n}"), &name, json!(["b", "a"])).await;
            device.describe(me).await;
        }
        for query in ["", "?query=tag:a", "?query=nothing", "?page=9", "?per_page=1&page=2"] {
            let listed = program.get(&format!("{DEVICES}{query}")).await;
            let mut one_by_one = Vec::new();
            for entry in listed.json()["devices"].as_array().expect("devices") {
                let id = entry["id"].as_str().expect("an id");
                one_by_one.push(program.get(&format!("{DEVICES}/{id}")).await.body);
            }
            let list = format!("{{\"devices\":[{}],\"meta\":", one_by_one.join(","));
            assert!(listed.body.starts_with(&list), "{query}\n{}\n{list}", listed.body);
        }
    }
}
