//! The units of systemd's user manager.

use crate::{platform::Platform, state::StateFolder};
use std::process::{Command, Stdio};

/// Whether systemd's manager of this user runs and knows a unit. A state folder of one's own is never the
/// unit's.
pub fn is_known(folder: &StateFolder, platform: &Platform, unit: &str) -> bool {
    if folder.is_overridden() || !platform.root().join("run/systemd/system").is_dir() {
        return false;
    }
    succeeds(Command::new("systemctl").args(["--user", "--quiet", "cat", unit]))
}

/// Tells systemd's manager of this user something.
///
/// # Errors
/// In words for people, when it refuses.
pub fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!(
            "systemctl --user {} failed; journalctl --user -u rpi-connect.service tells more",
            arguments.join(" ")
        )),
        Err(error) => Err(format!("systemctl cannot be run: {error}")),
    }
}

/// Runs it and looks at nothing but its exit status.
pub fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
