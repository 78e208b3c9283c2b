//! The programs themselves, as a person and a script use them.

use super::{
    device::{Machine, SERIAL},
    fake_server::{FakeServer, SOON},
};
use http::Method;
use serde_json::Value;
use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

const KEY: &str = "rpuak_canary";

pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn command(machine: &Machine) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpi-connect"));
    command
        .env("RPI_CONNECT_STATE_DIR", machine.state())
        .env("RPI_CONNECT_ROOT", machine.root())
        .env_remove("RPI_CONNECT_SERVER")
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null());
    command
}

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub async fn run(machine: &Machine, arguments: &[&str]) -> Said {
    let mut command = command(machine);
    command.args(arguments);
    run_command(command).await
}

async fn run_command(mut command: Command) -> Said {
    let ran = tokio::task::spawn_blocking(move || command.output().expect("runs"));
    said(tokio::time::timeout(SOON * 3, ran).await.expect("in time").expect("no panic"))
}

#[tokio::test]
async fn without_a_daemon_the_words_and_the_status_are_those_of_the_contract() {
    let machine = Machine::new();
    for arguments in [&["status"][..], &["signin"], &["signout"], &["shell", "off"]] {
        let said = run(&machine, arguments).await;
        assert_eq!(said.code, Some(1), "{arguments:?}");
        assert_eq!(said.err, "Raspberry Pi Connect is not running, run rpi-connect on\n", "{arguments:?}");
        assert_eq!(said.out, "");
    }
    // Nothing to stop is no failure.
    assert_eq!(run(&machine, &["off"]).await.code, Some(0));
}

