//! Remote updates on the device: orders, downloads, scripts, slots, power cuts.

mod bad_input;
mod board;
mod downloads;
mod faults;
mod sftp;
mod whole;
