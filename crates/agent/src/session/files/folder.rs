//! The folder that file transfer works in: how paths from the browser are opened below it, and nowhere else.
//!
//! The kernel resolves every path (`openat2`, Linux 5.6): beneath the root, through no link. A file is looked at
//! before it is opened, because opening a device or a pipe does things.

use super::failure::{Failure, Result};
use bramble_wire::files::{Entry, MAX_FOLDER, MAX_NAME, Problem};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most entries in a list. More would be no use to a person, and they are held in memory while they are sent.
const MOST_ENTRIES: usize = 20_000;
/// What the files of unfinished uploads are called.
pub(super) const PART_PREFIX: &str = ".bramble-";
const PART_SUFFIX: &str = ".part";
/// An unfinished upload that nobody has gone on with for so long is removed.
const PART_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Another process may rename something while a path is resolved: the kernel then says "again".
const MOST_TRIES: usize = 16;

/// The folder.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    pub(super) hidden: usize,
    pub(super) more: bool,
}

/// Whether the kernel has what this needs.
pub(crate) fn is_supported() -> bool {
    open_below(CWD, ".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).is_ok()
}

impl Root {
    /// Opens it; makes it first if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty())?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder below it.
    pub(super) fn folder(&self, path: &str) -> Result<OwnedFd> {
        if path.len() > MAX_FOLDER {
            return Err(Failure::new(Problem::Name, "The path of this folder is too long."));
        }
        if path.is_empty() {
            return Ok(open_below(self.folder.as_fd(), ".", OFlags::DIRECTORY, Mode::empty())?);
        }
        path.split('/').try_for_each(check_component)?;
        Ok(open_below(self.folder.as_fd(), path, OFlags::DIRECTORY, Mode::empty())?)
    }

    /// What is in a folder, and away with uploads that were given up long ago.
    pub(super) fn list(&self, path: &str, now: SystemTime) -> Result<List> {
        let folder = self.folder(path)?;
        let mut list = List::default();
        for entry in Dir::read_from(&folder)? {
            if list.entries.len() + list.hidden >= MOST_ENTRIES {
                list.more = true;
                break;
            }
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = name.to_str() else {
                list.hidden += 1;
                continue;
            };
            // Gone since.
            let Ok(stat) = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if is_part(name) {
                if kind == FileType::RegularFile && is_forgotten(&stat, now) {
                    // Somebody else may have been quicker.
                    let _ = fs::unlinkat(&folder, name, AtFlags::empty());
                }
            } else if !matches!(kind, FileType::RegularFile | FileType::Directory) {
                list.hidden += 1;
            } else {
                list.entries.push(as_entry(name, kind, &stat));
            }
        }
        list.entries.sort_by(|a, b| b.folder.cmp(&a.folder).then_with(|| a.name.cmp(&b.name)));
        Ok(list)
    }
}

fn as_entry(name: &str, kind: FileType, stat: &Stat) -> Entry {
    let folder = kind == FileType::Directory;
    let size = if folder { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
    Entry { name: name.to_owned(), folder, size, modified: stat.st_mtime }
}

fn is_forgotten(stat: &Stat, now: SystemTime) -> bool {
    let changed = u64::try_from(stat.st_mtime).unwrap_or(0);
    let since = now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed));
    since.is_ok_and(|since| since > PART_LIFETIME)
}

/// The name under which an upload grows. It depends on nothing that is too long for a name.
pub(super) fn part_name(key: &str) -> String {
    format!("{PART_PREFIX}{key}{PART_SUFFIX}")
}

fn is_part(name: &str) -> bool {
    name.starts_with(PART_PREFIX) && name.ends_with(PART_SUFFIX)
}

/// Whether it is one name, of an entry that may be there.
pub(super) fn check_component(name: &str) -> Result<()> {
    let wrong = match name {
        "" | "." | ".." => "This is no name for a file.",
        _ if name.contains('/') => "A name has no slashes.",
        _ if name.contains('\0') => "A name has no zero bytes.",
        _ if name.len() > MAX_NAME => "This name is too long for the device: 255 bytes is the most.",
        _ => return Ok(()),
    };
    Err(Failure::new(Problem::Name, wrong))
}

/// Whether a file may get this name. Those that are there already may have worse ones.
pub(super) fn check_new_name(name: &str) -> Result<()> {
    check_component(name)?;
    if name.chars().any(char::is_control) {
        return Err(Failure::new(Problem::Name, "A name has no line breaks or other control characters."));
    }
    if is_part(name) {
        return Err(Failure::new(Problem::Name, "This name is kept for unfinished uploads."));
    }
    Ok(())
}

fn open_below(folder: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let flags = flags | OFlags::CLOEXEC;
    let mut tries = 0;
    loop {
        match fs::openat2(folder, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tries < MOST_TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Opens a file that is there, if it is a regular one.
pub(super) fn open_regular(folder: &OwnedFd, name: &str, flags: OFlags) -> Result<(File, Stat)> {
    let found = open_below(folder.as_fd(), name, OFlags::PATH, Mode::empty())?;
    let stat = fs::fstat(&found)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::not_regular());
    }
    // Exactly what was looked at, whatever has its name by now.
    let same = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = fs::open(same, flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty())?;
    Ok((File::from(file), stat))
}

/// Makes a file that was not there, for its owner alone.
pub(super) fn create(folder: &OwnedFd, name: &str) -> rustix::io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    open_below(folder.as_fd(), name, flags, mode).map(File::from)
}

/// Whether anything has this name, a broken link say.
pub(super) fn is_taken(folder: &OwnedFd, name: &str) -> Result<bool> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
