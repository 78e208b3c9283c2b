//! The management API: what all its endpoints share.
//!
//! Everything below `/organisation` is for programs with a token of an organisation. [`guard`] proves
//! the token and counts the request before any handler runs; a handler takes [`crate::auth::ApiToken`],
//! then [`Id`], [`Page`] or [`Fields`] as it needs, calls an operation of its slice with the token as
//! the caller, and answers with [`answer`]'s functions or a [`Failure`].
//!
//! How to add an endpoint: `api.rs` in its slice, its body in `bramble_wire::management`, its rows in
//! `routes::TABLE` and in the tests, and a line in the conformance test.

mod answer;
mod fields;
pub mod guard;
pub mod limit;
pub mod openapi;
mod paging;
mod reading;
pub mod tokens;

pub use answer::{Failure, created, deleted, wants_representation, written};
pub use fields::{Fields, Read, Sent};
pub use limit::{Allowance, RateLimit};
pub use paging::{Id, Page, parameter};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// A moment as the API writes it.
pub fn moment(at: bramble_model::Timestamp) -> bramble_wire::management::Moment {
    bramble_wire::management::Moment(at)
}
