//! What is promised for the moment when something breaks, with the real programs.

use bramble_model::{Clock, SystemClock};
use bramble_store::{Store, Target, devices::Device};
use bramble_testkit::{
    ChaosProxy, Dialer, FakeDevice, Person, SHORT, TestDevice, TestServer, eventually, find_canaries,
};
use bramble_wire::device_api::{AuthKeyExchange, Linked, WhoAmI};
use std::{fs, path::Path};
use tokio::process::Command;

fn database(server: &TestServer) -> Target {
    Target::Sqlite(server.data().join("bramble.db"))
}

async fn devices_of(server: &TestServer, person: &Person) -> Vec<Device> {
    let store = Store::open(&database(server)).await.expect("the database opens");
    let user = store.user_by_email(&person.email).await.expect("an answer").expect("the person");
    let account = store.personal_account(user.id).await.expect("an answer").expect("their account");
    let mut found = Vec::new();
    for serial in ["cut", "10000000feedbeef"] {
        found.extend(store.devices_with_serial(account, serial).await.expect("an answer"));
    }
    store.close().await.expect("closes");
    found
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_for_the_same_device() {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let key = server.auth_key(&person).await;
    let proxy = ChaosProxy::start(server.address()).await;
    let body = AuthKeyExchange {
        auth_key: key.clone(),
        serial_number: "cut".to_owned(),
        hostname: "kiosk".to_owned(),
        client_id: "test".to_owned(),
    };
    let exchange =
        |origin: String| server.http().post(format!("{origin}/client/auth-key-exchange")).json(&body).send();

    // The server has committed when it begins to answer, and the client hears nothing of it.
    proxy.swallow_answers(true);
    assert!(exchange(proxy.url("http")).await.is_err());
    proxy.swallowed().await;
    let lost = devices_of(&server, &person).await;
    assert_eq!(lost.len(), 1, "the first exchange was committed");

    proxy.swallow_answers(false);
    let answer = exchange(proxy.url("http")).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let linked: Linked = answer.json().await.expect("linked");
    assert_eq!(linked.device_id, lost[0].id);
    assert_eq!(devices_of(&server, &person).await.len(), 1, "there is still one device");

    // The token works; from its first use on, the key is used up for good.
    let me = server.http().get(format!("{}/me", server.url())).bearer_auth(&linked.access_token);
    let me: WhoAmI = me.send().await.expect("an answer").json().await.expect("the device");
    assert_eq!(me.device_id, lost[0].id);
    let again = exchange(server.url().to_owned()).await.expect("an answer");
    assert_eq!(again.status(), 401);
}

#[tokio::test]
async fn the_agent_links_once_though_its_answer_was_cut_off() {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let key = server.auth_key(&person).await;
    let proxy = ChaosProxy::start(server.address()).await;
    let device = TestDevice::start().await;
    let url = proxy.url("http");

    proxy.swallow_answers(true);
    let (first, ()) = tokio::join!(device.sign_in_at(&url, &server, &key), async {
        proxy.swallowed().await;
        proxy.swallow_answers(false);
    });
    // Whether the agent tries again by itself or leaves that to the person: with the same key it works.
    if !first.status.success() {
        device.sign_in_at(&url, &server, &key).await.success();
    }
    device.online().await;
}

mod timed {
    use super::*;

    #[tokio::test]
    async fn a_device_is_back_within_five_seconds_after_the_server_was_killed() {
        let mut server = TestServer::builder().tls().start().await;
        let person = server.person("Ada").await;
        let device = TestDevice::linked(&server, &server.auth_key(&person).await).await;

        server.kill().await;
        eventually("the device notices", SHORT, async || {
            let status = device.rpi_connect(&["status"]).await.stdout;
            status.contains("Subscribed to events: no").then_some(())
        })
        .await;

        server.start_again().await;
        let ready = SystemClock.now();
        device.online().await;
        let took = SystemClock.now() - ready;
        assert!(took.as_seconds_f64() < 5.0, "it took {took}");
    }

    #[tokio::test]
    async fn the_server_stops_within_ten_seconds_with_streams_open() {
        let mut server = TestServer::start().await;
        let person = server.person("Ada").await;
        let device = FakeDevice::link(&server, &server.auth_key(&person).await, "stop").await;
        let mut events = Dialer::new(&server).events(&device.token).await.expect("a stream");
        let asked = SystemClock.now();
        let (status, ()) = tokio::join!(server.stop(), events.closed());
        assert!(status.success(), "{status}");
        assert!((SystemClock.now() - asked).as_seconds_f64() < 10.0);
    }
}

#[tokio::test]
async fn a_device_whose_connection_is_cut_comes_back() {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let proxy = ChaosProxy::start(server.address()).await;
    let device = TestDevice::start().await;
    device.sign_in_at(&proxy.url("http"), &server, &server.auth_key(&person).await).await.success();
    device.online().await;
    for _ in 0..3 {
        proxy.refuse(true);
        proxy.cut();
        eventually("the device notices", SHORT, async || {
            let status = device.rpi_connect(&["status"]).await.stdout;
            status.contains("Subscribed to events: no").then_some(())
        })
        .await;
        proxy.refuse(false);
        device.online().await;
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_in_the_database() {
    let mut server = TestServer::start().await;
    let person = server.person("Ada").await;
    let key = server.auth_key(&person).await;
    let device = TestDevice::linked(&server, &key).await;
    let fake_key = server.auth_key(&person).await;
    let fake = FakeDevice::link(&server, &fake_key, "10000000feedbeef").await;
    let unusable = "rpuak_".to_owned() + &"z".repeat(24);
    let refused = device.sign_in(&server, &unusable).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    server.stop().await;
    let secrets = [
        ("the password", person.password.as_str()),
        ("the first key", key.as_str()),
        ("the second key", fake_key.as_str()),
        ("the token", fake.token.as_str()),
        ("the key that nobody made", unusable.as_str()),
    ];
    assert_eq!(find_canaries(server.data(), &secrets), Vec::<String>::new());
    assert_eq!(find_canaries(&server.log_path(), &secrets), Vec::<String>::new());
    assert_eq!(find_canaries(&device.log_path(), &secrets), Vec::<String>::new());
    assert!(!refused.stdout.contains(&unusable) && !refused.stderr.contains(&unusable));
}

/// Every file of a folder with its content.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder")
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().expect("UTF-8"), fs::read(entry.path()).expect("read")))
        // A lock says nothing, nor does what SQLite lays beside a file that it reads.
        .filter(|(name, bytes)| {
            name != "bramble.lock"
                && name != "bramble.db-shm"
                && (name != "bramble.db-wal" || !bytes.is_empty())
        })
        .collect();
    files.sort();
    files
}

