//! .
pub mod session;
