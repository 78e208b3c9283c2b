//! What the management API answers. Scripts of the public service read it, so names, order and formats
//! are fixed.

mod updates;

pub use updates::{Artefact, Artefacts, Deployment, DeploymentOutput, Deployments};

use crate::{AuthKeyId, DeviceId, DeviceIdentityId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use time::{OffsetDateTime, UtcOffset};

/// A moment in whole seconds: `2026-02-25T16:09:52Z`.
///
/// ```
/// # use bramble_wire::management::Moment;
/// let it: Moment = serde_json::from_str(r#""2026-02-25T16:09:52Z""#)?;
/// assert_eq!(serde_json::to_string(&it)?, r#""2026-02-25T16:09:52Z""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub OffsetDateTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.to_offset(UtcOffset::UTC);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let format = &time::format_description::well_known::Rfc3339;
        OffsetDateTime::parse(&text, format).map(Self).map_err(D::Error::custom)
    }
}

/// The body of every refusal but 429, whose body is the plain text `Throttled`.
///
/// ```
/// # use bramble_wire::management::Failure;
/// let it = Failure { message: "Not found".to_owned() };
/// assert_eq!(serde_json::to_string(&it)?, r#"{"message":"Not found"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For people.
    pub message: String,
}

/// Where in a list an answer is.
///
/// ```
/// # use bramble_wire::management::Meta;
/// let it = Meta { page: 1, per_page: 100, total_count: 1, total_pages: 1 };
/// assert_eq!(serde_json::to_string(&it)?, r#"{"page":1,"per_page":100,"total_count":1,"total_pages":1}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the answer, from 1.
    pub page: u64,
    /// At most 100.
    pub per_page: u64,
    /// All there are.
    pub total_count: u64,
    /// Pages that they fill.
    pub total_pages: u64,
}

/// An auth key. The secret is in the answer to its creation and nowhere else.
///
/// ```
/// # use bramble_wire::management::AuthKey;
/// let text = r#"{"id":"096ce472-2cbd-412a-8295-6c03a1a07ba4","description":"my-auth-key","device_name":"pi5-001","tags":["kiosk","production"],"expires_at":"2026-02-26T16:09:52Z","exchanged_at":null,"created_at":"2026-02-25T16:09:52Z"}"#;
/// let it: AuthKey = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&it)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthKey {
    /// Id.
    pub id: AuthKeyId,
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets.
    pub device_name: Option<String>,
    /// The tags that the device gets, in alphabetical order.
    pub tags: Vec<String>,
    /// `rpoak_…`. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Until when it may be used.
    pub expires_at: Moment,
    /// When it was used.
    pub exchanged_at: Option<Moment>,
    /// When it was made.
    pub created_at: Moment,
}

/// A page of auth keys: the usable first, then the expired, then the exchanged; newest first in each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthKeys {
    /// The keys.
    pub auth_keys: Vec<AuthKey>,
    /// Where in the list.
    pub meta: Meta,
}

/// A device identity.
///
/// ```
/// # use bramble_wire::management::DeviceIdentity;
/// let text = r#"{"id":"096ce472-2cbd-412a-8295-6c03a1a07ba4","description":"my-device-identity","device_name":null,"tags":[],"created_at":"2026-02-25T16:09:52Z","public_key":"-----BEGIN PUBLIC KEY-----..."}"#;
/// let it: DeviceIdentity = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&it)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIdentity {
    /// Id.
    pub id: DeviceIdentityId,
    /// What its maker wrote.
    pub description: String,
    /// The name that the device gets.
    pub device_name: Option<String>,
    /// The tags that the device gets, in alphabetical order.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Moment,
    /// PEM.
    pub public_key: String,
}

/// A page of device identities, by description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIdentities {
    /// The identities.
    pub device_identities: Vec<DeviceIdentity>,
    /// Where in the list.
    pub meta: Meta,
}

/// A device's board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// `Raspberry Pi 5`.
    pub model: Option<String>,
    /// `1.0`.
    pub revision: Option<String>,
    /// `8 GB`.
    pub memory: Option<String>,
}

/// A device's operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `Raspberry Pi OS`.
    pub name: Option<String>,
    /// `13 (Trixie)`.
    pub version: Option<String>,
}

/// The qualifiers that find a device. Holds only what is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// For `model:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// For `memory:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// For `os:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
}

/// A device.
///
/// ```
/// # use bramble_wire::management::Device;
/// let text = r#"{"id":"69739b44-ebb2-468e-9e24-08126dec4925","name":"raspberrypi5","serial_number":"ea636879c4d47a37","tags":["kiosk"],"board":{"model":"Raspberry Pi 5","revision":"1.0","memory":"8 GB"},"os":null,"kernel_architecture":"aarch64","filters":{"model":"5","memory":"8gb"}}"#;
/// let it: Device = serde_json::from_str(text)?;
/// assert_eq!(serde_json::to_string(&it)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Id.
    pub id: DeviceId,
    /// Name.
    pub name: String,
    /// Serial number.
    pub serial_number: String,
    /// In alphabetical order.
    pub tags: Vec<String>,
    /// What is known of its board.
    pub board: Option<Board>,
    /// What is known of its operating system.
    pub os: Option<Os>,
    /// `aarch64`.
    pub kernel_architecture: Option<String>,
    /// The qualifiers that find it.
    pub filters: Filters,
}

/// A page of devices, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// The devices.
    pub devices: Vec<Device>,
    /// Where in the list.
    pub meta: Meta,
}
