//! Chance is injected as well: secrets, ids and jitter all come from one [`Random`].

use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// A source of random bytes fit for secrets.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// A source to hand around.
pub type SharedRandom = Arc<dyn Random>;

/// What every source can do.
impl dyn Random + '_ {
    /// Random bytes of a fixed length.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A new typed id: `let id: DeviceId = random.id();`
    pub fn id<I: From<uuid::Uuid>>(&self) -> I {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid().into()
    }

    /// A number below `bound`, every one equally likely. `bound` must not be zero.
    pub fn below(&self, bound: u32) -> u32 {
        // Numbers past the last whole multiple of `bound` would favour the small ones: draw again.
        let limit = u32::MAX - u32::MAX % bound;
        loop {
            let drawn = u32::from_le_bytes(self.bytes());
            if drawn < limit {
                return drawn % bound;
            }
        }
    }
}

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for chance")]
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness there are no secrets, and a server without secrets must not run.
        assert!(getrandom::fill(buffer).is_ok(), "the system's random source failed");
    }
}

/// The same bytes in every run, for tests.
#[derive(Debug)]
pub struct SeededRandom(Mutex<(u64, u64)>);

impl SeededRandom {
    /// A source that depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new((seed, 0)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in buffer.chunks_mut(32) {
            let (seed, counter) = *state;
            let block =
                Sha256::new().chain_update(seed.to_le_bytes()).chain_update(counter.to_le_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
            state.1 += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_decide_everything() {
        let (a, b, c) = (SeededRandom::new(1), SeededRandom::new(1), SeededRandom::new(2));
        let (a, b, c): (&dyn Random, &dyn Random, &dyn Random) = (&a, &b, &c);
        let first: [u8; 40] = a.bytes();
        assert_eq!(first, b.bytes::<40>());
        assert_ne!(first, c.bytes::<40>());
        assert_ne!(first, a.bytes::<40>());
    }

    #[test]
    fn below_reaches_every_number_and_none_beyond() {
        let random = SeededRandom::new(7);
        let random: &dyn Random = &random;
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
