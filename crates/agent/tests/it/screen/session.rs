//! Screen sessions against a real WebRTC peer and a fake VNC server on a real Unix socket.

use crate::peer::Order;
use crate::visit::{PATIENCE, Visit, settings};
use bramble_agent::session::{Input, ScreenSettings, SessionSettings};
use bramble_wire::signalling::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const GREETING: &[u8] = b"RFB 003.008\n";

/// A VNC server that does what the test says.
struct FakeVnc {
    place: tempfile::TempDir,
    listener: UnixListener,
}

impl FakeVnc {
    fn start() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(place.path().join("vnc.sock")).expect("binds");
        Self { place, listener }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("vnc.sock")
    }

    fn settings(&self) -> SessionSettings {
        SessionSettings { screen: Some(ScreenSettings::at(self.socket())), ..settings() }
    }

    /// The next connection.
    async fn accept(&self) -> UnixStream {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        accepted.expect("in time").expect("a connection").0
    }

    /// The next connection, after the greeting.
    async fn greet(&self) -> UnixStream {
        let mut stream = self.accept().await;
        stream.write_all(GREETING).await.expect("sends");
        stream
    }
}

#[tokio::test]
async fn bytes_go_both_ways_unchanged() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let mut desktop = server.greet().await;
    visit.until("the greeting", |it| it.bytes == GREETING).await;
    assert_eq!(visit.connected(), Some(Path::Direct));

    let picture: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let sent = picture.clone();
    let sending = tokio::spawn(async move {
        desktop.write_all(&sent).await.expect("sends");
        desktop
    });
    visit.until("the picture", |it| it.bytes.len() == GREETING.len() + picture.len()).await;
    assert!(visit.bytes[GREETING.len()..] == picture[..], "the picture arrived changed");

    let mut desktop = sending.await.expect("no panic");
    let typed: Vec<u8> = (0..60_u8).collect();
    for part in typed.chunks(7) {
        visit.send_screen(part);
    }
    let mut heard = vec![0; typed.len()];
    let reading = desktop.read_exact(&mut heard);
    tokio::time::timeout(PATIENCE, reading).await.expect("in time").expect("reads");
    assert_eq!(heard, typed);

    visit.input.send(Input::End { reason: "Enough.".to_owned() }).await.expect("runs");
    assert_eq!(visit.until_ended().await, "Enough.");
    assert!(!visit.may_return());
    // The VNC server learns of it too.
    let rest = tokio::time::timeout(PATIENCE, desktop.read(&mut heard)).await.expect("in time");
    assert_eq!(rest.expect("reads"), 0);
}

#[tokio::test]
async fn a_clipboard_of_a_megabyte_that_is_no_utf_8_arrives_whole_both_ways() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let mut desktop = server.greet().await;
    visit.until("the greeting", |it| it.bytes == GREETING).await;
    // ClientCutText and ServerCutText (RFC 6143, 7.5.6 and 7.6.4).
    let text: Vec<u8> = (0..1_000_000_u32).map(|n| 0x80 | (n % 0x7f) as u8).collect();
    let message = |kind: u8| [&[kind, 0, 0, 0][..], &1_000_000_u32.to_be_bytes(), &text].concat();
    for part in message(6).chunks(16 * 1024) {
        visit.send_screen(part);
    }
    // A desktop that is busy for now: all of it waits in the device.
    visit.until("a heartbeat", |it| !it.control.is_empty()).await;
    let mut heard = vec![0; text.len() + 8];
    tokio::time::timeout(PATIENCE, desktop.read_exact(&mut heard)).await.expect("in time").expect("reads");
    assert!(heard == message(6), "the clipboard arrived changed");

    let sent = message(3);
    let sending = tokio::spawn(async move {
        desktop.write_all(&sent).await.expect("sends");
        desktop
    });
    visit.until("the clipboard", |it| it.bytes.len() == GREETING.len() + text.len() + 8).await;
    assert!(visit.bytes[GREETING.len()..] == message(3), "the clipboard arrived changed");
    let _desktop = sending.await.expect("no panic");
}

