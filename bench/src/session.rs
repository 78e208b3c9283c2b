//! Sessions in a browser, beside ssh.

use crate::{
    report::{Row, Target, median, p99},
    ssh,
};
use bramble_testkit::{TestDevice, TestServer};
use serde::Deserialize;
use tokio::process::Command;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    agent_idle_kb: f64,
    agent_session_kb: f64,
    click_to_prompt_ms: Vec<f64>,
    page_bulk: Vec<f64>,
    direct: Vec<Run>,
    relayed: Vec<Run>,
    relayed_tcp: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    echoes: Vec<f64>,
    bulk: f64,
    cpu_per_mb: f64,
    path: Option<String>,
}

/// Everything that needs a session.
pub async fn measure() -> Vec<Row> {
    let server = TestServer::builder().relay().start().await;
    let person = server.person("Ada").await;
    let device = TestDevice::linked(&server, &server.auth_key(&person).await).await;
    let ssh = ssh::measure().await;
    let order = serde_json::json!({
        "url": server.url(), "email": person.email, "password": person.password, "agent": device.pid(),
    });
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/session.mjs"))
        .arg(order.to_string())
        .stderr(std::process::Stdio::inherit())
        .output()
        .await
        .expect("node runs");
    assert!(output.status.success(), "the browser's part failed");
    let it: Measured = serde_json::from_slice(&output.stdout).expect("the browser's part answers");
    for (name, runs, relayed) in [
        ("direct", &it.direct, false),
        ("relayed", &it.relayed, true),
        ("relayed over TCP", &it.relayed_tcp, true),
    ] {
        let found = runs[0].path.as_deref();
        assert_eq!(found == Some("relay"), relayed, "the {name} run went by {found:?}");
    }
    let echoes = |runs: &[Run]| runs[0].echoes.clone();
    let bulk = |runs: &[Run]| median(runs.iter().map(|run| run.bulk).collect());
    let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_per_mb).collect());
    vec![
        Row::new("agent, idle, RSS", it.agent_idle_kb / 1024.0, "MB", Target::AtMost(8.0)),
        Row::new("agent, one shell open, RSS", it.agent_session_kb / 1024.0, "MB", Target::None),
        Row::new("click to prompt", median(it.click_to_prompt_ms), "ms", Target::AtMost(500.0)),
        Row::new("keystroke to echo, direct, p50", median(echoes(&it.direct)), "ms", Target::TimesSsh(1.5))
            .beside_ssh(ssh.echo_p50),
        Row::new("keystroke to echo, direct, p99", p99(echoes(&it.direct)), "ms", Target::None)
            .beside_ssh(ssh.echo_p99),
        Row::new("keystroke to echo, relayed, p50", median(echoes(&it.relayed)), "ms", Target::None)
            .beside_ssh(ssh.echo_p50),
        Row::new("keystroke to echo, relayed, p99", p99(echoes(&it.relayed)), "ms", Target::None)
            .beside_ssh(ssh.echo_p99),
        Row::new("bulk through the shell, direct", bulk(&it.direct), "MB/s", Target::AtLeast(30.0))
            .beside_ssh(ssh.bulk),
        Row::new("agent CPU, direct", cpu(&it.direct), "ms/MB", Target::AtMost(14.0)),
        Row::new(
            "bulk through the shell, relayed over UDP",
            bulk(&it.relayed),
            "MB/s",
            Target::AtLeast(10.0),
        )
        .beside_ssh(ssh.bulk),
        Row::new("bulk through the shell, relayed over TCP", bulk(&it.relayed_tcp), "MB/s", Target::None)
            .beside_ssh(ssh.bulk),
        Row::new("agent CPU, relayed over UDP", cpu(&it.relayed), "ms/MB", Target::None),
        Row::new("bulk as the page draws it", median(it.page_bulk), "MB/s", Target::None),
    ]
}
