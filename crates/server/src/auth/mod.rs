//! Extractors that prove the caller by type, and what slows down guessing.

/// Slows down guessing.
#[derive(Debug, Default)]
pub struct Throttle {}
