//! In the place of `screen` in a Lite build: the same names, of which nothing can ever exist, and commands
//! that say so.

use crate::{
    control::Shared,
    platform::Platform,
    session::{PtyEvent, Read, Wants},
    state::{ScreenChoice, ScreenSize, Settings, StateFolder},
};
use clap::Args;
use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Instant};

/// A screen to share, of which a Lite build has none.
#[derive(Clone, Debug)]
pub struct ScreenSettings(Infallible);

/// What could be wrong with a screen.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ScreenError(Infallible);

#[expect(clippy::unnecessary_wraps, reason = "as in the full build")]
pub(crate) fn switch_unit(_folder: &StateFolder, _platform: &Platform, _on: bool) -> Result<bool, String> {
    Ok(false)
}

/// What would be behind a session.
#[derive(Debug)]
pub(crate) struct Screen(Infallible);

/// The unit of the daemon names it in both builds.
#[derive(Debug, Args)]
pub(crate) struct ScreenArguments {
    #[arg(long = "socket", hide = true)]
    _socket: Option<PathBuf>,
}

pub(crate) fn at(_folder: &StateFolder, _arguments: ScreenArguments) -> Option<ScreenSettings> {
    None
}

pub(crate) fn problem(_platform: &Platform, screen: &ScreenSettings) -> Option<String> {
    match screen.0 {}
}

pub(crate) fn apply(screen: &ScreenSettings, _settings: &Settings) {
    match screen.0 {}
}

pub(crate) fn choose(
    _shared: &Shared,
    screen: &ScreenSettings,
    _choice: Option<ScreenChoice>,
    _virtual_screen: Option<ScreenSize>,
) -> Result<(), String> {
    match screen.0 {}
}

#[expect(clippy::unused_async, reason = "as in the full build")]
pub(crate) async fn run(_shared: Arc<Shared>) {}

impl ScreenSettings {
    #[expect(clippy::unused_async, reason = "as in the full build")]
    pub(crate) async fn displays(&self) -> Vec<String> {
        match self.0 {}
    }
}

impl Screen {
    #[expect(clippy::unused_async, reason = "as in the full build")]
    pub(crate) async fn open(settings: &ScreenSettings) -> Result<Self, ScreenError> {
        match settings.0 {}
    }

    pub(crate) fn show(&mut self, _display: &str) {
        match self.0 {}
    }

    pub(crate) fn read(&mut self, _buffer: &mut [u8]) -> Read {
        match self.0 {}
    }

    pub(crate) fn take(&mut self, _bytes: &[u8]) {
        match self.0 {}
    }

    pub(crate) fn pass_input(&mut self) {
        match self.0 {}
    }

    pub(crate) fn lags(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn wants(&self, _output: bool) -> Wants {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "as in the full build")]
    pub(crate) async fn event(&mut self, _wants: Wants) -> PtyEvent {
        match self.0 {}
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.0 {}
    }

    pub(crate) fn ending(&self, _now: Instant) -> Option<&'static str> {
        match self.0 {}
    }

    pub(crate) fn may_return(&self) -> bool {
        match self.0 {}
    }
}

/// The commands, which say what this build is.
pub(crate) mod cli {
    use crate::cli::{Check, Failure, Place};
    use clap::{Args, Subcommand};
    use std::{ffi::OsString, process::ExitCode};

    const NO_SCREEN: &str = "Screen sharing is not supported by this version of rpi-connect: it is the Lite build, which has none. The full one has it";

    pub(crate) const ABOUT: &str = "Reach this device's shell from a browser";

    #[derive(Debug, Subcommand)]
    pub(crate) enum Command {
        /// Not in this Lite build: allow or forbid screen sharing
        #[command(hide = true)]
        Vnc(Words),
        /// Not in this Lite build: choose which screen is shared
        #[command(hide = true)]
        Screen(Words),
    }

    /// Whatever the full build would take.
    #[derive(Debug, Args)]
    #[command(disable_help_flag = true)]
    pub(crate) struct Words {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        words: Vec<OsString>,
    }

    pub(crate) fn run(_place: &Place, command: &Command) -> Result<ExitCode, Failure> {
        let (Command::Vnc(Words { words }) | Command::Screen(Words { words })) = command;
        let asks = words.iter().any(|word| word == "--help" || word == "-h");
        if asks {
            crate::cli::say(NO_SCREEN);
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new(NO_SCREEN))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as in the full build")]
    pub(crate) fn unit(_place: &Place, _on: bool) -> Result<bool, Failure> {
        Ok(false)
    }

    pub(crate) struct Report {
        pub(crate) supported: bool,
        pub(crate) lines: Vec<&'static str>,
        pub(crate) displays: Vec<String>,
        pub(crate) checks: Vec<Check>,
    }

    /// What `doctor` says of it.
    pub(crate) fn report(_place: &Place, _runtime: &tokio::runtime::Runtime) -> Report {
        Report { supported: false, lines: vec![NO_SCREEN], displays: Vec::new(), checks: Vec::new() }
    }
}
