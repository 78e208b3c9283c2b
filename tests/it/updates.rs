//! Remote updates from the management API to the device and back, where several parts have to agree.

use crate::organisation::Organisation;
use bramble_testkit::{LONG, eventually};
use serde_json::Value;
use std::{fs, path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

/// A script that says that it runs and waits for a file.
fn waiting(running: &Path, gate: &Path) -> String {
    format!("#!/bin/sh\ntouch {}\nuntil [ -e {} ]; do sleep 0.05; done\n", running.display(), gate.display())
}

#[tokio::test]
async fn a_device_that_is_deleted_while_it_applies_is_signed_out_and_ends_what_it_began() {
    let there = Organisation::new().await;
    let files = there.device.files();
    let (running, gate) = (files.join("running"), files.join("gate"));
    let deployment = there.deploy_script("slow", &waiting(&running, &gate)).await;
    eventually("the script runs", LONG, async || running.exists().then_some(())).await;
    let waits = there.deploy_script("next", "#!/bin/sh\n").await;
    there.ask("DELETE", &format!("devices/{}", there.id), Value::Null).await;
    assert_eq!(there.state(&deployment).await, "failed: Device deleted");
    assert_eq!(there.state(&waits).await, "cancelled");
    let device = &there.device.device;
    eventually("the device is signed out", LONG, async || {
        let status = device.rpi_connect(&["status"]).await.stdout;
        status.starts_with("Signed in: no\n").then_some(())
    })
    .await;
    fs::write(&gate, "").expect("a file");
    let state = there.device.root().join("bootfs/ota_state");
    eventually("what began has ended", LONG, async || {
        let text = fs::read_to_string(&state).ok()?;
        (text.contains("state=finished\n") && text.contains("outcome=succeeded\n")).then_some(())
    })
    .await;
    // Nothing of it reaches the server any more, and the next one was never begun.
    assert_eq!(there.state(&deployment).await, "failed: Device deleted");
    assert_eq!(there.state(&waits).await, "cancelled");
    assert!(!fs::read_to_string(&state).expect("a file").contains(&waits));
}

/// Hands out half of a file, and the rest when told.
async fn slowly(file: &Path, go_on: Arc<Notify>) -> String {
    let bytes = fs::read(file).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/a.tar.zst", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the device comes");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a request"));
        }
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(half).await.expect("sent");
        go_on.notified().await;
        stream.write_all(rest).await.expect("sent");
    });
    url
}

#[tokio::test]
async fn what_downloads_is_finished_and_of_those_that_came_meanwhile_the_newest_is_next() {
    let there = Organisation::new().await;
    let done = there.device.files().join("done");
    let script = |name: &str| format!("#!/bin/sh\necho {name} >> {}\n", done.display());
    let (file, checksum) = there.made("first", &script("first")).await;
    let go_on = Arc::new(Notify::new());
    let first = there.deploy("first", &slowly(&file, Arc::clone(&go_on)).await, &checksum).await;
    there.reaches(&first, "in_progress").await;
    let second = there.deploy_script("second", &script("second")).await;
    let third = there.deploy_script("third", &script("third")).await;
    there.reaches(&second, "failed: Superseded by a newer deployment").await;
    assert_eq!(
        (there.state(&first).await.as_str(), there.state(&third).await.as_str()),
        ("in_progress", "pending")
    );
    go_on.notify_one();
    there.reaches(&third, "succeeded").await;
    assert_eq!(there.state(&first).await, "succeeded");
    assert_eq!(fs::read_to_string(&done).expect("a file"), "first\nthird\n");
}

#[tokio::test]
async fn a_device_follows_the_server_to_a_new_key() {
    let there = Organisation::new().await;
    let before = there.deploy_script("before", "#!/bin/sh\n").await;
    there.reaches(&before, "succeeded").await;
    // Twice: the device learns of both at once.
    for _ in 0..2 {
        there.server.bramble(&["deployment-key", "rotate"], "").await.success();
    }
    let after = there.deploy_script("after", "#!/bin/sh\n").await;
    there.reaches(&after, "succeeded").await;
}
