//! The agent's integration tests.

mod peer;
mod relay;
mod session;
mod visit;
