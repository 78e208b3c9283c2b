//! Images onto the other slot, remembered well enough to be compared with what is there afterwards.

use super::{
    artefact::{PartitionFolder, Partitions, Place},
    slots::Slots,
};
use crc32fast::Hasher;
use rustix::fs::{Advice, fadvise};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Parts of an image between two holes. One with more is made to fill memory.
const MAX_PARTS: usize = 1 << 18;
const READ_AT_ONCE: usize = 256 * 1024;

/// What was written to one partition.
#[derive(Debug)]
struct Written {
    name: String,
    /// Start and length of what was written without a gap.
    parts: Vec<(u64, u64)>,
    sum: u32,
}

/// The other slot's partitions.
#[derive(Debug, Clone)]
pub struct SlotImages {
    slots: Slots,
    folder: PartitionFolder,
    written: Arc<Mutex<Vec<Written>>>,
}

/// An opened partition that remembers.
#[derive(Debug)]
pub struct Remembered {
    file: File,
    position: u64,
    parts: Vec<(u64, u64)>,
    sum: Hasher,
}

impl SlotImages {
    pub fn new(slots: Slots) -> Self {
        Self { folder: PartitionFolder(slots.other()), slots, written: Arc::default() }
    }

    /// Reads back everything that was written, from the medium itself as far as the system lets it.
    /// Gives back how many bytes were compared.
    pub fn compare(&self) -> io::Result<u64> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut compared = 0;
        for image in written.iter() {
            let mut file = File::open(self.folder.0.join(&image.name))?;
            // What the memory still holds is not what the medium holds.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
            let _ = fadvise(&file, 0, None, Advice::Sequential);
            let mut sum = Hasher::new();
            let mut buffer = vec![0; READ_AT_ONCE];
            for &(start, length) in &image.parts {
                file.seek(SeekFrom::Start(start))?;
                let mut left = length;
                while left > 0 {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    file.read_exact(&mut buffer[..most])?;
                    sum.update(&buffer[..most]);
                    left -= most as u64;
                }
                compared += length;
            }
            if sum.finalize() != image.sum {
                return Err(io::Error::other(format!(
                    "{} does not hold what was written to it; the medium may be worn out",
                    image.name
                )));
            }
        }
        Ok(compared)
    }
}

impl Partitions for SlotImages {
    type Target = Remembered;

    fn open(&mut self, name: &str) -> io::Result<Option<Place<Remembered>>> {
        // A name that is not there says more than a device with one system.
        if !self.folder.0.join(name).exists() {
            return Ok(None);
        }
        self.slots.target().map_err(io::Error::other)?;
        self.slots.is_apart(name).map_err(io::Error::other)?;
        let place = self.folder.open(name)?;
        Ok(place.map(|Place { target, capacity }| Place {
            target: Remembered { file: target, position: 0, parts: Vec::new(), sum: Hasher::new() },
            capacity,
        }))
    }

    fn written(&mut self, name: &str, target: Remembered) -> io::Result<()> {
        let Remembered { file, parts, sum, .. } = target;
        self.folder.written(name, file)?;
        let image = Written { name: name.to_owned(), parts, sum: sum.finalize() };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(image);
        Ok(())
    }
}

impl Write for Remembered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        let full = self.parts.len() >= MAX_PARTS;
        match self.parts.last_mut() {
            Some((start, length)) if *start + *length == self.position => *length += count as u64,
            _ if full => {
                return Err(io::Error::other("the image is in too many pieces"));
            }
            _ => self.parts.push((self.position, count as u64)),
        }
        self.sum.update(&bytes[..count]);
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Remembered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}
