//! Screen sharing.

mod commands;
mod control;
mod session;
mod virtual_screen;
pub mod x11;
