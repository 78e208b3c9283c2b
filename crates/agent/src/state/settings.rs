//! What the person at the device allows.

use serde::{Deserialize, Serialize};

/// `settings.toml`. What a newer version wrote and this one does not know is kept out of the way, not
/// refused: an older program must still start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Remote shell is allowed.
    pub shell: bool,
    /// Screen sharing is allowed.
    pub vnc: bool,
}

impl Settings {
    /// Nothing is allowed: what holds while the file cannot be read.
    pub const NOTHING: Self = Self { shell: false, vnc: false };
}

impl Default for Settings {
    fn default() -> Self {
        Self { shell: true, vnc: true }
    }
}
