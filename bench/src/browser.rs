//! The parts that run in a real browser: scripts of this folder, which print one JSON object.

use serde::de::DeserializeOwned;
use tokio::process::Command;

/// Runs a script with its order, and reads what it measured.
///
/// # Panics
/// If it fails or answers something else.
pub async fn measured<T: DeserializeOwned>(script: &str, order: &serde_json::Value) -> T {
    let output = Command::new("node")
        .arg(format!("{}/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg(order.to_string())
        .output()
        .await
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {said}");
    serde_json::from_slice(&output.stdout).expect("the browser's part answers")
}
