//! A disk that is full.

use super::super::worker::Job;
use super::{Browser, bytes, digest};
use bramble_wire::files::{FromFiles, Problem};
use std::fs;
use std::path::PathBuf;

/// Where a small file system is, in the process that tests with it.
const SMALL_DISK: &str = "BRAMBLE_TEST_SMALL_DISK";

/// Runs a test of this file again, with a file system of 1 MiB in a namespace of its own.
fn on_a_small_disk(test: &str) {
    let place = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=1m none \"$1\" && exec \"$0\" --exact \"$2\"";
    let name = format!("session::files::tests::disk::{test}");
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args([std::env::current_exe().expect("this program").as_os_str(), place.path().as_os_str()])
        .arg(name)
        .env(SMALL_DISK, place.path())
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn a_full_disk_keeps_what_has_arrived_and_with_room_it_goes_on() {
    let Some(root) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else {
        return on_a_small_disk("a_full_disk_keeps_what_has_arrived_and_with_room_it_goes_on");
    };
    let mut browser = Browser::at(&root);
    assert!(matches!(browser.upload("", "a", 2_000_000), FromFiles::Failed { problem: Problem::Full, .. }));
    let content = bytes(900_000);
    browser.upload("", "a", 900_000);
    browser.send(&content[..100_000]);
    // Somebody else takes the room.
    let filler = root.join("filler");
    let _ = fs::write(&filler, vec![0; 2_000_000]);
    browser.job(Job::Bytes(content[100_000..300_000].to_vec()));
    assert_eq!(browser.problem(), Problem::Full);
    fs::remove_file(&filler).expect("removed");
    assert_eq!(browser.upload("", "a", 900_000), FromFiles::Ready { id: 1, offset: 100_000 });
    browser.send(&content[100_000..]);
    assert_eq!(browser.finish(&digest(&content)), FromFiles::Stored { id: 1 });
    assert_eq!(fs::read(root.join("a")).expect("reads"), content);
}
