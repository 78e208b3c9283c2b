//! The unit of systemd's user manager that runs WayVNC beside the desktop.

use crate::{
    control::units::{is_known, succeeds, systemctl},
    platform::Platform,
    state::StateFolder,
};
use std::process::Command;

/// Its name.
pub(super) const NAME: &str = "rpi-connect-wayvnc.service";

/// Enables and starts it, or disables and stops it; `false` where there is none. Waits for systemd.
///
/// # Errors
/// In words for people, when systemd refuses.
pub(crate) fn switch_unit(folder: &StateFolder, platform: &Platform, on: bool) -> Result<bool, String> {
    if !is_known(folder, platform, NAME) {
        return Ok(false);
    }
    systemctl(&[if on { "enable" } else { "disable" }, "--now", NAME]).map(|()| true)
}

/// Whether it is enabled and runs; `None` where there is none.
pub(crate) fn is_on(folder: &StateFolder, platform: &Platform) -> Option<bool> {
    let is = |what: &str| succeeds(Command::new("systemctl").args(["--user", "--quiet", what, NAME]));
    is_known(folder, platform, NAME).then(|| is("is-enabled") && is("is-active"))
}
