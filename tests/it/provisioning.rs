//! Many devices at once, with the real programs.

use bramble_testkit::{TestDevice, TestServer};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// An organisation of a new person, and a token of it.
async fn organisation(server: &TestServer) -> (String, String) {
    let person = server.person("Ada").await;
    let made = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&server.bramble(arguments, "").await.success()).expect("JSON")
    };
    let arguments = ["org", "create", "--name", "Kiosks", "--administrator", &person.email, "--json"];
    let id = made(&arguments).await["id"].as_str().expect("an id").to_owned();
    let arguments = ["token", "create", "--org", &id, "--description", "test", "--json"];
    let token = made(&arguments).await["secret"].as_str().expect("a secret").to_owned();
    (id, token)
}

#[tokio::test]
async fn a_folder_of_keys_links_its_devices() {
    let server = TestServer::start().await;
    let (organisation, _) = organisation(&server).await;
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("keys");
    let out_text = out.display().to_string();
    let arguments = [
        "provision",
        "--org",
        &organisation,
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

fn openssl(arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Over TLS, and by another name than the server has for itself, as behind a proxy.
#[tokio::test]
async fn a_board_with_a_key_of_its_own_links_itself_and_stays_the_same_device() {
    let server = TestServer::builder().tls().public_url("https://elsewhere.example").start().await;
    let (_, token) = organisation(&server).await;
    let place = tempfile::tempdir().expect("a folder");
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "board.pem"], place.path());
    let public =
        String::from_utf8(openssl(&["ec", "-in", "board.pem", "-pubout"], place.path())).expect("PEM");

    // A program registers it; the device signs.
    let url = format!("{}/organisation/device-identities", server.url());
    let body = json!({ "public_key": public, "description": "board", "device_name": "kiosk-7" }).to_string();
    fs::write(place.path().join("body"), &body).expect("written");
    let digest = String::from_utf8(openssl(&["dgst", "-sha256", "-r", "body"], place.path())).expect("text");
    let digest = digest.split(' ').next().expect("a digest");
    let signed = format!(
        "POST\n{url}\nAuthorization: Bearer {token}\nContent-Type: application/json\nAccept: */*\n{digest}"
    );
    fs::write(place.path().join("signed"), signed).expect("written");
    openssl(&["dgst", "-sha256", "-sign", "board.pem", "-out", "signature", "signed"], place.path());
    let signature = openssl(&["base64", "-A", "-in", "signature"], place.path());
    let signature = String::from_utf8(signature).expect("Base64").trim().to_owned();
    let http = server.http();
    let ask = http.post(&url).bearer_auth(&token).header("accept", "*/*").body(body);
    let ask =
        ask.header("content-type", "application/json").header("x-connect-identity-signature", signature);
    let made = ask.send().await.expect("an answer");
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap_or_default());

    // The device links itself at its start, and again after everything on it was lost.
    let (key, root) = (place.path().join("board.pem"), place.path().join("root"));
    let ca = server.authority().expect("TLS").ca.display().to_string();
    let config = format!("server = \"{}\"\nca = \"{ca}\"\nidentity = \"{}\"\n", server.url(), key.display());
    fs::create_dir_all(root.join("etc/rpi-connect")).expect("a folder");
    fs::write(root.join("etc/rpi-connect/config.toml"), config).expect("written");
    let own_root = [("RPI_CONNECT_ROOT", root.display().to_string())];
    let devices = async || -> Value {
        let url = format!("{}/organisation/devices", server.url());
        let answer = http.get(url).bearer_auth(&token).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["devices"].clone()
    };
    let first = TestDevice::start_with(&own_root).await;
    first.online().await;
    let before = devices().await;
    assert_eq!((before.as_array().map(Vec::len), &before[0]["name"]), (Some(1), &json!("kiosk-7")));
    let second = TestDevice::start_with(&own_root).await;
    second.online().await;
    let after = devices().await;
    assert_eq!((after.as_array().map(Vec::len), &after[0]["id"]), (Some(1), &before[0]["id"]));
}
