//! Sessions: signalling between a browser and a device, and every way in which they end.

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
    assert_eq!(device.order().await, order(Command::EndSession { id: id(session) }));
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
async fn floods_have_limits() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = open(&ann, &device).await;
    let path = format!("/sessions/{session}");
    let too_long = json!({ "sdp": "x".repeat(64 * 1024 + 1) });
    assert_eq!(
        ann.fetch("POST", &format!("{path}/offer"), too_long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let huge = json!({ "sdp": "x".repeat(1 << 20) });
    assert_eq!(ann.fetch("POST", &format!("{path}/offer"), huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let candidate = |length: usize| json!({ "candidate": { "candidate": "c".repeat(length) } });
    let post =
        async |length| ann.fetch("POST", &format!("{path}/candidates"), candidate(length)).await.status;
    assert_eq!(post(769).await, StatusCode::PAYLOAD_TOO_LARGE);
    for _ in 0..64 {
        assert_eq!(post(768).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(post(1).await, StatusCode::PAYLOAD_TOO_LARGE, "the 65th");
    offer(&ann, &session).await;
    device.order().await;
    device.call("GET", &of_device(&session, "offer"), Value::Null).await;
    for n in 0..=64 {
        let answer = device.call("POST", &of_device(&session, "candidates"), candidate(1)).await;
        assert_eq!(answer.status == StatusCode::NO_CONTENT, n < 64, "{n}");
    }
    for _ in 1..10 {
        open(&ann, &device).await;
    }
    let eleventh = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "shell" })).await;
    assert_eq!(eleventh.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_sessions_at_once_and_not_one_more() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let device = desk.device(&ann, "s1").await.online().await;
        let all: Vec<_> = (0..20)
            .map(|_| {
                let (ann, device) = (ann.clone(), device.id);
                tokio::spawn(async move {
                    ann.fetch("POST", "/sessions", json!({ "device_id": device, "kind": "shell" }))
                        .await
                        .status
                })
            })
            .collect();
        let mut opened = 0;
        for one in all {
            opened += usize::from(one.await.expect("no panic") == StatusCode::CREATED);
        }
        assert_eq!(opened, 10, "{engine:?}");
    }
}

#[tokio::test]
async fn an_offer_that_nobody_fetches_is_forgotten_after_a_minute() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await.online().await;
    let session = open(&ann, &device).await;
    offer(&ann, &session).await;
    desk.clock.advance(Duration::seconds(60));
    sessions::sweep(&desk.app).await.expect("sweeps");
    assert_eq!(
        device.call("GET", &of_device(&session, "offer"), Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn every_way_to_end_a_session_reaches_its_device() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;

    let session = connected(&ann, &mut device).await;
    assert_eq!(
        ann.fetch("DELETE", &format!("/sessions/{session}"), Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    ended_at_the_device(&mut device, &session).await;

    let session = connected(&ann, &mut device).await;
    let mut heard = ann.listen(&session).await.expect("a stream");
    ann.elsewhere(&desk).await.post(&format!("/devices/{}/sessions/{session}/end", device.id), &[]).await;
    ended_at_the_device(&mut device, &session).await;
    loop {
        let (name, data) = heard.next().await.expect("an end");
        if name == "end" {
            assert!(data.contains("ended from the device's page"), "{data}");
            break;
        }
    }

    let session = connected(&ann, &mut device).await;
    device.describe(json!({ "capabilities": { "vnc": "enabled" } })).await;
    let screen = ann.fetch("POST", "/sessions", json!({ "device_id": device.id, "kind": "vnc" })).await;
    assert_eq!(screen.status, StatusCode::CREATED, "{}", screen.body);
    assert!(desk.audit(ann.account).await.contains(&"Screen sharing session started".to_owned()));
    let shown = ann.get(&format!("/devices/{}", device.id)).await.body;
    assert!(shown.contains("Screen sharing: 1 session now"), "{shown}");
    device.describe(json!({ "capabilities": { "vnc": "unavailable" } })).await;
    ended_at_the_device(&mut device, &screen.text("id")).await;
    let shown = ann.get(&format!("/devices/{}", device.id)).await.body;
    assert!(
        !shown.contains("Screen sharing: 1 session now"),
        "the screen's session ended and the shell's goes on"
    );
    device.describe(json!({ "capabilities": { "shell": "available" } })).await;
    ended_at_the_device(&mut device, &session).await;
    device.describe(json!({ "capabilities": { "shell": "enabled" } })).await;

    let session = connected(&ann, &mut device).await;
    sessions::end_for_user(&desk.app, ann.user, "Your password was changed.").await.expect("ends");
    ended_at_the_device(&mut device, &session).await;

    let elsewhere = ann.elsewhere(&desk).await;
    let stays = connected(&ann, &mut device).await;
    let session = connected(&elsewhere, &mut device).await;
    assert_eq!(elsewhere.post("/sign-out", &[]).await.status, StatusCode::SEE_OTHER);
    ended_at_the_device(&mut device, &session).await;
    let kept = device.call("POST", "/client/sessions/sync", json!({ "ids": [stays] })).await.json();
    assert_eq!(kept["ids"], json!([stays]), "the other browser's goes on");

    ann.post(&format!("/devices/{}/sign-out", device.id), &[]).await;
    assert_eq!(device.order().await, order(Command::EndSession { id: id(&stays) }));
    assert_eq!(device.order().await, order(Command::SignOut {}));
    assert_eq!(device.order().await, None);
}

#[tokio::test]
async fn linking_again_ends_sessions() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = connected(&ann, &mut device).await;
    let body = json!({ "login_hint": "s1" });
    let asked = desk.device_call("POST", "/client/device", None, Some(body)).await;
    let (entry, account) = (device.id.to_string(), ann.account.to_string());
    let form = [("decision", "approve"), ("name", "x"), ("entry", &*entry), ("account", &*account)];
    let done = ann.post(&format!("/verify/{}", asked.text("user_code")), &form).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(device.order().await, order(Command::EndSession { id: id(&session) }));
    assert_eq!(device.order().await, order(Command::SignOut {}));
}

#[tokio::test]
async fn sync_keeps_what_may_go_on_and_ends_the_rest() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let lost = connected(&ann, &mut device).await;
    let kept = connected(&ann, &mut device).await;
    let waiting = open(&ann, &device).await;
    offer(&ann, &waiting).await;
    device.order().await;
    let unknown = SessionId(uuid::Uuid::nil()).to_string();
    let answer = device.call("POST", "/client/sessions/sync", json!({ "ids": [kept, unknown] })).await.json();
    assert_eq!(answer["ids"], json!([kept]));
    assert_eq!(device.order().await, order(Command::EndSession { id: id(&lost) }));
    assert_eq!(device.order().await, order(Command::Session { id: id(&waiting) }), "announced again");
    desk.sql("UPDATE users SET disabled_at = 1").await;
    let answer = device.call("POST", "/client/sessions/sync", json!({ "ids": [kept] })).await.json();
    assert_eq!(answer["ids"], json!([]), "its person was disabled");
}

#[tokio::test]
async fn sessions_of_devices_that_never_come_back_end_some_time() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = connected(&ann, &mut device).await;
    desk.clock.advance(Duration::hours(9));
    sessions::sweep(&desk.app).await.expect("sweeps");
    let live = sessions::live_of_device(&desk.app, device.id).await.expect("reads");
    assert_eq!(live.len(), 1, "its device is online");
    desk.app.link.disconnect(device.id, None);
    sessions::sweep(&desk.app).await.expect("sweeps");
    assert!(sessions::live_of_device(&desk.app, device.id).await.expect("reads").is_empty(), "{session}");
}

#[tokio::test]
async fn a_device_may_try_the_relays_now_and_then() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let device = desk.device(&ann, "s1").await;
    let stranger = desk.device_call("GET", "/client/ice-servers", None, None).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let other = desk.device(&ann, "s2").await;
    for _ in 0..20 {
        let answer = device.call("GET", "/client/ice-servers", Value::Null).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "ice_servers": [] })));
    }
    let answer = device.call("GET", "/client/ice-servers", Value::Null).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "3600");
    assert_eq!(other.call("GET", "/client/ice-servers", Value::Null).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_that_listens_anew_does_not_end_a_running_session() {
    let desk = Desk::new().await;
    let ann = desk.person("ann").await;
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = connected(&ann, &mut device).await;
    // Nobody listens for a minute, as after a restart of the server: what was said is forgotten.
    desk.clock.advance(Duration::seconds(61));
    sessions::sweep(&desk.app).await.expect("sweeps");
    let _listening = ann.listen(&session).await.expect("a stream");
    for _ in 0..5 {
        desk.clock.advance(Duration::seconds(31));
        sessions::sweep(&desk.app).await.expect("sweeps");
    }
    let live = sessions::live_of_device(&desk.app, device.id).await.expect("reads");
    assert_eq!(live.len(), 1, "its device runs it");
}

#[tokio::test]
async fn a_browser_that_comes_back_late_hears_how_its_session_ended() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let mut device = desk.device(&ann, "s1").await.online().await;
    let session = connected(&ann, &mut device).await;
    let ended = json!({ "state": "ended", "reason": "exit 3" });
    device.call("POST", &of_device(&session, "state"), ended).await;
    let elsewhere = ann.elsewhere(&desk).await;
    for seconds in [0, 61] {
        desk.clock.advance(Duration::seconds(seconds));
        sessions::sweep(&desk.app).await.expect("sweeps");
        let mut heard = ann.listen(&session).await.expect("a stream");
        let mut last = None;
        while let Some(event) = heard.next().await {
            last = Some(event);
        }
        let (name, data) = last.expect("an event");
        assert_eq!((name.as_str(), data.contains("\"exit 3\"")), ("end", true), "{data}");
        for stranger in [&eve, &elsewhere] {
            assert_eq!(stranger.listen(&session).await.err(), Some(StatusCode::NOT_FOUND));
        }
    }
    desk.clock.advance(Duration::minutes(10));
    assert_eq!(ann.listen(&session).await.err(), Some(StatusCode::NOT_FOUND), "once, not for ever");
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
