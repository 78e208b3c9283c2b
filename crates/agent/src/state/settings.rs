//! What the person at the device allows.

use serde::{Deserialize, Serialize};

/// `settings.toml`. What a newer version wrote and this one does not know is kept out of the way, not
/// refused: an older program must still start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Remote shell is allowed.
    pub shell: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shell: true }
    }
}
