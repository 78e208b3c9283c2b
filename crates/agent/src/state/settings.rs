//! What the person at the device allows.

use super::SecretText;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `settings.toml`. What a newer version wrote and this one does not know is kept out of the way, not
/// refused: an older program must still start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Remote shell is allowed.
    pub shell: bool,
    /// Screen sharing is allowed.
    pub vnc: bool,
    /// File transfer is allowed.
    pub files: bool,
    /// The folder that it works in; `~/Bramble` if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_root: Option<PathBuf>,
    /// Another VNC server than the desktop's own WayVNC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<ScreenChoice>,
}

/// A VNC server on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreenChoice {
    /// A Unix socket's absolute path, or a loopback address with a port.
    pub address: String,
    /// What the server asks for. It is never sent to a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
}

impl Settings {
    /// Nothing is allowed: what holds while the file cannot be read.
    pub const NOTHING: Self = Self { shell: false, vnc: false, files: false, files_root: None, screen: None };
}

impl Default for Settings {
    fn default() -> Self {
        Self { shell: true, vnc: true, files: false, files_root: None, screen: None }
    }
}
