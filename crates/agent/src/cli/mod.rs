//! Everything behind `rpi-connect`: the commands, their words, their exit status.
//!
//! What it is not: it holds no state. It asks the daemon, or the service manager that starts it. How to
//! add to it: a variant of `Command` with its help, an arm in `run`.

mod checks;
pub(crate) mod commands;
mod doctor;
mod ota;
pub(crate) mod service;
mod sign_in;
mod spinner;

pub(crate) use checks::Check;
pub(crate) use service::READY;

use crate::{platform::Platform, screen::cli as screen, state::StateFolder};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Remote access to this device through a Bramble server.
#[derive(Debug, Parser)]
#[command(
    name = "rpi-connect",
    version,
    disable_version_flag = true,
    about = screen::ABOUT,
    arg_required_else_help = true,
    after_help = "Exit status: 0 if it worked, 1 if it did not (the message says what to do), 2 for wrong usage."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the service, now and whenever the device starts
    On,
    /// Stop the service and keep it stopped
    Off,
    /// Restart the service
    Restart,
    /// Link this device to your account
    #[command(
        long_about = "Link this device to your account.\n\nWithout a key it prints the address of a page \
                            where you approve the device, and waits until you did."
    )]
    Signin(SignInArguments),
    /// Take this device out of your account
    Signout,
    /// Show whether the device is signed in and what it allows
    Status(Format),
    /// Allow or forbid the remote shell; forbidding ends the running ones
    Shell(Switch),
    /// Allow or forbid remote updates; asks for an administrator's password
    Ota(Switch),
    /// Allow or forbid file transfer; forbidding ends the running sessions
    #[command(
        long_about = "Allow or forbid file transfer; forbidding ends the running sessions.\n\nIt is off until you \
                            turn it on. Whoever may open a session to this device can then read what is in one \
                            folder, ~/Bramble or the one named with --root, and add files to it. Nothing outside \
                            that folder is opened, no link is followed, and nothing is replaced or removed. Count \
                            it as much as a remote shell unless you name a folder that nothing else uses: programs \
                            of yours may run or obey what lies there."
    )]
    Files(FilesSwitch),
    #[command(flatten)]
    Screen(screen::Command),
    /// Check everything that a connection needs, and say how to mend it
    Doctor(Format),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
struct SignInArguments {
    /// A key made on the server's pages; @FILE reads it from a file, @- from standard input
    #[arg(long, value_name = "KEY|@FILE")]
    auth_key: Option<String>,
    /// The server, like https://connect.example.org
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The only certificate authority to trust for it (PEM); a copy is kept with the sign-in
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// on or off
    state: OnOff,
}

impl Switch {
    pub(crate) fn is_on(&self) -> bool {
        self.state == OnOff::On
    }
}

#[derive(Debug, Args)]
struct FilesSwitch {
    /// on or off
    state: OnOff,
    /// The folder to work in from now on (files_root in settings.toml)
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    /// Allow
    On,
    /// Forbid
    Off,
}

/// A failure that a person can mend; the text says how.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "so that map_err takes it")]
    pub(crate) fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

/// Where a command works.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: StateFolder,
    pub(crate) platform: Platform,
}

/// Parses the arguments and does what they say. clap ends the process with 2 for wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The daemon that `on` starts would hold a calling script's lock for months.
    crate::descriptor::keep_from_children();
    match run(&cli.command) {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, Failure> {
    let place = || -> Result<Place, Failure> {
        Ok(Place {
            folder: StateFolder::from_environment().map_err(Failure::new)?,
            platform: Platform::from_environment(),
        })
    };
    match command {
        Command::On => service::on(&place()?),
        Command::Off => service::off(&place()?),
        Command::Restart => service::restart(&place()?),
        Command::Signin(arguments) => sign_in::run(&place()?, arguments),
        Command::Signout => commands::sign_out(&place()?),
        Command::Status(format) => commands::status(&place()?, format.json),
        Command::Shell(switch) => commands::shell(&place()?, switch.is_on()),
        Command::Screen(command) => screen::run(&place()?, command),
        Command::Ota(switch) => ota::run(&place()?, switch.is_on()),
        Command::Files(switch) => {
            commands::files(&place()?, switch.state == OnOff::On, switch.root.as_deref())
        }
        Command::Doctor(format) => doctor::run(&place()?, format.json),
        Command::Version => {
            say(&format!("rpi-connect {}", crate::VERSION));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints a line. A reader that went away is no failure of the command.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
