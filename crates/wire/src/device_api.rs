//! What a device sends to the server and what it hears back.
//!
//! Linking, tokens, `/me` and the error bodies are part A of the protocol: clients of the public
//! service speak them already, so field names and status codes are fixed. Additions of ours are
//! optional fields.

use crate::{DeviceId, SessionId};
use serde::{Deserialize, Serialize};

/// Longest string that the device API accepts in any field without a limit of its own, in characters.
pub const MAX_STRING: usize = 255;
/// Longest host name, in characters.
pub const MAX_HOSTNAME: usize = 253;
/// Longest serial number, in characters; at least one, printable ASCII.
pub const MAX_SERIAL_NUMBER: usize = 64;

/// `POST /client/device`: a device asks for a code that a person can approve (RFC 8628, 3.1).
///
/// ```
/// # use bramble_wire::device_api::CodeRequest;
/// let it: CodeRequest = serde_json::from_str(r#"{"client_id":"rpi-connect","login_hint":"10000000abcdef01"}"#)?;
/// assert_eq!(it.login_hint, "10000000abcdef01");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeRequest {
    /// The program's name; recorded, never trusted.
    #[serde(default)]
    pub client_id: String,
    /// The serial number.
    pub login_hint: String,
    /// Ours, optional: the device's host name, offered as its name on the approval page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Ours, optional: the board's model, shown on the approval page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The answer to [`CodeRequest`] (RFC 8628, 3.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeAnswer {
    /// What the device polls with. A secret.
    pub device_code: String,
    /// What the person types: `XXXX-XXXX`.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: String,
    /// Seconds until both codes expire.
    pub expires_in: u64,
    /// Seconds to wait between two polls.
    pub interval: u64,
}

/// `POST /client/token`: the device asks whether its code was approved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The program's name.
    #[serde(default)]
    pub client_id: String,
    /// From [`CodeAnswer::device_code`].
    pub device_code: String,
}

/// `POST /client/auth-key-exchange`: link with a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthKeyExchange {
    /// `rpuak_…` or `rpoak_…`.
    pub auth_key: String,
    /// The serial number.
    pub serial_number: String,
    /// The host name; becomes the device's name unless the key carries one.
    #[serde(default)]
    pub hostname: String,
    /// The program's name.
    #[serde(default)]
    pub client_id: String,
}

/// `POST /client/device-identity-exchange`: link with a key pair. The header
/// [`crate::signature::IDENTITY_HEADER`] proves it.
///
/// ```
/// # use bramble_wire::device_api::IdentityExchange;
/// let it: IdentityExchange = serde_json::from_str(
///     r#"{"client_id":"rpi-connect","public_key":"-----BEGIN PUBLIC KEY-----…","hostname":"pi5","serial_number":"ea636879c4d47a37"}"#)?;
/// assert_eq!(it.hostname, "pi5");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityExchange {
    /// The program's name.
    #[serde(default)]
    pub client_id: String,
    /// PEM.
    pub public_key: String,
    /// The host name; becomes the device's name unless the identity carries one.
    #[serde(default)]
    pub hostname: String,
    /// The serial number.
    pub serial_number: String,
}

/// The answer to every successful linking.
///
/// ```
/// # use bramble_wire::device_api::Linked;
/// let it: Linked = serde_json::from_str(
///     r#"{"device_id":"69739b44-ebb2-468e-9e24-08126dec4925","access_token":"rpdev_x"}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Linked {
    /// Stable for as long as the device's entry exists.
    pub device_id: DeviceId,
    /// `rpdev_…`. A secret.
    pub access_token: String,
}

/// The body of every refusal on the device API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A code from [`error`].
    #[serde(default)]
    pub error: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// For people; some endpoints of part A use this name instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The codes that [`ApiError::error`] takes.
