//! The desktop's side: the panel's methods and signal through `busctl` and `gdbus`, on a real session bus
//! with the real daemon.

use super::{
    device::Machine,
    fake_server::{FakeServer, SOON, Seen},
};
use http::Method;
use std::{fs, os::unix::fs::PermissionsExt, os::unix::net::UnixListener, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const KEY: &str = "rpuak_canary";

fn program(file: &Path, script: &str) {
    fs::write(file, format!("#!/bin/sh\n{script}\n")).expect("file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The daemon of this machine, on no bus yet.
fn daemon(machine: &Machine, place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpi-connectd"));
    command.arg("--socket").arg(place.join("vnc.sock"));
    command.env("RPI_CONNECT_STATE_DIR", machine.state()).env("RPI_CONNECT_ROOT", machine.root());
    command.env("PATH", format!("{}:/usr/bin:/bin", place.display()));
    for name in ["RPI_CONNECT_SERVER", "DISPLAY", "WAYLAND_DISPLAY"] {
        command.env_remove(name);
    }
    command.env("XDG_RUNTIME_DIR", place).stdin(Stdio::null()).kill_on_drop(true);
    command
}

struct Desktop {
    server: FakeServer,
    machine: Machine,
    address: String,
    place: tempfile::TempDir,
    _bus: Child,
    daemon: Child,
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
        let (bus, address) = super::bus::session(place.path()).await;

        // In the place of a browser.
        let opener = place.path().join("xdg-open");
        program(&opener, &format!("echo \"$1\" >>'{}/opened'", place.path().display()));
        let daemon = daemon(&machine, place.path()).env("DBUS_SESSION_BUS_ADDRESS", &address).spawn();
        let daemon = daemon.expect("the daemon runs");
        let this = Self { server, machine, address, place, _bus: bus, daemon };
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

    /// Waits until these pages were opened.
    async fn opened(&self, pages: &str) {
        let opened = async {
            while fs::read_to_string(self.place.path().join("opened")).unwrap_or_default() != pages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, opened).await.expect("the page was opened");
    }

    /// Puts this in the place of a browser.
    fn opener(&self, script: &str) {
        program(&self.place.path().join("xdg-open"), script);
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
    desktop.opened(&page).await;
    // Whoever closed the page gets it once more, and not another code.
    assert_eq!(desktop.call("SignIn").await, "");
    desktop.opened(&page.repeat(2)).await;
    desktop.server.nth(1, Method::POST, "/client/token").await;
    let codes = desktop.server.seen().iter().filter(|it| it.is(&Method::POST, "/client/device")).count();
    assert_eq!(codes, 1);
    desktop.server.approve();
    desktop.until_status("(bbbbii) true false true true 0 0").await;
}

#[tokio::test]
async fn a_page_that_cannot_be_shown_is_a_failure_and_the_next_try_begins_anew() {
    let desktop = Desktop::start(false).await;
    desktop.opener("exit 3");
    for _ in 0..2 {
        let why = desktop.call("SignIn").await;
        assert!(why.contains("could not be opened") && why.contains("rpi-connect signin"), "{why}");
        assert!(!why.contains("TKD8"), "{why}");
    }
    fs::remove_file(desktop.place.path().join("xdg-open")).expect("removed");
    let why = desktop.call("SignIn").await;
    assert!(why.contains("could not be opened"), "{why}");
    // The desktop's manager knows where it is, which the daemon was not told.
    let environment = ["LANG=C", "DISPLAY=:7", "XAUTHORITY=/run/x"].map(str::to_owned).to_vec();
    let manager = zbus::connection::Builder::address(desktop.address.as_str())
        .serve_at("/org/freedesktop/systemd1", Manager { environment })
        .name("org.freedesktop.systemd1");
    let _manager = manager.build().await.expect("on the bus");
    desktop.opener(&format!(
        "[ \"$DISPLAY $XAUTHORITY\" = ':7 /run/x' ] && echo $1 >>'{}/opened'",
        desktop.place.path().display()
    ));
    assert_eq!(desktop.call("SignIn").await, "");
    desktop.opened(&format!("{}/verify/TKD8-F392\n", desktop.server.url)).await;
}

/// The environment that a desktop hands to systemd's manager of its user.
struct Manager {
    environment: Vec<String>,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    #[zbus(property)]
    fn environment(&self) -> Vec<String> {
        self.environment.clone()
    }
}

#[tokio::test]
async fn a_daemon_that_comes_second_serves_the_panel_once_the_first_has_gone() {
    let mut desktop = Desktop::start(false).await;
    let other = Machine::with_server(&desktop.server.url);
    let mut second = daemon(&other, desktop.place.path());
    second.env("DBUS_SESSION_BUS_ADDRESS", &desktop.address).stderr(Stdio::piped());
    let mut second = second.spawn().expect("it runs");
    let mut lines = BufReader::new(second.stderr.take().expect("its log")).lines();
    let waits = async {
        while let Some(line) = lines.next_line().await.expect("reads") {
            if line.contains("waits for it to go") {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, waits).await.expect("it waits");
    assert_eq!(desktop.call("ShellOff").await, "");
    desktop.until_status("(bbbbii) false false true false 0 0").await;
    desktop.daemon.kill().await.expect("killed");
    // The second one's switch is as it was.
    desktop.until_status("(bbbbii) false false true true 0 0").await;
}

#[tokio::test]
async fn dbus_run_session_is_a_bus_like_any_other() {
    let server = FakeServer::start().await;
    let machine = Machine::with_server(&server.url);
    let place = tempfile::tempdir().expect("a folder");
    let script = "\"$0\" --socket \"$1\" & daemon=$!
        gdbus wait --session --timeout 20 com.raspberrypi.Connect || exit 9
        to='com.raspberrypi.Connect /com/raspberrypi/Connect com.raspberrypi.Connect'
        busctl --user call $to Status; busctl --user call $to ShellOff
        gdbus call --session -d com.raspberrypi.Connect -o /com/raspberrypi/Connect -m com.raspberrypi.Connect.Status
        kill $daemon; wait $daemon";
    let mut command = Command::new("dbus-run-session");
    command.args(["--", "sh", "-c", script]).arg(env!("CARGO_BIN_EXE_rpi-connectd"));
    command.arg(place.path().join("vnc.sock"));
    command.env("RPI_CONNECT_STATE_DIR", machine.state()).env("RPI_CONNECT_ROOT", machine.root());
    command.env_remove("RPI_CONNECT_SERVER").env("XDG_RUNTIME_DIR", place.path());
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(SOON * 2, ended).await.expect("in time").expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(out, "(bbbbii) false false true true 0 0\n((false, false, true, false, 0, 0),)\n", "{err}");
    assert!(ended.status.success(), "{err}");
}

#[tokio::test]
async fn a_desktop_that_comes_changes_what_the_server_is_told() {
    let desktop = Desktop::start(true).await;
    desktop.machine.write("root/usr/bin/wayvnc", "");
    let reason = |why: &'static str| {
        move |seen: &Seen| seen.body["vnc_reason"].as_str().is_some_and(|said| said.contains(why))
    };
    assert_eq!(desktop.call("ShellOff").await, "");
    desktop.server.nth_where(1, "no desktop", reason("No Wayland desktop runs")).await;
    let _compositor = UnixListener::bind(desktop.place.path().join("wayland-7")).expect("binds");
    desktop.server.nth_where(1, "a desktop", reason("WayVNC is not running")).await;
}
