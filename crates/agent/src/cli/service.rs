//! `on`, `off`, `restart`: through systemd's user manager where it runs and has our unit, else by
//! starting the daemon ourselves.

use super::{Failure, Place, say, screen};
use crate::{
    control::units,
    local_api::{
        Request,
        client::{LocalError, ask},
    },
    state::NO_LINK,
};
use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io::{BufRead, BufReader, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

const SERVICE: &str = "rpi-connect.service";
const PATH_UNIT: &str = "rpi-connect-signin.path";
/// What a daemon that was started in the background prints when it takes commands.
pub(crate) const READY: &str = "ready";

pub(super) fn on(place: &Place) -> Result<ExitCode, Failure> {
    if has_unit(place) {
        systemctl(&["enable", "--now", SERVICE, PATH_UNIT])?;
        if place.folder.settings().is_ok_and(|settings| settings.vnc) {
            screen::unit(place, true)?;
        }
        say("✓ Raspberry Pi Connect started");
        linger(place, true);
    } else if is_running(place)? {
        say("✓ Raspberry Pi Connect is already running");
    } else {
        start(place)?;
        say("✓ Raspberry Pi Connect started");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn off(place: &Place) -> Result<ExitCode, Failure> {
    if has_unit(place) {
        screen::unit(place, false)?;
        systemctl(&["disable", "--now", PATH_UNIT, SERVICE])?;
        linger(place, false);
    }
    // One that was started by hand, with systemd or without.
    stop(place)?;
    say("✓ Raspberry Pi Connect stopped");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restart(place: &Place) -> Result<ExitCode, Failure> {
    if has_unit(place) {
        systemctl(&["restart", SERVICE])?;
    } else {
        stop(place)?;
        start(place)?;
    }
    say("✓ Raspberry Pi Connect restarted");
    Ok(ExitCode::SUCCESS)
}

fn has_unit(place: &Place) -> bool {
    units::is_known(&place.folder, &place.platform, SERVICE)
}

fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    units::systemctl(arguments).map_err(Failure::new)
}

/// Lingering starts the user's services with the machine, not with the first log-in.
fn linger(place: &Place, on: bool) {
    let Some(user) = std::env::var_os("USER").or_else(|| std::env::var_os("LOGNAME")) else { return };
    let shown = user.to_string_lossy().into_owned();
    let lingers = place.platform.root().join("var/lib/systemd/linger").join(&user).exists();
    if lingers == on {
        return;
    }
    if !on {
        say(&format!("If nothing else needs it: sudo loginctl disable-linger {shown}"));
        return;
    }
    let asked = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if asked && !wants_linger() {
        return;
    }
    // Without a terminal it must not ask for a password.
    let mut command = Command::new("loginctl");
    if !asked {
        command.arg("--no-ask-password");
    }
    let done = if asked {
        command.args(["enable-linger", &shown]).status().is_ok_and(|status| status.success())
    } else {
        units::succeeds(command.args(["enable-linger", &shown]))
    };
    if done {
        say("✓ The device stays reachable after a restart without anybody logging in");
    } else {
        say(&format!(
            "To reach the device after a restart without anybody logging in, run: sudo loginctl enable-linger {shown}"
        ));
    }
}

fn wants_linger() -> bool {
    let mut out = std::io::stdout();
    let _ = write!(out, "Keep the device reachable after a restart without anybody logging in? [Y/n] ");
    let _ = out.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok_and(|n| n > 0) && !answer.trim().to_lowercase().starts_with('n')
}

fn is_running(place: &Place) -> Result<bool, Failure> {
    match ask(&place.folder.socket(), &Request::Status) {
        Ok(_) => Ok(true),
        Err(LocalError::NotRunning) => Ok(false),
        Err(error) => Err(Failure::new(error)),
    }
}

/// Starts the daemon in the background and waits until it takes commands.
fn start(place: &Place) -> Result<(), Failure> {
    place.folder.prepare().map_err(Failure::new)?;
    let log_path = place.folder.log();
    // The last run's log is enough; it must not grow for years.
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(NO_LINK)
        .open(&log_path);
    let log = log.map_err(|error| Failure::new(format!("{}: {error}", log_path.display())))?;
    let program = daemon();
    let mut child = Command::new(&program)
        .arg("--background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .current_dir("/")
        .spawn()
        .map_err(|error| Failure::new(format!("{} cannot be started: {error}", program.display())))?;
    let mut first = String::new();
    if let Some(out) = child.stdout.take() {
        // It either says that it is ready or ends; both end this wait.
        let _ = BufReader::new(out).read_line(&mut first);
    }
    if first.trim() == READY {
        return Ok(());
    }
    let _ = child.wait();
    let said = std::fs::read_to_string(&log_path).unwrap_or_default();
    let last = said.lines().last().unwrap_or("it said nothing").to_owned();
    Err(Failure::new(format!("rpi-connectd did not start: {last}")))
}

/// Ends a daemon and waits until its folder is free.
fn stop(place: &Place) -> Result<(), Failure> {
    match ask(&place.folder.socket(), &Request::Stop) {
        Ok(_) => place.folder.wait_until_free().map_err(Failure::new),
        Err(LocalError::NotRunning) => Ok(()),
        Err(error) => Err(Failure::new(error)),
    }
}

/// The daemon beside this program, else the one in the path.
fn daemon() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| {
        let beside = own.with_file_name("rpi-connectd");
        beside.is_file().then_some(beside)
    });
    beside.unwrap_or_else(|| PathBuf::from(OsStr::new("rpi-connectd")))
}
