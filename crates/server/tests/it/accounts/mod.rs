//! People sign up, sign in, forget passwords, prove who they are.

mod deadlines;
mod deletion;
mod email;
mod export;
mod fake_provider;
mod fresh;
mod links;
mod passkeys;
mod providers;
mod secrecy;
mod sign_in;
pub mod site;
pub mod softkey;
mod throttling;
mod two_factor;
