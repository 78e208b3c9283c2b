//! A device with the real programs: daemon, updater, command line, a bus of their own, a server that orders.

use super::board::{Board, device, key, order, system};
use crate::{
    device::Machine,
    fake_server::{FakeServer, Prescribed, SOON, Seen},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bramble_agent::update::{
    artefact::Checksum,
    trust::{Order, Trust, TrustedKey},
};
use bramble_wire::{
    deployments::signed_key_text,
    events::{Command as Event, ServerEvent},
};
use ed25519_dalek::{Signer, SigningKey};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Output, Stdio},
};
use tokio::process::{Child, Command};

const KEY: &str = "rpuak_canary";
const POLICY: &str = include_str!("../../../../../packaging/dbus/com.raspberrypi.ota.conf");

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A bus with the packaged policy and nothing else.
struct Bus {
    address: String,
    _place: tempfile::TempDir,
    _process: Child,
}

impl Bus {
    pub async fn start() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        // Others connect too, to be turned away.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path(), open).expect("chmod");
        // Who runs the tests plays root.
        let uid = rustix::process::geteuid().as_raw();
        let policy = POLICY.replace("user=\"root\"", &format!("user=\"{uid}\""));
        std::fs::write(place.path().join("policy.conf"), policy).expect("file");
        let rules = format!(
            "<auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><allow send_type=\"method_return\"/>\
             <allow send_type=\"error\"/><allow send_type=\"signal\"/><deny send_type=\"method_call\"/>\
             <allow send_destination=\"org.freedesktop.DBus\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             </policy><include>{}/policy.conf</include>",
            place.path().display()
        );
        let (process, address) = crate::bus::start(place.path(), &rules).await;
        Self { address, _place: place, _process: process }
    }
}

/// A device with all programs.
pub struct World {
    pub server: FakeServer,
    pub machine: Machine,
    bus: Bus,
    daemon: Option<Child>,
    updater: Option<Child>,
}

impl World {
    pub async fn start() -> Self {
        let server = FakeServer::start().await;
        server.accept_key(KEY);
        let machine = Machine::with_server(&server.url);
        machine.drop_key(KEY);
        let updater = machine.root().join("usr/bin/rpi-ota-connector");
        std::fs::create_dir_all(updater.parent().expect("a folder")).expect("folder");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rpi-ota-connector"), &updater).expect("link");
        machine.write("root/sbin/reboot", "#!/bin/sh\necho \"${1:-plain}\" >> \"$REBOOTS\"\n");
        let reboot = machine.root().join("sbin/reboot");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(reboot, executable).expect("chmod");
        let bus = Bus::start().await;
        keys(&server, &[("1", &key(), None)]);
        server.prescribe("GET /deployments/pending", vec![nothing()]);
        let mut this = Self { server, machine, bus, daemon: None, updater: None };
        this.start_daemon();
        this.capability(1, "available").await;
        this.start_updater();
        this.updater_answers().await;
        this
    }

