//! The agent's integration tests.

mod peer;
mod session;
mod visit;
