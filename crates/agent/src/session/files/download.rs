//! A file on its way to the browser.

use super::failure::{Failure, Result};
use super::folder::{self, Root};
use super::hash::{CHUNK, Digest, read_into};
use bramble_wire::files::Problem;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Read;

/// Where the file goes from.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) id: u32,
    pub(super) size: u64,
    /// Bytes that have been read.
    pub(super) at: u64,
    /// Bytes that the browser had before.
    pub(super) offset: u64,
    /// Bytes that the browser is ready to take.
    pub(super) credit: u64,
    file: File,
    digest: Digest,
}

impl Download {
    /// Opens it at an offset; what comes before only counts for the digest.
    pub(super) fn begin(
        root: &Root,
        id: u32,
        (place, name): (&str, &str),
        offset: u64,
        credit: u64,
        is_gone: &dyn Fn() -> bool,
    ) -> Result<Self> {
        folder::check_component(name)?;
        let (mut file, stat) = folder::open_regular(&root.folder(place)?, name, OFlags::RDONLY)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if offset > size {
            return Err(Failure::new(Problem::Changed, "The file is shorter than it was. Begin again."));
        }
        let mut digest = Digest::new();
        read_into(&mut file, offset, &mut digest, is_gone)?;
        Ok(Self { id, size, at: offset, offset, credit, file, digest })
    }

    /// Whether there is something to read that the browser would take.
    pub(super) fn may_go_on(&self) -> bool {
        self.at == self.size || self.credit > 0
    }

    /// The next bytes; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let most = (self.size - self.at).min(self.credit).min(CHUNK as u64);
        if self.at == self.size {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(CHUNK)];
        let read = self.file.read(&mut bytes)?;
        if read == 0 {
            return Err(Failure::new(Problem::Changed, "The file shrank while it was sent. Begin again."));
        }
        bytes.truncate(read);
        self.digest.add(&bytes);
        self.at += read as u64;
        self.credit -= read as u64;
        Ok(Some(bytes))
    }

    /// The digest of all that was read.
    pub(super) fn finish(self) -> String {
        self.digest.finish()
    }
}
