//! The link to the server: signing in, the event stream, the reports, and the sessions that the server
//! announces.
//!
//! Five tasks share one [`Shared`]: [`link::run`] keeps the stream while there is a sign-in,
//! [`updates::run`] passes ordered updates on to the updater,
//! [`key_file::run`] exchanges a key that appears in the state folder, `crate::screen` notices the desktop's
//! VNC server, and `local_api` answers people.
//! The sign-in itself lives in a watch channel: whoever changes it (a person, the key file, the server's
//! refusal) thereby tells the others.
//!
//! What it is not: it opens no peer connection, that is `session`'s work behind [`sessions::Sessions`].

pub mod api;
mod attempts;
pub mod key_file;
pub mod link;
pub mod sessions;
pub mod shared;
pub mod sign_in;
pub mod units;
pub mod updates;
pub mod watch;

pub(crate) use shared::NOT_BUILT;
pub use shared::{LinkState, Shared, Timing};
