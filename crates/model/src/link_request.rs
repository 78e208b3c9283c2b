//! A device that waits for a person to approve its code (RFC 8628).

use crate::Random;
use std::fmt;
use time::Duration;

/// How long both codes live.
pub const LIFETIME: Duration = Duration::minutes(15);
/// How long a device waits between two polls.
pub const INTERVAL: Duration = Duration::seconds(5);
/// Most requests open at once, over all devices.
pub const MAX_OPEN: u64 = 10_000;
/// Most requests open at once from one address.
pub const MAX_OPEN_PER_ADDRESS: u64 = 10;

/// Letters and digits that nobody mistakes for another.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// What the person types: eight characters, 40 bits, shown as `XXXX-XXXX`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserCode(String);

impl UserCode {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self((0..8).map(|_| char::from(ALPHABET[random.below(32) as usize])).collect())
    }

    /// Reads what a person typed: any case, with or without the dash, spaces forgiven.
    pub fn parse(text: &str) -> Option<Self> {
        // Eight characters, a dash and some forgiveness: longer input is not a code.
        if text.len() > 32 {
            return None;
        }
        let code: String = text
            .chars()
            .filter(|c| *c != '-' && !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let fits = code.len() == 8 && code.bytes().all(|b| ALPHABET.contains(&b));
        fits.then_some(Self(code))
    }

    /// The eight characters, as the store keeps them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.0[..4], &self.0[4..])
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = UserCode::generate(&SeededRandom::new(1));
        let shown = code.to_string();
        assert_eq!(shown.len(), 9);
        for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', ""), format!(" {shown} ")] {
            assert_eq!(UserCode::parse(&typed), Some(code.clone()));
        }
        for bad in ["", "TKD8-F39", "TKD8-F3921", "TKD8-F39O", "TKD8-F391", "ÄKD8-F392", &"-".repeat(400)] {
            assert_eq!(UserCode::parse(bad), None);
        }
    }
}
