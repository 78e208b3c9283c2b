//! SHA-256 of a file that comes in parts.

use super::failure::{Failure, Result};
use bramble_wire::files::Problem;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::Read;

/// Bytes read at once.
pub(super) const CHUNK: usize = 128 * 1024;

/// A digest in the making.
#[derive(Clone)]
pub(super) struct Digest(Sha256);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In lower-case hex.
    pub(super) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// Reads so many bytes from where the file stands, for as long as somebody waits for it: of a large file it takes
/// many minutes.
pub(super) fn read_into(
    file: &mut File,
    bytes: u64,
    digest: &mut Digest,
    is_gone: &dyn Fn() -> bool,
) -> Result<()> {
    let mut left = bytes;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        if is_gone() {
            return Err(Failure::new(Problem::Other, "The session has ended."));
        }
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let read = file.read(&mut chunk[..most])?;
        if read == 0 {
            return Err(Failure::new(Problem::Changed, "The file shrank meanwhile. Begin again."));
        }
        digest.add(&chunk[..read]);
        left -= read as u64;
    }
    Ok(())
}
