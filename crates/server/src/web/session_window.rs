//! The windows in which a session runs. The page only carries which device is meant; its script
//! opens the session, because only then is it known that somebody looks.

use super::{csp, with_policy};
use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use bramble_wire::DeviceId;

const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");

/// `GET /devices/{id}/shell`.
#[derive(Template)]
#[template(path = "sessions/shell.html")]
struct ShellWindow<'a> {
    device_id: DeviceId,
    device_name: &'a str,
    files: bool,
}

/// `GET /devices/{id}/screen`.
#[derive(Template)]
#[template(path = "sessions/screen.html")]
struct ScreenWindow<'a> {
    device_id: DeviceId,
    device_name: &'a str,
    files: bool,
}

/// `GET /devices/{id}/files`.
#[derive(Template)]
#[template(path = "sessions/files.html")]
struct FilesWindow<'a> {
    device_id: DeviceId,
    device_name: &'a str,
}

/// The remote shell's window for this device, with a panel for files where that is possible. The caller has
/// checked that the person may see it.
pub fn shell(device_id: DeviceId, device_name: &str, files: bool) -> Response {
    isolated(&ShellWindow { device_id, device_name, files }, csp::SHELL_WINDOW)
}

/// The shared screen's window for this device, with a panel for files where that is possible. The caller has
/// checked that the person may see it.
pub fn screen(device_id: DeviceId, device_name: &str, files: bool) -> Response {
    isolated(&ScreenWindow { device_id, device_name, files }, csp::SCREEN_WINDOW)
}

/// The file transfer's window for this device. The caller has checked that the person may see it.
pub fn files(device_id: DeviceId, device_name: &str) -> Response {
    isolated(&FilesWindow { device_id, device_name }, csp::FILES_WINDOW)
}

fn isolated(window: &impl Template, policy: &'static str) -> Response {
    let mut response = with_policy(StatusCode::OK, window, policy);
    // Together with the opener policy it isolates the window: no other site shares its process, and its clock is fine
    // enough to tell round trips apart. Everything the window loads is ours and says so.
    response.headers_mut().insert(EMBEDDER_POLICY, HeaderValue::from_static("require-corp"));
    response
}
