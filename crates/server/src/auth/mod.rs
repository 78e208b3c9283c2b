//! Extractors that prove the caller by type, and what slows down guessing.
//!
//! A handler that takes [`SignedIn`] runs only for a verified person with a live session;
//! [`Fresh`] also asks for a proof within the past hour. Devices prove themselves with a token of
//! their own. What is not here: what a caller may do with a thing; operations ask
//! [`crate::accounts::standing`].

pub mod api_token;
pub mod by;
pub mod cookies;
pub mod device;
mod form;
pub mod fresh;
pub mod password;
pub mod return_to;
pub mod signed_in;
pub mod throttle;

pub use api_token::ApiToken;
pub use by::{By, Right};
pub use device::Device;
pub use fresh::Fresh;
pub use password::Passwords;
pub use signed_in::{Account, SignedIn};
pub use throttle::Throttle;
