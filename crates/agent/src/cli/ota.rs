//! `ota on|off`: root's trust file, written by the updater's own program with an administrator's consent.

use super::{
    Failure, Place,
    commands::{ask, confused, done},
    say,
};
use crate::{
    local_api::{
        Reply, Request,
        client::{self, LocalError},
    },
    update::UPDATER,
};
use std::{
    io::Write,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

pub(super) fn run(place: &Place, on: bool) -> Result<ExitCode, Failure> {
    let root = place.platform.root();
    if !root.join(UPDATER).exists() {
        return Err(Failure::new(
            "Remote updates need the program rpi-ota-connector, which is not installed on this device",
        ));
    }
    if on {
        let text = match ask(place, &Request::OtaTrust)? {
            Reply::Trust { text } => text,
            Reply::Failed { why } => return Err(Failure::new(why)),
            _ => return Err(confused()),
        };
        as_root(root, "allow", Some(&text))?;
        done(ask(place, &Request::OtaChanged)?)?;
        say("✓ Remote updates allowed");
    } else {
        as_root(root, "forbid", None)?;
        // Without a daemon there is nobody to tell.
        match client::ask(&place.folder.socket(), &Request::OtaChanged) {
            Ok(_) | Err(LocalError::NotRunning) => {}
            Err(error) => return Err(Failure::new(error)),
        }
        say("✓ Remote updates disallowed");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the updater's program as root: directly if this is root, else through polkit, which asks for an
/// administrator's password.
fn as_root(root: &Path, what: &str, input: Option<&str>) -> Result<(), Failure> {
    let program = Path::new("/").join(root.join(UPDATER));
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new(&program);
        if root != Path::new("/") {
            command.arg("--root").arg(root);
        }
        command
    } else {
        let mut command = Command::new("pkexec");
        command.arg(&program);
        command
    };
    command.arg(what).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(|error| {
        Failure::new(format!("an administrator's rights are needed, and pkexec cannot be run: {error}"))
    })?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // One that ended already says why by its status.
        let _ = pipe.write_all(text.as_bytes());
    }
    let status = child.wait().map_err(Failure::new)?;
    if status.success() { Ok(()) } else { Err(Failure::new("Nothing was changed")) }
}
