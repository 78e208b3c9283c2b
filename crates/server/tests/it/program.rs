//! The real program: how it starts, why it refuses, how it stops.

use bramble_store::testing::{Engine, TestDatabase};
use bramble_testkit::{SHORT, eventually, free_port};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

fn bramble(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bramble"));
    command.args(arguments).arg("--data").arg(data).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn serve(data: &Path, port: u16) -> Command {
    bramble(data, &["serve", "--relay", "off", "--listen", &format!("127.0.0.1:{port}")])
}

/// Runs a server that must refuse to start, and hands out why.
async fn refusal(data: &Path) -> String {
    let output = timeout(SHORT, serve(data, free_port()).output()).await.expect("it ends").expect("it ran");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.trim().lines().count(), 1, "one clear line: {text}");
    text
}

async fn started(data: &Path) -> (Child, u16) {
    let port = free_port();
    let child = serve(data, port).spawn().expect("it starts");
    eventually("it listens", SHORT, async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    (child, port)
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it runs").to_string();
    Command::new("kill").args([name, &pid]).status().await.expect("kill runs");
}

#[tokio::test]
async fn a_first_start_keeps_everything_for_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (mut child, _) = started(&data).await;
    let mode =
        |path: &str| std::fs::metadata(data.join(path)).expect("it exists").permissions().mode() & 0o777;
    eventually("the socket is there", SHORT, async || data.join("admin.sock").exists().then_some(())).await;
    assert_eq!((mode(""), mode("secrets"), mode("secrets/master.key")), (0o700, 0o700, 0o600));
    assert_eq!((mode("admin.sock"), mode("bramble.db")), (0o600, 0o600));
    assert!(std::fs::metadata(data.join("admin.sock")).expect("it exists").file_type().is_socket());
    let second = refusal(&data).await;
    assert!(second.contains("another Bramble is running"), "{second}");
    signal(&child, "-TERM").await;
    assert!(timeout(SHORT, child.wait()).await.expect("in time").expect("it ended").success());
    assert!(!data.join("admin.sock").exists(), "the socket goes with the server");
}

#[tokio::test]
async fn a_term_signal_ends_it_while_clients_hold_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, port) = started(folder.path()).await;
    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let mut halfway = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    halfway.write_all(b"GET /events?channel=Dev").await.expect("sent");
    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    idle.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    idle.read_u8().await.expect("an answer");
    let asked = Instant::now();
    signal(&child, "-TERM").await;
    let status =
        timeout(Duration::from_secs(10), child.wait()).await.expect("within 10 s").expect("it ended");
    assert!(status.success(), "{status} after {:?}", asked.elapsed());
    for stream in [&mut silent, &mut halfway, &mut idle] {
        let mut rest = Vec::new();
        let _ = timeout(SHORT, stream.read_to_end(&mut rest)).await.expect("closed");
    }
}

#[tokio::test]
async fn after_a_term_signal_running_requests_are_finished_and_no_new_ones_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, port) = started(folder.path()).await;
    let (first, rest) = r#"{"client_id":"test","login_hint":"10000000abcdef01"}"#.split_at(20);
    let head = format!(
        "POST /client/device HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        first.len() + rest.len()
    );
    let mut running = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    running.write_all(head.as_bytes()).await.expect("sent");
    // The server waits for the body, so it works on the request.
    let mut go_on = [0; 25];
    timeout(SHORT, running.read_exact(&mut go_on)).await.expect("in time").expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    running.write_all(first.as_bytes()).await.expect("sent");

    signal(&child, "-TERM").await;
    eventually("it takes no more", SHORT, async || TcpStream::connect(("127.0.0.1", port)).await.err()).await;
    running.write_all(rest.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(SHORT, running.read_to_string(&mut answer)).await.expect("in time").expect("closed in order");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"user_code\":"), "{answer}");
    assert!(timeout(SHORT, child.wait()).await.expect("in time").expect("it ended").success());
}

