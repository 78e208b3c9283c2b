//! Sessions: signalling between a browser and a device.

mod ending;
mod limits;

use crate::desk::{Desk, Device, Person};
use bramble_server::sessions;
use bramble_store::testing::Engine;
use bramble_wire::SessionId;
use bramble_wire::events::{Command, ServerEvent};
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

async fn open(person: &Person, device: &Device) -> String {
    let answer = person.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    answer.text("id")
}

async fn offer(person: &Person, session: &str) -> StatusCode {
    person.fetch("POST", &format!("/sessions/{session}/offer"), json!({ "sdp": "the offer" })).await.status
}

fn of_device(session: &str, what: &str) -> String {
    format!("/client/sessions/{session}/{what}")
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what a stream gave, which may be nothing")]
fn order(command: Command) -> Option<ServerEvent> {
    Some(ServerEvent::Command(command))
}

fn id(session: &str) -> SessionId {
    session.parse().expect("an id")
}

/// A session whose device has answered and reported open channels.
async fn connected(person: &Person, device: &mut Device) -> String {
    let session = open(person, device).await;
    assert_eq!(offer(person, &session).await, StatusCode::NO_CONTENT);
    assert_eq!(device.order().await, order(Command::Session { id: id(&session) }));
    assert_eq!(device.call("GET", &of_device(&session, "offer"), Value::Null).await.status, StatusCode::OK);
    let answer = device.call("POST", &of_device(&session, "answer"), json!({ "sdp": "the answer" })).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    let state = json!({ "state": "connected", "path": "direct" });
    assert_eq!(
        device.call("POST", &of_device(&session, "state"), state).await.status,
        StatusCode::NO_CONTENT
    );
    session
}

async fn ended_at_the_device(device: &mut Device, session: &str) {
    assert_eq!(device.told_to_end().await.0, id(session));
    let gone = device.call("POST", &of_device(session, "state"), json!({ "state": "connected" })).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_browser_and_a_device_find_each_other() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let mut device = desk.device(&ann, "s1").await.online().await;
        let session = open(&ann, &device).await;
        let path = format!("/sessions/{session}");
        let mut heard = ann.listen(&session).await.expect("a stream");
        let early = json!({ "candidate": { "candidate": "candidate:early", "sdpMid": "0" } });
        assert_eq!(
            ann.fetch("POST", &format!("{path}/candidates"), early).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(offer(&ann, &session).await, StatusCode::NO_CONTENT);
        assert_eq!(offer(&ann, &session).await, StatusCode::CONFLICT, "once");
        assert_eq!(device.order().await, order(Command::Session { id: id(&session) }));

        let early_answer = device.call("POST", &of_device(&session, "answer"), json!({ "sdp": "x" })).await;
        assert_eq!(early_answer.status, StatusCode::NOT_FOUND, "before it fetched the offer");
        let fetched = device.call("GET", &of_device(&session, "offer"), Value::Null).await.json();
        assert_eq!(
            (&fetched["sdp"], &fetched["kind"], &fetched["user"]["name"]),
            (&json!("the offer"), &json!("shell"), &json!("ann"))
        );
        // By this the device tells whose shell it keeps.
        assert_eq!(fetched["user"]["id"], json!(ann.user));
        let Some(ServerEvent::Command(Command::Candidate { candidate, .. })) = device.order().await else {
            panic!("the early candidate follows the offer")
        };
        assert_eq!(candidate.candidate, "candidate:early");

        let answer = json!({ "sdp": "the answer" });
        let odd = device.call("POST", "/client/sessions/x/answer", answer.clone()).await;
        let first = device.call("POST", &of_device(&session, "answer"), answer.clone()).await;
        assert_eq!((odd.status, first.status), (StatusCode::NOT_FOUND, StatusCode::NO_CONTENT));
        let again = device.call("POST", &of_device(&session, "answer"), answer).await;
        assert_eq!(again.status, StatusCode::CONFLICT, "a second answer");
        let candidate = json!({ "candidate": { "candidate": "candidate:device" } });
        device.call("POST", &of_device(&session, "candidates"), candidate).await;
        let (name, data) = heard.next().await.expect("an event");
        assert_eq!((name.as_str(), data.contains("the answer")), ("answer", true));
        let (name, data) = heard.next().await.expect("an event");
        assert_eq!((name.as_str(), data.contains("candidate:device")), ("candidate", true));

        let state = json!({ "state": "connected", "path": "relayed" });
        assert_eq!(
            device.call("POST", &of_device(&session, "state"), state).await.status,
            StatusCode::NO_CONTENT
        );
        let page = ann.get(&format!("/devices/{}", device.id)).await.body;
        assert!(page.contains("Relayed") && page.contains("Remote shell: 1 session now"));
        let ended = json!({ "state": "ended", "reason": "exit 3\u{202e}" });
        device.call("POST", &of_device(&session, "state"), ended).await;
        let (name, data) = heard.next().await.expect("an event");
        assert_eq!((name.as_str(), data.contains("\"exit 3\"")), ("end", true), "{data}");
        assert_eq!(heard.next().await, None);
        assert!(desk.audit(ann.account).await.contains(&"Remote shell session started".to_owned()));
    }
}

#[tokio::test]
async fn who_watches_has_the_right_to_the_device_a_line_in_the_audit_log_and_no_input() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let mut device = desk.device(&ann, "s1").await.online().await;
        let wish = |kind: &str| json!({ "device_id": device.id, "kind": kind, "watch": true });
        let stranger = eve.fetch("POST", "/sessions", wish("shell")).await;
        assert_eq!(stranger.status, StatusCode::NOT_FOUND);
        assert_eq!(ann.fetch("POST", "/sessions", wish("vnc")).await.status, StatusCode::CONFLICT);
        let opened = ann.fetch("POST", "/sessions", wish("shell")).await;
        assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
        let session = opened.text("id");
        assert_eq!(offer(&ann, &session).await, StatusCode::NO_CONTENT);
        assert_eq!(device.order().await, order(Command::Session { id: id(&session) }));
        let fetched = device.call("GET", &of_device(&session, "offer"), Value::Null).await.json();
        assert_eq!(fetched["permissions"]["input"], json!(false));
        assert!(ann.get(&format!("/devices/{}", device.id)).await.body.contains("Remote shell, watching"));
        let audit = desk.audit(ann.account).await;
        assert!(audit.contains(&"Remote shell watched".to_owned()));
        assert!(!audit.contains(&"Remote shell session started".to_owned()));
    }
}

