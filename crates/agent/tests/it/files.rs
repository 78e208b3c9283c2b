//! File sessions against a real WebRTC peer, on real folders.

use crate::peer::Order;
use crate::visit::{PATIENCE, Visit, settings};
use bramble_agent::session::{FilesSettings, Input, SessionSettings};
use bramble_wire::files::{FromFiles, ToFiles, WINDOW};
use bramble_wire::signalling::{Direction, SessionKind};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

fn with(root: &Path) -> SessionSettings {
    SessionSettings { files: Some(FilesSettings::at(root)), ..settings() }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn bytes(many: usize) -> Vec<u8> {
    (0..many).map(|n| u8::try_from((n * 31 + n / 251) % 256).expect("small")).collect()
}

fn upload(name: &str, size: usize) -> ToFiles {
    let (folder, name, stamp) = (String::new(), name.to_owned(), String::new());
    ToFiles::Upload { id: 1, folder, name, size: size as u64, stamp }
}

fn written(visit: &Visit) -> u64 {
    let last = visit.files.iter().rev().find_map(|it| match it {
        FromFiles::Written { bytes, .. } => Some(*bytes),
        _ => None,
    });
    last.unwrap_or(0)
}

#[tokio::test]
async fn a_file_goes_to_the_device_and_comes_back_the_same() {
    let place = tempfile::tempdir().expect("a folder");
    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    let content = bytes(3_000_000);
    visit.say_files(&upload("a.bin", content.len()));
    visit.until("ready", |it| it.files.contains(&FromFiles::Ready { id: 1, offset: 0 })).await;
    visit.send_file(&content);
    visit.until("all written", |it| written(it) == 3_000_000).await;
    visit.say_files(&ToFiles::Finish { id: 1, sha256: digest(&content) });
    visit.until("stored", |it| it.files.contains(&FromFiles::Stored { id: 1 })).await;
    assert_eq!(fs::read(place.path().join("a.bin")).expect("there"), content);

    visit.say_files(&ToFiles::Download { id: 2, folder: String::new(), name: "a.bin".into(), offset: 0 });
    let sent = FromFiles::Sent { id: 2, sha256: digest(&content) };
    visit.until("sent", |it| it.files.contains(&sent)).await;
    assert!(visit.bytes == content, "it came back changed");
    visit.until("both reports", |it| it.transfers.len() == 2).await;
    assert_eq!(visit.transfers[0].direction, Direction::Upload);
    assert_eq!(visit.transfers[1].direction, Direction::Download);
    assert!(visit.transfers.iter().all(|it| it.name == "a.bin" && it.sha256 == Some(digest(&content))));
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_reports_how_far_it_came_before_its_end() {
    let place = tempfile::tempdir().expect("a folder");
    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    visit.say_files(&upload("a.bin", 1_000_000));
    visit.send_file(&bytes(990_000));
    visit.until("99 % written", |it| written(it) == 990_000).await;
    visit.input.send(Input::End { reason: "Enough.".to_owned() }).await.expect("runs");
    assert_eq!(visit.until_ended().await, "Enough.");
    assert_eq!(visit.transfers.len(), 1, "{:?}", visit.transfers);
    assert_eq!((visit.transfers[0].bytes, &visit.transfers[0].sha256), (990_000, &None));

    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    visit.say_files(&upload("a.bin", 1_000_000));
    visit.until("the rest", |it| it.files.contains(&FromFiles::Ready { id: 1, offset: 990_000 })).await;
}

#[tokio::test]
async fn a_browser_that_vanishes_with_the_last_bytes_is_reported_all_the_same() {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("a.bin"), bytes(50_000)).expect("written");
    let mut with = with(place.path());
    with.heartbeat_timeout = std::time::Duration::from_secs(3);
    let mut visit = Visit::to_files(with).await;
    visit.until_connected().await;
    visit.say_files(&ToFiles::Download { id: 2, folder: String::new(), name: "a.bin".into(), offset: 0 });
    visit.until("most of it", |it| it.bytes.len() > 16_000).await;
    visit.peer.order(Order::Vanish);
    visit.until_ended().await;
    assert_eq!(visit.transfers.len(), 1, "{:?}", visit.transfers);
}

#[tokio::test]
async fn without_switch_or_permission_a_session_is_refused_in_words() {
    let place = tempfile::tempdir().expect("a folder");
    let mut off = Visit::to_files(settings()).await;
    off.until("a refusal", |it| it.refused.is_some()).await;
    assert!(off.refused.as_deref().is_some_and(|it| it.contains("rpi-connect files on")));
    let mut forbidden = Visit::begin_with(with(place.path()), |offer| offer.kind = SessionKind::Files).await;
    forbidden.until("a refusal", |it| it.refused.is_some()).await;
    assert_eq!(forbidden.refused.as_deref(), Some("File transfer was not permitted for this session"));
    let mut nowhere = Visit::to_files(with(Path::new("/proc/none"))).await;
    nowhere.until("a refusal", |it| it.refused.is_some()).await;
    assert!(nowhere.refused.as_deref().is_some_and(|it| it.contains("cannot be used")));
}

#[tokio::test]
async fn garbage_is_answered_and_the_session_goes_on() {
    let place = tempfile::tempdir().expect("a folder");
    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    for garbage in ["{", "null", r#"{"type":"erase"}"#, r#"{"type":"upload","id":-1}"#] {
        visit.say("files", garbage);
    }
    visit.peer.order(Order::Send {
        label: "files",
        binary: false,
        data: b"{\"type\":\"list\",\"folder\":\"\xff\"}".to_vec(),
    });
    visit.send_file(&bytes(100_000));
    visit.say_files(&ToFiles::List { folder: String::new() });
    visit.until("the list", |it| matches!(it.files.last(), Some(FromFiles::Listed { .. }))).await;
    assert_eq!(visit.files.len(), 6, "{:?}", visit.files);
}

#[tokio::test]
async fn a_browser_that_takes_nothing_costs_a_bounded_amount_of_memory() {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("big"), vec![0; 64 << 20]).expect("written");
    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    visit.discard = true;
    visit.say_files(&ToFiles::Download { id: 2, folder: String::new(), name: "big".into(), offset: 0 });
    let window = usize::try_from(WINDOW).expect("fits");
    visit.until("a window", |it| it.received >= window).await;
    visit.say("control", r#"{"type":"ping","seq":9}"#);
    visit.until("a pong", |it| !it.control.is_empty()).await;
    assert_eq!(visit.received, window);
    // What it grants, and no more than a window however much that is.
    visit.say_files(&ToFiles::Credit { bytes: u64::MAX });
    visit.until("another window", |it| it.received >= 2 * window).await;
    visit.say("control", r#"{"type":"ping","seq":10}"#);
    visit.until("a pong", |it| it.control.len() > 1).await;
    assert_eq!(visit.received, 2 * window);
}

#[tokio::test]
async fn a_flood_of_messages_ends_the_session_instead_of_filling_memory() {
    let place = tempfile::tempdir().expect("a folder");
    for n in 0..2000 {
        fs::write(place.path().join(format!("{n:0100}")), "").expect("written");
    }
    let mut visit = Visit::to_files(with(place.path())).await;
    visit.until_connected().await;
    for _ in 0..5000 {
        visit.say_files(&ToFiles::List { folder: String::new() });
    }
    let ended = tokio::time::timeout(PATIENCE, visit.until_ended()).await.expect("in time");
    assert_eq!(ended, "The browser sent more than the device had asked for.");
}
