//! The decompressed bytes of an artefact, with what they cost.

use super::receive::Counted;
use super::{Failure, Limits, WINDOW_LOG, tar};
use std::io::{self, BufReader, Read, Write};
use zstd::zstd_safe;

/// Zeros after the end of an archive: tar pads to its record size, which is seldom over 512 KiB.
const MAX_TRAILER: u64 = 4 * 1024 * 1024;
const READ_AT_ONCE: usize = 128 * 1024;
const COPY_AT_ONCE: usize = 64 * 1024;
/// zstd's numbers for its errors; they are stable, their texts need not be.
const PREFIX_UNKNOWN: usize = 10;
const WINDOW_TOO_LARGE: usize = 16;

pub(super) struct Archive<'a, R: Read> {
    decoder: zstd::Decoder<'static, BufReader<&'a mut Counted<R>>>,
    expanded: u64,
    limits: Limits,
    buffer: Vec<u8>,
}

impl<'a, R: Read> Archive<'a, R> {
    pub(super) fn new(source: &'a mut Counted<R>, limits: &Limits) -> Result<Self, Failure> {
        let buffered = BufReader::with_capacity(READ_AT_ONCE, source);
        let mut decoder = zstd::Decoder::with_buffer(buffered).map_err(Failure::Source)?;
        decoder.window_log_max(WINDOW_LOG).map_err(Failure::Source)?;
        Ok(Self { decoder, expanded: 0, limits: *limits, buffer: vec![0; COPY_AT_ONCE] })
    }

    /// The next header. A file that does not even begin like an archive is none.
    pub(super) fn block(&mut self, first: bool) -> Result<[u8; tar::BLOCK], Failure> {
        let mut block = [0; tar::BLOCK];
        self.decoder.read_exact(&mut block).map_err(|error| {
            let prefix = error.to_string() == zstd_text(PREFIX_UNKNOWN);
            let nothing =
                error.kind() == io::ErrorKind::UnexpectedEof && self.decoder.get_ref().get_ref().count() == 0;
            if first && (prefix || nothing) { Failure::NotAnArtefact } else { unreadable(&error) }
        })?;
        self.charge(tar::BLOCK as u64)?;
        Ok(block)
    }

    /// The padded content of an extension member; its size was checked.
    pub(super) fn bytes(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.copy(size, &mut bytes, "a header")?;
        self.skip(tar::padding(size))?;
        Ok(bytes)
    }

    pub(super) fn skip_padded(&mut self, size: u64) -> Result<(), Failure> {
        self.skip(size)?;
        self.skip(tar::padding(size))
    }

    pub(super) fn skip(&mut self, size: u64) -> Result<(), Failure> {
        self.copy(size, &mut io::sink(), "nothing")
    }

    /// The next `size` bytes go to `target`, which `what` names if it cannot be written.
    pub(super) fn copy(&mut self, mut size: u64, target: &mut impl Write, what: &str) -> Result<(), Failure> {
        while size > 0 {
            let most = usize::try_from(size).unwrap_or(usize::MAX).min(self.buffer.len());
            self.decoder.read_exact(&mut self.buffer[..most]).map_err(|error| unreadable(&error))?;
            self.charge(most as u64)?;
            target.write_all(&self.buffer[..most]).map_err(|error| Failure::writing(what, error))?;
            size -= most as u64;
        }
        Ok(())
    }

    /// The next `size` bytes for a reader of its own, who bounds what they expand to.
    pub(super) fn body(&mut self, size: u64) -> io::Take<&mut impl Read> {
        (&mut self.decoder).take(size)
    }

    /// After the end marker there is nothing but padding.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let mut trailer = 0;
        loop {
            let count = self.decoder.read(&mut self.buffer).map_err(|error| unreadable(&error))?;
            if count == 0 {
                return Ok(());
            }
            trailer += count as u64;
            if trailer > MAX_TRAILER || self.buffer[..count].iter().any(|byte| *byte != 0) {
                return Err(tar::Fault::Damaged("there is more after its end").into());
            }
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Failure> {
        self.expanded += bytes;
        let paid = self.decoder.get_ref().get_ref().count().saturating_mul(self.limits.ratio);
        if self.expanded > self.limits.harmless && self.expanded > paid { Err(Failure::Bomb) } else { Ok(()) }
    }
}

/// A read failed inside the archive. (That the source failed is known elsewhere and goes first.)
pub(super) fn unreadable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Failure::EndsEarly
    } else if error.to_string() == zstd_text(WINDOW_TOO_LARGE) {
        Failure::Window
    } else {
        Failure::Compression
    }
}

fn zstd_text(number: usize) -> &'static str {
    zstd_safe::get_error_name(0_usize.wrapping_sub(number))
}
