//! The link to the server, as the server and the person at the device see it.

use super::{
    device::{Machine, SERIAL},
    fake_server::{FakeServer, Prescribed, SOON},
};
use bramble_agent::{
    control::{
        api::{CallError, OpenApi},
        sessions::MAX_SESSIONS,
        sign_in::DeviceIdentity,
    },
    local_api::{Feature, Reply, Request},
    session::{Input, Output},
    state::SecretText,
};
use bramble_wire::{
    SessionId,
    device_api::Linked,
    events::{Command, ServerEvent},
    signalling::IceCandidate,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::{future::Future, os::unix::fs::PermissionsExt, pin::Pin};

const KEY: &str = "rpuak_canary";

fn session(n: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(n))
}

async fn linked() -> (FakeServer, Machine, super::device::Device) {
    let server = FakeServer::start().await;
    server.expect_serial(SERIAL);
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine.start().await;
    device.subscribed().await;
    (server, machine, device)
}

fn unavailable(status: StatusCode) -> Prescribed {
    Prescribed::Answer(status, Vec::new(), json!({ "error": "unavailable" }))
}

#[tokio::test]
async fn a_key_that_is_there_at_the_start_links_the_device_and_goes_away() {
    let (server, machine, device) = linked().await;
    assert!(!machine.auth_key().exists());
    let mode = std::fs::metadata(machine.token()).expect("a token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let exchange = server.nth(1, Method::POST, "/client/auth-key-exchange").await;
    assert_eq!(exchange.body["serial_number"], SERIAL);
    assert!(!exchange.body["hostname"].as_str().expect("a host name").is_empty());
    let me = server.nth(1, Method::POST, "/me").await;
    assert_eq!(
        me.body["capabilities"],
        json!({ "vnc": "unavailable", "shell": "enabled", "ota": "unavailable", "files": "available" })
    );
    assert_eq!(me.body["client_version"], env!("CARGO_PKG_VERSION"));
    server.nth(1, Method::POST, "/client/sessions/sync").await;
    assert!(server.seen().iter().all(|seen| seen.signed), "every request is signed: {:#?}", server.seen());
    device.stop().await;
}

#[tokio::test]
async fn a_key_that_appears_while_it_runs_is_taken_at_once() {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    let device = machine.start().await;
    assert!(!device.status().await.signed_in);
    machine.drop_key(KEY);
    device.subscribed().await;
    assert!(!machine.auth_key().exists());
    device.stop().await;
}

#[tokio::test]
async fn an_unusable_key_stays_and_status_says_why() {
    let server = FakeServer::start().await;
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine.start().await;
    let status = device.until("a problem", |status| status.problem.is_some()).await;
    let problem = status.problem.expect("a problem");
    assert!(problem.contains("auth.key") && problem.contains("expired"), "{problem}");
    assert!(!problem.contains("canary"));
    assert!(machine.auth_key().exists());

    // A better one replaces it.
    server.accept_key("rpuak_good");
    machine.drop_key("rpuak_good");
    let status = device.subscribed().await;
    assert_eq!(status.problem, None);
    device.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    server.prescribe("POST /client/auth-key-exchange", vec![Prescribed::Cut]);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine.start().await;
    device.subscribed().await;
    let first = server.nth(1, Method::POST, "/client/auth-key-exchange").await;
    let second = server.nth(2, Method::POST, "/client/auth-key-exchange").await;
    assert_eq!(first.body, second.body);
    device.stop().await;
}

#[tokio::test]
async fn only_invalid_token_makes_it_forget_the_sign_in() {
    let (server, machine, device) = linked().await;
    let refusals = [
        (StatusCode::FORBIDDEN, json!({ "error": "invalid_signature" })),
        (StatusCode::UNAUTHORIZED, json!({ "error": "something_else" })),
        (StatusCode::UNAUTHORIZED, Value::Null),
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "invalid_token" })),
        (StatusCode::NOT_FOUND, json!({})),
        (StatusCode::TEMPORARY_REDIRECT, json!({ "error": "invalid_token" })),
    ];
    let rounds = refusals.len();
    let list = refusals.into_iter().map(|(status, body)| Prescribed::Answer(status, Vec::new(), body));
    server.prescribe("GET /events", list.collect());
    server.hang_up();
    server.nth(rounds + 2, Method::GET, "/events").await;
    let status = device.status().await;
    assert!(status.signed_in && !status.subscribed);
    assert!(machine.token().exists());
    assert!(status.problem.is_some());

    server.heal();
    device.subscribed().await;

    server.revoke_tokens();
    server.hang_up();
    let status = device.until("signed out", |status| !status.signed_in).await;
    assert!(!machine.token().exists());
    assert!(status.problem.expect("why").contains("rpi-connect signin"));
    device.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_noticed_by_reports_as_well() {
    let (server, machine, device) = linked().await;
    server.nth(1, Method::POST, "/client/sessions/sync").await;
    server.revoke_tokens();
    assert_eq!(device.ask(Request::Shell { on: false }).await, Reply::Done { note: None });
    device.until("signed out", |status| !status.signed_in).await;
    assert!(!machine.token().exists());
    device.stop().await;
}

