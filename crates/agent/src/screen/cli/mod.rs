//! What `rpi-connect` has to do with the screen: the commands, the unit of WayVNC, and `doctor`'s checks.

mod checks;
mod choose;
mod serve;

use crate::cli::commands::{ask, done};
use crate::cli::{Check, Failure, Place, Switch, say};
use crate::local_api::Request;
use crate::screen::unit;
use clap::Subcommand;
use std::process::ExitCode;

pub(crate) const ABOUT: &str = "Reach this device's shell and screen from a browser";

const SUPPORTED: &str = "Screen sharing is supported by this version of rpi-connect";
const SWITCHED_OFF: &str = "Screen sharing is switched off; rpi-connect vnc on allows it";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Allow or forbid screen sharing; forbidding ends the running sessions
    Vnc(Switch),
    /// Choose which screen is shared
    #[command(subcommand)]
    Screen(choose::Choice),
    /// Run WayVNC for this user's desktop, as soon as there is one
    #[command(hide = true)]
    ServeScreen,
}

pub(crate) fn run(place: &Place, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Vnc(switch) => vnc(place, switch.is_on()),
        Command::Screen(choice) => choose::run(place, choice),
        Command::ServeScreen => serve::run(place),
    }
}

/// The answer first: the unit is only the convenience of having it started.
fn vnc(place: &Place, on: bool) -> Result<ExitCode, Failure> {
    let note = done(ask(place, &Request::Vnc { on })?)?;
    let started = unit(place, on)?;
    say(if on { "✓ Screen sharing allowed" } else { "✓ Screen sharing disallowed" });
    // With the unit just started, the reason of a moment ago means nothing.
    if let Some(note) = note.filter(|_| !started) {
        say(&format!("It is not available at the moment. {note}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts or stops WayVNC where it has a unit; `false` where it has none.
pub(crate) fn unit(place: &Place, on: bool) -> Result<bool, Failure> {
    unit::switch_unit(&place.folder, &place.platform, on).map_err(Failure::new)
}

/// What `doctor` says of the screen.
pub(crate) struct Report {
    pub(crate) supported: bool,
    pub(crate) lines: Vec<&'static str>,
    pub(crate) displays: Vec<String>,
    pub(crate) checks: Vec<Check>,
}

/// Looks at what a shared screen needs; what nobody wants need not work.
pub(crate) fn report(place: &Place, runtime: &tokio::runtime::Runtime) -> Report {
    let wanted = place.folder.settings().is_ok_and(|settings| settings.vnc);
    let mut report =
        Report { supported: true, lines: vec![SUPPORTED], displays: Vec::new(), checks: Vec::new() };
    if wanted {
        report.displays = runtime.block_on(checks::displays(place));
        report.checks = checks::run(place);
    } else {
        report.lines.push(SWITCHED_OFF);
    }
    report
}
