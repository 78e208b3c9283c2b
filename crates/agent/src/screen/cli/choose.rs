//! `rpi-connect screen`: which of this machine's VNC servers is shared.

use crate::{
    cli::{
        Failure, Place,
        commands::{ask, done},
        say,
    },
    local_api::Request,
    screen::ScreenSettings,
    state::{ScreenChoice, ScreenSize, SecretText},
};
use clap::Subcommand;
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// Longest file with a password, in bytes. VNC knows eight characters.
const MOST_PASSWORD: u64 = 256;

const TERMINAL: &str = "Whoever may open a session then has a terminal on this device: count it as allowing what a shell \
                        allows, also where the remote shell is off.";

#[derive(Debug, Subcommand)]
pub(crate) enum Choice {
    /// This user's Wayland desktop, through WayVNC
    Wayland,
    /// This user's Wayland desktop, and while none runs a virtual one
    ///
    /// The virtual desktop is started for whoever opens a session, with a terminal on it: count it as allowing
    /// what a shell allows, also where the remote shell is off.
    Virtual {
        /// Its size in pixels
        #[arg(value_name = "WIDTHxHEIGHT", default_value_t)]
        size: ScreenSize,
    },
    /// Another VNC server of this machine, for example x11vnc
    Vnc {
        /// Its Unix socket, or its port like 127.0.0.1:5900
        address: String,
        /// A file whose first line is the password that it asks for; - is standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

pub(super) fn run(place: &Place, choice: &Choice) -> Result<ExitCode, Failure> {
    let mut virtual_screen = None;
    let (choice, shown) = match choice {
        Choice::Wayland => (None, "this user's Wayland desktop".to_owned()),
        Choice::Virtual { size } => {
            virtual_screen = Some(*size);
            (None, format!("this user's Wayland desktop, and a virtual one of {size} while none runs"))
        }
        Choice::Vnc { address, password_file } => {
            ScreenSettings::check(address).map_err(Failure::new)?;
            let password = password_file.as_deref().map(password).transpose()?;
            (
                Some(ScreenChoice { address: address.clone(), password }),
                format!("the VNC server at {address}"),
            )
        }
    };
    let note = done(ask(place, &Request::Screen { choice, virtual_screen })?)?;
    say(&format!("✓ Screen sharing shows {shown}"));
    if virtual_screen.is_some() {
        say(TERMINAL);
    }
    if let Some(note) = note {
        say(&format!("It is not available at the moment. {note}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn password(path: &Path) -> Result<SecretText, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().take(MOST_PASSWORD).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST_PASSWORD).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::new(format!("{}: its first line must be the password", path.display())));
    }
    Ok(SecretText::new(line.to_owned()))
}
