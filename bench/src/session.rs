//! Sessions in a browser, beside ssh.

use crate::{
    report::{Row, Target, median, p99},
    ssh,
};
use bramble_testkit::{TestDevice, TestServer};
use serde::Deserialize;
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

/// What can be measured by itself, as the rows' names on the command line.
pub const PARTS: [&str; 5] = ["page", "keystroke", "bulk", "relayed", "files"];
/// Fewer keystrokes make no row.
const LEAST_ECHOES: usize = 100;
/// Keystrokes of ssh before each of the page's rounds, and after the last.
const ROUND: usize = 100;
/// What the browser's part prints when it is ssh's turn.
const TURN: &str = "\"ssh\"";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    agent_idle_kb: f64,
    #[serde(default)]
    agent_session_kb: f64,
    click_to_prompt_ms: Vec<f64>,
    page_bulk: Vec<f64>,
    #[serde(default)]
    keystroke: Vec<Run>,
    #[serde(default)]
    direct: Vec<Run>,
    #[serde(default)]
    relayed: Vec<Run>,
    #[serde(default)]
    relayed_tcp: Vec<Run>,
    files: Option<Files>,
}

#[derive(Deserialize)]
struct Files {
    upload: Vec<f64>,
    download: Vec<f64>,
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    echoes: Vec<f64>,
    /// Absent where only keystrokes were measured.
    bulk: Option<f64>,
    cpu_per_mb: f64,
    path: Option<String>,
}

/// The parts that need a session, beside `ssh` where there is something to compare.
pub async fn measure(parts: &[&str]) -> Vec<Row> {
    let server = TestServer::builder().relay().start().await;
    let person = server.person("Ada").await;
    let device = TestDevice::linked(&server, &server.auth_key(&person).await).await;
    if parts.contains(&"files") {
        let on = device.rpi_connect(&["files", "on"]).await;
        assert!(on.status.success(), "file transfer could not be switched on");
    }
    let mut peer = ssh::Peer::start().await;
    peer.carry_bulk().await;
    peer.type_keys(ROUND).await;
    let order = serde_json::json!({
        "url": server.url(), "email": person.email, "password": person.password, "agent": device.pid(),
        "rows": parts,
    });
    let it = in_browser(&order, &mut peer).await;
    let ssh = peer.measured();
    let mut rows = vec![Row::new("agent, idle, RSS", it.agent_idle_kb / 1024.0, "MB", Target::AtMost(8.0))];
    if !it.click_to_prompt_ms.is_empty() {
        rows.extend([
            Row::new("agent, one shell open, RSS", it.agent_session_kb / 1024.0, "MB", Target::None),
            Row::new("click to prompt", median(it.click_to_prompt_ms), "ms", Target::AtMost(500.0)),
            Row::new("bulk as the page draws it", median(it.page_bulk), "MB/s", Target::None),
        ]);
    }
    rows.extend(of_path("direct", &it.keystroke, false, &ssh, [Target::TimesSsh(1.5), Target::None]));
    let direct = [Target::AtLeast(30.0), Target::AtMost(14.0)];
    rows.extend(of_path("direct", &it.direct, false, &ssh, direct));
    let relayed = [Target::AtLeast(10.0), Target::None];
    rows.extend(of_path("relayed over UDP", &it.relayed, true, &ssh, relayed));
    rows.extend(of_path("relayed over TCP", &it.relayed_tcp, true, &ssh, relayed));
    if let Some(files) = it.files {
        assert_eq!(files.path, "direct", "the files took another way");
        rows.extend([
            Row::new("file upload, direct", median(files.upload), "MB/s", Target::AtLeast(20.0)),
            Row::new("file download, direct", median(files.download), "MB/s", Target::AtLeast(20.0)),
        ]);
    }
    rows
}

/// The browser's part. Its rounds of keystrokes and those of ssh take turns, so that both meet the same noise.
async fn in_browser(order: &serde_json::Value, peer: &mut ssh::Peer) -> Measured {
    let mut node = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/session.mjs"))
        .arg(order.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut turns = node.stdin.take().expect("piped");
    let mut lines = BufReader::new(node.stdout.take().expect("piped")).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.expect("output") {
        if line == TURN {
            peer.type_keys(ROUND).await;
            turns.write_all(b"\n").await.expect("the browser's part waits");
        } else {
            said = line;
        }
    }
    assert!(node.wait().await.expect("it ends").success(), "the browser's part failed");
    serde_json::from_str(&said).expect("the browser's part answers")
}

/// The rows of one kind of path: its keystrokes, its bulk rate and what that cost, as far as they were measured.
fn of_path(name: &str, runs: &[Run], relayed: bool, ssh: &ssh::Measured, targets: [Target; 2]) -> Vec<Row> {
    let Some(first) = runs.first() else { return Vec::new() };
    let found = first.path.as_deref();
    let echoes: Vec<f64> = runs.iter().flat_map(|run| &run.echoes).copied().collect();
    assert_eq!(found == Some("relay"), relayed, "the run {name} went by {found:?}");
    let bulk: Vec<f64> = runs.iter().filter_map(|run| run.bulk).collect();
    let mut rows = Vec::new();
    // A handful of them only warms the path up.
    if echoes.len() >= LEAST_ECHOES {
        let of_p50 = if bulk.is_empty() { targets[0] } else { Target::None };
        let p50 = median(echoes.clone());
        rows.push(
            Row::new(format!("keystroke to echo, {name}, p50"), p50, "ms", of_p50).beside_ssh(ssh.echo_p50),
        );
        let p99 = p99(echoes);
        rows.push(
            Row::new(format!("keystroke to echo, {name}, p99"), p99, "ms", Target::None)
                .beside_ssh(ssh.echo_p99),
        );
    }
    if !bulk.is_empty() {
        let cpu = median(runs.iter().map(|run| run.cpu_per_mb).collect());
        rows.push(
            Row::new(format!("bulk through the shell, {name}"), median(bulk), "MB/s", targets[0])
                .beside_ssh(ssh.bulk),
        );
        rows.push(Row::new(format!("agent CPU, {name}"), cpu, "ms/MB", targets[1]));
    }
    rows
}
