//! Sessions as the server asks for them and as the device ends them.

use super::*;

#[tokio::test]
async fn a_session_is_fetched_started_and_its_words_carried() {
    let (server, _machine, mut device) = linked().await;
    let id = session(1);
    server.offer(id, "shell");
    server.prescribe(
        &format!("POST /client/sessions/{id}/answer"),
        vec![
            unavailable(StatusCode::BAD_GATEWAY),
            Prescribed::Answer(StatusCode::NO_CONTENT, Vec::new(), Value::Null),
        ],
    );
    server.send(&ServerEvent::Command(Command::Session { id }));
    let candidate = IceCandidate { candidate: "candidate:1".into(), sdp_mid: None, sdp_m_line_index: None };
    server.send(&ServerEvent::Command(Command::Candidate { id, candidate: candidate.clone() }));
    let mut running = device.session().await;
    assert_eq!(running.id, id);
    // It came before the offer was fetched and was kept.
    assert!(matches!(running.heard().await, Input::RemoteCandidate(it) if it == candidate));

    running.accept().await;
    running.say(Output::Candidate(candidate)).await;
    let answer = server.nth(2, Method::POST, &format!("/client/sessions/{id}/answer")).await;
    assert_eq!(answer.body, json!({ "sdp": "v=0 answer" }));
    let sent = server.nth(1, Method::POST, &format!("/client/sessions/{id}/candidates")).await;
    assert_eq!(sent.body["candidate"]["candidate"], "candidate:1");
    assert_eq!(device.status().await.shell_sessions, 1);

    let reason = "Somebody ended it.\u{202e}".to_owned();
    server.send(&ServerEvent::Command(Command::EndSession { id, reason }));
    assert_eq!(running.told_to_end().await, "Somebody ended it.");
    running.ended("The session was ended.").await;
    let state = server.nth(1, Method::POST, &format!("/client/sessions/{id}/state")).await;
    assert_eq!(state.body, json!({ "state": "ended", "reason": "The session was ended." }));
    device.until("no session", |status| status.shell_sessions == 0).await;
    device.stop().await;
}

#[tokio::test]
async fn sync_ends_what_the_server_no_longer_knows() {
    let (server, _machine, mut device) = linked().await;
    let (stays, goes) = (session(1), session(2));
    let mut running = Vec::new();
    for id in [stays, goes] {
        server.offer(id, "shell");
        server.send(&ServerEvent::Command(Command::Session { id }));
        running.push(device.session().await);
    }
    server.know_only(&[stays]);
    server.hang_up();
    let mut gone = running.pop().expect("the second");
    assert!(gone.told_to_end().await.contains("offline"));
    gone.ended("").await;
    device.until("one session", |status| status.shell_sessions == 1).await;
    let mut kept = running.pop().expect("the first");
    let mut contact = Vec::new();
    while contact != [false, true] {
        match kept.heard().await {
            Input::ServerContact(there) => contact.push(there),
            other => panic!("the session that stays heard {other:?}"),
        }
    }
    drop(kept);
    device.stop().await;
}

#[tokio::test]
async fn shell_off_ends_sessions_refuses_new_ones_and_is_reported() {
    let (server, machine, mut device) = linked().await;
    let id = session(1);
    server.offer(id, "shell");
    server.send(&ServerEvent::Command(Command::Session { id }));
    let mut running = device.session().await;

    assert_eq!(device.ask(Request::Shell { on: false }).await, Reply::Done { note: None });
    assert!(running.told_to_end().await.contains("switched off"));
    running.ended("off").await;
    server.nth_where(1, "shell off", |seen| seen.body["capabilities"]["shell"] == "available").await;

    for (n, kind) in [(2, "shell"), (3, "vnc"), (4, "files")] {
        let id = session(n);
        server.offer(id, kind);
        server.send(&ServerEvent::Command(Command::Session { id }));
        let answer = server.nth(1, Method::POST, &format!("/client/sessions/{id}/answer")).await;
        assert!(answer.body["error"].is_string(), "{kind}: {}", answer.body);
    }
    device.stop().await;

    // It stays off after a restart.
    let device = machine.start().await;
    assert_eq!(device.status().await.shell, Feature::Disallowed);
    device.stop().await;
}

#[tokio::test]
async fn ending_says_goodbye_for_its_sessions() {
    let (server, _machine, mut device) = linked().await;
    let id = session(1);
    server.offer(id, "shell");
    server.send(&ServerEvent::Command(Command::Session { id }));
    let mut running = device.session().await;
    let goodbye = tokio::spawn(async move {
        let reason = running.told_to_end().await;
        running.ended(&reason).await;
    });
    device.stop().await;
    tokio::time::timeout(SOON, goodbye).await.expect("in time").expect("no panic");
    let state = server.nth(1, Method::POST, &format!("/client/sessions/{id}/state")).await;
    assert_eq!(state.body["state"], "ended");
}

#[tokio::test]
async fn there_is_an_end_to_sessions_at_once() {
    let (server, _machine, mut device) = linked().await;
    let mut running = Vec::new();
    for n in 0..MAX_SESSIONS as u128 {
        server.offer(session(n), "shell");
        server.send(&ServerEvent::Command(Command::Session { id: session(n) }));
        running.push(device.session().await);
    }
    // Announced twice is one.
    server.send(&ServerEvent::Command(Command::Session { id: session(0) }));
    let one_more = session(1000);
    server.offer(one_more, "shell");
    server.send(&ServerEvent::Command(Command::Session { id: one_more }));
    let answer = server.nth(1, Method::POST, &format!("/client/sessions/{one_more}/answer")).await;
    assert!(answer.body["error"].as_str().expect("a refusal").contains("too many"));
    assert!(device.sessions.try_recv().is_err());
    drop(running);
    device.stop().await;
}

#[tokio::test]
async fn a_session_that_dies_is_reported_as_ended() {
    let (server, _machine, mut device) = linked().await;
    let id = session(1);
    server.offer(id, "shell");
    server.send(&ServerEvent::Command(Command::Session { id }));
    drop(device.session().await);
    let state = server.nth(1, Method::POST, &format!("/client/sessions/{id}/state")).await;
    assert_eq!(state.body["state"], "ended");
    assert!(state.body["reason"].as_str().expect("a reason").contains("failed"));
    device.stop().await;
}
