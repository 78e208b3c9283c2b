//! Artefacts: made by the real `otamaker` or by hand, read as a device reads them.

use bramble_agent::update::artefact::{
    Checksum, Failure, Limits, PartitionFolder, Partitions, Place, Received, Workspace, receive,
    receive_async, tar,
};
use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const MEBIBYTE: usize = 1024 * 1024;
const SCRIPT: &str = "#!/bin/sh\ncat message\nexit 2\n";

/// A sparse image of 4 KiB blocks: raw bytes, a fill, a hole.
pub(crate) fn sparse(raw: &[u8], filled: u32, hole: u32) -> Vec<u8> {
    const BLOCK: u32 = 4096;
    let raw_blocks = u32::try_from(raw.len()).expect("small") / BLOCK;
    let chunk = |kind: u16, blocks: u32, body: &[u8]| {
        let mut chunk = kind.to_le_bytes().to_vec();
        chunk.extend([0, 0]);
        chunk.extend(blocks.to_le_bytes());
        chunk.extend(u32::try_from(12 + body.len()).expect("small").to_le_bytes());
        chunk.extend(body);
        chunk
    };
    let mut image = 0xed26_ff3a_u32.to_le_bytes().to_vec();
    image.extend([1, 0, 0, 0, 28, 0, 12, 0]);
    for value in [BLOCK, raw_blocks + filled + hole, 3, 0] {
        image.extend(value.to_le_bytes());
    }
    image.extend(chunk(0xcac1, raw_blocks, raw));
    image.extend(chunk(0xcac2, filled, b"fill"));
    image.extend(chunk(0xcac3, hole, b""));
    image
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect()
}

pub(crate) fn member(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = tar::header(name, body.len() as u64, 0o644).to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> = members.iter().flat_map(|(name, body)| member(name, body)).collect();
    bytes.extend([0; 1024]);
    bytes
}

pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("compresses")
}

/// A header with its kind or mode changed, and its sum put right.
pub(crate) fn odd_header(name: &str, kind: u8, mode: u32) -> Vec<u8> {
    let mut block = tar::header(name, 0, mode);
    block[156] = kind;
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.to_vec()
}

/// A device with the partitions `boot` and `system` in its other slot.
struct Device {
    folder: TempDir,
}

impl Device {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        for (name, size) in [("boot", MEBIBYTE), ("system", 4 * MEBIBYTE)] {
            fs::create_dir_all(folder.path().join("slot")).expect("a slot");
            fs::write(folder.path().join("slot").join(name), vec![0xee; size]).expect("a partition");
        }
        fs::create_dir(folder.path().join("work")).expect("a folder");
        Self { folder }
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    fn receive_as(&self, artefact: &[u8], checksum: Checksum) -> Result<Received, Failure> {
        let workspace = Workspace::new(&self.work()).expect("a workspace");
        let mut slot = PartitionFolder(self.folder.path().join("slot"));
        receive(artefact, checksum, workspace, &mut slot, &Limits::default())
    }

    fn receive(&self, artefact: &[u8]) -> Result<Received, Failure> {
        self.receive_as(artefact, Checksum::of(artefact))
    }

    fn partition(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join("slot").join(name)).expect("a partition")
    }

    /// The reason for which it refuses; nothing may be left of the attempt.
    fn reason(&self, artefact: &[u8]) -> String {
        let reason = self.receive(artefact).expect_err("a refusal").to_string();
        assert_eq!(fs::read_dir(self.work()).expect("readable").count(), 0, "{reason}");
        reason
    }
}

