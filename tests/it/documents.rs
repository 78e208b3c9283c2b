//! Documents that can be wrong are run or compared with what they describe.

use crate::organisation::Organisation;
use bramble_testkit::TestServer;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            markdown(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

fn documents() -> Vec<PathBuf> {
    let mut found =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].iter().map(|name| root().join(name)).collect();
    markdown(&root().join("docs"), &mut found);
    found
}

/// The targets of `[text](target)` and `![text](target)` outside fenced blocks.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for part in line.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push(target.to_owned());
            }
        }
    }
    found
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("the document is there");
        for link in links(&text).iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            if !document.with_file_name("").join(file).exists() {
                broken.push(format!("{} links to {link}", document.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_decision_is_in_the_index() {
    let folder = root().join("docs/adr");
    let index = fs::read_to_string(folder.join("README.md")).expect("the index");
    for entry in fs::read_dir(&folder).expect("the folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if name != "README.md" {
            assert!(index.contains(&format!("({name})")), "docs/adr/README.md does not list {name}");
        }
    }
}

/// The fenced blocks that begin with "```sh test".
fn examples(text: &str) -> Vec<String> {
    let blocks = text.split("\n```sh test\n").skip(1);
    blocks.filter_map(|block| Some(block.split_once("\n```")?.0.to_owned())).collect()
}

#[tokio::test]
async fn the_commands_of_the_operators_guide_work() {
    let text = fs::read_to_string(root().join("docs/operating.md")).expect("the guide");
    let examples = examples(&text);
    assert!(examples.len() >= 3, "{examples:?}");
    let program = bramble_testkit::program("bramble");
    let folder = tempfile::tempdir().expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    for example in examples {
        let output = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", &example])
            .env("PATH", format!("{}:{path}", program.parent().expect("a folder").display()))
            .env("DATA", folder.path().join("data"))
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("bash runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}\n\nfails: {text}");
    }
}

/// Runs the examples of a guide one after another in one shell, as a reader has them, in an empty folder. They
/// know the server, its data, and a token of its only organisation.
async fn run_with_server(document: &str, at_least: usize) -> tempfile::TempDir {
    let text = fs::read_to_string(root().join(document)).expect("the guide");
    let examples = examples(&text);
    assert!(examples.len() >= at_least, "{examples:?}");
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let made = async |arguments: &[&str], field: &str| -> String {
        let output = server.bramble(arguments, "").await.success();
        let json: Value = serde_json::from_str(&output).expect("JSON");
        json[field].as_str().expect("a text").to_owned()
    };
    let arguments = ["org", "create", "--name", "Kiosks", "--administrator", &person.email, "--json"];
    let organisation = made(&arguments, "id").await;
    let arguments = ["token", "create", "--org", &organisation, "--description", "guide", "--json"];
    let token = made(&arguments, "secret").await;
    let programs = bramble_testkit::program("bramble");
    let path = std::env::var("PATH").expect("a PATH");
    let folder = tempfile::tempdir().expect("a folder");
    let output = tokio::process::Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &examples.join("\n")])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs.parent().expect("a folder").display()))
        .env("SERVER", server.url())
        .env("DATA", server.data())
        .env("TOKEN", token)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let answered = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{answered}\n\n{said}");
    folder
}

#[tokio::test]
async fn the_requests_of_the_api_guide_work() {
    run_with_server("docs/api.md", 7).await;
}

#[tokio::test]
async fn the_guide_to_many_devices_works() {
    let folder = run_with_server("docs/provisioning.md", 6).await;
    let text = fs::read_to_string(root().join("docs/provisioning.md")).expect("the guide");
    let keys = folder.path().join("keys");
    // What the guide's table says is there.
    for name in ["devices.csv", "kiosk-001/auth.key", "kiosk-001/user-data", "kiosk-050/auth.key"] {
        assert!(keys.join(name).is_file(), "{name}");
        assert!(name.contains("050") || text.contains(&format!("`{name}`")), "{name}");
    }
    let table = fs::read_to_string(keys.join("devices.csv")).expect("a table");
    assert_eq!(table.lines().count(), 51);
    assert!(!table.contains("rpoak_"), "no secrets");
    assert!(!folder.path().join("payload.txt").exists(), "it held the token");
}

#[tokio::test]
async fn the_guide_to_remote_updates_works_from_start_to_end() {
    let text = fs::read_to_string(root().join("docs/remote-update.md")).expect("the guide");
    let examples = examples(&text);
    assert!(examples.len() >= 6, "{examples:?}");
    assert!(
        !examples.iter().any(|example| example.contains("apt-get")),
        "nothing here may change this machine"
    );
    let mut there = Organisation::new().await;
    let folder = there.device.files().join("guide");
    fs::create_dir(&folder).expect("a folder");
    let programs = bramble_testkit::program("otamaker");
    let path = std::env::var("PATH").expect("a PATH");
    let at = |name: &str| format!("file://{}/{name}", folder.display());
    // One after another in one shell, as a reader has it.
    let mut shell = tokio::process::Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", &examples.join("\n")])
        .env("PATH", format!("{}:{path}", programs.parent().expect("a folder").display()))
        .env("SERVER", there.server.url())
        .env("TOKEN", &there.token)
        .env("DEVICE", &there.id)
        .env("URI", at("hello-1.0.tar.zst"))
        .env("SYSTEM_URI", at("system-2.0.tar.zst"))
        .env("ROOT", there.device.root())
        .current_dir(&folder)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let shell = shell.output();
    tokio::pin!(shell);
    // The new system restarts the device once, while the shell waits for what becomes of it.
    let running = tokio::select! {
        running = there.device.restart() => running,
        output = &mut shell => {
            let output = output.expect("bash runs");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            panic!("no restart: {}\n{}", text(&output.stdout), text(&output.stderr));
        }
    };
    assert_eq!(running, 3, "the other slot");
    let output = shell.await.expect("bash runs");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    for (slot, begins) in [(3, "new boot"), (2, "\0\0\0\0")] {
        let partition =
            fs::read(there.device.root().join(format!("slots/{slot}/boot"))).expect("a partition");
        assert!(partition.starts_with(begins.as_bytes()), "{slot}: {:?}", &partition[..16]);
    }
    // What the script printed on the device came back through the API, and the new system is the default one.
    let committed = "boot_partition=3\nboot_partition=2\nstate=finished\noutcome=succeeded\n";
    for expected in
        ["Artefact: hello-1.0.tar.zst", "Hello from ", "_contents_.yaml\nboot\nsystem\n", committed]
    {
        assert!(said.contains(expected), "{expected}: {said}\n{complained}");
    }
}
