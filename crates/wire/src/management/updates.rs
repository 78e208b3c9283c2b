//! Remote updates in the management API.

use super::{Meta, Moment};
use crate::{ArtefactId, DeploymentId, DeviceId};
use serde::{Deserialize, Serialize};

/// An artefact.
///
/// ```
/// # use bramble_wire::management::Artefact;
/// let text = r#"{"id":"ee92e7e6-2c2c-4e7d-9d80-2cce8a6c7e8a","name":"kiosk-v1.0","uri":"https://example.com/kiosk-v1.0.tar.zst","checksum":"d39fc02ad7878db7f6803f54dfce89346a763a603cb8e62221ba893fee9c5cc6"}"#;
/// let it: Artefact = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&it)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// Id.
    pub id: ArtefactId,
    /// Name, unique in the organisation.
    pub name: String,
    /// From where devices fetch it.
    pub uri: String,
    /// Lower-case hex SHA-256 of it.
    pub checksum: String,
}

/// A page of artefacts, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefacts {
    /// The artefacts.
    pub artefacts: Vec<Artefact>,
    /// Where in the list.
    pub meta: Meta,
}

/// A deployment.
///
/// ```
/// # use bramble_wire::management::Deployment;
/// let text = r#"{"id":"fdf45c44-2c0e-4f12-9b04-3a6a1c0d3b8d","state":"failed","state_reason":"Checksum mismatch","device_id":"69739b44-ebb2-468e-9e24-08126dec4925","artefact_id":"ee92e7e6-2c2c-4e7d-9d80-2cce8a6c7e8a","created_at":"2026-02-25T16:09:52Z","updated_at":"2026-02-25T16:10:30Z"}"#;
/// let it: Deployment = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&it)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Id.
    pub id: DeploymentId,
    /// `pending`, `in_progress`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed, if it did.
    pub state_reason: Option<String>,
    /// To which device.
    pub device_id: DeviceId,
    /// Of what.
    pub artefact_id: ArtefactId,
    /// When it was made.
    pub created_at: Moment,
    /// When it changed last.
    pub updated_at: Moment,
}

/// A page of deployments, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployments {
    /// The deployments.
    pub deployments: Vec<Deployment>,
    /// Where in the list.
    pub meta: Meta,
}

/// `GET /organisation/deployments/:id/output` (ours): the end of what the device printed.
///
/// ```
/// # use bramble_wire::management::DeploymentOutput;
/// let it: DeploymentOutput = serde_json::from_str(r#"{"output":null}"#)?;
/// assert_eq!(it.output, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentOutput {
    /// At most the last 64 KiB; nothing before the device told.
    pub output: Option<String>,
}
