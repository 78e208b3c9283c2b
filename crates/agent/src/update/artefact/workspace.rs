//! The temporary directory of one update.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PREFIX: &str = "bramble-update-";

/// A fresh directory that only its owner may enter. It is removed with all that is in it on drop.
#[derive(Debug)]
pub struct Workspace(TempDir);

impl Workspace {
    pub fn new(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes what a killed process or a power cut left in `parent`. Only for whoever holds the one lock
    /// under which updates run.
    pub fn sweep(parent: &Path) -> io::Result<()> {
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// A new file in it. One that is there already is an error, so nothing is ever written through a link.
    pub(crate) fn create(&self, name: &str, mode: u32) -> io::Result<(File, PathBuf)> {
        let path = self.path().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok((file, path))
    }
}
