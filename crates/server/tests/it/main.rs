//! The server, asked over HTTP without a network in between, on real databases.

mod accounts;
mod desk;
mod devices;
mod linking;
mod mail;
mod sessions;
