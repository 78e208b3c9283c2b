//! Screen sharing: the VNC server of the desktop, or one that was chosen or is started for a session, and the
//! bytes between it and a browser. All of the agent that a Lite build goes without is here, and what the rest
//! asks of it is what this page and `cli` show; `no_screen.rs` answers the same questions there.
//!
//! It is: what is behind a session (`stream`, `rfb`, `vnc_server`), which screen that is (`settings`, `desk`),
//! whether there is one (`presence`), and the commands (`cli`).
//! It is not: the peer connection, nor who may see the screen.

pub(crate) mod cli;
mod desk;
mod presence;
mod rfb;
mod settings;
mod stream;
mod unit;
mod vnc_server;
mod vnc_try;

pub(crate) use desk::displays;
pub(crate) use presence::{apply, choose, problem, run};
pub use settings::ScreenSettings;
pub(crate) use stream::Screen;
pub(crate) use unit::switch_unit;
pub use vnc_server::ScreenError;

use crate::platform::desktop;
use crate::state::StateFolder;
use clap::Args;
use std::path::PathBuf;

/// The daemon's arguments that concern the screen.
#[derive(Debug, Args)]
pub(crate) struct ScreenArguments {
    /// The VNC server's Unix socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// The desktop's VNC server; `None` in a build without screen sharing.
#[expect(clippy::unnecessary_wraps, reason = "as in the Lite build")]
pub(crate) fn at(folder: &StateFolder, arguments: ScreenArguments) -> Option<ScreenSettings> {
    Some(ScreenSettings::at(arguments.socket.unwrap_or_else(|| folder.vnc_socket())))
}
