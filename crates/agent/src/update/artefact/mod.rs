//! Update artefacts: zstd-compressed tar files with a contents file, scripts, files for them and images.
//!
//! What it is not: it downloads nothing, chooses no slot and reboots nothing. It takes bytes from
//! wherever they come, and gives back what is ready to run and which partitions were written.
//!
//! How it hangs together: [`contents`], [`tar`] and [`sparse`] are pure readers of one format each and
//! know nothing of files (each is fuzzed). [`receive`](receive()) streams an artefact through them with
//! flat memory, images onto [`Partitions`] and everything else into a [`Workspace`], and hands a
//! [`Received`] out only when the checksum of all bytes matched. [`script`] runs what it holds.
//!
//! How to add to it: a new payload type is a variant of [`contents::Kind`] and an arm in `receive`.
//!
//! The format is the public one:
//! <https://github.com/raspberrypi/utils/blob/master/otamaker/README.md>.

mod archive;
pub mod contents;
mod failure;
pub(crate) mod leftovers;
mod partitions;
mod receive;
pub mod script;
pub mod sparse;
pub mod tar;
mod workspace;

pub use failure::Failure;
pub use partitions::{PartitionFolder, Partitions, Place};
pub use receive::{Checksum, Limits, Received, receive, receive_async};
pub use workspace::Workspace;

/// The largest zstd window that a device accepts, as a power of two: 8 MiB.
pub const WINDOW_LOG: u32 = 23;
