//! The nouns of Bramble and their rules: state machines, who may do what, time, chance and secrets.
//!
//! What it is: values and pure functions. What it is not: nothing here performs I/O, except that
//! [`SystemClock`] reads the clock and [`OsRandom`] the system's random source, so that nobody else
//! needs to. How to add to it: one file per noun; a state machine is an enum whose variants carry
//! what is known in that state, and a transition consumes it or fails.

#![warn(missing_docs)]

pub mod account;
pub mod artefact;
pub mod audit;
pub mod auth_key;
pub mod clock;
pub mod deployment;
pub mod link_request;
pub mod phrases;
pub mod query;
pub mod random;
pub mod seal;
pub mod secret;
pub mod session;
pub mod tags;
pub mod text;
pub mod two_factor;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
pub use random::{OsRandom, Random, SeededRandom, SharedRandom};
pub use secret::{Secret, SecretHash, SecretKind};
