//! Screen sharing in a browser, beside noVNC through websockify.

use crate::browser;
use crate::report::{Row, Target, median};
use bramble_testkit::{TestDevice, TestServer};
use serde::Deserialize;

/// By how much a picture may take longer than through websockify, where it takes longer than this.
const TIMES_WEBSOCKIFY: f64 = 1.3;
/// Milliseconds within which a full screen is shown.
const SHOWN: f64 = 100.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    click_to_screen_ms: Vec<f64>,
    idle_kb: f64,
    session_kb: f64,
    own_kb: f64,
    after_kb: f64,
    still_cpu: f64,
    shown_ms: Vec<f64>,
    beside_ms: Vec<f64>,
}

/// A real desktop, its pictures on the page, and what the agent costs.
pub async fn measure() -> Vec<Row> {
    let server = TestServer::builder().relay().start().await;
    let person = server.person("Ada").await;
    let device = TestDevice::linked(&server, &server.auth_key(&person).await).await;
    let order = serde_json::json!({
        "url": server.url(), "email": person.email, "password": person.password, "agent": device.pid(),
        "socket": device.home().join("run/rpi-connect-wayvnc.sock"),
    });
    let it: Measured = browser::measured("screen.mjs", &order).await;
    let beside = median(it.beside_ms);
    let name = format!("full screen of 1280×720 shown (noVNC through websockify: {beside:.0} ms)");
    let most = SHOWN.max(TIMES_WEBSOCKIFY * beside);
    vec![
        Row::new("click to screen", median(it.click_to_screen_ms), "ms", Target::AtMost(1000.0)),
        Row::new(name, median(it.shown_ms), "ms", Target::AtMost(most)),
        Row::new("agent CPU, screen on which nothing moves", it.still_cpu, "%", Target::AtMost(1.0)),
        Row::new("agent, signed in, RSS", it.idle_kb / 1024.0, "MB", Target::None),
        Row::new("agent, one screen open, RSS", it.session_kb / 1024.0, "MB", Target::AtMost(15.0)),
        Row::new("agent, one screen open, RSS without its file", it.own_kb / 1024.0, "MB", Target::None),
        Row::new("agent, after full screens, RSS", it.after_kb / 1024.0, "MB", Target::AtMost(15.0)),
    ]
}
