//! How much memory an artefact takes.

use super::{MEBIBYTE, noise, otamaker, said, sparse};
use bramble_agent::update::artefact::{Limits, Partitions, Place, Workspace, receive};
use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A partition of any size that forgets what is written.
struct Void {
    at: u64,
    written: u64,
}

impl Write for Void {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at += bytes.len() as u64;
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Void {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

struct Voids(u64);

impl Partitions for Voids {
    type Target = Void;

    fn open(&mut self, _: &str) -> io::Result<Option<Place<Void>>> {
        Ok(Some(Place { target: Void { at: 0, written: 0 }, capacity: 8 << 30 }))
    }

    fn written(&mut self, _: &str, target: Void) -> io::Result<()> {
        self.0 += target.written;
        Ok(())
    }
}

/// Memory in KiB from the kernel's own account of this process.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim_matches(|character: char| !character.is_ascii_digit()).parse().expect("a number")
}

#[test]
fn an_image_of_2_gb_takes_little_memory() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("system"), sparse(&noise(64 * MEBIBYTE), 500_000, 40_000)).expect("written");
    let contents = "artefact:\n  name: big\npayloads:\n- name: system\n  type: image-sparse\n";
    fs::write(folder.path().join("big.yaml"), contents).expect("written");
    assert!(otamaker(folder.path(), &["-w", "big.yaml"]).status.success());
    let sum = fs::read_to_string(folder.path().join("big.tar.zst.sha256sum")).expect("the sum");
    // A process of its own measures: what the fixture took is gone there.
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "artefact::memory::an_image_is_read_with_little_memory", "--nocapture"])
        .env("BRAMBLE_TEST_ARTEFACT", folder.path().join("big.tar.zst"))
        .env("BRAMBLE_TEST_SUM", sum.trim())
        .output()
        .expect("runs");
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
}

/// The other half of the test above; alone it has nothing to read.
#[test]
fn an_image_is_read_with_little_memory() {
    let (Some(path), Ok(sum)) =
        (std::env::var_os("BRAMBLE_TEST_ARTEFACT"), std::env::var("BRAMBLE_TEST_SUM"))
    else {
        return;
    };
    let before = memory("VmRSS:");
    let mut voids = Voids(0);
    let received = receive(
        fs::File::open(path).expect("opens"),
        sum.parse().expect("a checksum"),
        Workspace::new(Path::new("/tmp")).expect("a workspace"),
        &mut voids,
        &Limits::default(),
    )
    .expect("received");
    assert_eq!(received.written, (64 * MEBIBYTE as u64) + 540_000 * 4096);
    assert_eq!(voids.0, (64 * MEBIBYTE as u64) + 500_000 * 4096);
    let used = memory("VmHWM:") - before;
    assert!(used < 32 * 1024, "{used} KiB");
}

/// The daemon is small because it has no part in this.
#[test]
fn the_daemon_does_not_link_the_decompressor() {
    let has = |program: &str| {
        let text = "Frame requires too much memory for decoding";
        Command::new("grep").args(["-qF", text, program]).status().expect("grep runs").success()
    };
    assert!(has(env!("CARGO_BIN_EXE_otamaker")));
    assert!(!has(env!("CARGO_BIN_EXE_rpi-connectd")));
}
