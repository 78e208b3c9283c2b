//! Passwords: Argon2id, a few at a time.

/// Hashes and checks passwords.
#[derive(Debug, Default)]
pub struct Passwords {}