#[tokio::test]
async fn only_its_browser_and_its_device_reach_a_session() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let mut device = desk.device(&ann, "s1").await.online().await;
    let other = desk.device(&ann, "s2").await.online().await;
    let session = connected(&ann, &mut device).await;
    let same_person = ann.elsewhere(&desk).await;
    for stranger in [&eve, &same_person] {
        let path = format!("/sessions/{session}");
        let candidate = json!({ "candidate": { "candidate": "" } });
        assert_eq!(offer(stranger, &session).await, StatusCode::NOT_FOUND);
        assert_eq!(
            stranger.fetch("POST", &format!("{path}/candidates"), candidate).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(stranger.listen(&session).await.err(), Some(StatusCode::NOT_FOUND));
        assert_eq!(stranger.fetch("DELETE", &path, Value::Null).await.status, StatusCode::NOT_FOUND);
    }
    let refused = eve.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    for (method, what, body) in [
        ("GET", "offer", Value::Null),
        ("POST", "answer", json!({ "sdp": "x" })),
        ("POST", "candidates", json!({ "candidate": { "candidate": "" } })),
        ("POST", "state", json!({ "state": "ended" })),
    ] {
        assert_eq!(
            other.call(method, &of_device(&session, what), body).await.status,
            StatusCode::NOT_FOUND,
            "{what}"
        );
    }
    let kept = device.call("POST", "/client/sessions/sync", json!({ "ids": [session] })).await.json();
    assert_eq!(kept["ids"], json!([session]), "it lives on");
    let foreign = other.call("POST", "/client/sessions/sync", json!({ "ids": [session] })).await.json();
    assert_eq!(foreign["ids"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_in_words() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    let wish = |kind: &str| json!({ "device_id": device.id, "kind": kind });
    let offline = ann.fetch("POST", "/sessions", wish("shell")).await;
    assert_eq!(offline.status, StatusCode::CONFLICT);
    assert!(
        offline.text("error_description").starts_with("host-s1 is offline. It was never seen"),
        "{}",
        offline.body
    );
    let online = desk.device(&ann, "s2").await.online().await;
    let wish = json!({ "device_id": online.id, "kind": "vnc" });
    let off = ann.fetch("POST", "/sessions", wish).await;
    assert_eq!(off.status, StatusCode::CONFLICT);
    assert!(
        off.text("error_description").contains("Screen sharing is switched off on host-s2"),
        "{}",
        off.body
    );
    let odd = ann.fetch("POST", "/sessions", json!({ "device_id": online.id, "kind": "dance" })).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_device_that_refuses_and_one_that_does_not_answer() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = open(&ann, &device).await;
    offer(&ann, &session).await;
    device.order().await;
    device.call("GET", &of_device(&session, "offer"), Value::Null).await;
    let refusal = json!({ "error": "Remote shell is switched off" });
    assert_eq!(
        device.call("POST", &of_device(&session, "answer"), refusal).await.status,
        StatusCode::NO_CONTENT
    );
    let mut late = ann.listen(&session).await.expect("a stream");
    let (name, data) = late.next().await.expect("an event");
    assert_eq!((name.as_str(), data.contains("Remote shell is switched off")), ("error", true), "{data}");
    assert_eq!(late.next().await, None, "over");

    let session = open(&ann, &device).await;
    let mut heard = ann.listen(&session).await.expect("a stream");
    offer(&ann, &session).await;
    desk.clock.advance(Duration::seconds(29));
    sessions::sweep(&desk.app).await.expect("sweeps");
    desk.clock.advance(Duration::seconds(1));
    sessions::sweep(&desk.app).await.expect("sweeps");
    let (name, data) = heard.next().await.expect("an event");
    assert_eq!(name, "error");
    assert!(data.contains("did not answer within 30 seconds"), "{data}");
}

#[tokio::test]
async fn what_somebody_asked_for_is_done_although_they_left() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = connected(&ann, &mut device).await;
    let path = format!("/sessions/{session}");
    let mut request = Box::pin(ann.fetch("DELETE", &path, Value::Null));
    // The request has begun, and its connection is gone before the answer.
    std::future::poll_fn(|cx| {
        assert!(request.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(request);
    ended_at_the_device(&mut device, &session).await;
}

#[tokio::test]
async fn a_window_that_goes_back_by_itself_has_one_line_in_the_audit_log() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
        let device = desk.device(&ann, "s1").await.online().await;
        let other = desk.device(&ann, "s2").await.online().await;
        let hers = desk.device(&eve, "s3").await.online().await;
        let lines = async || {
            let all = desk.audit(ann.account).await;
            all.iter().filter(|line| *line == "Remote shell session started").count()
        };
        let again = async |person: &Person, device: &Device, former: &str| {
            let wish = json!({ "device_id": device.id, "kind": "shell", "former": former });
            let opened = person.fetch("POST", "/sessions", wish).await;
            assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
            let session = opened.text("id");
            person.fetch("DELETE", &format!("/sessions/{session}"), Value::Null).await;
            session
        };
        let mut session = open(&ann, &device).await;
        for _ in 0..3 {
            session = again(&ann, &device, &session).await;
        }
        assert_eq!(lines().await, 1);

        // Not of this sign-in, of nobody, of another person, of another device, for something else.
        let elsewhere = ann.elsewhere(&desk).await;
        again(&elsewhere, &device, &session).await;
        assert_eq!(lines().await, 2);
        again(&ann, &device, &SessionId(uuid::Uuid::nil()).to_string()).await;
        assert_eq!(lines().await, 3);
        let of_eve = open(&eve, &hers).await;
        again(&ann, &device, &of_eve).await;
        assert_eq!(lines().await, 4);
        again(&ann, &other, &session).await;
        assert_eq!(lines().await, 5);
        let watch = json!({ "device_id": device.id, "kind": "shell", "watch": true, "former": session });
        assert_eq!(ann.fetch("POST", "/sessions", watch).await.status, StatusCode::CREATED);
        assert!(desk.audit(ann.account).await.contains(&"Remote shell watched".to_owned()));
        // Later than a window waits.
        desk.clock.advance(Duration::minutes(5));
        again(&ann, &device, &session).await;
        assert_eq!(lines().await, 6);
    }
}
