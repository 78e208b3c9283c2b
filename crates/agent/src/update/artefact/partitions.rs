//! Where images go.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The partitions of the slot that is to be written.
pub trait Partitions {
    type Target: io::Write + Seek;

    /// Opens the partition of this name (one path component, checked) for writing; `None` if there is none.
    fn open(&mut self, name: &str) -> io::Result<Option<Place<Self::Target>>>;

    /// Called once with everything written, to make it durable.
    fn written(&mut self, name: &str, target: Self::Target) -> io::Result<()>;
}

/// An opened partition.
#[derive(Debug)]
pub struct Place<T> {
    pub target: T,
    /// Its size in bytes; no byte is written beyond.
    pub capacity: u64,
}

/// Partitions that are files, devices or links to them in one folder, like `/dev/disk/by-slot/other`.
#[derive(Debug, Clone)]
pub struct PartitionFolder(pub PathBuf);

impl Partitions for PartitionFolder {
    type Target = File;

    fn open(&mut self, name: &str) -> io::Result<Option<Place<File>>> {
        // Never created: a name that is not there is a mistake in the artefact. And exclusive, which on a
        // block device means: refused while it is mounted.
        let exclusive = OFlags::EXCL.bits().cast_signed();
        let mut target = match OpenOptions::new().write(true).custom_flags(exclusive).open(self.0.join(name))
        {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let capacity = target.seek(SeekFrom::End(0))?;
        target.rewind()?;
        Ok(Some(Place { target, capacity }))
    }

    fn written(&mut self, _name: &str, target: File) -> io::Result<()> {
        target.sync_all()
    }
}
