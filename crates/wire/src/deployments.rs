//! Remote updates on the device API: what waits, what to apply, and how it went.
//!
//! Asking for what waits, starting, completing and failing are part A of the protocol, so their fields
//! and status codes are fixed. Progress, output and the list of signing keys are ours.

use crate::{DeploymentId, DeviceId};
use serde::{Deserialize, Serialize};

/// The most output of a script that the server keeps, in bytes of UTF-8: the end of it.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// The answer to `GET /deployments/pending` when something waits; 204 when nothing does.
///
/// ```
/// # use bramble_wire::deployments::PendingDeployments;
/// let it: PendingDeployments =
///     serde_json::from_str(r#"{"deployments":[{"id":"fdf45c44-2c0e-4f12-9b04-3a6a1c0d3b8d"}]}"#)?;
/// assert_eq!(it.deployments.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDeployments {
    /// At most one today; clients take the first.
    pub deployments: Vec<PendingDeployment>,
}

/// A deployment that waits to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDeployment {
    /// Id.
    pub id: DeploymentId,
}

/// The answer to `POST /deployments/:id/start`.
///
/// ```
/// # use bramble_wire::deployments::Started;
/// let it: Started = serde_json::from_str(
///     r#"{"artefact":{"uri":"https://x.example/a.tar.zst","checksum":"00"},"timestamp":1700000000,"signature":"eA=="}"#)?;
/// assert_eq!(it.timestamp, 1_700_000_000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// What to fetch.
    pub artefact: StartedArtefact,
    /// Unix seconds at the start, as signed.
    pub timestamp: i64,
    /// Base64 Ed25519 over [`signed_text`], by the newest of [`DeploymentKeys`].
    pub signature: String,
}

/// What to fetch and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedArtefact {
    /// Where from: http, https, ftp, ftps, sftp or file.
    pub uri: String,
    /// Lower-case hex SHA-256 of what is fetched.
    pub checksum: String,
}

/// `POST /deployments/:id/progress` (ours): how far it got. What is absent stays.
///
/// ```
/// # use bramble_wire::deployments::Progress;
/// let it: Progress = serde_json::from_str(r#"{"percent":42}"#)?;
/// assert_eq!((it.percent, it.output), (Some(42), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// All output so far, or its last [`MAX_OUTPUT`] bytes: it replaces what was sent before, so that a
    /// repeated report changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// `POST /deployments/:id/complete`: it succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completed {
    /// Ours, optional: as [`Progress::output`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// `POST /deployments/:id/fail`: it did not.
///
/// ```
/// # use bramble_wire::deployments::Failed;
/// let it: Failed = serde_json::from_str(r#"{"reason":"Checksum mismatch"}"#)?;
/// assert_eq!(it.reason.as_deref(), Some("Checksum mismatch"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failed {
    /// Why, for people; the server keeps the first 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Ours, optional: as [`Progress::output`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// `GET /.well-known/bramble` (ours): the keys that sign deployments, the first one first. The last one
/// signs today.
///
/// ```
/// # use bramble_wire::deployments::DeploymentKeys;
/// let it: DeploymentKeys = serde_json::from_str(
///     r#"{"deployment_keys":[
///         {"id":"1","key":"eA==","signed_by":null},
///         {"id":"2","key":"eQ==","signed_by":{"id":"1","signature":"eg=="}}]}"#)?;
/// assert_eq!(it.deployment_keys[1].signed_by.as_ref().map(|by| by.id.as_str()), Some("1"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentKeys {
    /// In the order in which they were made.
    pub deployment_keys: Vec<DeploymentKey>,
}

/// A key that signs, or signed, deployments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentKey {
    /// Its name.
    pub id: String,
    /// Base64 of the 32 bytes of the public key.
    pub key: String,
    /// Which older key vouches for it. A device takes a new key only from one that it trusts.
    pub signed_by: Option<KeySignature>,
}

/// An older key's word for a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySignature {
    /// The older key's [`DeploymentKey::id`].
    pub id: String,
    /// Base64 Ed25519 over [`signed_key_text`].
    pub signature: String,
}

/// The text that the server signs when a deployment starts. No part contains a line feed.
///
/// ```
/// # use bramble_wire::deployments::signed_text;
/// # use bramble_wire::{DeploymentId, DeviceId};
/// let (a, b) = (DeploymentId(uuid::Uuid::nil()), DeviceId(uuid::Uuid::max()));
/// assert_eq!(
///     signed_text(a, b, "file:///x", "ab", 17),
///     "bramble-deployment-v1\n00000000-0000-0000-0000-000000000000\nffffffff-ffff-ffff-ffff-ffffffffffff\nfile:///x\nab\n17",
/// );
/// ```
pub fn signed_text(
    deployment: DeploymentId,
    device: DeviceId,
    uri: &str,
    checksum: &str,
    timestamp: i64,
) -> String {
    format!("bramble-deployment-v1\n{deployment}\n{device}\n{uri}\n{checksum}\n{timestamp}")
}

/// The text that an older key signs to vouch for a newer one.
///
/// ```
/// # use bramble_wire::deployments::signed_key_text;
/// assert_eq!(signed_key_text("2", "eQ=="), "bramble-deployment-key-v1\n2\neQ==");
/// ```
pub fn signed_key_text(id: &str, key: &str) -> String {
    format!("bramble-deployment-key-v1\n{id}\n{key}")
}
