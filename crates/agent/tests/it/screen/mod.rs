//! Screen sharing.

mod commands;
mod control;
mod session;
mod virtual_screen;
mod x11;
