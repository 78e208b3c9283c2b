//! Small files that must be whole after a power cut: written aside, made durable, renamed.

use rustix::fs::OFlags;
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Reads a regular file of at most `most` bytes; `None` if there is none.
pub(super) fn read_small(path: &Path, most: u64) -> io::Result<Option<(String, Metadata)>> {
    // Opening a pipe that lies there would wait for somebody to write to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a small file"));
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text)?;
    Ok(Some((text, found)))
}

/// Replaces a file in one step: after a power cut there is the old one or the new one, never a part.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let fresh = aside(path);
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(path)
}

/// Removes a file for good; that there is none is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