#[tokio::test]
async fn a_second_term_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, port) = started(folder.path()).await;
    // A request whose body never comes: the first signal waits for it.
    let mut running = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let head = "POST /client/device HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    running.write_all(head.as_bytes()).await.expect("sent");
    timeout(SHORT, running.read_u8()).await.expect("in time").expect("it goes on");
    signal(&child, "-TERM").await;
    eventually("it takes no more", SHORT, async || TcpStream::connect(("127.0.0.1", port)).await.err()).await;
    assert!(child.try_wait().expect("its state").is_none(), "it did not wait");
    signal(&child, "-TERM").await;
    let status = timeout(Duration::from_secs(3), child.wait()).await.expect("at once").expect("it ended");
    assert_eq!(status.code(), Some(1), "a stop that was cut short is no success");
}

#[tokio::test]
async fn a_missing_database_is_not_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let (mut child, _) = started(data).await;
    signal(&child, "-INT").await;
    child.wait().await.expect("it ended");
    for file in ["bramble.db", "bramble.db-wal", "bramble.db-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    let text = refusal(data).await;
    assert!(text.contains("is missing") && text.contains("backup"), "{text}");
    assert!(!data.join("bramble.db").exists(), "nothing was written");
}

#[tokio::test]
async fn a_lost_or_foreign_key_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let (mut child, _) = started(data).await;
    signal(&child, "-TERM").await;
    child.wait().await.expect("it ended");
    let key = data.join("secrets/master.key");
    let good = std::fs::read_to_string(&key).expect("the key");
    std::fs::write(&key, "0".repeat(64)).expect("written");
    assert!(refusal(data).await.contains("does not open this database"));
    std::fs::write(&key, "short").expect("written");
    assert!(refusal(data).await.contains("damaged"));
    std::fs::remove_file(&key).expect("removed");
    assert!(refusal(data).await.contains("is missing"));
    assert!(!key.exists(), "no new key was made");
    std::fs::write(&key, good).expect("written");
    started(data).await;
}

#[tokio::test]
async fn databases_that_cannot_be_used_are_explained() {
    let database = TestDatabase::new(Engine::Sqlite).await;
    let data = database.folder.path();
    let file = data.join("bramble.db");
    let store = database.open().await;
    store
        .execute_for_tests("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)")
        .await;
    store.close().await.expect("closed");
    std::fs::create_dir(data.join("secrets")).expect("a folder");
    std::fs::write(data.join("secrets/master.key"), "1".repeat(64)).expect("written");
    let before = std::fs::read(&file).expect("the file");
    let text = refusal(data).await;
    assert!(text.contains("newer version") && text.contains("m9999_future"), "{text}");
    assert_eq!(std::fs::read(&file).expect("the file"), before, "nothing was written");
    std::fs::write(&file, "not a database, but long enough to be looked at as one ".repeat(40))
        .expect("written");
    let text = refusal(data).await;
    assert!(text.contains("is not a Bramble database"), "{text}");
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_explained() {
    let database = TestDatabase::new(Engine::Sqlite).await;
    let data = database.folder.path();
    let store = database.open().await;
    std::fs::create_dir(data.join("secrets")).expect("a folder");
    std::fs::write(data.join("secrets/master.key"), "1".repeat(64)).expect("written");
    let held = store.begin().await.expect("a transaction");
    let text = refusal(data).await;
    assert!(text.contains("is locked by another process"), "{text}");
    drop(held);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_explained() {
    if rustix::process::geteuid().is_root() {
        // Root may write whatever its mode says: run the program as nobody, who owns the rest.
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("a mode");
        let data = folder.path().join("data");
        let (mut child, _) = started(&data).await;
        signal(&child, "-TERM").await;
        child.wait().await.expect("it ended");
        let nobody = 65534;
        for path in ["", "secrets", "secrets/master.key", "bramble.lock"] {
            std::os::unix::fs::chown(data.join(path), Some(nobody), Some(nobody)).expect("a new owner");
        }
        let file = data.join("bramble.db");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).expect("a mode");
        assert_eq!(std::fs::metadata(&file).expect("the file").uid(), 0);
        let program = folder.path().join("bramble");
        std::fs::copy(env!("CARGO_BIN_EXE_bramble"), &program).expect("a copy for nobody");
        let mut command = Command::new(program);
        command.args(["serve", "--relay", "off", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        let output = timeout(SHORT, command.uid(nobody).gid(nobody).output()).await.expect("it ends");
        let output = output.expect("it ran");
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && text.contains("cannot be written"), "{text}");
    }
}

#[tokio::test]
async fn config_check_explains_and_fails_on_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bramble.toml"), "registration = \"open\"\n").expect("written");
    let check = async |more: &[&str]| {
        let mut command = bramble(folder.path(), &["config", "check"]);
        let output = command.args(more).env("BRAMBLE_LISTEN", "127.0.0.1:9").output().await.expect("it ran");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = check(&["--smtp-url", "smtp://u:hunter2@mail"]).await;
    assert_eq!(code, Some(0), "{text}");
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
    assert!(line("registration").contains("open") && line("registration").contains("bramble.toml"), "{text}");
    assert!(line("listen").contains("127.0.0.1:9") && line("listen").contains("environment"), "{text}");
    assert!(line("smtp-url").contains("(flag)") && !text.contains("hunter2"), "{text}");
    let (code, text) = check(&["--public-url", "http://pi.example", "--json"]).await;
    assert_eq!(code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["problems"][0]["setting"], "public-url");
}

#[tokio::test]
async fn operators_reach_a_running_server_and_a_stopped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let create = async |email: &str| {
        let arguments = ["user", "create", "--email", email, "--name", "A", "--password-stdin", "--verified"];
        let mut command = bramble(data, &arguments);
        let mut child = command.arg("--json").stdin(Stdio::piped()).spawn().expect("it starts");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(b"correct horse battery staple 7\n").await.expect("sent");
        drop(input);
        let output = timeout(SHORT * 3, child.wait_with_output()).await.expect("in time").expect("it ran");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (done, text) = create("ada@example.org").await;
    assert!(done && text.contains("\"email\":\"ada@example.org\""), "{text}");
    let (_child, _) = started(data).await;
    eventually("the socket is there", SHORT, async || data.join("admin.sock").exists().then_some(())).await;
    let (done, text) = create("bea@example.org").await;
    assert!(done, "{text}");
    let (done, text) = create("ADA@example.org").await;
    assert!(!done && text.starts_with("bramble: "), "one who is there already: {text}");
    let output = bramble(data, &["deployment-key", "rotate"]).output().await.expect("it ran");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.starts_with("Deployments are signed with the new key "),
        "{output:?}"
    );
}