#[tokio::test]
async fn wrong_usage_is_2_and_help_is_not() {
    let machine = Machine::new();
    for arguments in [&["dance"][..], &["shell"], &["shell", "maybe"], &["status", "--yaml"], &[]] {
        assert_eq!(run(&machine, arguments).await.code, Some(2), "{arguments:?}");
    }
    for arguments in [&["help"][..], &["help", "signin"], &["signin", "--help"]] {
        assert_eq!(run(&machine, arguments).await.code, Some(0), "{arguments:?}");
    }
    let version = run(&machine, &["version"]).await;
    assert_eq!(version.out, format!("rpi-connect {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn file_transfer_is_off_until_the_owner_turns_it_on_and_says_what_it_allows() {
    let machine = Machine::new();
    let device = machine.start().await;
    let before: Value = serde_json::from_str(&run(&machine, &["status", "--json"]).await.out).expect("JSON");
    assert_eq!(before["files"], "disallowed");
    assert!(!run(&machine, &["status"]).await.out.contains("File transfer"));

    let root = machine.state().join("shared files");
    let said = run(&machine, &["files", "on", "--root", root.to_str().expect("text")]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let words = format!(
        "✓ File transfer allowed\nWhoever may open a session to this device can read what is in {} and add files to \
         it.\n",
        root.display()
    );
    assert_eq!(said.out, words);
    assert!(root.is_dir());
    let status = run(&machine, &["status"]).await.out;
    assert!(status.contains("File transfer: allowed (0 sessions active)\n"), "{status}");
    let after: Value = serde_json::from_str(&run(&machine, &["status", "--json"]).await.out).expect("JSON");
    assert_eq!((&after["files"], &after["files_root"]), (&"allowed".into(), &root.to_str().into()));
    let doctor = run(&machine, &["doctor"]).await.out;
    assert!(doctor.contains("✓ Folder for file transfer can be used\n"), "{doctor}");

    std::fs::remove_dir(&root).expect("removed");
    std::fs::write(&root, "in the way").expect("written");
    let doctor = run(&machine, &["doctor"]).await.out;
    assert!(doctor.contains("✗ Folder for file transfer can be used: "), "{doctor}");
    let said = run(&machine, &["files", "on"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("cannot be used"), "{}", said.err);

    let said = run(&machine, &["files", "off"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), "✓ File transfer disallowed\n"));
    // The folder is remembered, and what it means is in the help.
    let settings = std::fs::read_to_string(machine.state().join("settings.toml")).expect("reads");
    assert!(settings.contains("files = false") && settings.contains("files_root"), "{settings}");
    let help = run(&machine, &["files", "--help"]).await.out;
    assert!(help.contains("Count it as much as a remote"), "{help}");
    device.stop().await;
}

#[tokio::test]
async fn without_a_folder_of_its_own_file_transfer_says_that_it_is_like_a_shell() {
    let machine = Machine::new();
    let device = machine.start().await;
    let said = run(&machine, &["files", "on"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("/Bramble"), "{}", said.out);
    assert!(said.out.contains("Count it as allowing what a shell allows"), "{}", said.out);
    device.stop().await;
}

#[tokio::test]
async fn remote_updates_need_their_program() {
    let said = run(&Machine::new(), &["ota", "on"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("rpi-ota-connector, which is not installed"), "{}", said.err);
}

#[tokio::test]
async fn signing_in_by_code_prints_the_page_and_waits() {
    let server = FakeServer::start().await;
    server.expect_serial(SERIAL);
    let machine = Machine::with_server(&server.url);
    let device = machine.start().await;
    let mut signin = command(&machine);
    signin.arg("signin");
    let running = tokio::spawn(run_command(signin));
    let request = server.nth(1, Method::POST, "/client/device").await;
    assert_eq!(request.body["login_hint"], SERIAL);
    server.nth(1, Method::POST, "/client/token").await;
    server.approve();
    let said = running.await.expect("no panic");
    assert_eq!(
        said.out,
        format!("Complete sign in by visiting {}/verify/TKD8-F392\n✓ Signed in\n", server.url),
        "{}",
        said.err
    );
    assert_eq!(said.code, Some(0));
    assert!(server.seen().iter().all(|seen| seen.signed));

    device.subscribed().await;
    let status = run(&machine, &["status"]).await;
    assert_eq!(
        status.out,
        "Signed in: yes\nSubscribed to events: yes\nScreen sharing: unavailable\n\
         Remote shell: allowed (0 sessions active)\n"
    );
    let json: Value = serde_json::from_str(&run(&machine, &["status", "--json"]).await.out).expect("JSON");
    assert_eq!(json["signed_in"], true);
    assert_eq!(json["vnc"], "unavailable");
    // Twice is as good as once.
    assert_eq!(run(&machine, &["signin"]).await.out, "✓ Signed in\n");

    let off = run(&machine, &["shell", "off"]).await;
    assert_eq!((off.code, off.out.as_str()), (Some(0), "✓ Remote shell disallowed\n"));
    assert!(run(&machine, &["status"]).await.out.contains("Remote shell: disallowed (0 sessions active)"));
    assert_eq!(run(&machine, &["shell", "on"]).await.out, "✓ Remote shell allowed\n");

    let doctor = run(&machine, &["doctor"]).await;
    // What concerns the screen comes first.
    let lines: Vec<&str> = doctor.out.lines().skip_while(|line| !line.contains(" Communication ")).collect();
    assert_eq!(
        lines[..3],
        [
            "✓ Communication with Raspberry Pi Connect WebSocket server",
            "✓ Communication with Raspberry Pi Connect API",
            "✓ Authentication with Raspberry Pi Connect API",
        ]
    );
    // This server offers no relay.
    assert!(lines[3].starts_with("✗ Peer-to-peer connection candidate via STUN: "), "{}", lines[3]);
    assert!(lines[4].starts_with("✗ Peer-to-peer connection candidate via TURN: "), "{}", lines[4]);
    assert_eq!(lines[5..], ["✗ Some checks failed"]);
    assert_eq!(doctor.code, Some(1));
    let streams = server.seen().iter().filter(|seen| seen.path == "/events").count();
    assert_eq!(streams, 1, "doctor does not push the daemon's stream away");

    assert_eq!(run(&machine, &["signout"]).await.out, "✓ Signed out\n");
    assert!(run(&machine, &["status"]).await.out.starts_with("Signed in: no\nSubscribed to events: no\n"));
    device.stop().await;
}

#[tokio::test]
async fn keys_come_from_arguments_files_and_pipes_and_are_never_shown() {
    let server = FakeServer::start().await;
    let machine = Machine::with_server(&server.url);
    machine.write("key", &format!("{KEY}\n"));
    let file = format!("--auth-key=@{}", machine.state().with_file_name("key").display());
    assert_eq!(run(&machine, &["on"]).await.out, "✓ Raspberry Pi Connect started\n");

    let refused = run(&machine, &["signin", &file]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("expired"), "{}", refused.err);

    server.accept_key(KEY);
    let mut piped = command(&machine);
    piped
        .args(["signin", "--auth-key=@-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let piped = tokio::task::spawn_blocking(move || {
        let mut child = piped.spawn().expect("starts");
        child.stdin.take().expect("piped").write_all(KEY.as_bytes()).expect("writes");
        said(child.wait_with_output().expect("ends"))
    });
    let piped = piped.await.expect("no panic");
    assert_eq!((piped.code, piped.out.as_str()), (Some(0), "✓ Signed in\n"), "{}", piped.err);
    let again = run(&machine, &["signin", &file]).await;
    assert!(again.err.contains("already signed in"), "{}", again.err);

    let nothing = run(&machine, &["signin", "--auth-key=@/nowhere"]).await;
    assert!(nothing.err.contains("/nowhere"), "{}", nothing.err);
    assert_eq!(run(&machine, &["off"]).await.code, Some(0));
    let log = std::fs::read_to_string(machine.state().join("daemon.log")).expect("a log");
    assert!(log.contains("signed in"), "{log}");
    for text in [&log, &refused.out, &refused.err, &piped.err, &again.err] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_daemon_does_not_hold_what_its_starter_had_open() {
    let machine = Machine::new();
    let lock = machine.state().with_file_name("lock");
    let mut script = Command::new("sh");
    script
        .args(["-c", "exec 7>\"$1\"; flock 7; \"$2\" on", "sh"])
        .arg(&lock)
        .arg(env!("CARGO_BIN_EXE_rpi-connect"))
        .env("RPI_CONNECT_STATE_DIR", machine.state())
        .env("RPI_CONNECT_ROOT", machine.root());
    assert_eq!(run_command(script).await.code, Some(0));
    let lock = std::fs::File::open(lock).expect("the script's lock");
    let free = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    assert_eq!(run(&machine, &["off"]).await.code, Some(0));
    free.expect("the script's lock went with the script");
}

#[tokio::test]
async fn on_starts_a_daemon_that_off_stops() {
    let machine = Machine::new();
    assert_eq!(run(&machine, &["on"]).await.code, Some(0));
    assert!(run(&machine, &["on"]).await.out.contains("already running"));
    let lock = machine.state().join("daemon.lock");
    let first = std::fs::read_to_string(&lock).expect("a process id");
    assert_eq!(run(&machine, &["restart"]).await.code, Some(0));
    let second = std::fs::read_to_string(&lock).expect("a process id");
    assert_ne!(first, second);
    assert_eq!(run(&machine, &["off"]).await.out, "✓ Raspberry Pi Connect stopped\n");
    assert_eq!(run(&machine, &["status"]).await.code, Some(1));
    let left = std::path::Path::new("/proc").join(second.trim()).join("exe");
    let gone = async {
        // It lets go of the folder just before it ends.
        while left.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("no process is left");
}
