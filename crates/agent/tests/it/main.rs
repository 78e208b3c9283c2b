//! The agent's integration tests.
#![cfg_attr(
    not(feature = "screen"),
    allow(dead_code, reason = "the screen's tests use some of the tools alone")
)]

mod artefact;
mod bus;
mod cli;
mod control;
mod device;
mod events;
mod fake_server;
mod files;
mod identity;
mod kept;
#[cfg(not(feature = "screen"))]
mod lite;
mod local_socket;
mod network;
#[cfg(feature = "screen")]
mod notifications;
mod peer;
mod relay;
#[cfg(feature = "screen")]
mod screen;
mod script;
mod session;
mod session_bus;
mod systemd;
mod update;
mod visit;
mod watch;
