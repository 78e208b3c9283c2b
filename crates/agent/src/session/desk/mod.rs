//! What this device starts by itself to show a screen: a WayVNC for one display of the desktop (`wayvnc`), and
//! a compositor without a monitor where no desktop runs (`headless`). Each is shared by the sessions that want
//! it and ends with the last of them.
//! It is not: the desktop's own WayVNC, which its unit runs and any session reaches by its socket.

mod displays;
mod headless;
mod wayvnc;

pub(super) use displays::displays;
pub(super) use headless::{Headless, Lease};
pub(super) use wayvnc::{OwnWayVnc, WayVncs};

use super::vnc_server::ScreenError;
use std::path::Path;
use std::time::Duration;

/// Between two looks whether a program that was started is ready.
const LOOK: Duration = Duration::from_millis(30);

/// A folder that only this user can open, for the sockets of what is started here.
fn private_folder(beside: &Path) -> Result<tempfile::TempDir, ScreenError> {
    let place = beside.parent().unwrap_or(Path::new("/nonexistent"));
    // `tempfile` makes it with mode 0700.
    tempfile::Builder::new()
        .prefix("rpi-connect-screen-")
        .tempdir_in(place)
        .map_err(|error| ScreenError::Io(error.to_string()))
}
