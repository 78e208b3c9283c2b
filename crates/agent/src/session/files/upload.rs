//! A file on its way to the device. It grows under a name of its own, which a later session finds again, and gets
//! the right one when all of it is there and its digest is right.

use super::failure::{Failure, Result};
use super::folder::{self, Root};
use super::hash::{Digest, read_into};
use bramble_wire::files::{MAX_STAMP, Problem};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

/// Where the file comes to.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: u32,
    pub(super) size: u64,
    /// Bytes that are there.
    pub(super) at: u64,
    /// Bytes that were there before.
    pub(super) offset: u64,
    folder: OwnedFd,
    name: String,
    part: String,
    file: File,
    digest: Digest,
}

/// What the browser wants to send.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) id: u32,
    pub(super) folder: String,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) stamp: String,
}

impl Upload {
    /// Opens what an earlier upload of the same file left, or something new.
    pub(super) fn begin(root: &Root, wish: Wish, is_gone: &dyn Fn() -> bool) -> Result<Self> {
        folder::check_new_name(&wish.name)?;
        if wish.stamp.len() > MAX_STAMP {
            return Err(Failure::new(Problem::Protocol, "The browser's message was not understood."));
        }
        let place = root.folder(&wish.folder)?;
        if folder::is_taken(&place, &wish.name)? {
            return Err(Failure::exists());
        }
        let part = folder::part_name(&key(&wish));
        let mut file = open_part(&place, &part)?;
        let there = file.metadata()?.len();
        // More than all of it cannot be the beginning of it.
        let offset = if there > wish.size { 0 } else { there };
        let mut digest = Digest::new();
        file.seek(SeekFrom::Start(0))?;
        read_into(&mut file, offset, &mut digest, is_gone)?;
        file.set_len(offset)?;
        let disk = fs::fstatvfs(&file)?;
        if wish.size - offset > disk.f_bavail.saturating_mul(disk.f_frsize) {
            return Err(Failure::full());
        }
        let Wish { id, name, size, .. } = wish;
        Ok(Self { id, size, at: offset, offset, folder: place, name, part, file, digest })
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > self.size - self.at {
            return Err(Failure::new(Problem::Changed, "The file grew while it was sent. Send it again."));
        }
        if let Err(error) = self.file.write_all(bytes) {
            // The digest must be that of what is there, for whoever goes on.
            let _ = self.file.set_len(self.at);
            return Err(error.into());
        }
        self.digest.add(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Gives it its name if it is what the browser has read. Returns the digest.
    pub(super) fn finish(self, sha256: &str) -> Result<String> {
        if self.at != self.size {
            return Err(Failure::new(Problem::Changed, "The file shrank while it was sent. Send it again."));
        }
        let digest = self.digest.finish();
        if digest != sha256 {
            remove(&self.folder, &self.part);
            return Err(Failure::new(
                Problem::Digest,
                "What arrived is not what was sent (its SHA-256 differs), so it was removed. Send it again.",
            ));
        }
        self.file.sync_all()?;
        if let Err(error) = name_it(&self.folder, &self.part, &self.name) {
            if error == Errno::EXIST {
                remove(&self.folder, &self.part);
            }
            return Err(error.into());
        }
        // Only now would a power cut find it under its name.
        fs::fsync(&self.folder)?;
        Ok(digest)
    }

    /// Removes what is there.
    pub(super) fn discard(self) {
        remove(&self.folder, &self.part);
    }
}

/// Tells unfinished uploads apart: another file, or another version of it, gets another one.
fn key(wish: &Wish) -> String {
    let mut hash = Sha256::new();
    for part in [wish.name.as_str(), &wish.size.to_string(), &wish.stamp] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// Opens it and keeps others away: two that write one file would spoil it.
fn open_part(folder: &OwnedFd, part: &str) -> Result<File> {
    let file = match folder::create(folder, part) {
        Ok(file) => file,
        Err(Errno::EXIST) => folder::open_regular(folder, part, OFlags::RDWR)?.0,
        Err(error) => return Err(error.into()),
    };
    let busy =
        || Failure::new(Problem::Busy, "This file is being sent already, from another window. Wait for it.");
    fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => busy(),
        error => error.into(),
    })?;
    let ours = fs::fstat(&file)?;
    // Whoever held it may have given it its name, or removed it, since it was opened.
    let named = fs::statat(folder, part, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| busy())?;
    if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino) {
        return Err(busy());
    }
    if ours.st_uid != rustix::process::geteuid().as_raw() || ours.st_nlink != 1 {
        return Err(Failure::new(Problem::Denied, "What an earlier upload left belongs to somebody else."));
    }
    fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
    Ok(file)
}

/// Renames without replacing. Where the file system cannot (NFS), a second name cannot replace either.
fn name_it(folder: &OwnedFd, part: &str, name: &str) -> rustix::io::Result<()> {
    match fs::renameat_with(folder, part, folder, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::linkat(folder, part, folder, name, AtFlags::empty())?;
            fs::unlinkat(folder, part, AtFlags::empty())
        }
        result => result,
    }
}

fn remove(folder: &OwnedFd, part: &str) {
    if let Err(error) = fs::unlinkat(folder, part, AtFlags::empty()) {
        tracing::debug!(%error, "an unfinished upload was not removed");
    }
}
