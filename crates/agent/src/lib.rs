//! The device's side of Bramble: the daemon `rpi-connectd`, which keeps the link to the server and runs
//! the sessions, and the command line `rpi-connect`, which talks to it.
//!
//! What it is not: it never decides who may open a session (the server does, before it sends one), and
//! it holds no more than one sign-in. It runs as the user whose shell it offers, never as root for
//! somebody else.
//!
//! How it hangs together: [`daemon::run`] takes the lock of the state folder, loads what is there
//! ([`state`]), opens the local socket ([`local_api`]) and keeps the link ([`control`]) over a small HTTP
//! client ([`http`]). [`dbus`] serves the
//! desktop's panel. [`platform`] reads the machine. [`cli`] is everything behind `rpi-connect`. `screen` is all of
//! screen sharing, and nothing in a Lite build.
//!
//! How to add to it: a new order from the server is an arm in `control::link`; a new command of a
//! person is a variant of [`local_api::Request`] and an arm in [`cli`]; a new fact about the machine
//! is a field that [`platform`] fills and `POST /me` carries.

pub mod cli;
pub mod control;
pub mod daemon;
pub mod dbus;
mod descriptor;
pub mod http;
pub mod identity;
mod idle;
pub mod local_api;
pub mod platform;
#[cfg(not(feature = "screen"))]
#[path = "no_screen.rs"]
mod screen;
#[cfg(feature = "screen")]
mod screen;
pub mod session;
pub mod state;
pub mod update;

/// The version that `rpi-connect version` prints and `POST /me` carries.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The name under which this program introduces itself to the server.
pub const CLIENT_ID: &str = "rpi-connect";