#[tokio::test]
async fn after_a_lost_link_it_is_back_and_reports_anew() {
    let (server, _machine, device) = linked().await;
    server.nth(1, Method::POST, "/client/sessions/sync").await;
    server.hang_up();
    server.nth(2, Method::GET, "/events").await;
    server.nth(2, Method::POST, "/me").await;
    server.nth(2, Method::POST, "/client/sessions/sync").await;
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn a_silent_stream_is_left() {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device =
        machine.start_with(|options| options.timing.silence = std::time::Duration::from_millis(50)).await;
    server.nth(3, Method::GET, "/events").await;
    device.stop().await;
}

#[tokio::test]
async fn an_endless_line_costs_the_stream_and_nothing_else() {
    let (server, _machine, device) = linked().await;
    server.send_bytes(&vec![b'x'; 100_000]);
    server.nth(2, Method::GET, "/events").await;
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn reports_wait_for_a_server_that_cannot_answer_now() {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    server.prescribe("POST /me", vec![unavailable(StatusCode::SERVICE_UNAVAILABLE)]);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine.start().await;
    server.nth(3, Method::POST, "/me").await;
    assert_eq!(server.seen().iter().filter(|seen| seen.path == "/events").count(), 1);
    server.heal();
    server.nth(1, Method::POST, "/client/sessions/sync").await;
    device.stop().await;
}

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

    server.send(&ServerEvent::Command(Command::EndSession { id }));
    running.told_to_end().await;
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
async fn the_server_signs_it_out() {
    let (server, machine, mut device) = linked().await;
    let id = session(1);
    server.offer(id, "shell");
    server.send(&ServerEvent::Command(Command::Session { id }));
    let mut running = device.session().await;
    server.send(&ServerEvent::Command(Command::SignOut {}));
    running.told_to_end().await;
    device.until("signed out", |status| !status.signed_in).await;
    assert!(!machine.token().exists());
    running.ended("").await;
    device.stop().await;
}

#[tokio::test]
async fn signing_out_tells_the_server_and_works_without_it() {
    let (server, machine, device) = linked().await;
    assert_eq!(device.ask(Request::SignOut).await, Reply::Done { note: None });
    let told = server.nth(1, Method::DELETE, "/me").await;
    assert_eq!(told.token(), Some("rpdev_canary1"));
    assert!(!machine.token().exists());

    machine.drop_key(KEY);
    device.subscribed().await;
    server.prescribe("DELETE /me", vec![unavailable(StatusCode::SERVICE_UNAVAILABLE)]);
    let reply = device.ask(Request::SignOut).await;
    assert!(matches!(reply, Reply::Done { note: Some(_) }), "{reply:?}");
    assert!(!machine.token().exists());
    device.stop().await;
}

#[tokio::test]
async fn a_token_is_never_sent_to_another_server() {
    let (server, machine, device) = linked().await;
    device.stop().await;
    let other = FakeServer::start().await;
    machine.configure(&other.url);
    // Even when its own server points there.
    let away = vec![("location", format!("{}/events", other.url))];
    server.prescribe(
        "GET /events",
        vec![Prescribed::Answer(StatusCode::TEMPORARY_REDIRECT, away, Value::Null)],
    );
    let before = server.seen().len();
    let device = machine.start().await;
    server.nth_where(3, "events", |seen| seen.path == "/events").await;
    assert!(server.seen().len() > before);
    assert!(other.seen().is_empty(), "{:#?}", other.seen());
    // And a second sign-in elsewhere is a question, not an accident.
    let request = Request::SignIn { auth_key: None, server: Some(other.url.clone()), ca: None };
    assert!(matches!(device.ask(request).await, Reply::Failed { why } if why.contains("signout")));
    device.stop().await;
}

#[tokio::test]
async fn a_card_in_another_board_forgets_its_sign_in_and_tells_nobody() {
    let (server, machine, device) = linked().await;
    server.nth(1, Method::POST, "/client/sessions/sync").await;
    device.stop().await;
    machine.write("root/proc/device-tree/serial-number", "20000000abcdef02");
    let before = server.seen().len();
    let device = machine.start().await;
    let status = device.status().await;
    assert!(!status.signed_in);
    assert!(status.problem.expect("a word").contains("rpi-connect signin"));
    assert!(!machine.token().exists());
    assert_eq!(server.seen().len(), before, "nobody was told");
    // A new key signs the new board in.
    machine.drop_key(KEY);
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn a_private_authority_is_kept_with_the_sign_in() {
    let (server, authority) = FakeServer::start_tls().await;
    server.accept_key(KEY);
    let machine = Machine::new();
    let device = machine.start().await;
    let request = |ca| Request::SignIn {
        auth_key: Some(SecretText::new(KEY.into())),
        server: Some(server.url.clone()),
        ca,
    };
    assert_eq!(device.ask(request(Some(authority))).await, Reply::Done { note: None });
    device.subscribed().await;
    device.stop().await;
    let device = machine.start().await;
    device.subscribed().await;
    assert!(server.seen().len() > 2);
    device.ask(Request::SignOut).await;
    // Without it, the server is a stranger, and the words say what to do.
    let reply = device.ask(request(None)).await;
    assert!(matches!(&reply, Reply::Failed { why } if why.contains("--ca")), "{reply:?}");
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
async fn the_devices_own_identity_comes_after_the_key_and_only_at_the_start() {
    let server = FakeServer::start().await;
    server.accept_key("identity");
    let machine = Machine::with_server(&server.url);
    let identity = std::sync::Arc::new(Stamped);
    let device = machine.start_with(|options| options.identity = Some(identity)).await;
    device.subscribed().await;
    let exchange = server.nth(1, Method::POST, "/client/auth-key-exchange").await;
    assert_eq!(exchange.body["auth_key"], "identity");
    // Whoever signs out means it.
    device.ask(Request::SignOut).await;
    machine.drop_key("rpuak_unknown");
    device.until("a problem", |status| status.problem.is_some()).await;
    assert!(!device.status().await.signed_in);
    device.stop().await;
}

/// Proves itself by what the fake server takes.
#[derive(Debug)]
struct Stamped;

impl DeviceIdentity for Stamped {
    fn link<'a>(
        &'a self,
        api: &'a OpenApi,
        serial_number: &'a str,
        hostname: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Linked, CallError>> + Send + 'a>> {
        Box::pin(
            async move { api.exchange(&SecretText::new("identity".into()), serial_number, hostname).await },
        )
    }
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

#[tokio::test]
async fn a_key_that_comes_while_another_is_exchanged_stays() {
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    server.prescribe("POST /client/auth-key-exchange", vec![unavailable(StatusCode::SERVICE_UNAVAILABLE)]);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine.start().await;
    server.nth(1, Method::POST, "/client/auth-key-exchange").await;
    machine.drop_key("rpuak_next");
    server.heal();
    device.subscribed().await;
    assert_eq!(std::fs::read_to_string(machine.auth_key()).expect("still there"), "rpuak_next\n");
    device.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_left_alone() {
    let (server, _machine, device) = linked().await;
    let wait = vec![("retry-after", "3600".to_owned())];
    server.prescribe(
        "GET /events",
        vec![Prescribed::Answer(StatusCode::SERVICE_UNAVAILABLE, wait, json!({ "error": "unavailable" }))],
    );
    server.hang_up();
    // Its own longest wait is a tenth of a second; an hour is not believed either.
    let waits =
        |problem: &str| problem.contains("503") && problem.ends_with("the next attempt is in 15 minutes");
    device.until("left alone", |status| status.problem.as_deref().is_some_and(waits)).await;
    server.heal();
    // Everything else goes on meanwhile.
    assert_eq!(device.ask(Request::SignOut).await, Reply::Done { note: None });
    server.nth(1, Method::DELETE, "/me").await;
    assert_eq!(server.seen().iter().filter(|seen| seen.path == "/events").count(), 2, "it came back early");
    device.stop().await;
}
