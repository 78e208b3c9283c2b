//! Secrets in places where they must not be.

use std::{fs, path::Path};

/// Files below `place` (or the file `place`) that contain one of the secrets, each with the secret's name.
/// Names go in beside the texts so that a failing test does not print a secret either.
pub fn find_canaries(place: &Path, secrets: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    if place.is_dir() {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            found.extend(find_canaries(&entry.path(), secrets));
        }
    } else if let Ok(bytes) = fs::read(place) {
        for (name, secret) in secrets {
            assert!(secret.len() >= 8, "{name} is too short to be looked for");
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push(format!("{name} in {}", place.display()));
            }
        }
    }
    found
}