pub mod error {
    /// RFC 8628: nobody has decided yet.
    pub const AUTHORIZATION_PENDING: &str = "authorization_pending";
    /// RFC 8628: polled faster than `interval`.
    pub const SLOW_DOWN: &str = "slow_down";
    /// RFC 8628: the code's time is over.
    pub const EXPIRED_TOKEN: &str = "expired_token";
    /// RFC 8628: somebody refused.
    pub const ACCESS_DENIED: &str = "access_denied";
    /// RFC 8628: unknown or used device code.
    pub const INVALID_GRANT: &str = "invalid_grant";
    /// A field is missing or malformed.
    pub const INVALID_REQUEST: &str = "invalid_request";
    /// The key is unknown, expired or used; the answer does not say which.
    pub const INVALID_AUTH_KEY: &str = "invalid_auth_key";
    /// No such device identity, or it is not proved; the answer does not say which.
    pub const INVALID_DEVICE_IDENTITY: &str = "invalid_device_identity";
    /// The time of a signed request is not now.
    pub const INVALID_TIMESTAMP: &str = "invalid_timestamp";
    /// There is no token in the request, so nobody looked one up: a proxy may have dropped it.
    pub const MISSING_TOKEN: &str = "missing_token";
    /// The token is unknown or revoked. Only this makes a client forget its token.
    pub const INVALID_TOKEN: &str = "invalid_token";
    /// The request signature is missing where required, or wrong.
    pub const INVALID_SIGNATURE: &str = "invalid_signature";
}

/// What a device can do and whether its owner lets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Not on this machine.
    Unavailable,
    /// There, and switched off.
    Available,
    /// There, and switched on.
    Enabled,
}

/// The capabilities of a device. What is absent keeps its last value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Screen sharing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vnc: Option<Capability>,
    /// Remote shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Capability>,
    /// Remote updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ota: Option<Capability>,
    /// File transfer (ours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Capability>,
}

/// The board, from its firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// `Raspberry Pi 5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// `8 GB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// The operating system, from os-release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `Raspberry Pi OS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `13 (Trixie)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The value that `os:` finds: `raspios-13`, `debian-12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// A Pico behind the device (part A).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pico {
    /// Platform name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Board name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_name: Option<String>,
    /// Program name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program_name: Option<String>,
    /// SDK version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk_version: Option<String>,
    /// ROM version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rom_version: Option<String>,
    /// Chip version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_version: Option<String>,
}

/// Whether the server must refuse unsigned requests of this device from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// Every request of this device carries `X-Connect-Signature`; linking again clears it.
    Required,
}

/// `POST /me`: the device describes itself. Merged: what is absent stays.
///
/// ```
/// # use bramble_wire::device_api::*;
/// let it: Me = serde_json::from_str(r#"{"capabilities":{"vnc":"unavailable","shell":"enabled","ota":"available"}}"#)?;
/// assert_eq!(it.capabilities.shell, Some(Capability::Enabled));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Me {
    /// What it can do.
    pub capabilities: Capabilities,
    /// A Pico behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pico: Option<Pico>,
    /// Why screen sharing is unavailable, in a sentence for people; empty if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vnc_reason: Option<String>,
    /// Version of the client, shown. The server compares it with its own for clients that say
    /// [`Self::clock_off`]: others count their versions in another way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// Host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<Board>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// `aarch64`, `armv7l`, `x86_64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_architecture: Option<String>,
    /// By how many seconds the device's clock is ahead of the server's, 0 if it is right (ours).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_off: Option<i64>,
    /// Ask for signatures to be required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
}

/// The kind of account that a device belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// One person's.
    Personal,
    /// An organisation's.
    Organisation,
}

/// Whose a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerAccount {
    /// Kind.
    pub kind: AccountKind,
    /// Name for people.
    pub name: String,
}

/// `GET /me` (ours).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The asking device.
    pub device_id: DeviceId,
    /// Its name in the dashboard.
    pub name: String,
    /// Whose it is.
    pub account: OwnerAccount,
}

/// `POST /client/sessions/sync` and its answer: the sessions that the device still runs, and those of
/// them that may go on.
///
/// ```
/// # use bramble_wire::device_api::SessionIds;
/// let it: SessionIds = serde_json::from_str(r#"{"ids":[]}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionIds {
    /// Session ids.
    pub ids: Vec<SessionId>,
    /// The device's client has started since it last said this: what ran before is gone for good. Not said by the
    /// original client, nor in the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarted: bool,
}

/// `GET /client/ice-servers` (ours): the STUN and TURN servers that a session of this device would get,
/// with credentials for `rpi-connect doctor` to try them. Empty where the server has no relay.
///
/// ```
/// # use bramble_wire::device_api::IceServers;
/// let it: IceServers = serde_json::from_str(r#"{"ice_servers":[{"urls":["stun:192.0.2.1:3478"]}]}"#)?;
/// assert_eq!(it.ice_servers.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServers {
    /// In the order in which a session tries them.
    pub ice_servers: Vec<crate::signalling::IceServer>,
}
