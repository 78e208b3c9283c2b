//! The sign-in: a token, the server it belongs to, and the board it was made on.

use super::{SecretText, ServerUrl};
use bramble_wire::DeviceId;
use serde::{Deserialize, Serialize};

/// The file `token`. The token is sent to [`StoredToken::server`] and nowhere else, whatever the
/// configuration says later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// The server that issued it.
    pub server: ServerUrl,
    /// This device's id there.
    pub device_id: DeviceId,
    /// The token.
    pub access_token: SecretText,
    /// The serial number at sign-in: another one means that the card moved to another board.
    pub serial_number: String,
    /// PEM of the only certificate authority to trust, from `--ca`; else the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}
