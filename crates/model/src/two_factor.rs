//! Codes from an authenticator app (RFC 6238: SHA-1, 6 digits, 30 seconds, as every app has it), and
//! the recovery codes for the day on which the app is gone.
//!
//! A code is good for its own step and for one on either side, because clocks differ, and never twice:
//! the store keeps the last step that was accepted.

use crate::{Random, SecretHash, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Seconds of a step.
const STEP: i64 = 30;
/// Steps before and after the present one whose codes are taken.
const WINDOW: i64 = 1;
/// Digits of a code.
const DIGITS: usize = 6;
/// Bytes of a seed: what RFC 4226 recommends for SHA-1.
const SEED: usize = 20;
/// How many recovery codes a person gets.
pub const RECOVERY_CODES: usize = 10;
/// With so few left the person is told to make new ones.
pub const FEW_RECOVERY_CODES: u64 = 3;
/// Characters of a recovery code: 80 bits, so that a fast hash is enough.
const RECOVERY_CHARACTERS: usize = 16;
/// Characters between two hyphens of a recovery code.
const GROUP: usize = 4;

/// RFC 4648, what authenticator apps read.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Without I, L, O and U, which are misread.
const RECOVERY_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What the app and the server share. Erased when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; SEED]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.bytes())
    }

    /// From what was sealed; `None` if it is not a seed.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As people type it into an app.
    pub fn base32(&self) -> String {
        let bits = self.0.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        let bits: Vec<u8> = bits.collect();
        let value = |five: &[u8]| five.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
        bits.chunks(5).map(|five| char::from(BASE32[value(five)])).collect()
    }

    /// The step whose code this is, if it can be accepted now: in the window, and later than the last
    /// one that was.
    ///
    /// ```
    /// use bramble_model::{Timestamp, two_factor::Seed};
    /// use time::Duration;
    /// let seed = Seed::from_slice(b"12345678901234567890").expect("20 bytes");
    /// let at = Timestamp::UNIX_EPOCH + Duration::seconds(59);
    /// assert_eq!(seed.accept("287 082", at, None), Some(1));
    /// assert_eq!(seed.accept("287 082", at, Some(1)), None);
    /// ```
    pub fn accept(&self, typed: &str, now: Timestamp, last: Option<i64>) -> Option<i64> {
        let typed = digits(typed)?;
        let present = now.unix_timestamp().div_euclid(STEP);
        let mut found = None;
        // Every step is compared, so that the time tells nothing.
        for step in present - WINDOW..=present + WINDOW {
            let same: bool = self.code(step).as_bytes().ct_eq(typed.as_bytes()).into();
            if same && found.is_none() && last.is_none_or(|last| step > last) {
                found = Some(step);
            }
        }
        found
    }

    /// The code that an app shows at a moment.
    pub fn code_at(&self, at: Timestamp) -> String {
        self.code(at.unix_timestamp().div_euclid(STEP))
    }

    /// RFC 4226, 5.3.
    fn code(&self, step: i64) -> String {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return String::new() };
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        let offset = usize::from(digest[digest.len() - 1] & 0x0f);
        let four = [digest[offset] & 0x7f, digest[offset + 1], digest[offset + 2], digest[offset + 3]];
        format!("{:0DIGITS$}", u32::from_be_bytes(four) % 10_u32.pow(6))
    }
}

/// Six digits, however they were spaced.
fn digits(typed: &str) -> Option<String> {
    // Nothing longer is looked at.
    let typed: String = typed.chars().take(64).filter(|c| !c.is_whitespace() && *c != '-').collect();
    (typed.len() == DIGITS && typed.bytes().all(|b| b.is_ascii_digit())).then_some(typed)
}

/// Lets a person in once without the app. Erased when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode(String);

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

impl RecoveryCode {
    /// A full set of new ones.
    pub fn generate_all(random: &dyn Random) -> Vec<Self> {
        let one =
            || (0..RECOVERY_CHARACTERS).map(|_| char::from(RECOVERY_ALPHABET[random.below(32) as usize]));
        (0..RECOVERY_CODES).map(|_| Self(one().collect())).collect()
    }