#[tokio::test]
async fn each_session_has_a_connection_of_its_own() {
    let server = FakeVnc::start();
    let mut one = Visit::to_screen(server.settings()).await;
    let mut first = server.greet().await;
    one.until("the greeting", |it| it.bytes == GREETING).await;
    let mut two = Visit::to_screen(server.settings()).await;
    let mut second = server.greet().await;
    two.until("the greeting", |it| it.bytes == GREETING).await;
    first.write_all(b"for one").await.expect("sends");
    second.write_all(b"for two").await.expect("sends");
    one.until("its own", |it| it.bytes.ends_with(b"for one")).await;
    two.until("its own", |it| it.bytes.ends_with(b"for two")).await;
}

#[tokio::test]
async fn what_the_server_said_last_arrives_before_the_end() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let mut desktop = server.greet().await;
    visit.until("the greeting", |it| it.bytes == GREETING).await;
    desktop.write_all(&vec![7; 200_000]).await.expect("sends");
    drop(desktop);
    let reason = visit.until_ended().await;
    assert_eq!(reason, "The desktop's VNC server ended the connection.");
    visit.until("all of it", |it| it.bytes.len() == GREETING.len() + 200_000).await;
    assert_eq!(visit.bye(), Some(reason.as_str()));
    // It may start again, and the browser is told to look.
    assert!(visit.may_return());
}

#[tokio::test]
async fn without_a_vnc_server_the_session_is_refused_with_the_reason() {
    let server = FakeVnc::start();
    let with = server.settings();
    drop(server.listener);
    let mut visit = Visit::to_screen(with.clone()).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    assert_eq!(visit.refused.as_deref(), Some("The VNC server of this device's desktop is not running."));
    std::fs::remove_file(server.place.path().join("vnc.sock")).expect("removed");
    let mut visit = Visit::to_screen(with).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    let mut visit = Visit::to_screen(settings()).await;
    visit.until("a refusal", |it| it.refused.is_some()).await;
    assert_eq!(visit.refused.as_deref(), Some("Screen sharing is not available on this device"));
}

#[tokio::test]
async fn a_program_that_is_no_vnc_server_is_told_apart() {
    for garbage in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"RFX 003.008\n", &[0; 5000]] {
        let server = FakeVnc::start();
        let mut visit = Visit::to_screen(server.settings()).await;
        server.accept().await.write_all(garbage).await.expect("sends");
        let reason = visit.until_ended().await;
        assert!(reason.contains("is not a VNC server"), "{reason}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_speak_first_hears_nothing_of_the_browser() {
    for said in [&b""[..], b"RFB"] {
        let server = FakeVnc::start();
        let mut visit = Visit::to_screen(server.settings()).await;
        let mut other = server.accept().await;
        other.write_all(said).await.expect("sends");
        visit.until_connected().await;
        visit.send_screen(b"FLUSHALL\r\n");
        assert_eq!(visit.until_ended().await, "The desktop's VNC server does not answer.");
        let mut heard = Vec::new();
        let reading = other.read_to_end(&mut heard);
        tokio::time::timeout(PATIENCE, reading).await.expect("in time").expect("reads");
        assert_eq!(heard, b"", "after {said:?}");
    }
}

#[tokio::test]
async fn a_greeting_may_come_in_pieces() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let mut desktop = server.accept().await;
    for (n, byte) in GREETING.iter().enumerate() {
        desktop.write_all(&[*byte]).await.expect("sends");
        visit.until("the byte", |it| it.bytes.len() == n + 1).await;
    }
    assert!(visit.ended().is_none());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let _silent = server.accept().await;
    assert_eq!(visit.until_ended().await, "The desktop's VNC server does not answer.");
}

#[tokio::test]
async fn a_server_that_takes_nothing_costs_a_bounded_amount_of_memory() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let _deaf = server.greet().await;
    visit.until("the greeting", |it| it.bytes == GREETING).await;
    for _ in 0..200 {
        visit.send_screen(&[0; 16 * 1024]);
        if visit.ended().is_some() {
            break;
        }
    }
    assert_eq!(visit.until_ended().await, "The desktop's VNC server does not take what is sent to it.");
}