/// What scripts and people see of a command that is refused because of what it would do to others.
#[tokio::test]
async fn the_last_administrator_is_disabled_only_by_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async |arguments: &[&str], input: &[u8]| {
        let mut child = bramble(folder.path(), arguments).stdin(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(input).await.expect("sent");
        let output = timeout(SHORT * 3, child.wait_with_output()).await.expect("in time").expect("it ran");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let ada = ["--email", "ada@example.org"];
    let create = [&["user", "create", "--name", "A", "--password-stdin", "--verified"], &ada[..]].concat();
    assert!(run(&create, b"correct horse battery staple 7\n").await.0);
    assert!(run(&["org", "create", "--name", "Kiosks", "--administrator", ada[1]], b"").await.0);
    let disable = [&["user", "disable"], &ada[..]].concat();
    let (done, out, errors) = run(&disable, b"").await;
    assert!(!done && out.is_empty() && errors.contains("Kiosks") && errors.contains("--force"), "{errors}");
    let (done, out, _) = run(&[&disable[..], &["--json"]].concat(), b"").await;
    let told: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert!(!done && told["error"] == "last_administrator", "{out}");
    let (done, out, _) = run(&[&disable[..], &["--force", "--json"]].concat(), b"").await;
    let told: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((done, &told["organisations_without_administrator"][0]["name"]), (true, &"Kiosks".into()));
}

#[tokio::test]
async fn whoever_stops_reading_hears_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = bramble(folder.path(), &["config", "check"]).spawn().expect("it starts");
    // Closed before it can write: what `| head -1` does to all but the first line.
    drop(child.stdout.take());
    let output = timeout(SHORT, child.wait_with_output()).await.expect("it ends").expect("it ran");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && errors.is_empty(), "{} {errors}", output.status);
}
