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

/// Somebody has this name already.
pub const NAME_TAKEN: &str = "Name has already been taken";
/// No address from which a device could fetch.
pub const URI: &str = "Uri is invalid";
/// Not 64 hexadecimal digits.
pub const CHECKSUM: &str = "Checksum is invalid";
/// No PEM of a public key on P-256.
pub const PUBLIC_KEY: &str = "Public key is invalid";
/// Somebody has registered this key already.
pub const PUBLIC_KEY_TAKEN: &str = "Public key has already been taken";
/// The request is not signed by its key.
pub const SIGNATURE: &str = "Signature is invalid";
/// What was deployed once stays, so that every deployment can say what it was.
pub const DEPLOYED_ARTEFACT: &str = "Cannot delete artefacts that have been deployed";
/// The trial is over and nobody pays.
pub const DEPLOYMENTS_BLOCKED: &str = "Deployments are blocked until billing has been set up";
