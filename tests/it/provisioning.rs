//! Many devices at once, with the real programs.

use bramble_testkit::{TestDevice, TestServer};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn a_folder_of_keys_links_its_devices() {
    let server = TestServer::start().await;
    let person = server.person("Ada").await;
    let arguments = ["org", "create", "--name", "Kiosks", "--administrator", &person.email, "--json"];
    let organisation: Value =
        serde_json::from_str(&server.bramble(&arguments, "").await.success()).expect("JSON");
    let organisation = organisation["id"].as_str().expect("an id");
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("keys");
    let out_text = out.display().to_string();
    let arguments = [
        "provision",
        "--org",
        organisation,
        "--count",
        "3",
        "--name-pattern",
        "kiosk-{:03}",
        "--tags",
        "lobby,test",
        "--ttl-days",
        "7",
        "--out",
        &out_text,
    ];
    let said = server.bramble(&arguments, "").await.success();
    assert!(said.contains("3 auth keys") && !said.contains("rpoak_"), "{said}");
    let mode = |path: &str| fs::metadata(out.join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("kiosk-002"), mode("kiosk-002/auth.key")), (0o700, 0o700, 0o600));
    let table = fs::read_to_string(out.join("devices.csv")).expect("a table");
    assert_eq!((table.lines().count(), table.contains("rpoak_")), (4, false));
    let key = fs::read_to_string(out.join("kiosk-002/auth.key")).expect("a key");
    let snippet = fs::read_to_string(out.join("kiosk-002/user-data")).expect("a snippet");
    assert!(snippet.contains(key.trim()) && snippet.contains(server.url()), "{snippet}");
    let device = TestDevice::linked(&server, key.trim()).await;
    let status = device.rpi_connect(&["status"]).await.success();
    assert!(status.contains("Signed in: yes"), "{status}");
    // Nothing of an earlier run is overwritten.
    let again = server.bramble(&arguments, "").await;
    assert!(!again.status.success() && again.stderr.contains("cannot be made"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(out.join("kiosk-002/auth.key")).expect("a key"), key);
}
