//! What a device does not take, and in which words.

use super::{Device, MEBIBYTE, archive, compressed, member, noise, odd_header, sparse};
use bramble_agent::update::artefact::{Checksum, Limits, PartitionFolder, Workspace, receive};
use std::fs;
use std::io::{self, Write};

#[test]
fn what_is_no_artefact_is_rejected() {
    let device = Device::new();
    for (bytes, expected) in [
        (b"<html>not found</html>".to_vec(), "update file rejected"),
        (Vec::new(), "update file rejected"),
        (compressed(&noise(4096)), "update file rejected"),
        (archive(&[("boot", b"")]), "update file rejected"),
        (compressed(b""), "update file rejected: the file ends early"),
        (compressed(&[0; 1024]), "update file rejected: it has nothing to do"),
    ] {
        assert_eq!(device.reason(&bytes), expected);
    }
}

#[test]
fn bad_contents_are_rejected() {
    let device = Device::new();
    let with = |contents: &str, more: &[(&str, &[u8])]| {
        let mut members = vec![("_contents_.yaml", contents.as_bytes())];
        members.extend(more);
        device.reason(&compressed(&archive(&members)))
    };
    let script = "payloads:\n- name: go\n  type: script\n";
    assert_eq!(
        with("payloads: []\n", &[]),
        "update file rejected: _contents_.yaml: there is nothing to do: no script and no image"
    );
    assert_eq!(with(script, &[]), "update file rejected: \"go\" is named in the contents and missing");
    assert_eq!(with(script, &[("go", b"1"), ("go", b"2")]), "update file rejected: \"go\" is there twice");
    assert_eq!(
        with(script, &[("_contents_.yaml", b"")]),
        "update file rejected: \"_contents_.yaml\" is there twice"
    );
    assert_eq!(
        with("payloads:\n- name: ../go\n  type: script\n", &[]),
        "update file rejected: \"../go\" is not a plain file name"
    );
    assert_eq!(
        with(&"#".repeat(70_000), &[]),
        "update file rejected: _contents_.yaml: it is longer than 64 KiB"
    );
    let image = "payloads:\n- name: data\n  type: image-sparse\n";
    assert_eq!(
        with(image, &[("data", &sparse(b"", 1, 0))]),
        "update file rejected: there is no partition \"data\""
    );
}

#[test]
fn dangerous_members_are_rejected_wherever_they_are() {
    let device = Device::new();
    let contents = member("_contents_.yaml", b"payloads:\n- name: go\n  type: script\n");
    let with = |header: Vec<u8>| {
        let mut bytes = contents.clone();
        bytes.extend(member("go", b"#!/bin/sh\n"));
        bytes.extend(header);
        bytes.extend([0; 1024]);
        device.reason(&compressed(&bytes))
    };
    for (header, expected) in [
        (
            odd_header("../../etc/passwd", b'0', 0o644),
            "update file rejected: \"../../etc/passwd\" is not a plain file name",
        ),
        (
            odd_header("/etc/passwd", b'0', 0o644),
            "update file rejected: \"/etc/passwd\" is not a plain file name",
        ),
        (
            odd_header("a", b'1', 0o644),
            "update file rejected: \"a\" is a hard link; only plain files are allowed",
        ),
        (
            odd_header("a", b'2', 0o777),
            "update file rejected: \"a\" is a symbolic link; only plain files are allowed",
        ),
        (
            odd_header("a", b'3', 0o644),
            "update file rejected: \"a\" is a device; only plain files are allowed",
        ),
        (
            odd_header("a", b'4', 0o644),
            "update file rejected: \"a\" is a device; only plain files are allowed",
        ),
        (
            odd_header("a", b'5', 0o755),
            "update file rejected: \"a\" is a folder; only plain files are allowed",
        ),
        (odd_header("a", b'6', 0o644), "update file rejected: \"a\" is a pipe; only plain files are allowed"),
        (odd_header("a", b'0', 0o4755), "update file rejected: \"a\" is set-uid or set-gid"),
    ] {
        assert_eq!(with(header), expected);
    }
    let members: Vec<u8> = (0..1100).flat_map(|index| member(&format!("f{index}"), b"")).collect();
    assert_eq!(with(members), "update file rejected: it has more than 1024 files");
}