/// A server that ran once and was stopped.
async fn stopped() -> TestServer {
    let mut server = TestServer::start().await;
    server.person("Ada").await;
    assert!(server.stop().await.success());
    server
}

/// Starts it where it must not come up, and hands out what it said.
async fn refusal(server: &mut TestServer) -> String {
    let running = server.spawn();
    let status = eventually("the server ends", SHORT, async || running.ended()).await;
    assert!(!status.success());
    server.log()
}

#[tokio::test]
async fn a_database_that_is_gone_is_not_begun_anew() {
    let mut server = stopped().await;
    for file in ["bramble.db", "bramble.db-wal", "bramble.db-shm"] {
        let _ = fs::remove_file(server.data().join(file));
    }
    let said = refusal(&mut server).await;
    assert!(said.contains("is missing") && said.contains("backup"), "{said}");
    assert!(!server.data().join("bramble.db").exists());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let mut server = stopped().await;
    let store = Store::open(&database(&server)).await.expect("opens");
    store
        .execute_for_tests("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)")
        .await;
    store.close().await.expect("closes");
    let before = contents(server.data());
    let said = refusal(&mut server).await;
    assert!(said.contains("newer version") && said.contains("m9999_future"), "{said}");
    assert!(contents(server.data()) == before, "something was written");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let mut server = stopped().await;
    for file in ["bramble.db-wal", "bramble.db-shm"] {
        let _ = fs::remove_file(server.data().join(file));
    }
    fs::write(server.data().join("bramble.db"), "holiday pictures; nothing to see here").expect("written");
    let before = contents(server.data());
    let said = refusal(&mut server).await;
    assert!(said.contains("not a Bramble database"), "{said}");
    assert!(contents(server.data()) == before, "something was written");
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let first = TestServer::start().await;
    let mut second = TestServer::builder().data(first.data()).prepare();
    let said = refusal(&mut second).await;
    assert!(said.contains("another Bramble is running"), "{said}");
    assert_eq!(first.http().get(format!("{}/ready", first.url())).send().await.expect("up").status(), 200);
}

/// Permissions mean nothing to root, so the folder is mounted read-only, in a namespace of its own.
#[tokio::test]
async fn a_read_only_database_is_said_to_be_read_only() {
    let server = stopped().await;
    let before = contents(server.data());
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@""#;
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "bash", "-c", script, "bash"])
        .arg(server.data())
        .arg(bramble_testkit::program("bramble"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            "http://localhost:1",
            "--relay",
            "off",
            "--data",
        ])
        .arg(server.data())
        .output()
        .await
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("cannot be") && said.contains(&server.data().display().to_string()), "{said}");
    assert!(contents(server.data()) == before, "something was written");
}

#[tokio::test]
async fn a_locked_database_makes_requests_fail_politely_and_recovers() {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let key = server.auth_key(&person).await;
    let other = Store::open(&database(&server)).await.expect("opens");
    other.execute_for_tests("BEGIN EXCLUSIVE").await;

    let body = serde_json::json!({"auth_key": key, "serial_number": "10000000feedbeef", "hostname": "kiosk"});
    let exchange =
        || server.http().post(format!("{}/client/auth-key-exchange", server.url())).json(&body).send();
    let answer = exchange().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));

    other.execute_for_tests("ROLLBACK").await;
    other.close().await.expect("closes");
    assert_eq!(exchange().await.expect("an answer").status(), 200);
}
