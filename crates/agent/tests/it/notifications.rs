//! The desktop notification of a visit, shown by a real notification daemon on a real X server.

use super::{
    device::Machine,
    fake_server::{FakeServer, SOON},
    screen::x11::x_server,
};
use bramble_agent::dbus::SessionBus;
use bramble_wire::{
    SessionId,
    events::{Command as Order, ServerEvent},
};
use http::Method;
use serde_json::Value;
use std::{fs, path::Path, process::Stdio};
use tokio::process::{Child, Command};

const KEY: &str = "rpuak_canary";

/// `dunst`, and the display that it draws on.
struct Dunst {
    address: String,
    _program: Child,
    _display: Child,
}

impl Dunst {
    async fn start(place: &Path, address: &str) -> Self {
        let (display, name) = x_server();
        let settings = place.join("dunstrc");
        fs::write(&settings, "[global]\nhistory_length = 100\nstack_duplicates = false\n").expect("file");
        let mut dunst = Command::new("dunst");
        dunst.arg("-config").arg(settings).env("DISPLAY", name).env("DBUS_SESSION_BUS_ADDRESS", address);
        dunst.env("HOME", place).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let dunst = dunst.spawn().expect("dunst runs");
        let this = Self { address: address.to_owned(), _program: dunst, _display: display };
        let wait = ["wait", "--session", "--timeout", "20", "org.freedesktop.Notifications"];
        let there = this.tool("gdbus").args(wait).status().await.expect("gdbus runs");
        assert!(there.success(), "dunst is not on the bus");
        this
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What it has shown so far, the oldest first: program, summary and body.
    async fn shown(&self) -> Vec<[String; 3]> {
        // Only what is closed is history.
        let closed = self.tool("dunstctl").arg("close-all").status().await.expect("dunstctl runs");
        assert!(closed.success());
        let output = self.tool("dunstctl").arg("history").output().await.expect("dunstctl runs");
        let history: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let all = history["data"][0].as_array().expect("a list");
        let text = |one: &Value, name: &str| one[name]["data"].as_str().expect("text").to_owned();
        let mut shown: Vec<_> = all
            .iter()
            .filter(|one| text(one, "appname") != "dunst")
            .map(|one| {
                (one["id"]["data"].as_i64(), ["appname", "summary", "body"].map(|name| text(one, name)))
            })
            .collect();
        shown.sort();
        shown.into_iter().map(|(_, words)| words).collect()
    }

    /// Waits for the n-th (from 1), and looks whether it says this and is the last so far.
    async fn shows(&self, n: usize, summary: &str, body: &str) {
        let there = async {
            loop {
                let shown = self.shown().await;
                if shown.len() >= n {
                    return shown;
                }
            }
        };
        let shown = tokio::time::timeout(SOON, there).await;
        let shown = shown.unwrap_or_else(|_| panic!("never shown: {summary}"));
        assert_eq!(shown.len(), n, "{shown:?}");
        assert_eq!(shown[n - 1], ["Raspberry Pi Connect", summary, body]);
    }
}

fn session(n: u8) -> SessionId {
    format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().expect("an id")
}

#[tokio::test]
async fn the_person_at_the_desktop_is_told_who_has_come_once_the_connection_stands_and_who_has_gone() {
    let place = tempfile::tempdir().expect("a folder");
    let (_bus, address) = super::bus::session(place.path()).await;
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let mut device =
        machine.start_with(|options| options.session_bus = Some(SessionBus::At(address.clone()))).await;
    device.subscribed().await;
    let open = |n: u8, kind: &str| {
        let id = session(n);
        server.offer(id, kind);
        server.send(&ServerEvent::Command(Order::Session { id }));
    };
    // Without a notification daemon a session goes on all the same.
    open(1, "shell");
    let unseen = device.session().await;
    unseen.connected().await;
    server.nth(1, Method::POST, &format!("/client/sessions/{}/state", unseen.id)).await;

    let desktop = Dunst::start(place.path(), &address).await;
    // One that never comes to stand is nobody's visit, neither when it begins nor when it ends.
    open(2, "shell");
    let vain = device.session().await;
    vain.accept().await;
    vain.ended("The browser could not be reached.").await;
    device.until("one left", |status| status.shell_sessions == 1).await;

    open(3, "shell");
    let stands = device.session().await;
    stands.accept().await;
    stands.connected().await;
    desktop.shows(1, "Remote shell started", "Ada uses a shell on this device.").await;
    stands.ended("Enough.").await;
    desktop.shows(2, "Remote shell ended", "Ada has disconnected.").await;

    server.offer_to_watch(session(4), "shell");
    server.send(&ServerEvent::Command(Order::Session { id: session(4) }));
    let watches = device.session().await;
    watches.accept().await;
    watches.connected().await;
    let words = "Ada watches a shell on this device and cannot type in it.";
    desktop.shows(3, "Watching a shell started", words).await;
    watches.ended("Enough.").await;
    desktop.shows(4, "Watching a shell ended", "Ada has disconnected.").await;

    // One that goes without a word has gone as well.
    drop(unseen);
    desktop.shows(5, "Remote shell ended", "Ada has disconnected.").await;

    // Many at once do not fill the desktop: some are named, the rest is counted.
    let mut many = Vec::new();
    for n in 10..26 {
        open(n, "shell");
        let one = device.session().await;
        one.connected().await;
        many.push(one);
    }
    let counted = async {
        loop {
            let shown = desktop.shown().await;
            if let Some(last) = shown.iter().position(|[_, summary, _]| summary == "Many connections") {
                return (shown[5..last].to_vec(), shown[last][2].clone());
            }
        }
    };
    let (named, counted) = tokio::time::timeout(SOON, counted).await.expect("they are counted");
    assert!(named.len() <= 6, "{named:?}");
    assert!(named.iter().all(|[_, _, body]| body == "Ada uses a shell on this device."), "{named:?}");
    assert_eq!(counted, format!("{} more connections began or ended.", 16 - named.len()));
    device.stop().await;
}
