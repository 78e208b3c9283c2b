//! The link to the server, as the server and the person at the device see it.

mod keys;
mod sessions;
mod sign_in;

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
async fn after_a_lost_link_it_is_back_and_reports_anew() {
    let (server, _machine, device) = linked().await;
    let first = server.nth(1, Method::POST, "/client/sessions/sync").await;
    assert_eq!(first.body, json!({ "ids": [], "restarted": true }), "what ran before this process is gone");
    server.hang_up();
    server.nth(2, Method::GET, "/events").await;
    server.nth(2, Method::POST, "/me").await;
    let second = server.nth(2, Method::POST, "/client/sessions/sync").await;
    assert_eq!(second.body, json!({ "ids": [] }), "the same process");
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
