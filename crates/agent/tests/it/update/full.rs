//! A disk without a byte left: what was there stays whole, the reason says it, and the next update finds its way.

use super::board::{Board, deployment, failed, order, script, trust};
use crate::artefact::{archive, compressed, noise, sparse};
use bramble_agent::update::{
    artefact::{Checksum, Limits, Partitions, Place, Workspace, receive},
    record::{Outcome, Phase},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

const MEBIBYTE: usize = 1024 * 1024;
/// Names the folder for artefacts, in the process whose temporary folder is the small disk.
const ELSEWHERE: &str = "BRAMBLE_TEST_ELSEWHERE";

#[test]
fn updates_survive_a_full_disk() {
    let (elsewhere, disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    // A disk of 4 MiB that only this process and its children see.
    let mounted = "mount -t tmpfs -o size=4m none \"$TMPDIR\" && echo mounted && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", mounted, "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "update::full::on_a_small_disk", "--nocapture"])
        .env("TMPDIR", disk.path())
        .env(ELSEWHERE, elsewhere.path())
        .output()
        .expect("unshare runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if said.contains("mounted") {
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    println!("No disk can be mounted here, so only /dev/full says that there is no space: {said}");
    let artefact = compressed(&archive(&[("system", &sparse(&noise(4096), 1, 0))]));
    let workspace = Workspace::new(elsewhere.path()).expect("a workspace");
    let refused =
        receive(&artefact[..], Checksum::of(&artefact), workspace, &mut FullDevice, &Limits::default());
    assert_eq!(refused.expect_err("no space").to_string(), "Not enough space");
}

/// Partitions that can be opened and not written.
struct FullDevice;

impl Partitions for FullDevice {
    type Target = File;

    fn open(&mut self, _: &str) -> io::Result<Option<Place<File>>> {
        let target = File::options().write(true).open("/dev/full")?;
        Ok(Some(Place { target, capacity: 1 << 30 }))
    }

    fn written(&mut self, _: &str, _: File) -> io::Result<()> {
        Ok(())
    }
}

/// Takes all that is left of the disk.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for size in [64 * 1024, 1] {
        let piece = vec![0xaa; size];
        let full = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
}

/// The other half of the test above; alone it has no small disk.
#[tokio::test]
async fn on_a_small_disk() {
    let Some(elsewhere) = std::env::var_os(ELSEWHERE).map(PathBuf::from) else { return };
    let offer = |name: &str, bytes: &[u8]| {
        fs::write(elsewhere.join(name), bytes).expect("written");
        (format!("file://{}/{name}", elsewhere.display()), Checksum::of(bytes).to_string())
    };
    let contents =
        b"artefact:\n  name: x\npayloads:\n- name: go\n  type: script\n- name: data\n  type: tmpfile\n";
    let large =
        archive(&[("_contents_.yaml", contents), ("go", b"#!/bin/sh\n"), ("data", &noise(6 * MEBIBYTE))]);
    let (large, large_sum) = offer("large", &compressed(&large));
    let (small, small_sum) = offer("small", &script("#!/bin/sh\necho fine\n"));

    // While it is unpacked. `apply_from` sees that nothing is left of it, so the next one has room.
    let board = Board::running(2);
    assert_eq!(failed(&board.apply_from(&board.engine(), 1, &large, &large_sum).await), "Not enough space");
    let standing = board.apply_from(&board.engine(), 2, &small, &small_sum).await;
    assert_eq!((standing.outcome, standing.output.as_str()), (Some(Outcome::Succeeded), "fine\n"));

    // Not even the first step can be kept: it is not made, and what is remembered is whole.
    let ballast = board.root().join("ballast");
    fill(&ballast);
    let engine = board.engine();
    let (next, signature) = order(3, &small, &small_sum, 1000);
    let refused = engine.accept(&trust(), next.clone(), &signature).map(drop).expect_err("no space");
    assert!(refused.to_string().contains("No space left on device"), "{refused}");
    assert!(!engine.standing().running);
    let standing = board.engine().standing();
    assert_eq!((standing.phase, standing.deployment), (Phase::Finished, Some(deployment(2))));
    fs::remove_file(&ballast).expect("removed");
    let accepted = engine.accept(&trust(), next, &signature).expect("there is room again");
    engine.work(accepted).await.expect("no cut");
    assert_eq!(engine.standing().outcome, Some(Outcome::Succeeded));

    // In the middle of an image, on a partition whose blocks are not there yet: the running system is not touched.
    let before = board.partition(2, "system");
    let partition = board.root().join("slots/3/system");
    File::create(&partition).and_then(|file| file.set_len(8 << 20)).expect("a partition with holes");
    let image = compressed(&archive(&[("system", &sparse(&noise(6 * MEBIBYTE), 1, 0))]));
    let (image, image_sum) = offer("image", &image);
    assert_eq!(failed(&board.apply_from(&board.engine(), 4, &image, &image_sum).await), "Not enough space");
    assert_eq!((board.boot(false), board.default_partition()), (2, 2));
    assert!(board.partition(2, "system") == before);
}