#[tokio::test]
async fn a_viewer_that_has_vanished_holds_up_neither_memory_nor_the_other_viewers() {
    let server = FakeVnc::start();
    let mut with = server.settings();
    // Longer than the test looks.
    with.heartbeat_timeout = Duration::from_mins(1);
    let mut slow = Visit::to_screen(with.clone()).await;
    let mut for_slow = server.greet().await;
    slow.until("the greeting", |it| it.bytes == GREETING).await;
    let mut quick = Visit::to_screen(with).await;
    let mut for_quick = server.greet().await;
    quick.until("the greeting", |it| it.bytes == GREETING).await;

    slow.peer.order(Order::Vanish);
    // It goes on until nobody takes any more: what was taken is what the session holds.
    let mut taken = 0;
    let stuck = async {
        while taken < 64 * 1024 * 1024 {
            taken += for_slow.write(&[0; 16 * 1024]).await.expect("sends");
        }
    };
    let full = tokio::time::timeout(Duration::from_secs(3), stuck).await.is_err();
    assert!(full && taken < 4 * 1024 * 1024, "{taken} bytes were taken for a viewer that draws nothing");

    for_quick.write_all(&vec![1; 500_000]).await.expect("sends");
    quick.until("the picture", |it| it.bytes.len() == GREETING.len() + 500_000).await;
}

#[tokio::test]
async fn a_viewer_that_is_slow_gets_what_it_can_take_and_holds_up_nobody() {
    let server = FakeVnc::start();
    let mut with = server.settings();
    with.heartbeat_timeout = Duration::from_mins(1);
    let mut slow = Visit::to_screen(with.clone()).await;
    let for_slow = server.greet().await;
    slow.until("the greeting", |it| it.bytes == GREETING).await;
    let mut quick = Visit::to_screen(with).await;
    let mut for_quick = server.greet().await;
    quick.until("the greeting", |it| it.bytes == GREETING).await;
    slow.discard = true;
    quick.discard = true;

    slow.peer.order(Order::Slow(Duration::from_millis(4)));
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    // A desktop in motion: it sends for as long as anybody takes it.
    let motion = tokio::spawn(async move {
        let mut for_slow = for_slow;
        while let Ok(written) = for_slow.write(&[0; 16 * 1024]).await {
            counter.fetch_add(written, Ordering::Relaxed);
        }
    });
    let some = slow.received;
    slow.until("some of it", |it| it.received > some + 200_000).await;
    // The other one is served meanwhile as if it were alone.
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for_quick.write_all(&vec![1; 10_000_000]).await.expect("sends");
        for_quick
    });
    quick.until("its pictures", |it| it.received >= 10_000_000).await;
    let needed = began.elapsed();
    let _for_quick = sending.await.expect("no panic");
    slow.until("more of it", |it| it.received > some + 500_000).await;
    motion.abort();
    let held = taken.load(Ordering::Relaxed) - (slow.received - GREETING.len());
    assert!(held < 4 * 1024 * 1024, "{held} bytes wait for a viewer that is slow");
    assert!(needed < Duration::from_secs(8), "the other one waited {needed:?}");
    assert!(slow.ended().is_none() && quick.ended().is_none());
}

#[tokio::test]
async fn words_on_the_channel_and_a_watcher_are_refused() {
    let server = FakeVnc::start();
    let mut visit = Visit::to_screen(server.settings()).await;
    let mut desktop = server.greet().await;
    visit.until("the greeting", |it| it.bytes == GREETING).await;
    visit.say("vnc", r#"{"type":"start","cols":80,"rows":24}"#);
    visit.send_screen(b"x");
    let mut heard = [0; 64];
    let read = tokio::time::timeout(PATIENCE, desktop.read(&mut heard)).await.expect("in time");
    assert_eq!(&heard[..read.expect("reads")], b"x");

    let mut watcher = Visit::to_screen_as_watcher(server.settings()).await;
    watcher.until("a refusal", |it| it.refused.is_some()).await;
}