fn otamaker(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otamaker"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("otamaker runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

const CONTENTS: &str = "\
artefact:
  name: kiosk-1.1
  version: 1.1
payloads:
- name: boot          # images/boot.sparse
  type: image-sparse
- name: message
  type: tmpfile
- name: later
  type: hologram
- name: installer # go.sh
  type: script
";

fn sources() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, body: &[u8]| fs::write(folder.path().join(name), body).expect("written");
    fs::create_dir(folder.path().join("images")).expect("a folder");
    write("images/boot.sparse", &sparse(&noise(8192), 3, 2));
    write("message", b"never mind\n");
    write("later", b"?");
    write("go.sh", SCRIPT.as_bytes());
    write("kiosk.yaml", CONTENTS.as_bytes());
    folder
}

#[tokio::test]
async fn what_otamaker_makes_a_device_reads() {
    let folder = sources();
    let made = otamaker(folder.path(), &["-w", "kiosk.yaml"]);
    let artefact = fs::read(folder.path().join("kiosk-1.1.tar.zst")).expect("the artefact");
    let sum = Checksum::of(&artefact);
    assert_eq!(
        String::from_utf8_lossy(&made.stdout),
        format!(
            "Contents:\n  _contents_.yaml\n  boot\n  message\n  later\n  installer\n\nArtefact: kiosk-1.1.tar.zst\nSHA256:   {sum}\n"
        )
    );
    assert_eq!(
        String::from_utf8_lossy(&made.stderr),
        "otamaker: note: line 9: devices ignore \"later\", its type is not known\n"
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("kiosk-1.1.tar.zst.sha256sum")).expect("the sum"),
        format!("{sum}\n")
    );

    let device = Device::new();
    let workspace = Workspace::new(&device.work()).expect("a workspace");
    let slot = PartitionFolder(device.folder.path().join("slot"));
    let source = tokio::fs::File::open(folder.path().join("kiosk-1.1.tar.zst")).await.expect("opens");
    let received = receive_async(source, sum, workspace, slot, Limits::default()).await.expect("received");
    assert_eq!(received.contents.version.as_deref(), Some("1.1"));
    assert!(
        received.contents.payloads.iter().all(|payload| payload.source.is_none()),
        "sources stay at home"
    );
    assert_eq!(received.images, ["boot"]);
    assert_eq!((received.compressed, received.written), (artefact.len() as u64, 7 * 4096));
    let root = received.workspace.path().to_owned();
    assert_eq!(received.scripts, [root.join("installer")]);
    let permissions = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
    assert_eq!(
        (permissions(&root), permissions(&root.join("installer")), permissions(&root.join("message"))),
        (0o700, 0o700, 0o600)
    );
    assert_eq!(fs::read(root.join("message")).expect("there"), b"never mind\n");
    assert!(!root.join("later").exists());
    let boot = device.partition("boot");
    assert!(boot[..8192] == noise(8192) && boot[8192..20480] == b"fill".repeat(3072)[..]);
    assert!(boot[20480..].iter().all(|byte| *byte == 0xee), "nothing else is touched");
    drop(received);
    assert_eq!(fs::read_dir(device.work()).expect("readable").count(), 0);
}

#[test]
fn otamaker_is_deterministic_and_leaves_nothing_else() {
    let folder = sources();
    let first = otamaker(folder.path(), &["kiosk.yaml", "a"]);
    assert!(first.status.success(), "{}", said(&first));
    let touched = fs::File::options().append(true).open(folder.path().join("go.sh")).expect("opens");
    touched.set_modified(std::time::UNIX_EPOCH).expect("touched");
    fs::set_permissions(folder.path().join("go.sh"), fs::Permissions::from_mode(0o600)).expect("changed");
    assert!(otamaker(folder.path(), &["kiosk.yaml", "b.tar.zst"]).status.success());
    let read = |name: &str| fs::read(folder.path().join(name)).expect("there");
    assert!(read("a.tar.zst") == read("b.tar.zst"));
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.tar.zst", "b.tar.zst", "go.sh", "images", "kiosk.yaml", "later", "message"]);
}

