//! Sentences that are part of the contract with existing clients and scripts.

/// A required text is missing.
pub fn blank(field: &str) -> String {
    format!("{field} can't be blank")
}

/// A text is longer than 255 characters.
pub fn too_long(field: &str) -> String {
    format!("{field} is too long (maximum is 255 characters)")
}

/// The life of an auth key is out of range.
pub const TTL_DAYS: &str = "Ttl days must be between 1 and 90";
