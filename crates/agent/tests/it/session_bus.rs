//! The desktop's side: the panel's methods and signal through `busctl` and `gdbus`, and the notification, on
//! a real session bus with the real daemon.

use super::{
    device::Machine,
    fake_server::{FakeServer, SOON},
};
use bramble_agent::dbus::SessionBus;
use bramble_wire::{
    SessionId,
    events::{Command as Order, ServerEvent},
};
use http::Method;
use std::{
    collections::HashMap, fs, os::unix::fs::PermissionsExt, os::unix::net::UnixListener, path::Path,
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
};
use zbus::OwnedVariant;

const KEY: &str = "rpuak_canary";

/// A session bus, and its address.
async fn bus(place: &Path) -> (Child, String) {
    let rules = "<type>session</type><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
                 <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>";
    super::bus::start(place, rules).await
}

struct Desktop {
    server: FakeServer,
    machine: Machine,
    address: String,
    place: tempfile::TempDir,
    _bus: Child,
    _daemon: Child,
}

impl Desktop {
    async fn start(signed_in: bool) -> Self {
        let server = FakeServer::start().await;
        server.expect_serial(super::device::SERIAL);
        let machine = Machine::with_server(&server.url);
        if signed_in {
            server.accept_key(KEY);
            machine.drop_key(KEY);
        }
        let place = tempfile::tempdir().expect("a folder");
        let (bus, address) = bus(place.path()).await;

        // In the place of a browser.
        let opener = place.path().join("xdg-open");
        fs::write(&opener, format!("#!/bin/sh\necho \"$1\" >>'{}/opened'\n", place.path().display()))
            .expect("file");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("chmod");
        let daemon = Command::new(env!("CARGO_BIN_EXE_rpi-connectd"))
            .arg("--socket")
            .arg(place.path().join("vnc.sock"))
            .env("RPI_CONNECT_STATE_DIR", machine.state())
            .env("RPI_CONNECT_ROOT", machine.root())
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
            .env("PATH", format!("{}:/usr/bin:/bin", place.path().display()))
            .env_remove("RPI_CONNECT_SERVER")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon runs");
        let this = Self { server, machine, address, place, _bus: bus, _daemon: daemon };
        let answered = async {
            while this.call("Status").await.contains("ServiceUnknown") || this.call("Status").await.is_empty()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, answered).await.expect("the daemon is on the bus");
        this
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What `busctl` prints, or its complaint.
    async fn call(&self, method: &str) -> String {
        let mut command = self.tool("busctl");
        command.arg(format!("--address={}", self.address)).arg("call");
        command.args([
            "com.raspberrypi.Connect",
            "/com/raspberrypi/Connect",
            "com.raspberrypi.Connect",
            method,
        ]);
        let output = command.output().await.expect("busctl runs");
        let text =
            if output.status.success() { output.stdout } else { [b"error: ", &output.stderr[..]].concat() };
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if text.contains("not provided by any") { "ServiceUnknown".to_owned() } else { text }
    }

    async fn until_status(&self, wanted: &str) {
        let there = async {
            while self.call("Status").await != wanted {
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(SOON, there).await;
        assert!(came.is_ok(), "never {wanted}: {}", self.call("Status").await);
    }

    /// Signals as `gdbus monitor` prints them.
    async fn monitor(&self) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.tool("gdbus");
        command.args(["monitor", "--session", "--dest", "com.raspberrypi.Connect"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("gdbus runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        until(&mut lines, "is owned by").await;
        // It says so a moment before it takes signals of that name: what it shows proves that it does.
        let switched = async {
            loop {
                for method in ["ShellOff", "ShellOn"] {
                    assert_eq!(self.call(method).await, "");
                }
            }
        };
        tokio::select! {
            _ = until(&mut lines, "Status ((") => {}
            _ = switched => {}
        }
        assert_eq!(self.call("ShellOn").await, "");
        (child, lines)
    }
}

async fn until(lines: &mut Lines<BufReader<ChildStdout>>, text: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.expect("reads").expect("it goes on");
            if line.contains(text) {
                return line;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("never {text}"))
}

#[tokio::test]
async fn the_panel_sees_every_change_and_switches() {
    let desktop = Desktop::start(true).await;
    desktop.until_status("(bbbbii) true false true true 0 0").await;
    let (_monitor, mut signals) = desktop.monitor().await;

    let vnc = UnixListener::bind(desktop.place.path().join("vnc.sock")).expect("binds");
    until(&mut signals, "Status ((true, true, true, true, 0, 0),)").await;
    assert_eq!(desktop.call("VncOff").await, "");
    until(&mut signals, "Status ((true, true, false, true, 0, 0),)").await;
    assert_eq!(desktop.call("ShellOff").await, "");
    until(&mut signals, "Status ((true, true, false, false, 0, 0),)").await;
    assert_eq!(desktop.call("VncOn").await, "");
    assert_eq!(desktop.call("ShellOn").await, "");
    until(&mut signals, "Status ((true, true, true, true, 0, 0),)").await;
    let kept = fs::read_to_string(desktop.machine.state().join("settings.toml")).expect("settings");
    assert!(kept.contains("vnc = true") && kept.contains("shell = true"), "{kept}");

    drop(vnc);
    fs::remove_file(desktop.place.path().join("vnc.sock")).expect("removed");
    until(&mut signals, "Status ((true, false, true, true, 0, 0),)").await;
    assert_eq!(desktop.call("SignOut").await, "");
    until(&mut signals, "Status ((false, false, true, true, 0, 0),)").await;
    assert!(!desktop.machine.token().exists());

    let mut command = desktop.tool("busctl");
    command.arg(format!("--address={}", desktop.address)).args(["introspect", "--xml-interface"]);
    let output =
        command.args(["com.raspberrypi.Connect", "/com/raspberrypi/Connect"]).output().await.expect("runs");
    let xml = String::from_utf8_lossy(&output.stdout).into_owned();
    for method in ["SignIn", "SignOut", "VncOn", "VncOff", "ShellOn", "ShellOff", "Status"] {
        assert!(xml.contains(&format!("<method name=\"{method}\">")), "{method}: {xml}");
    }
    assert!(
        xml.contains("<signal name=\"Status\">") && xml.matches("type=\"(bbbbii)\"").count() == 2,
        "{xml}"
    );
}

#[tokio::test]
async fn signing_in_from_the_panel_opens_the_page() {
    let desktop = Desktop::start(false).await;
    desktop.until_status("(bbbbii) false false true true 0 0").await;
    assert_eq!(desktop.call("SignIn").await, "");
    let page = format!("{}/verify/TKD8-F392\n", desktop.server.url);
    let opened = async {
        while fs::read_to_string(desktop.place.path().join("opened")).unwrap_or_default() != page {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, opened).await.expect("the page was opened");
    let again = desktop.call("SignIn").await;
    assert!(again.contains("already going on"), "{again}");
    desktop.server.nth(1, Method::POST, "/client/token").await;
    desktop.server.approve();
    desktop.until_status("(bbbbii) true false true true 0 0").await;
}

struct Shown {
    summary: String,
    body: String,
    actions: Vec<String>,
    hints: HashMap<String, OwnedVariant>,
}

/// A notification daemon that remembers.
struct FakeNotifications {
    shown: mpsc::UnboundedSender<Shown>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl FakeNotifications {
    #[expect(clippy::too_many_arguments, reason = "the method's arguments")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        expire_timeout: i32,
    ) -> u32 {
        assert_eq!((app_name, app_icon, replaces_id), ("Raspberry Pi Connect", "", 0));
        assert_eq!(expire_timeout, -1);
        let (summary, body) = (summary.to_owned(), body.to_owned());
        let _ = self.shown.send(Shown { summary, body, actions, hints });
        1
    }
}

async fn next(seen: &mut mpsc::UnboundedReceiver<Shown>) -> Shown {
    tokio::time::timeout(SOON, seen.recv()).await.expect("in time").expect("a notification")
}

fn text(shown: &Shown) -> (&str, &str) {
    (shown.summary.as_str(), shown.body.as_str())
}

#[tokio::test]
async fn the_person_at_the_desktop_is_told_who_has_come_once_the_connection_stands_and_who_has_gone() {
    let place = tempfile::tempdir().expect("a folder");
    let (_bus, address) = bus(place.path()).await;
    let server = FakeServer::start().await;
    server.accept_key(KEY);
    let machine = Machine::with_server(&server.url);
    machine.drop_key(KEY);
    let mut device =
        machine.start_with(|options| options.session_bus = Some(SessionBus::At(address.clone()))).await;
    device.subscribed().await;
    let open = |n: u8, kind: &str| {
        let id: SessionId = format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().expect("an id");
        server.offer(id, kind);
        server.send(&ServerEvent::Command(Order::Session { id }));
    };
    // Without a notification daemon a session goes on all the same.
    open(1, "shell");
    let unseen = device.session().await;
    unseen.connected().await;
    server.nth(1, Method::POST, &format!("/client/sessions/{}/state", unseen.id)).await;

    let (shown, mut seen) = mpsc::unbounded_channel();
    let _notifications = zbus::connection::Builder::address(address.as_str())
        .serve_at("/org/freedesktop/Notifications", FakeNotifications { shown })
        .name("org.freedesktop.Notifications")
        .build()
        .await
        .expect("on the bus");
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
    let first = next(&mut seen).await;
    assert_eq!(text(&first), ("Remote shell started", "Ada uses a shell on this device."));
    assert!(first.actions.is_empty() && first.hints.contains_key("desktop-entry"));
    stands.ended("Enough.").await;
    assert_eq!(text(&next(&mut seen).await), ("Remote shell ended", "Ada has disconnected."));

    // One that goes without a word has gone as well.
    drop(unseen);
    assert_eq!(text(&next(&mut seen).await), ("Remote shell ended", "Ada has disconnected."));

    // Many at once do not fill the desktop: some are named, the rest is counted.
    let mut many = Vec::new();
    for n in 10..26 {
        open(n, "shell");
        let one = device.session().await;
        one.connected().await;
        many.push(one);
    }
    let mut named = 0;
    let counted = loop {
        let shown = next(&mut seen).await;
        if shown.summary == "Many connections" {
            break shown.body;
        }
        assert_eq!(text(&shown), ("Remote shell started", "Ada uses a shell on this device."));
        named += 1;
    };
    assert!(named <= 6, "{named}");
    assert_eq!(counted, format!("{} more connections began or ended.", 16 - named));
    device.stop().await;
}
