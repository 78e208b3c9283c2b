//! Passwords: Argon2id, a few at a time on threads of their own, so that neither a wave of sign-ins
//! nor somebody who guesses can take the server's memory or stop its other work.

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use bramble_model::Random;
use bramble_store::users::PasswordHash;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use zeroize::{Zeroize, Zeroizing};
use zxcvbn::{Score, zxcvbn};

/// OWASP's first recommendation for Argon2id with one lane: 19 MiB, two passes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bytes of salt.
const SALT: usize = 16;
/// Hashes at the same time: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// Hashes that wait or run. Beyond, the answer is 503: the last in the queue waits about half a second.
pub const QUEUE: usize = 32;
/// Longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// A hash that no password matches, with our parameters: checked for people who do not exist, so that
/// the answer takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$YnJhbWJsZS1ub2JvZHkhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as somebody typed it. Erased when dropped, never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// From text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Too many passwords are being checked: answer 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at the moment")]
pub struct Busy;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not the password.
    Wrong,
    /// The password. If it was hashed with other parameters than today's, its new hash.
    Right {
        /// To be stored in place of the old one.
        rehashed: Option<PasswordHash>,
    },
}

/// Why a new password is refused, for the person who chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness(pub String);

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    queued: Arc<AtomicUsize>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), queued: Arc::default() }
    }
}

