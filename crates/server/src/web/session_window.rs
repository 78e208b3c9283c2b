//! The windows in which a session runs. The page only carries which device is meant; its script
//! opens the session, because only then is it known that somebody looks.

use super::{csp, with_policy};
use askama::Template;
use axum::{http::StatusCode, response::Response};
use bramble_wire::DeviceId;

/// `GET /devices/{id}/shell`.
#[derive(Template)]
#[template(path = "sessions/shell.html")]
struct ShellWindow<'a> {
    device_id: DeviceId,
    device_name: &'a str,
}

/// The remote shell's window for this device. The caller has checked that the person may see it.
pub fn shell(device_id: DeviceId, device_name: &str) -> Response {
    with_policy(StatusCode::OK, &ShellWindow { device_id, device_name }, csp::SHELL_WINDOW)
}
