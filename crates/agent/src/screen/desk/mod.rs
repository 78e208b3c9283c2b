//! What this device starts by itself to show a screen: a WayVNC for one display of the desktop (`wayvnc`), and
//! a compositor without a monitor where no desktop runs (`headless`). Each is shared by the sessions that want
//! it and ends with the last of them.
//! It is not: the desktop's own WayVNC, which its unit runs and any session reaches by its socket.

mod displays;
mod headless;
mod wayvnc;

pub(crate) use displays::displays;
pub(super) use headless::{Headless, Lease};
pub(super) use wayvnc::{OwnWayVnc, WayVncs, display_of};

use super::vnc_server::ScreenError;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Between two looks whether a program that was started is ready.
const LOOK: Duration = Duration::from_millis(30);

/// Variables that what is started here takes over. The rest of the daemon's environment stays out: it may hold a
/// key.
const KEPT: [&str; 10] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
];
/// The same for those that begin so: the language, and the keyboard's layout.
const KEPT_GROUPS: [&str; 3] = ["LC_", "XKB_DEFAULT_", "XCURSOR_"];

/// A program of this user's desktop. It is killed with whoever holds it.
fn program(path: impl AsRef<OsStr>) -> Command {
    let kept = |name: &str| KEPT.contains(&name) || KEPT_GROUPS.iter().any(|group| name.starts_with(group));
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(kept)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A folder that only this user can open, for the sockets of what is started here.
fn private_folder(beside: &Path) -> Result<tempfile::TempDir, ScreenError> {
    let place = beside.parent().unwrap_or(Path::new("/nonexistent"));
    // `tempfile` makes it with mode 0700.
    tempfile::Builder::new()
        .prefix("rpi-connect-screen-")
        .tempdir_in(place)
        .map_err(|error| ScreenError::Io(error.to_string()))
}
