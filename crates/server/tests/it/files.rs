//! File transfer, as far as the server knows of it: who may, and what the device reports.

use crate::desk::{Desk, Device, Person};
use bramble_model::account::Role;
use bramble_store::testing::Engine;
use bramble_wire::SessionId;
use bramble_wire::events::{Command, ServerEvent};
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

async fn with_files(desk: &Desk, person: &Person) -> Device {
    let device = desk.device(person, "s1").await.online().await;
    device.describe(json!({ "capabilities": { "files": "enabled" } })).await;
    device
}

async fn ask(person: &Person, device: &Device) -> (StatusCode, String) {
    let answer = person.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "files" })).await;
    let text = answer.text(if answer.status == StatusCode::CREATED { "id" } else { "error_description" });
    (answer.status, text)
}

async fn open(person: &Person, device: &Device) -> String {
    let (status, text) = ask(person, device).await;
    assert_eq!(status, StatusCode::CREATED, "{text}");
    text
}

/// Up to where the device has fetched the offer.
async fn offered(person: &Person, device: &mut Device) -> (String, Value) {
    let session = open(person, device).await;
    person.fetch("POST", &format!("/sessions/{session}/offer"), json!({ "sdp": "the offer" })).await;
    let id: SessionId = session.parse().expect("an id");
    assert_eq!(device.order().await, Some(ServerEvent::Command(Command::Session { id })));
    let offer = device.call("GET", &format!("/client/sessions/{session}/offer"), Value::Null).await;
    (session, offer.json())
}

async fn report(device: &Device, session: &str, report: Value) -> StatusCode {
    device.call("POST", &format!("/client/sessions/{session}/transfers"), report).await.status
}

fn upload() -> Value {
    let sha256 = "ab".repeat(32);
    json!({ "direction": "upload", "name": "photos/a.jpg", "size": 5, "bytes": 5, "sha256": sha256 })
}

#[tokio::test]
async fn the_offer_permits_files_to_file_sessions_alone() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = with_files(&desk, &ann).await;
    let (_, offer) = offered(&ann, &mut device).await;
    assert_eq!((&offer["kind"], &offer["permissions"]["files"]), (&json!("files"), &json!(true)));
    let answer = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    let shell = answer.text("id");
    ann.fetch("POST", &format!("/sessions/{shell}/offer"), json!({ "sdp": "the offer" })).await;
    device.order().await;
    let offer = device.call("GET", &format!("/client/sessions/{shell}/offer"), Value::Null).await.json();
    assert_eq!(offer["permissions"]["files"], json!(false));
    // A shell's device has no files to report.
    assert_eq!(report(&device, &shell, upload()).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_device_without_it_or_with_it_switched_off_is_not_asked() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let page = ann.get(&format!("/devices/{}", device.id)).await.body;
    assert!(!page.contains("File transfer"), "of a client that knows none");
    assert_eq!(ask(&ann, &device).await.1, "File transfer is not available on host-s1.");
    device.describe(json!({ "capabilities": { "files": "available" } })).await;
    let page = ann.get(&format!("/devices/{}", device.id)).await.body;
    assert!(
        page.contains("File transfer is disallowed") && page.contains("Switched off on the device"),
        "{page}"
    );
    let (status, text) = ask(&ann, &device).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(text.starts_with("File transfer is switched off on host-s1."), "{text}");
    device.describe(json!({ "capabilities": { "files": "enabled" } })).await;
    let page = ann.get(&format!("/devices/{}", device.id)).await.body;
    assert!(page.contains(&format!("/devices/{}/files", device.id)), "{page}");
    assert!(ann.get(&format!("/devices/{}/shell", device.id)).await.body.contains("files-button"));
    let window = ann.get(&format!("/devices/{}/files", device.id)).await;
    assert!(window.status == StatusCode::OK && window.body.contains("data-kind=\"files\""));

    let (session, _) = offered(&ann, &mut device).await;
    device.describe(json!({ "capabilities": { "files": "available" } })).await;
    let id: SessionId = session.parse().expect("an id");
    assert_eq!(device.told_to_end().await.0, id);
    assert!(!ann.get(&format!("/devices/{}/shell", device.id)).await.body.contains("files-button"));
}

#[tokio::test]
async fn what_the_device_reports_is_in_the_audit_log_as_its_word() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let mut device = with_files(&desk, &ann).await;
        let other = desk.device(&ann, "s2").await;
        let (session, _) = offered(&ann, &mut device).await;
        assert_eq!(report(&device, &session, upload()).await, StatusCode::NO_CONTENT);
        let broken = json!({ "direction": "download", "name": "b", "size": 9, "bytes": 3 });
        assert_eq!(
            report(&other, &session, broken.clone()).await,
            StatusCode::NOT_FOUND,
            "of another device"
        );
        assert_eq!(report(&desk.device(&eve, "s3").await, &session, upload()).await, StatusCode::NOT_FOUND);
        for wrong in [json!({}), json!({ "direction": "sideways", "name": "b", "size": 1, "bytes": 1 })] {
            assert!(report(&device, &session, wrong).await.is_client_error());
        }

        // What is broken off is told when the session is over.
        ann.fetch("DELETE", &format!("/sessions/{session}"), Value::Null).await;
        assert_eq!(report(&device, &session, broken.clone()).await, StatusCode::NO_CONTENT);
        let lines = desk.audit(ann.account).await;
        assert_eq!(lines.iter().filter(|line| *line == "File uploaded (reported by the device)").count(), 1);
        assert_eq!(
            lines.iter().filter(|line| *line == "File downloaded (reported by the device)").count(),
            1
        );
        desk.clock.advance(Duration::minutes(6));
        assert_eq!(report(&device, &session, broken).await, StatusCode::NOT_FOUND, "long after");
    }
}