    /// A name on the bus belongs to nobody until the process that was started has asked for it.
    pub async fn updater_answers(&self) {
        let answered = tokio::time::timeout(SOON, async {
            while self.call(None, "GetStatus", &[]).await.contains("ServiceUnknown") {
                tokio::task::yield_now().await;
            }
        });
        answered.await.expect("the updater is on the bus");
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}/sbin:/usr/sbin:/usr/bin:/sbin:/bin", self.machine.root().display());
        command
            .env("RPI_CONNECT_STATE_DIR", self.machine.state())
            .env("RPI_CONNECT_ROOT", self.machine.root())
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus.address)
            .env("REBOOTS", self.machine.root().join("reboots"))
            .env("PATH", path)
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub fn start_daemon(&mut self) {
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-connectd"));
        self.daemon = Some(command.stderr(self.open_journal()).spawn().expect("the daemon runs"));
    }

    pub fn start_updater(&mut self) {
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-ota-connector"));
        let child = command.arg("--root").arg(self.machine.root()).stderr(self.open_journal()).spawn();
        self.updater = Some(child.expect("the updater runs"));
    }

    pub fn journal_path(&self) -> std::path::PathBuf {
        self.machine.root().join("journal")
    }

    pub fn open_journal(&self) -> std::fs::File {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.journal_path());
        file.expect("file")
    }

    /// What the programs said so far.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.journal_path()).expect("file")
    }

    /// Waits until one of the programs has said this so often.
    pub async fn journal_says(&self, what: &str, times: usize) {
        let said = tokio::time::timeout(SOON, async {
            while self.journal().matches(what).count() < times {
                tokio::task::yield_now().await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("nobody said {what:?} {times} times"));
    }

    pub async fn kill_updater(&mut self) {
        let mut child = self.updater.take().expect("it runs");
        child.kill().await.expect("killed");
    }

    pub async fn kill_daemon(&mut self) {
        let mut child = self.daemon.take().expect("it runs");
        child.kill().await.expect("killed");
    }

    pub async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_rpi-connect")).args(arguments).output().await;
        said(&output.expect("it runs"))
    }

    pub async fn capability(&self, n: usize, what: &str) -> Seen {
        let fits = |seen: &Seen| seen.path == "/me" && seen.body["capabilities"]["ota"] == what;
        self.server.nth_where(n, &format!("ota {what}"), fits).await
    }

    /// `rpi-connect ota on`; whoever is not root writes the file as root would.
    pub async fn opt_in(&self) {
        if is_root() {
            assert_eq!(self.cli(&["ota", "on"]).await, "✓ Remote updates allowed\n");
        } else {
            let key = STANDARD.encode(key().verifying_key().to_bytes());
            let trust = Trust {
                server: bramble_agent::state::ServerUrl::parse(&self.server.url).expect("a server"),
                device_id: device(),
                uid: rustix::process::geteuid().as_raw(),
                ca: None,
                keys: vec![TrustedKey { id: "1".into(), key }],
            };
            trust.store(&self.machine.root()).expect("writes");
            let socket = self.machine.state().join("rpi-connect.sock");
            crate::device::ask(&socket, bramble_agent::local_api::Request::OtaChanged).await;
        }
        self.capability(1, "enabled").await;
    }

    /// The server orders this from now on.
    pub fn order(&self, id: u128, uri: &str, checksum: &str, timestamp: i64) {
        let (order, signature) = order(id, uri, checksum, timestamp);
        self.order_signed(&order, &signature);
    }

    pub fn order_signed(&self, order: &Order, signature: &str) {
        self.order_silently(order, signature);
        self.server.send(&ServerEvent::Command(Event::Deploy { id: order.deployment.0 }));
    }

    /// The same, but the event about it is lost.
    pub fn order_silently(&self, order: &Order, signature: &str) {
        let id = order.deployment;
        let pending = answer(StatusCode::OK, json!({ "deployments": [{ "id": id }] }));
        let started = answer(
            StatusCode::OK,
            json!({
                "artefact": { "uri": order.uri, "checksum": order.checksum },
                "timestamp": order.timestamp, "signature": signature,
            }),
        );
        self.server.prescribe(&format!("POST /deployments/{id}/start"), vec![started]);
        self.server.prescribe("GET /deployments/pending", vec![pending, nothing()]);
    }

    pub fn artefact(&self, name: &str, bytes: &[u8]) -> (String, String) {
        let path = self.machine.root().join(name);
        std::fs::write(&path, bytes).expect("file");
        (format!("file://{}", path.display()), Checksum::of(bytes).to_string())
    }

    pub async fn report(&self, id: u128, what: &str) -> Value {
        let path = format!("/deployments/{}/{what}", super::board::deployment(id));
        self.server.nth(1, Method::POST, &path).await.body
    }

    /// A method of the updater, called by a process of this user.
    pub async fn call(&self, uid: Option<u32>, method: &str, arguments: &[&str]) -> String {
        let mut command = match uid {
            Some(uid) => {
                let mut command = self.command("setpriv");
                command.args([
                    &format!("--reuid={uid}"),
                    &format!("--regid={uid}"),
                    "--clear-groups",
                    "dbus-send",
                ]);
                command
            }
            None => self.command("dbus-send"),
        };
        command
            .arg(format!("--bus={}", self.bus.address))
            .args(["--print-reply", "--dest=com.raspberrypi.ota", "/com/raspberrypi/ota"])
            .arg(format!("com.raspberrypi.ota.{method}"))
            .args(arguments);
        said(&command.output().await.expect("dbus-send runs"))
    }

    pub async fn call_apply(&self, uid: Option<u32>, order: &Order, signature: &str) -> String {
        let id = format!("string:{}", order.deployment);
        let (uri, sum) = (format!("string:{}", order.uri), format!("string:{}", order.checksum));
        let (time, signature) = (format!("int64:{}", order.timestamp), format!("string:{signature}"));
        self.call(uid, "Apply", &[&id, &uri, &sum, &time, &signature]).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the journal:\n{}", std::fs::read_to_string(self.journal_path()).unwrap_or_default());
        }
    }
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn answer(status: StatusCode, body: Value) -> Prescribed {
    Prescribed::Answer(status, Vec::new(), body)
}

pub fn nothing() -> Prescribed {
    answer(StatusCode::NO_CONTENT, Value::Null)
}

/// Name, key, and who vouches.
pub type Listed<'a> = (&'a str, &'a SigningKey, Option<(&'a str, &'a SigningKey)>);

/// What the server says of its keys.
pub fn keys(server: &FakeServer, list: &[Listed<'_>]) {
    let entry = |(id, key, by): &Listed<'_>| {
        let public = STANDARD.encode(key.verifying_key().to_bytes());
        let signed_by = by.map(|(old, signer)| {
            let text = signed_key_text(id, &public);
            json!({ "id": old, "signature": STANDARD.encode(signer.sign(text.as_bytes()).to_bytes()) })
        });
        json!({ "id": id, "key": public, "signed_by": signed_by })
    };
    let list: Vec<Value> = list.iter().map(entry).collect();
    server.prescribe(
        "GET /.well-known/bramble",
        vec![answer(StatusCode::OK, json!({ "deployment_keys": list }))],
    );
}

pub async fn appears(path: &Path) -> String {
    let found = tokio::time::timeout(SOON, async {
        loop {
            match tokio::fs::read_to_string(path).await {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{} never came", path.display()))
}

/// A machine with two systems that runs the first, and one ordered that is about to be tried.
pub async fn tried() -> (World, Board) {
    let mut world = World::start().await;
    world.opt_in().await;
    let board = Board::running(2);
    // The board's partitions and firmware become this machine's.
    for name in ["bootfs", "slots", "dev", "proc/sys", "proc/device-tree/chosen"] {
        let link = world.machine.root().join(name);
        std::fs::create_dir_all(link.parent().expect("a folder")).expect("folder");
        std::os::unix::fs::symlink(board.root().join(name), link).expect("link");
    }
    world.kill_updater().await;
    world.start_updater();
    let (uri, checksum) = world.artefact("a", &system(true));
    world.order(1, &uri, &checksum, 1000);
    let reboots = world.machine.root().join("reboots");
    assert_eq!(appears(&reboots).await, "0 tryboot\n");
    world.kill_daemon().await;
    world.kill_updater().await;
    assert_eq!(board.boot(true), 3);
    assert_eq!(board.default_partition(), 2, "not before the server was reached");
    (world, board)
}
