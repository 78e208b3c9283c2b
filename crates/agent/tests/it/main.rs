//! The agent's integration tests.

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
mod local_socket;
mod network;
mod notifications;
mod peer;
mod relay;
mod screen;
mod screen_control;
mod script;
mod session;
mod session_bus;
mod systemd;
mod update;
mod virtual_screen;
mod visit;
mod watch;
mod x11;
