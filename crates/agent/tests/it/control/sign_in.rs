//! How a sign-in is kept, and by what it ends.

use super::*;

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
