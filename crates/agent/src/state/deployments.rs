//! What the daemon remembers of updates, so that its own death changes nothing.

use bramble_wire::DeploymentId;
use serde::{Deserialize, Serialize};

/// `deployments.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployments {
    /// Started on the server, and its end not reported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<DeploymentId>,
    /// The last one whose end the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<DeploymentId>,
    /// The last one that the server wanted no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DeploymentId>,
}
