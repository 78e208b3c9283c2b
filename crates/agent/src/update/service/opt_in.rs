//! What `rpi-connect ota on` and `off` run as root, through pkexec: they write and remove the trust file.

use super::super::{files, trust::Trust};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Largest input: a chain of authorities and some keys.
const MAX_INPUT: u64 = 512 * 1024;
/// Lets the one user's daemon give orders; everybody else is refused by the packaged policy already.
const POLICY: &str = "etc/dbus-1/system.d/com.raspberrypi.ota-user.conf";

/// Writes the trust file from standard input. The user in it is whoever asked for root's rights, whatever
/// the input says.
pub(super) fn allow(root: &Path) -> Result<(), String> {
    let root = checked(root)?;
    let mut text = String::new();
    std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let mut trust = Trust::parse(&text)?;
    if let Some(uid) = asking_user() {
        trust.uid = uid;
    }
    trust.store(&root).map_err(|error| error.to_string())?;
    let policy = root.join(POLICY);
    if let Some(folder) = policy.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    files::replace(&policy, policy_for(trust.uid).as_bytes(), 0o644).map_err(|error| error.to_string())
}

/// Removes it.
pub(super) fn forbid(root: &Path) -> Result<(), String> {
    let root = checked(root)?;
    Trust::remove(&root).map_err(|error| error.to_string())?;
    files::remove(&root.join(POLICY)).map_err(|error| error.to_string())
}

/// Nobody writes elsewhere with an administrator's password that was asked for this.
fn checked(root: &Path) -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("this needs root's rights; use rpi-connect ota on or off".to_owned());
    }
    if std::env::var_os("PKEXEC_UID").is_some() && root != Path::new("/") {
        return Err("another root folder is for tests".to_owned());
    }
    Ok(root.to_owned())
}

fn asking_user() -> Option<u32> {
    ["PKEXEC_UID", "SUDO_UID"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

fn policy_for(uid: u32) -> String {
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <!-- Written by rpi-connect ota on. -->\n\
         <busconfig>\n  <policy user=\"{uid}\">\n    \
         <allow send_destination=\"com.raspberrypi.ota\"/>\n  </policy>\n</busconfig>\n"
    )
}
