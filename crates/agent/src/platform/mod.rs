//! What the machine says about itself: serial number, board, operating system, kernel, host name.
//!
//! What it is not: it changes nothing and keeps nothing, except that a machine without any number of
//! its own gets one in the state folder. Every path is below a root, so that tests bring a machine of
//! their own. How to add to it: one file per source, one method here.

mod board;
pub mod desktop;
mod os;
mod serial;

pub use serial::SerialError;

use crate::state::StateFolder;
use bramble_model::Random;
use bramble_wire::device_api::{Board, MAX_HOSTNAME, Os};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Largest system file that is read, in bytes: `/proc/cpuinfo` of a big server.
const MAX_FILE: u64 = 1024 * 1024;
/// Overrides the root, for tests.
pub const ROOT_VARIABLE: &str = "RPI_CONNECT_ROOT";

/// The machine below a root.
#[derive(Debug, Clone)]
pub struct Platform {
    root: PathBuf,
}

impl Platform {
    /// This machine, or the one below the folder that the environment names.
    pub fn from_environment() -> Self {
        Self::below(std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty()).unwrap_or("/".into()))
    }

    /// The machine below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where its files are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The serial number: the firmware's, else one made from the machine id, else one made up once and
    /// kept in the state folder.
    pub fn serial_number(&self, folder: &StateFolder, random: &dyn Random) -> Result<String, SerialError> {
        serial::serial_number(self, folder, random)
    }

    /// The board; `None` on what is not a Raspberry Pi.
    pub fn board(&self) -> Option<Board> {
        board::board(self)
    }

    /// The operating system; `None` without an os-release.
    pub fn os(&self) -> Option<Os> {
        os::os(self)
    }

    /// `aarch64`, `armv7l`, `x86_64`.
    pub fn kernel_architecture(&self) -> Option<String> {
        let name = rustix::system::uname();
        name.machine().to_str().ok().map(str::to_owned)
    }

    /// The host name of this moment.
    pub fn hostname(&self) -> String {
        let name = rustix::system::uname();
        let text = name.nodename().to_string_lossy();
        text.chars().filter(|c| !c.is_control()).take(MAX_HOSTNAME).collect()
    }

    /// Reads a small text file below the root. Device tree strings end with a NUL, which goes away.
    fn text(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path)).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned())
    }

    /// The value of a `Name : value` line of `/proc/cpuinfo`.
    fn cpuinfo(&self, name: &str) -> Option<String> {
        let text = self.text("proc/cpuinfo")?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    }
}
