//! How sessions end, and who hears of it.

use super::*;

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
    assert_eq!(device.told_to_end().await.0, id(&stays));
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
    assert_eq!(device.told_to_end().await.0, id(&session));
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
    assert_eq!(device.told_to_end().await.0, id(&lost));
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
async fn a_client_that_began_anew_ends_what_ran_before_and_one_that_came_back_does_not() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let mut device = desk.device(&ann, "s1").await.online().await;
        let session = connected(&ann, &mut device).await;
        let other = desk.device(&ann, "s2").await;
        let sync = "/client/sessions/sync";
        // Another device's client began anew; then the same client came back after a lost link.
        other.call("POST", sync, json!({ "ids": [], "restarted": true })).await;
        let kept = device.call("POST", sync, json!({ "ids": [session] })).await.json();
        assert_eq!(kept, json!({ "ids": [session] }));
        // What it says that it runs, it runs.
        let kept = device.call("POST", sync, json!({ "ids": [session], "restarted": true })).await.json();
        assert_eq!(kept["ids"], json!([session]));

        // A window that hears nothing from the device listens here again.
        let mut heard = ann.listen(&session).await.expect("a stream");
        let kept = device.call("POST", sync, json!({ "ids": [], "restarted": true })).await.json();
        assert_eq!(kept["ids"], json!([]));
        let end = loop {
            let (name, data) = heard.next().await.expect("an end");
            if name == "end" {
                break data;
            }
        };
        let end: Value = serde_json::from_str(&end).expect("JSON");
        assert_eq!(
            end,
            json!({ "type": "end", "reason": "The device's client was restarted.", "again": true })
        );
        ended_at_the_device(&mut device, &session).await;
    }
}
