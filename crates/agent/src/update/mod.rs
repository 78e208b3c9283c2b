//! Remote updates: what an artefact is, how it is made, fetched, read and run, and what survives a power
//! cut meanwhile.
//!
//! What it is not: nothing here talks to the server that orders updates. `rpi-connectd` does, and passes
//! orders on over the system bus ([`bus`]); it must never need more of this than that, because zstd and
//! root's work stay out of it.
//!
//! How it hangs together: [`service`] is the program `rpi-ota-connector`. It hears orders, verifies them
//! against [`trust`], and lets the [`engine`] apply them: [`download`] into [`artefact`], images through
//! [`slot_images`] onto the slot that [`slots`] allows, each step in the [`record`] first.

/// The updater's program, below the root.
pub const UPDATER: &str = "usr/bin/rpi-ota-connector";

pub mod artefact;
pub mod bus;
pub mod download;
pub mod engine;
mod files;
pub mod otamaker;
pub mod record;
pub mod service;
pub mod settings;
pub mod slot_images;
pub mod slots;
pub mod trust;