#[tokio::test]
async fn the_audit_log_shows_name_size_digest_and_who() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let mut device = with_files(&desk, &ann).await;
    desk.give(&ann, &device, shed).await;
    let (session, _) = offered(&ann, &mut device).await;
    report(&device, &session, upload()).await;
    let log = ann.get(&format!("/organisations/{shed}/audit-log")).await.body;
    let words = format!("“photos/a.jpg”, 5 bytes, SHA-256 {}, in a session of ann", "ab".repeat(32));
    assert!(log.contains(&words) && log.contains("File uploaded (reported by the device)"), "{log}");
}

#[tokio::test]
async fn reports_have_a_limit() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = with_files(&desk, &ann).await;
    let (session, _) = offered(&ann, &mut device).await;
    for _ in 0..300 {
        assert_eq!(report(&device, &session, upload()).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(report(&device, &session, upload()).await, StatusCode::TOO_MANY_REQUESTS);
    desk.clock.advance(Duration::seconds(31));
    assert_eq!(report(&device, &session, upload()).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_administrator_switches_it_off_for_everybody_and_a_member_cannot() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, mem, eve) = (desk.person("ann").await, desk.person("mem").await, desk.person("eve").await);
        let shed = desk.organisation(&ann, "Shed").await;
        desk.join(shed, &mem, Role::Member).await;
        let mut device = with_files(&desk, &ann).await;
        desk.give(&ann, &device, shed).await;
        let switch = format!("/organisations/{shed}/settings/files");

        let (session, _) = offered(&mem, &mut device).await;
        for stranger in [&mem, &eve] {
            assert_eq!(stranger.post(&switch, &[("allowed", "no")]).await.status, StatusCode::NOT_FOUND);
        }
        assert_eq!(ann.post(&switch, &[]).await.status, StatusCode::CONFLICT, "a form that says neither");
        assert_eq!(ann.post(&switch, &[("allowed", "no")]).await.status, StatusCode::SEE_OTHER);
        let id: SessionId = session.parse().expect("an id");
        let (told, why) = device.told_to_end().await;
        assert_eq!(
            (told, why.as_str()),
            (id, "An administrator switched file transfer off for this organisation.")
        );
        for person in [&ann, &mem] {
            let (status, text) = ask(person, &device).await;
            assert_eq!(status, StatusCode::CONFLICT);
            assert!(text.starts_with("File transfer is switched off for the devices of Shed."), "{text}");
            let page = person.get(&format!("/devices/{}", device.id)).await.body;
            assert!(page.contains("Switched off by your organisation"), "{page}");
            assert!(!page.contains(&format!("/devices/{}/files", device.id)), "{page}");
        }
        assert_eq!(ask(&eve, &device).await.0, StatusCode::NOT_FOUND);
        // Again changes nothing.
        ann.post(&switch, &[("allowed", "no")]).await;
        let lines = desk.audit(shed).await;
        assert_eq!(lines.iter().filter(|line| *line == "File transfer forbidden").count(), 1);
        assert!(
            ann.get(&format!("/organisations/{shed}/settings")).await.body.contains("Allow file transfer")
        );

        ann.post(&switch, &[("allowed", "yes")]).await;
        assert_eq!(ask(&mem, &device).await.0, StatusCode::CREATED);
        assert!(desk.audit(shed).await.contains(&"File transfer allowed".to_owned()));
    }
}

#[tokio::test]
async fn an_offer_that_waited_while_it_was_switched_off_is_not_handed_out() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let shed = desk.organisation(&ann, "Shed").await;
    let device = with_files(&desk, &ann).await;
    desk.give(&ann, &device, shed).await;
    let session = open(&ann, &device).await;
    ann.fetch("POST", &format!("/sessions/{session}/offer"), json!({ "sdp": "the offer" })).await;
    // As if the switch had come between the look and the end.
    desk.sql("UPDATE accounts SET files_forbidden_at = 1 WHERE kind = 'organisation'").await;
    let offer = device.call("GET", &format!("/client/sessions/{session}/offer"), Value::Null).await;
    assert_eq!(offer.status, StatusCode::NOT_FOUND);
    let kept = device.call("POST", "/client/sessions/sync", json!({ "ids": [session] })).await.json();
    assert_eq!(kept["ids"], json!([]));
}