#[test]
fn otamaker_says_what_to_do() {
    let folder = sources();
    let with = |contents: &str| {
        fs::write(folder.path().join("bad.yaml"), contents).expect("written");
        let output = otamaker(folder.path(), &["bad.yaml"]);
        assert_eq!(output.status.code(), Some(1), "{contents}");
        assert!(!folder.path().join("x.tar.zst").exists(), "{contents}");
        said(&output)
    };
    let head = "artefact:\n  name: x\npayloads:\n";
    for (contents, expected) in [
        (
            "payloads:\n- name: go.sh\n  type: script\n".to_owned(),
            "the artefact has no name: set `name` under `artefact:`",
        ),
        (
            "artefact:\n  name: a/x\npayloads:\n- name: go.sh\n  type: script\n".to_owned(),
            "\"a/x\" is not a plain file name",
        ),
        (
            format!("{head}- name: gone\n  type: script\n"),
            "line 4: there is no file gone for the payload \"gone\"",
        ),
        (format!("{head}- name: images\n  type: script\n"), "line 4: images is not a plain file"),
        (
            format!("{head}- name: ../go # go.sh\n  type: script\n"),
            "line 4: \"../go\" cannot be the name of a payload",
        ),
        (
            format!("{head}- name: system # go.sh\n  type: image-sparse\n"),
            "line 4: go.sh is not an Android sparse image",
        ),
        (
            format!("{head}- name: message\n  type: tmpfile\n"),
            "bad.yaml: there is nothing to do: no script and no image",
        ),
    ] {
        let message = with(&contents);
        assert!(message.starts_with("otamaker: ") && message.contains(expected), "{message}");
    }
    let gone = otamaker(folder.path(), &["gone.yaml"]);
    assert!(said(&gone).starts_with("otamaker: gone.yaml cannot be read: ") && gone.status.code() == Some(1));
    assert_eq!(otamaker(folder.path(), &[]).status.code(), Some(2));
    let help = otamaker(folder.path(), &["--help"]);
    assert!(help.status.success() && said(&help).contains("--writesum"));
}

/// The public tool runs GNU tar on a folder of links; this is what it runs.
#[test]
fn artefacts_of_gnu_tar_are_read() {
    let folder = sources();
    let long = "n".repeat(180);
    fs::write(folder.path().join(&long), "long").expect("written");
    let contents =
        CONTENTS.replace("# go.sh", "").replace("# images/boot.sparse", "").replace("message", &long);
    fs::write(folder.path().join("_contents_.yaml"), contents).expect("written");
    for (link, name) in [("go.sh", "installer"), ("images/boot.sparse", "boot")] {
        std::os::unix::fs::symlink(link, folder.path().join(name)).expect("linked");
    }
    for format in ["gnu", "pax", "oldgnu"] {
        let made = Command::new("tar")
            .current_dir(folder.path())
            .args([
                format!("--format={format}").as_str(),
                "-hcf",
                "x.tar",
                "_contents_.yaml",
                "boot",
                &long,
                "later",
                "installer",
            ])
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{}", said(&made));
        let artefact = compressed(&fs::read(folder.path().join("x.tar")).expect("made"));
        let device = Device::new();
        let received = device.receive(&artefact).expect(format);
        assert_eq!(fs::read(received.workspace.path().join(&long)).expect("there"), b"long");
        assert_eq!(received.scripts.len(), 1);
    }
}

#[test]
fn without_a_contents_file_every_member_is_an_image() {
    let device = Device::new();
    let (boot, system) = (sparse(&noise(4096), 1, 0), sparse(&noise(8192), 1, 0));
    let received =
        device.receive(&compressed(&archive(&[("boot", &boot), ("./system", &system)]))).expect("received");
    assert_eq!(received.images, ["boot", "system"]);
    assert!(received.scripts.is_empty());
    assert_eq!(&device.partition("system")[..8192], noise(8192));
}

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
        .args(["--exact", "artefact::an_image_is_read_with_little_memory", "--nocapture"])
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
