//! What `otamaker` and GNU tar make, and what becomes of it on a device.

use super::{Device, archive, compressed, noise, otamaker, said, sparse};
use bramble_agent::update::artefact::{Checksum, Limits, PartitionFolder, Workspace, receive_async};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const SCRIPT: &str = "#!/bin/sh\ncat message\nexit 2\n";

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
