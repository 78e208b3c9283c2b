//! Remote updates: what an artefact is, how it is made, read and run.
//!
//! What it is not (yet): nothing here talks to the server, downloads or chooses a slot, and no running
//! program but `otamaker` uses it. The daemon must never need it: zstd and root's work stay out of
//! `rpi-connectd`.

pub mod artefact;
pub mod otamaker;