    /// Reads what somebody typed: case, spaces and hyphens do not matter, and look-alikes are forgiven.
    ///
    /// ```
    /// use bramble_model::two_factor::RecoveryCode;
    /// let code = RecoveryCode::parse(" abcd-efgh jkmn-o1il").expect("a code");
    /// assert_eq!(code.expose(), "ABCD-EFGH-JKMN-0111");
    /// assert!(RecoveryCode::parse("ABCD-EFGH-JKMN").is_none());
    /// ```
    pub fn parse(typed: &str) -> Option<Self> {
        let mut text = String::with_capacity(RECOVERY_CHARACTERS);
        for c in typed.chars().take(64).filter(|c| !c.is_whitespace() && *c != '-') {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if !c.is_ascii() || !RECOVERY_ALPHABET.contains(&(c as u8)) {
                return None;
            }
            text.push(c);
        }
        (text.len() == RECOVERY_CHARACTERS).then_some(Self(text))
    }

    /// The text, for the one page that shows it.
    pub fn expose(&self) -> String {
        let groups: Vec<&str> =
            (0..self.0.len()).step_by(GROUP).filter_map(|at| self.0.get(at..at + GROUP)).collect();
        groups.join("-")
    }

    /// What the store keeps.
    pub fn hash(&self) -> SecretHash {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        SecretHash::from(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;
    use time::Duration;

    const RFC: &[u8; 20] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::seconds(seconds)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        let seed = Seed::from_slice(RFC).expect("a seed");
        // RFC 6238, appendix B, the last six of the eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed.code_at(at(seconds)), code);
            assert_eq!(seed.accept(code, at(seconds), None), Some(seconds / 30));
        }
        assert_eq!(seed.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_is_good_for_one_step_on_either_side() {
        let seed = Seed::generate(&SeededRandom::new(1));
        let code = seed.code_at(at(3000));
        for (now, accepted) in [(2969, false), (2970, true), (3000, true), (3059, true), (3060, false)] {
            assert_eq!(seed.accept(&code, at(now), None).is_some(), accepted, "{now}");
        }
    }

    #[test]
    fn no_step_is_accepted_twice_nor_an_older_one_after_it() {
        let seed = Seed::generate(&SeededRandom::new(2));
        let (older, newer) = (seed.code_at(at(2970)), seed.code_at(at(3000)));
        assert_eq!(seed.accept(&newer, at(3000), Some(99)), Some(100));
        assert_eq!(seed.accept(&newer, at(3000), Some(100)), None);
        assert_eq!(seed.accept(&older, at(3000), Some(100)), None);
    }

    #[test]
    fn only_six_digits_are_a_code() {
        let seed = Seed::from_slice(RFC).expect("a seed");
        assert_eq!(seed.accept(" 287-082 ", at(59), None), Some(1));
        for typed in ["", "28708", "2870822", "28708a", "２８７０８２", "94287082"] {
            assert_eq!(seed.accept(typed, at(59), None), None, "{typed:?}");
        }
        assert_eq!(seed.accept(&" 2".repeat(1_000_000), at(59), None), None);
    }

    #[test]
    fn recovery_codes_differ_and_are_read_back() {
        let codes = RecoveryCode::generate_all(&SeededRandom::new(3));
        assert_eq!(codes.len(), RECOVERY_CODES);
        let mut texts: Vec<String> = codes.iter().map(RecoveryCode::expose).collect();
        for (code, text) in codes.iter().zip(&texts) {
            assert_eq!(text.len(), 19);
            let typed = RecoveryCode::parse(&text.to_lowercase().replace('-', " ")).expect("a code");
            assert_eq!(typed.hash(), code.hash());
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), RECOVERY_CODES);
        assert_eq!(
            format!("{:?} {:?}", codes[0], Seed::generate(&SeededRandom::new(1))),
            "RecoveryCode Seed"
        );
    }

    #[test]
    fn what_is_no_recovery_code_is_refused() {
        for typed in [
            "",
            "287082",
            "ABCD-EFGH-JKMN-PQR",
            "ABCD-EFGH-JKMN-PQRSS",
            "ABCD-EFGH-JKMN-PQRU",
            "ÄBCD-EFGH-JKMN-PQRS",
        ] {
            assert!(RecoveryCode::parse(typed).is_none(), "{typed:?}");
        }
    }
}
