//! The system bus between the daemon and the updater: names, methods, errors.
//!
//! Established names are the public client's: `com.raspberrypi.ota`, with `Apply`, `GetStatus`, `Reboot`,
//! `Commit` and `Rollback`. `FollowKeys` and `GetOutput` are ours.

use serde::{Deserialize, Serialize};
use zbus::Type;

/// The updater's name on the bus.
pub const NAME: &str = "com.raspberrypi.ota";
/// Its object.
pub const OBJECT: &str = "/com/raspberrypi/ota";

/// How an update stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Status {
    /// `idle`, `downloading`, `running-scripts`, `waiting-for-restart`, `waiting-for-commit`,
    /// `committing`, `rolling-back` or `finished`; as in the state file.
    pub state: String,
    /// Whether the updater works on it; a download that does not run was interrupted.
    pub running: bool,
    /// The deployment that runs or ran last; empty if there was none.
    pub deployment: String,
    /// Of the download; -1 if it is not known.
    pub percent: i32,
    /// `succeeded` or `failed` once it is over, else empty.
    pub outcome: String,
    /// Why it failed.
    pub reason: String,
    /// Whether the daemon commits a new system as soon as it reached the server.
    pub auto_commit: bool,
}

/// What the updater refuses.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "com.raspberrypi.ota.Error")]
pub enum Error {
    /// The bus itself.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// Not this caller, or not allowed on this device at all.
    AccessDenied(String),
    /// Not signed by this device's server for this device, or older than what it took.
    NotTrusted(String),
    /// Over already: never twice.
    Finished(String),
    /// Something else is being applied.
    Busy(String),
    /// A new system runs and is not committed yet.
    WaitingForCommit(String),
    /// The order makes no sense, or nothing waits for this.
    Invalid(String),
    /// The device could not.
    Failed(String),
}

/// The updater as the daemon sees it.
#[zbus::proxy(
    interface = "com.raspberrypi.ota",
    default_service = "com.raspberrypi.ota",
    default_path = "/com/raspberrypi/ota"
)]
pub trait Updater {
    /// Applies what the server ordered; returns as soon as the order was taken.
    fn apply(
        &self,
        deployment_id: &str,
        uri: &str,
        checksum: &str,
        timestamp: i64,
        signature: &str,
    ) -> Result<(), Error>;

    /// How things stand.
    fn get_status(&self) -> Result<Status, Error>;

    /// The end of what the scripts said.
    fn get_output(&self) -> Result<String, Error>;

    /// Offers the server's list of keys, as JSON.
    fn follow_keys(&self, keys: &str) -> Result<bool, Error>;

    /// Restarts, where an update waits for it.
    fn reboot(&self) -> Result<(), Error>;

    /// Makes the tried system the default.
    fn commit(&self) -> Result<(), Error>;

    /// Goes back to the old one.
    fn rollback(&self) -> Result<(), Error>;
}