/// A place in the queue.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Passwords {
    /// Hashes a new password, or says why it is too weak. `about` are words that others know of this
    /// person: name, address.
    pub async fn hash_new(
        &self,
        random: &dyn Random,
        password: &Password,
        about: &[&str],
    ) -> Result<Result<PasswordHash, Weakness>, Busy> {
        if password.0.len() > MAX_PASSWORD {
            return Ok(Err(Weakness(format!("Choose a password of at most {MAX_PASSWORD} characters."))));
        }
        let salt: [u8; SALT] = random.bytes();
        let about: Vec<String> = about.iter().map(|word| (*word).to_owned()).collect();
        let text = Zeroizing::new(password.0.clone());
        self.run(move || {
            // Estimating looks at every part of the text, so it waits in the queue as well.
            if let Some(weakness) = weakness(&text, &about) {
                return Err(weakness);
            }
            hash(&text, &salt).ok_or_else(|| Weakness("Choose another password.".to_owned()))
        })
        .await
    }

    /// Checks a password. Without a hash it takes as long and is wrong.
    pub async fn verify(
        &self,
        random: &dyn Random,
        password: &Password,
        kept: Option<&PasswordHash>,
    ) -> Result<Verdict, Busy> {
        let salt: [u8; SALT] = random.bytes();
        let known = kept.is_some();
        let kept = kept.map_or_else(|| NOBODY.to_owned(), |hash| hash.0.clone());
        // Too long to be one: checked nevertheless, so that it takes as long.
        let too_long = password.0.len() > MAX_PASSWORD;
        let text = Zeroizing::new(if too_long { String::new() } else { password.0.clone() });
        self.run(move || {
            let Ok(parsed) = Phc::new(&kept) else { return Verdict::Wrong };
            let right = hasher().verify_password(text.as_bytes(), &parsed).is_ok();
            if !right || !known || too_long {
                return Verdict::Wrong;
            }
            let current = is_current(&parsed);
            Verdict::Right { rehashed: if current { None } else { hash(&text, &salt) } }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Place(Arc::clone(&self.queued));
        if self.queued.fetch_add(1, Ordering::AcqRel) >= QUEUE {
            return Err(Busy);
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Busy)?;
        // Place and slot go with the work: it runs to its end even if the caller went away.
        let running = tokio::task::spawn_blocking(move || {
            let (_place, _slot) = (place, slot);
            work()
        });
        running.await.map_err(|_| Busy)
    }

    /// Takes all places, for tests of what happens then.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        self.queued.store(QUEUE, Ordering::Release);
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str, salt: &[u8; SALT]) -> Option<PasswordHash> {
    let hash: Phc = hasher().hash_password_with_salt(password.as_bytes(), salt).ok()?;
    Some(PasswordHash(hash.to_string()))
}

fn is_current(hash: &Phc) -> bool {
    let wanted = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
    hash.to_string().starts_with(&wanted)
}

/// Why a password is too weak and what would help, in words.
fn weakness(password: &str, about: &[String]) -> Option<Weakness> {
    let mut words: Vec<&str> = about.iter().map(String::as_str).collect();
    // The parts of an address and of a name are as easy to guess as the whole.
    words.extend(about.iter().flat_map(|text| text.split(['@', '.', ' ', '-', '_'])).filter(|w| w.len() > 2));
    words.push("bramble");
    let estimate = zxcvbn(password, &words);
    if estimate.score() >= Score::Three {
        return None;
    }
    let feedback = estimate.feedback();
    let mut sentences = vec!["This password is too easy to guess.".to_owned()];
    sentences.extend(feedback.and_then(zxcvbn::feedback::Feedback::warning).map(|w| w.to_string()));
    if let Some(feedback) = feedback {
        sentences.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    if sentences.len() == 1 {
        sentences.push("Make it longer: four uncommon words are good.".to_owned());
    }
    Some(Weakness(sentences.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_model::SeededRandom;

    const GOOD: &str = "copper lantern drifts over seven orchards";

    async fn hashed(passwords: &Passwords, text: &str) -> PasswordHash {
        let hash = passwords.hash_new(&SeededRandom::new(1), &Password::new(text), &[]).await;
        hash.expect("not busy").expect("strong")
    }

    #[tokio::test]
    async fn a_password_matches_itself_only() {
        let passwords = Passwords::default();
        let random = SeededRandom::new(2);
        let hash = hashed(&passwords, GOOD).await;
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "the parameters that OWASP names");
        let check = async |text: &str| passwords.verify(&random, &Password::new(text), Some(&hash)).await;
        assert_eq!(check(GOOD).await, Ok(Verdict::Right { rehashed: None }));
        for wrong in ["", "copper", &GOOD.to_uppercase(), &format!("{GOOD} "), &GOOD.repeat(100)] {
            assert_eq!(check(wrong).await, Ok(Verdict::Wrong));
        }
    }

    #[tokio::test]
    async fn nobody_has_our_parameters_and_no_password() {
        assert!(is_current(&Phc::new(NOBODY).expect("parses")));
        let (passwords, random) = (Passwords::default(), SeededRandom::new(3));
        for text in ["", GOOD] {
            let verdict = passwords.verify(&random, &Password::new(text), None).await;
            assert_eq!(verdict, Ok(Verdict::Wrong));
        }
    }

    #[tokio::test]
    async fn other_parameters_are_replaced_at_the_next_sign_in() {
        let params = Params::new(8 * 1024, 1, 1, None).expect("parameters");
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let old: Phc = old.hash_password_with_salt(GOOD.as_bytes(), &[7; SALT]).expect("hashes");
        let old = PasswordHash(old.to_string());
        let (passwords, random) = (Passwords::default(), SeededRandom::new(4));
        let verdict = passwords.verify(&random, &Password::new(GOOD), Some(&old)).await;
        let Ok(Verdict::Right { rehashed: Some(new) }) = verdict else { panic!("{verdict:?}") };
        let again = passwords.verify(&random, &Password::new(GOOD), Some(&new)).await;
        assert_eq!(again, Ok(Verdict::Right { rehashed: None }));
    }

    #[tokio::test]
    async fn weak_passwords_come_back_with_what_would_help() {
        let passwords = Passwords::default();
        let about = ["Ada Lovelace", "ada.lovelace@orchard.example"];
        for weak in ["", "password", "12345678", "Ada Lovelace", "aaaaaaaaaaaaaaaaaaaa"] {
            let result = passwords.hash_new(&SeededRandom::new(5), &Password::new(weak), &about).await;
            let Ok(Err(Weakness(text))) = result else { panic!("{weak:?} was taken") };
            assert!(text.starts_with("This password is too easy to guess. "), "{text}");
        }
        let long = Password::new("x".repeat(MAX_PASSWORD + 1));
        let result = passwords.hash_new(&SeededRandom::new(5), &long, &about).await;
        assert!(matches!(result, Ok(Err(Weakness(text))) if text.contains("1024")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_queue_is_bounded_and_drains() {
        let passwords = Passwords::default();
        let all: Vec<_> = (0..QUEUE + 20)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move {
                    passwords.verify(&SeededRandom::new(6), &Password::new(GOOD), None).await
                })
            })
            .collect();
        let mut busy = 0;
        for one in all {
            busy += usize::from(one.await.expect("no panic") == Err(Busy));
        }
        assert!((1..=20).contains(&busy), "{busy} were refused");
        assert_eq!(passwords.queued.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let passwords = Passwords::default();
        passwords.fill();
        let result = passwords.verify(&SeededRandom::new(6), &Password::new(GOOD), None).await;
        assert_eq!(result, Err(Busy));
        assert_eq!(passwords.queued.load(Ordering::Acquire), QUEUE, "a refused one gives its place back");
    }
}
