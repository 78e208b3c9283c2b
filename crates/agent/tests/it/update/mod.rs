//! Remote updates on the device: orders, downloads, scripts, slots, power cuts.

mod bad_input;
mod board;
mod downloads;
mod encrypted;
mod faults;
mod full;
mod servers;
mod sftp;
mod whole;
mod world;
