//! Remote sessions: opening, signalling, ending.

/// Offers, answers and candidates on their way, in memory only.
#[derive(Debug, Default)]
pub struct Signalling {}
