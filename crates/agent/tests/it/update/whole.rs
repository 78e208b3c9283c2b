//! The real programs: daemon, updater, command line, a bus of their own, a server that orders.

use super::board::{Board, device, key, order, script, sign, system};
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

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A bus with the packaged policy and nothing else.
struct Bus {
    address: String,
    _place: tempfile::TempDir,
    _process: Child,
}

impl Bus {
    async fn start() -> Self {
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
struct World {
    server: FakeServer,
    machine: Machine,
    bus: Bus,
    daemon: Option<Child>,
    updater: Option<Child>,
}

impl World {
    async fn start() -> Self {
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
    async fn updater_answers(&self) {
        let answered = tokio::time::timeout(SOON, async {
            while self.call(None, "GetStatus", &[]).await.contains("ServiceUnknown") {
                tokio::task::yield_now().await;
            }
        });
        answered.await.expect("the updater is on the bus");
    }

    fn command(&self, program: &str) -> Command {
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

    fn start_daemon(&mut self) {
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-connectd"));
        self.daemon = Some(command.stderr(self.open_journal()).spawn().expect("the daemon runs"));
    }

    fn start_updater(&mut self) {
        let mut command = self.command(env!("CARGO_BIN_EXE_rpi-ota-connector"));
        let child = command.arg("--root").arg(self.machine.root()).stderr(self.open_journal()).spawn();
        self.updater = Some(child.expect("the updater runs"));
    }

    fn journal_path(&self) -> std::path::PathBuf {
        self.machine.root().join("journal")
    }

    fn open_journal(&self) -> std::fs::File {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.journal_path());
        file.expect("file")
    }

    /// What the programs said so far.
    fn journal(&self) -> String {
        std::fs::read_to_string(self.journal_path()).expect("file")
    }

    /// Waits until one of the programs has said this so often.
    async fn journal_says(&self, what: &str, times: usize) {
        let said = tokio::time::timeout(SOON, async {
            while self.journal().matches(what).count() < times {
                tokio::task::yield_now().await;
            }
        });
        said.await.unwrap_or_else(|_| panic!("nobody said {what:?} {times} times"));
    }

    async fn kill_updater(&mut self) {
        let mut child = self.updater.take().expect("it runs");
        child.kill().await.expect("killed");
    }

    async fn kill_daemon(&mut self) {
        let mut child = self.daemon.take().expect("it runs");
        child.kill().await.expect("killed");
    }

    async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_rpi-connect")).args(arguments).output().await;
        said(&output.expect("it runs"))
    }

    async fn capability(&self, n: usize, what: &str) -> Seen {
        let fits = |seen: &Seen| seen.path == "/me" && seen.body["capabilities"]["ota"] == what;
        self.server.nth_where(n, &format!("ota {what}"), fits).await
    }

    /// `rpi-connect ota on`; whoever is not root writes the file as root would.
    async fn opt_in(&self) {
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
    fn order(&self, id: u128, uri: &str, checksum: &str, timestamp: i64) {
        let (order, signature) = order(id, uri, checksum, timestamp);
        self.order_signed(&order, &signature);
    }

    fn order_signed(&self, order: &Order, signature: &str) {
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
        self.server.send(&ServerEvent::Command(Event::Deploy { id: id.0 }));
    }

    fn artefact(&self, name: &str, bytes: &[u8]) -> (String, String) {
        let path = self.machine.root().join(name);
        std::fs::write(&path, bytes).expect("file");
        (format!("file://{}", path.display()), Checksum::of(bytes).to_string())
    }

    async fn report(&self, id: u128, what: &str) -> Value {
        let path = format!("/deployments/{}/{what}", super::board::deployment(id));
        self.server.nth(1, Method::POST, &path).await.body
    }

    /// A method of the updater, called by a process of this user.
    async fn call(&self, uid: Option<u32>, method: &str, arguments: &[&str]) -> String {
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

    async fn call_apply(&self, uid: Option<u32>, order: &Order, signature: &str) -> String {
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

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answer(status: StatusCode, body: Value) -> Prescribed {
    Prescribed::Answer(status, Vec::new(), body)
}

fn nothing() -> Prescribed {
    answer(StatusCode::NO_CONTENT, Value::Null)
}

/// Name, key, and who vouches.
type Listed<'a> = (&'a str, &'a SigningKey, Option<(&'a str, &'a SigningKey)>);

/// What the server says of its keys.
fn keys(server: &FakeServer, list: &[Listed<'_>]) {
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

async fn appears(path: &Path) -> String {
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

#[tokio::test]
async fn an_ordered_script_is_run_and_reported() {
    let world = World::start().await;
    let before = world.cli(&["status"]).await;
    assert!(before.lines().nth(4).is_some_and(|line| line == "Remote updates: disallowed"), "{before}");
    world.opt_in().await;
    let status = world.cli(&["status"]).await;
    assert_eq!(status.lines().nth(4), Some("Remote updates: allowed"), "{status}");

    let began = std::time::Instant::now();
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\necho hello\n"));
    world.order(1, &uri, &checksum, 1000);
    let report = world.report(1, "complete").await;
    println!("ordered to reported: {:?}", began.elapsed());
    assert_eq!(report, json!({ "output": "hello\n" }));

    let (uri, checksum) = world.artefact("b", &script("#!/bin/sh\necho broken\nexit 1\n"));
    world.order(2, &uri, &checksum, 1001);
    let report = world.report(2, "fail").await;
    assert_eq!(report["reason"], "Script failed with exit status 1: broken");
    let journal = world.journal();
    assert!(
        journal.contains(&format!("uri=\"{uri}\"")) || journal.contains(&format!("uri={uri}")),
        "{journal}"
    );

    // Whoever reads the journal learns no token.
    world.order(4, &format!("{uri}?token=canary"), &checksum, 1001);
    world.report(4, "fail").await;
    let journal = world.journal();
    assert!(journal.contains(&format!("{uri}?…")) && !journal.contains("canary"), "{journal}");

    // A restart of the updater that a script asked for.
    let (uri, checksum) = world.artefact("c", &script("#!/bin/sh\nexit 2\n"));
    world.order(3, &uri, &checksum, 1002);
    world.report(3, "complete").await;
    assert_eq!(appears(&world.machine.root().join("reboots")).await, "plain\n");
}

#[tokio::test]
async fn nobody_makes_root_run_what_the_server_did_not_order() {
    let world = World::start().await;
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\n"));
    let (own, good) = order(1, &uri, &checksum, 1000);
    let said = world.call_apply(None, &own, &good).await;
    assert!(said.contains("AccessDenied") && said.contains("rpi-connect ota on"), "before ota on: {said}");
    world.opt_in().await;
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let forged = STANDARD.encode(stranger.sign(b"whatever").to_bytes());
    let said = world.call_apply(None, &own, &forged).await;
    assert!(said.contains("com.raspberrypi.ota.Error.NotTrusted"), "{said}");
    if is_root() {
        let said = world.call_apply(Some(65534), &own, &good).await;
        assert!(said.contains("AccessDenied"), "another user: {said}");
        let said = world.call(Some(65534), "Commit", &[]).await;
        assert!(said.contains("AccessDenied"), "another user: {said}");
        let said = world.call(Some(65534), "GetStatus", &[]).await;
        assert!(said.contains("\"idle\""), "anybody may look: {said}");
    }
    world.order_signed(&own, &good);
    world.report(1, "complete").await;
    let said = world.call_apply(None, &own, &sign(&own)).await;
    assert!(said.contains("com.raspberrypi.ota.Error.Finished"), "replayed: {said}");
    if is_root() {
        assert_eq!(world.cli(&["ota", "off"]).await, "✓ Remote updates disallowed\n");
        world.capability(2, "available").await;
        let (other, signature) = order(2, &uri, &checksum, 1001);
        let said = world.call_apply(None, &other, &signature).await;
        assert!(said.contains("AccessDenied"), "{said}");
    }
}

#[tokio::test]
async fn a_changed_key_is_followed_when_the_old_one_vouches() {
    let world = World::start().await;
    world.opt_in().await;
    let (new, stranger) = (SigningKey::from_bytes(&[8; 32]), SigningKey::from_bytes(&[9; 32]));
    let (uri, checksum) = world.artefact("a", &script("#!/bin/sh\n"));
    let signed = |id, key: &SigningKey| {
        let (order, _) = order(id, &uri, &checksum, 1000);
        let text = bramble_wire::deployments::signed_text(
            order.deployment,
            device(),
            &order.uri,
            &order.checksum,
            order.timestamp,
        );
        (order, STANDARD.encode(key.sign(text.as_bytes()).to_bytes()))
    };
    keys(&world.server, &[("1", &key(), None), ("2", &stranger, Some(("1", &stranger)))]);
    let (order, signature) = signed(1, &stranger);
    world.order_signed(&order, &signature);
    let report = world.report(1, "fail").await;
    assert_eq!(report["reason"], "the order is not signed by this device's server for this device");

    keys(&world.server, &[("1", &key(), None), ("2", &new, Some(("1", &key())))]);
    let (order, signature) = signed(2, &new);
    world.order_signed(&order, &signature);
    world.report(2, "complete").await;
}

#[tokio::test]
async fn a_killed_updater_and_a_killed_daemon_go_on() {
    let mut world = World::start().await;
    world.opt_in().await;
    let gate = world.machine.root().join("gate");
    let running = world.machine.root().join("running");
    let text = format!(
        "#!/bin/sh\necho here > {}\nuntil [ -e {} ]; do sleep 0.05; done\necho done\n",
        running.display(),
        gate.display()
    );
    let (uri, checksum) = world.artefact("a", &script(&text));
    world.order(1, &uri, &checksum, 1000);
    appears(&running).await;
    // The daemon dies; the update goes on and is reported by the next one.
    world.kill_daemon().await;
    std::fs::write(&gate, "").expect("file");
    world.start_daemon();
    assert_eq!(world.report(1, "complete").await, json!({ "output": "done\n" }));

    // The updater dies while a script runs: nobody can say what it did.
    std::fs::remove_file(&gate).expect("removed");
    std::fs::remove_file(&running).expect("removed");
    world.server.nth_where(2, "the stream", |seen| seen.path == "/events").await;
    world.capability(2, "enabled").await;
    world.order(2, &uri, &checksum, 1001);
    appears(&running).await;
    world.kill_updater().await;
    std::fs::write(&gate, "").expect("file");
    world.start_updater();
    let report = world.report(2, "fail").await;
    assert_eq!(report["reason"], "The device restarted while a script ran");
}

/// A machine with two systems that runs the first, and one ordered that is about to be tried.
async fn tried() -> (World, Board) {
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

#[tokio::test]
async fn a_new_system_is_tried_committed_and_reported() {
    let (mut world, board) = tried().await;
    world.start_updater();
    world.start_daemon();
    world.report(1, "complete").await;
    assert_eq!(board.default_partition(), 3);
    assert!(board.partition(3, "system").starts_with(b"GOOD new"));
}

/// Without `AutoCommit` a person decides on the device, and nobody tells the daemon.
#[tokio::test]
async fn what_a_person_decides_on_the_device_is_reported() {
    for (method, what, partition) in [("Commit", "complete", 3), ("Rollback", "fail", 2)] {
        let (mut world, board) = tried().await;
        world.machine.write("root/etc/rpi-connect/rpi-ota-connector.config", "AutoCommit=false\n");
        world.start_updater();
        world.start_daemon();
        // It has looked, and nothing but looking again can tell it.
        world.journal_says("an update waits for the device's restart or for a decision on it", 1).await;
        let said = world.call(None, method, &[]).await;
        assert!(said.contains("method return"), "{said}");
        if method == "Rollback" {
            // It restarts; the firmware starts the old system.
            world.kill_daemon().await;
            world.kill_updater().await;
            board.boot(false);
            world.start_updater();
            world.start_daemon();
        }
        let report = world.report(1, what).await;
        assert_eq!(board.default_partition(), partition);
        if what == "fail" {
            assert_eq!(report["reason"], "Rolled back: asked for on the device");
        }
    }
}
