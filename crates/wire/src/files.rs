//! What travels on the channel [`FILES`](crate::channel::FILES): lists, uploads and downloads, one transfer at a
//! time. Ours; the public service has no file transfer.
//!
//! A text message is JSON: [`ToFiles`] from the browser, [`FromFiles`] from the device. A binary message belongs
//! to the transfer that runs; the channel keeps the order, so it needs no label. Either side sends at most
//! [`WINDOW`] bytes of a file beyond what the other has taken.
//!
//! An upload: [`ToFiles::Upload`], [`FromFiles::Ready`] with the offset, bytes from there and [`FromFiles::Written`]
//! for them, [`ToFiles::Finish`] with the digest, [`FromFiles::Stored`].
//! A download: [`ToFiles::Download`] with the offset, [`FromFiles::Sending`], bytes from there and
//! [`ToFiles::Credit`] for them, [`FromFiles::Sent`] with the digest.
//! A digest is the SHA-256 of the whole file in lower-case hex, also of a transfer that began at an offset.

use serde::{Deserialize, Serialize};

/// Bytes of a file that may be on their way.
pub const WINDOW: u64 = 4 * 1024 * 1024;
/// Longest name of a file or folder, in bytes of UTF-8.
pub const MAX_NAME: usize = 255;
/// Longest path of a folder below the root, in bytes of UTF-8.
pub const MAX_FOLDER: usize = 1024;
/// Longest [`ToFiles::Upload::stamp`], in bytes.
pub const MAX_STAMP: usize = 64;

/// Browser to device.
///
/// ```
/// # use bramble_wire::files::ToFiles;
/// let it: ToFiles = serde_json::from_str(r#"{"type":"list","folder":"photos/2026"}"#)?;
/// assert_eq!(it, ToFiles::List { folder: "photos/2026".into() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToFiles {
    /// What is in a folder?
    List {
        /// Its path below the root, with `/` between names; empty for the root.
        folder: String,
    },
    /// May a file be sent?
    Upload {
        /// Chosen by the browser; every answer carries it.
        id: u32,
        /// Where to.
        folder: String,
        /// Its name there.
        name: String,
        /// Bytes.
        size: u64,
        /// Tells versions of a file apart, its time say: an interrupted upload goes on only under the same one.
        stamp: String,
    },
    /// All bytes were sent.
    Finish {
        /// Which upload.
        id: u32,
        /// Of the whole file.
        sha256: String,
    },
    /// Send a file.
    Download {
        /// Chosen by the browser; every answer carries it.
        id: u32,
        /// Where it is.
        folder: String,
        /// Its name there.
        name: String,
        /// Bytes that the browser has already.
        offset: u64,
    },
    /// The browser has taken this many more bytes of the download.
    Credit {
        /// Bytes.
        bytes: u64,
    },
    /// Stop a transfer. What an upload left is removed.
    Cancel {
        /// Which.
        id: u32,
    },
}

/// Device to browser.
///
/// ```
/// # use bramble_wire::files::FromFiles;
/// assert_eq!(
///     serde_json::to_string(&FromFiles::Ready { id: 7, offset: 0 })?,
///     r#"{"type":"ready","id":7,"offset":0}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromFiles {
    /// A part of the list that was asked for.
    Entries {
        /// Folders first, each sorted by name.
        entries: Vec<Entry>,
    },
    /// The list is complete.
    Listed {
        /// Which folder, as it was asked for.
        folder: String,
        /// Where the root is on the device.
        root: String,
        /// Entries that are neither files nor folders, or whose name is no UTF-8; they are not in the list.
        hidden: u64,
        /// There are more than fit into a list.
        more: bool,
        /// Bytes that this session may still carry.
        left: u64,
    },
    /// The upload begins there; what came before was kept from an earlier one.
    Ready {
        /// Which upload.
        id: u32,
        /// Bytes.
        offset: u64,
    },
    /// Bytes of the upload that are in the file.
    Written {
        /// Which upload.
        id: u32,
        /// From the file's beginning.
        bytes: u64,
    },
    /// The upload is complete, its digest was right, and the file has its name.
    Stored {
        /// Which upload.
        id: u32,
    },
    /// The download begins.
    Sending {
        /// Which download.
        id: u32,
        /// Bytes of the whole file.
        size: u64,
        /// Where the bytes that follow begin.
        offset: u64,
    },
    /// The download is complete.
    Sent {
        /// Which download.
        id: u32,
        /// Of the whole file.
        sha256: String,
    },
    /// Something did not work. The session goes on.
    Failed {
        /// Which transfer; `None` for a list or a message that was not understood.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// What kind of thing.
        problem: Problem,
        /// A sentence for people.
        message: String,
    },
}

/// A file or folder in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// It is a folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folder: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
}

/// What kind of thing went wrong, for the page to offer what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// The name or path cannot be used.
    Name,
    /// There is something under that name.
    Exists,
    /// Somebody else sends the same file.
    Busy,
    /// There is no room on the device.
    Full,
    /// More than a session may carry.
    Limit,
    /// The digest is another one.
    Digest,
    /// There is nothing under that name.
    Missing,
    /// It is no regular file, or a link is on the way to it.
    Kind,
    /// The device's user may not.
    Denied,
    /// The file changed meanwhile.
    Changed,
    /// The browser said something out of place.
    Protocol,
    /// Something else.
    Other,
}
