//! The link to the server when the network goes and comes back.
//!
//! Each test runs again in a network namespace, whose loopback interface is nobody else's and may be
//! taken down.

use super::{
    device::{Device, Machine},
    fake_server::{FakeServer, Prescribed, SOON},
};
use bramble_agent::local_api::Request;
use bramble_model::Random;
use http::Method;
use std::{process::Command, sync::Arc, time::Duration};
use tokio::sync::Notify;

const KEY: &str = "rpuak_canary";
/// Tells the second run that it is one.
const INSIDE: &str = "BRAMBLE_TEST_IN_NAMESPACE";
/// Of the backoff here: whoever waits for it has failed.
const FOR_EVER: Duration = Duration::from_mins(10);

/// Whether this is the run in the namespace. If not, it is made to happen, and must succeed.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--net", "--map-root-user"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("network::{test}"), "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .expect("unshare runs");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{complained}");
    false
}

/// Changes the namespace's only interface.
fn loopback(change: &[&str]) {
    ip(&[&["link", "set", "lo"], change].concat());
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    assert!(status.expect("ip runs (Debian package iproute2)").success(), "{arguments:?}");
}

/// Draws the longest wait every time.
#[derive(Debug)]
struct Longest;

impl Random for Longest {
    fn fill(&self, buffer: &mut [u8]) {
        // Read as a number: 999, the largest of a thousand.
        for (byte, value) in buffer.iter_mut().zip([0xe7, 3, 0, 0].into_iter().cycle()) {
            *byte = value;
        }
    }
}

/// A device with a link, that would wait for ever before it tries to have another.
async fn linked(silence: Duration) -> (FakeServer, Machine, Device) {
    loopback(&["up"]);
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let device = machine
        .start_with(|options| {
            options.timing.first_wait = FOR_EVER;
            options.timing.longest_wait = FOR_EVER;
            options.timing.silence = silence;
            options.random = Arc::new(Longest);
        })
        .await;
    device.subscribed().await;
    (server, machine, device)
}

#[tokio::test]
async fn it_is_back_as_soon_as_the_network_is() {
    if !is_inside("it_is_back_as_soon_as_the_network_is") {
        return;
    }
    let (_server, _machine, device) = linked(Duration::from_secs(1)).await;
    loopback(&["down"]);
    device.until("without a link", |status| !status.subscribed).await;
    loopback(&["up"]);
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn a_change_during_an_attempt_is_not_forgotten() {
    if !is_inside("a_change_during_an_attempt_is_not_forgotten") {
        return;
    }
    let (server, _machine, device) = linked(SOON * 3).await;
    let go_on = Arc::new(Notify::new());
    server.prescribe("GET /events", vec![Prescribed::Hold(Arc::clone(&go_on))]);
    server.hang_up();
    device.until("without a link", |status| !status.subscribed).await;
    loopback(&["mtu", "60000"]);
    server.nth(2, Method::GET, "/events").await;

    // It fails after the network has changed once more.
    loopback(&["mtu", "65536"]);
    server.heal();
    go_on.notify_one();
    device.subscribed().await;
    device.stop().await;
}

#[tokio::test]
async fn a_stream_from_an_address_that_is_gone_is_left_at_once() {
    if !is_inside("a_stream_from_an_address_that_is_gone_is_left_at_once") {
        return;
    }
    let (server, _machine, device) = linked(SOON * 3).await;
    // What changes beside the stream is no reason to leave it.
    loopback(&["mtu", "60000"]);
    ip(&["address", "add", "192.0.2.7/32", "dev", "lo"]);
    server.send_bytes(b": still here\n\n");
    device.ask(Request::Shell { on: false }).await;
    server.nth_where(1, "a report", |seen| seen.body["capabilities"]["shell"] == "available").await;
    assert!(device.status().await.subscribed);

    ip(&["address", "del", "127.0.0.1/8", "dev", "lo"]);
    device.until("without a link", |status| !status.subscribed).await;
    ip(&["address", "add", "127.0.0.1/8", "dev", "lo"]);
    device.subscribed().await;
    assert_eq!(server.seen().iter().filter(|seen| seen.path == "/events").count(), 2);
    device.stop().await;
}
