//! What can go wrong with a file, in words for the person in the browser.

use bramble_wire::files::{FromFiles, Problem};
use rustix::io::Errno;
use std::io;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) problem: Problem,
    message: String,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(super) fn new(problem: Problem, message: impl Into<String>) -> Self {
        Self { problem, message: message.into() }
    }

    /// The same as a message.
    pub(super) fn about(self, id: Option<u32>) -> FromFiles {
        FromFiles::Failed { id, problem: self.problem, message: self.message }
    }

    pub(super) fn exists() -> Self {
        Self::new(
            Problem::Exists,
            "There is already something with this name on the device. Nothing was replaced.",
        )
    }

    pub(super) fn not_regular() -> Self {
        Self::new(Problem::Kind, "Only regular files are transferred, and no links are followed.")
    }

    pub(super) fn full() -> Self {
        Self::new(
            Problem::Full,
            "There is not enough space on the device. Make room there, then try again: what has arrived is kept.",
        )
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR => {
                Self::new(Problem::Missing, "There is no such file or folder on the device any more.")
            }
            Errno::EXIST => Self::exists(),
            // A link, or a path that leads out of the root.
            Errno::LOOP | Errno::XDEV | Errno::ISDIR | Errno::NXIO => Self::not_regular(),
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Self::full(),
            Errno::ACCESS | Errno::PERM => {
                Self::new(Problem::Denied, "The device's user has no permission for this file or folder.")
            }
            Errno::ROFS => Self::new(Problem::Denied, "This folder of the device is read-only."),
            Errno::NAMETOOLONG => Self::new(Problem::Name, "This name is too long for the device."),
            Errno::ILSEQ | Errno::INVAL => Self::new(Problem::Name, "The device cannot use this name."),
            error => Self::new(Problem::Other, format!("The device could not do it: {error}.")),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno::from_raw_os_error(number).into(),
            None => Self::new(Problem::Other, format!("The device could not do it: {error}.")),
        }
    }
}
