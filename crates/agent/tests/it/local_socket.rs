//! The local socket: who is heard, and what rubbish costs.

use super::{
    device::{Machine, ask},
    fake_server::SOON,
};
use bramble_agent::local_api::{MAX_REQUEST, Reply, Request, client};
use std::{
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::Path,
};

/// What the daemon answers to raw bytes until it hangs up.
async fn raw(socket: &Path, bytes: Vec<u8>) -> String {
    let socket = socket.to_owned();
    let talk = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).expect("connects");
        stream.set_read_timeout(Some(SOON)).expect("sets");
        // It may hang up before all is written.
        let _ = stream.write_all(&bytes);
        let mut text = String::new();
        match stream.read_to_string(&mut text) {
            Ok(_) => text,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => text,
            Err(error) => panic!("the daemon keeps the connection: {error}"),
        }
    });
    talk.await.expect("no panic")
}

#[tokio::test]
async fn it_is_for_its_owner_alone() {
    let machine = Machine::new();
    let device = machine.start().await;
    let socket = device.folder.socket();
    let found = std::fs::metadata(&socket).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    device.stop().await;
    assert!(!socket.exists(), "it goes with the daemon");
}

#[tokio::test]
async fn another_users_process_is_turned_away() {
    let machine = Machine::new();
    let own = rustix::process::geteuid().as_raw();
    let device = machine.start_with(|options| options.allowed_uid = Some(own + 1)).await;
    let socket = device.folder.socket();
    assert_eq!(raw(&socket, b"{\"do\":\"status\"}\n".to_vec()).await, "");
    let asked = tokio::task::spawn_blocking(move || client::ask(&socket, &Request::Stop));
    assert!(asked.await.expect("no panic").is_err());
    device.stop().await;
}

#[tokio::test]
async fn rubbish_is_answered_or_dropped_and_never_quoted() {
    let machine = Machine::new();
    let device = machine.start().await;
    let socket = device.folder.socket();
    for bytes in [
        b"\n".to_vec(),
        b"{\"do\":\"sign_in\",\"auth_key\":[\"canary\"]}\n".to_vec(),
        b"{\"do\":\"canary\"}\n".to_vec(),
        vec![b'x'; usize::try_from(MAX_REQUEST).expect("fits") + 1],
    ] {
        let reply = raw(&socket, bytes).await;
        assert!(reply.is_empty() || reply.contains("does not understand"), "{reply}");
        assert!(!reply.contains("canary"), "{reply}");
    }
    assert!(matches!(ask(&socket, Request::Status).await, Reply::Status(_)));
    device.stop().await;
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let machine = Machine::new();
    let device = machine.start().await;
    let socket = device.folder.socket();
    // More than there are places; each says nothing and is dropped in its time.
    let silent: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&socket).expect("connects")).collect();
    assert!(matches!(ask(&socket, Request::Status).await, Reply::Status(_)));
    drop(silent);
    device.stop().await;
}

#[tokio::test]
async fn a_second_daemon_does_not_start_and_a_leftover_socket_is_no_obstacle() {
    let machine = Machine::new();
    let device = machine.start().await;
    let second = bramble_agent::daemon::Options::new(
        device.folder.clone(),
        bramble_agent::platform::Platform::below(machine.root()),
        std::sync::Arc::new(|_| tokio::spawn(async {})),
    );
    let refused = bramble_agent::daemon::run(second, || {}, std::future::pending()).await;
    assert!(refused.expect_err("locked").to_string().contains("already running"));
    let socket = device.folder.socket();
    device.stop().await;

    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a leftover"));
    let device = machine.start().await;
    device.status().await;
    device.stop().await;
}
