//! Slows down guessing.

/// Slows down guessing.
#[derive(Debug, Default)]
pub struct Throttle {}
