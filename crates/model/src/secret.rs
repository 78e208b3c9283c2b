//! Secrets have two types each: [`Secret`] is the plain text, shown once and never printable by
//! accident; [`SecretHash`] is what the store keeps.

use crate::Random;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// What a secret is for. The prefix says so in the text, so that a secret scanner can find it and a
/// person can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `rpuak_`: links one device to a person's account.
    PersonalAuthKey,
    /// `rpoak_`: links one device to an organisation.
    OrganisationAuthKey,
    /// `rporg_`: calls the management API.
    ApiToken,
    /// `rpdev_`: a device's access token.
    DeviceToken,
    /// A browser's session cookie.
    WebSession,
    /// Tells a browser that signed in before from a stranger's.
    KnownBrowser,
    /// A browser that gave the right password and still owes the second factor.
    PendingSignIn,
    /// A browser that went to another provider to sign in.
    ProviderFlow,
    /// A link in a mail, or the set-up link.
    MailLink,
    /// What a device polls with while it waits for its code to be approved.
    DeviceCode,
    /// Brings a browser back to the shell that a device keeps for it.
    KeptShell,
    /// Lets somebody watch a running shell.
    ShellInvitation,
}

/// Characters after the prefix of the kinds that part A of the protocol and the management API fix.
const BASE58_CHARACTERS: usize = 24;

impl SecretKind {
    /// The text before the random part.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::PersonalAuthKey => "rpuak_",
            Self::OrganisationAuthKey => "rpoak_",
            Self::ApiToken => "rporg_",
            Self::DeviceToken => "rpdev_",
            Self::WebSession
            | Self::KnownBrowser
            | Self::PendingSignIn
            | Self::ProviderFlow
            | Self::MailLink
            | Self::DeviceCode
            | Self::KeptShell
            | Self::ShellInvitation => "",
        }
    }

    fn characters(self) -> usize {
        match self {
            Self::PersonalAuthKey | Self::OrganisationAuthKey | Self::ApiToken | Self::DeviceToken => {
                BASE58_CHARACTERS
            }
            // 44 characters of base 58 carry 257 bits.
            Self::WebSession
            | Self::KnownBrowser
            | Self::PendingSignIn
            | Self::ProviderFlow
            | Self::MailLink
            | Self::DeviceCode
            | Self::KeptShell
            | Self::ShellInvitation => 44,
        }
    }
}

/// The Bitcoin alphabet: no `0`, `O`, `I`, `l`.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A secret in plain text. Erased when dropped; `Debug` shows its kind only.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    text: String,
}

impl Secret {
    /// A new one. Each character is drawn on its own, so each is equally likely.
    pub fn generate(kind: SecretKind, random: &dyn Random) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + kind.characters());
        text.push_str(kind.prefix());
        for _ in 0..kind.characters() {
            text.push(char::from(ALPHABET[random.below(58) as usize]));
        }
        Self { kind, text }
    }

    /// Reads what somebody sent. `None` if it cannot be a secret of this kind.
    pub fn parse(kind: SecretKind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?;
        let fits = rest.len() == kind.characters() && rest.bytes().all(|b| ALPHABET.contains(&b));
        fits.then(|| Self { kind, text: text.to_owned() })
    }

    /// What it is for.
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The text, for the one place that shows or sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the store keeps. The secrets have 140 bits and more, so a fast hash is enough.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.text.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.kind)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// The SHA-256 of a secret's text.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl From<[u8; 32]> for SecretHash {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl SecretHash {
    /// From the store's column; `None` if it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the store's column.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn keys_have_the_form_that_existing_tools_accept() {
        let random = SeededRandom::new(3);
        for kind in [SecretKind::PersonalAuthKey, SecretKind::OrganisationAuthKey, SecretKind::DeviceToken] {
            let key = Secret::generate(kind, &random);
            let rest = key.expose().strip_prefix(kind.prefix()).expect("prefix");
            assert_eq!(rest.len(), 24);
            assert!(rest.chars().all(|c| c.is_ascii_alphanumeric() && !"0OIl".contains(c)));
            assert_eq!(Secret::parse(kind, key.expose()).expect("parses").hash(), key.hash());
        }
    }

    #[test]
    fn near_misses_are_no_secrets() {
        let key = Secret::generate(SecretKind::PersonalAuthKey, &SeededRandom::new(3));
        let text = key.expose();
        let bad = [
            text.to_uppercase(),
            format!("{text}1"),
            text[..29].to_owned(),
            text.replace("rpuak_", "rpoak_"),
            format!("rpuak_{}", "0".repeat(24)),
            format!("{text}\n"),
            String::new(),
        ];
        for text in bad {
            assert!(Secret::parse(SecretKind::PersonalAuthKey, &text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let key = Secret::generate(SecretKind::DeviceToken, &SeededRandom::new(4));
        assert_eq!(format!("{key:?} {:?}", key.hash()), "Secret(DeviceToken) SecretHash");
    }
}
