//! Linking with a key that lies on the card, or with the device's own identity.

use super::*;

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
