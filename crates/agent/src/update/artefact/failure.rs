//! Why an update failed, in the words that reach the dashboard.

use super::{contents, sparse, tar};
use std::io;

/// Why an artefact was not applied. The text is the deployment's reason as people read it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("Checksum mismatch")]
    ChecksumMismatch,
    /// Not a zstd-compressed tar at all.
    #[error("update file rejected")]
    NotAnArtefact,
    #[error("update file rejected: window too large")]
    Window,
    #[error("update file rejected: the compressed data is damaged")]
    Compression,
    #[error("update file rejected: the file ends early")]
    EndsEarly,
    #[error("update file rejected: {0}")]
    Archive(#[from] tar::Fault),
    #[error("update file rejected: _contents_.yaml: {0}")]
    Contents(#[from] contents::Fault),
    #[error("update file rejected: the image {name:?}: {fault}")]
    Image { name: String, fault: sparse::Fault },
    #[error("update file rejected: there is no partition {0:?}")]
    NoPartition(String),
    #[error("update file rejected: {0:?} is named in the contents and missing")]
    Missing(String),
    #[error("update file rejected: {0:?} is there twice")]
    Twice(String),
    #[error("update file rejected: it has nothing to do")]
    NothingToDo,
    #[error("update file rejected: it has more than {0} files")]
    TooManyFiles(u32),
    #[error("update file rejected: it expands to far more than its size")]
    Bomb,
    #[error("Not enough space")]
    NoSpace,
    #[error("Not enough space: the image {name:?} needs {needed} bytes, its partition has {capacity}")]
    PartitionTooSmall { name: String, needed: u64, capacity: u64 },
    /// The source of the bytes failed; whoever downloads knows whether to try again.
    #[error("Download stopped: {0}")]
    Source(io::Error),
    #[error("The device could not write {what}: {error}")]
    Device { what: String, error: io::Error },
}

impl Failure {
    /// A failed write: no space is the update's problem, the rest the device's.
    pub(crate) fn writing(what: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Device { what: what.to_owned(), error },
        }
    }

    /// Whether bytes that were changed on their way could explain it, so that the checksum must decide.
    pub(crate) fn is_about_the_bytes(&self) -> bool {
        !matches!(self, Self::Source(_) | Self::NoSpace | Self::Device { .. } | Self::ChecksumMismatch)
    }
}
