//! An organisation with a device that takes remote updates, and a program that asks the management API.

use bramble_testkit::{LONG, TestServer, UpdatableDevice, eventually};
use serde_json::{Value, json};
use std::fs;

/// Bytes of each partition of the device.
const PARTITION: u64 = 8 << 20;

/// A server with an organisation, a token of it, and a device of its that takes remote updates.
pub struct Organisation {
    pub server: TestServer,
    pub token: String,
    pub device: UpdatableDevice,
    /// The device's.
    pub id: String,
}

impl Organisation {
    pub async fn new() -> Self {
        let server = TestServer::start().await;
        let ann = server.person("Ann").await;
        let made = ["org", "create", "--name", "Kiosks", "--administrator", &ann.email, "--json"];
        let made: Value = serde_json::from_str(&server.bramble(&made, "").await.success()).expect("JSON");
        let organisation = made["id"].as_str().expect("an id");
        let made = ["token", "create", "--org", organisation, "--description", "guide"];
        let made = server.bramble(&made, "").await.success();
        let token =
            made.split_whitespace().find(|word| word.starts_with("rporg_")).expect("a token").to_owned();
        let key = ask(&server, &token, "POST", "auth-keys", json!({ "description": "guide" })).await;
        let secret = key["secret"].as_str().unwrap_or_else(|| panic!("no key in {key}"));
        let device = UpdatableDevice::linked(&server, secret).await.with_two_systems(PARTITION).await;
        let listed = ask(&server, &token, "GET", "devices", Value::Null).await;
        let id = listed["devices"][0]["id"].as_str().unwrap_or_else(|| panic!("no device in {listed}"));
        let id = id.to_owned();
        Self { server, token, device, id }
    }

    /// What the management API answers.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        ask(&self.server, &self.token, method, path, body).await
    }

    /// Makes an artefact of a script with `otamaker`; its file on the device, and its checksum.
    pub async fn made(&self, name: &str, script: &str) -> (std::path::PathBuf, String) {
        let folder = self.device.files().join(name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("go"), script).expect("a file");
        let contents = format!("artefact:\n  name: {name}\npayloads:\n- name: go\n  type: script\n");
        fs::write(folder.join("contents.yaml"), contents).expect("a file");
        let maker = bramble_testkit::program("otamaker");
        let made = tokio::process::Command::new(maker)
            .args(["-w", "contents.yaml"])
            .current_dir(&folder)
            .output()
            .await
            .expect("otamaker runs");
        assert!(made.status.success(), "{made:?}");
        let file = folder.join(format!("{name}.tar.zst"));
        let sum = fs::read_to_string(folder.join(format!("{name}.tar.zst.sha256sum"))).expect("a checksum");
        (file, sum.trim().to_owned())
    }

    /// Deploys what lies at an address, and hands out the deployment's id.
    pub async fn deploy(&self, name: &str, uri: &str, checksum: &str) -> String {
        let text = |value: &Value| value["id"].as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
        let body = json!({ "name": name, "uri": uri, "checksum": checksum });
        let artefact = text(&self.ask("POST", "artefacts", body).await);
        let path = format!("devices/{}/deployments", self.id);
        text(&self.ask("POST", &path, json!({ "artefact_id": artefact })).await)
    }

    /// Deploys a script from the device's own files.
    pub async fn deploy_script(&self, name: &str, script: &str) -> String {
        let (file, checksum) = self.made(name, script).await;
        self.deploy(name, &format!("file://{}", file.display()), &checksum).await
    }

    /// A deployment's state, with the reason behind a colon if it failed.
    pub async fn state(&self, deployment: &str) -> String {
        let it = self.ask("GET", &format!("deployments/{deployment}"), Value::Null).await;
        let state = it["state"].as_str().unwrap_or_else(|| panic!("no state in {it}"));
        match it["state_reason"].as_str() {
            Some(reason) => format!("{state}: {reason}"),
            None => state.to_owned(),
        }
    }

    /// Waits until a deployment has got so far.
    pub async fn reaches(&self, deployment: &str, state: &str) {
        eventually(&format!("a deployment is {state}"), LONG, async || {
            (self.state(deployment).await == state).then_some(())
        })
        .await;
    }
}

async fn ask(server: &TestServer, token: &str, method: &str, path: &str, body: Value) -> Value {
    let url = format!("{}/organisation/{path}", server.url());
    let mut request = server.http().request(method.parse().expect("a method"), url).bearer_auth(token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer").bytes().await.expect("a whole answer");
    serde_json::from_slice(&answer).unwrap_or(Value::Null)
}