#[test]
fn bombs_large_windows_and_full_partitions_are_refused() {
    let device = Device::new();
    let bomb = [
        ("_contents_.yaml", &b"payloads:\n- name: go\n  type: script\n"[..]),
        ("pad", &vec![0; 80 * MEBIBYTE]),
    ];
    assert_eq!(
        device.reason(&compressed(&archive(&bomb))),
        "update file rejected: it expands to far more than its size"
    );

    let wide = |log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(log).expect("a window");
        encoder.write_all(&archive(&[("boot", &sparse(&noise(4096), 1, 0))])).expect("compresses");
        encoder.finish().expect("compresses")
    };
    assert_eq!(device.reason(&wide(24)), "update file rejected: window too large");
    assert_eq!(device.receive(&wide(23)).expect("8 MiB is allowed").images, ["boot"]);

    let large = sparse(b"", 257, 0);
    assert_eq!(
        device.reason(&compressed(&archive(&[("boot", &large)]))),
        "Not enough space: the image \"boot\" needs 1052672 bytes, its partition has 1048576"
    );
    let more = [sparse(b"", 1, 0), vec![0]].concat();
    assert_eq!(
        device.reason(&compressed(&archive(&[("boot", &more)]))),
        "update file rejected: the image \"boot\": the sparse image is damaged (there is more after its end)"
    );
    let less = &sparse(b"", 1, 0)[..40];
    assert_eq!(
        device.reason(&compressed(&archive(&[("boot", less)]))),
        "update file rejected: the image \"boot\": the sparse image is damaged (it ends early)"
    );
}

#[test]
fn a_changed_or_cut_download_is_a_checksum_mismatch_and_runs_nothing() {
    let device = Device::new();
    let script = member("go", &noise(3000));
    let whole =
        [member("_contents_.yaml", b"payloads:\n- name: go\n  type: script\n"), script, vec![0; 1024]]
            .concat();
    let artefact = compressed(&whole);
    let expected = Checksum::of(&artefact);
    assert_eq!(device.receive_as(&artefact, expected).expect("the whole is fine").scripts.len(), 1);
    let reason = |bytes: &[u8]| device.receive_as(bytes, expected).expect_err("a mismatch").to_string();
    for at in (0..artefact.len()).step_by(97) {
        assert_eq!(reason(&artefact[..at]), "Checksum mismatch", "cut at {at}");
        let mut changed = artefact.clone();
        changed[at] ^= 0x10;
        assert_eq!(reason(&changed), "Checksum mismatch", "changed at {at}");
    }
    assert_eq!(reason(&[&artefact[..], b"more"].concat()), "Checksum mismatch");
    // With the right checksum of wrong bytes the file itself is at fault.
    assert_eq!(device.reason(&artefact[..artefact.len() / 2]), "update file rejected: the file ends early");
    assert_eq!(fs::read_dir(device.work()).expect("readable").count(), 0);
    assert_eq!(
        "00".parse::<Checksum>().expect_err("too short").to_string(),
        "a checksum is 64 hexadecimal digits"
    );
}

/// A source that breaks off is not the artefact's fault.
#[test]
fn a_failing_source_is_told_apart() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by the server"))
        }
    }
    let artefact = compressed(&archive(&[("boot", &sparse(&noise(65_536), 1, 0))]));
    let source = io::Read::chain(&artefact[..1000], Broken);
    let device = Device::new();
    let workspace = Workspace::new(&device.work()).expect("a workspace");
    let mut slot = PartitionFolder(device.folder.path().join("slot"));
    let failure = receive(source, Checksum::of(&artefact), workspace, &mut slot, &Limits::default());
    assert_eq!(failure.expect_err("a failure").to_string(), "Download stopped: reset by the server");
}

#[test]
fn workspaces_of_killed_processes_are_swept_and_nothing_else() {
    let device = Device::new();
    std::mem::forget(Workspace::new(&device.work()).expect("a workspace"));
    fs::create_dir(device.work().join("kept")).expect("a folder");
    Workspace::sweep(&device.work()).expect("swept");
    let left: Vec<_> =
        fs::read_dir(device.work()).expect("readable").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(left, ["kept"]);
}
