//! Trying a call again while that makes sense.

use super::api::CallError;
use crate::http::{HttpError, backoff::Backoff};
use bramble_model::SharedRandom;
use std::time::Duration;
use tokio::time::Instant;

/// The attempts at one call.
#[derive(Debug)]
pub struct Attempts {
    backoff: Backoff,
    deadline: Instant,
}

impl Attempts {
    /// For `time` from now, with waits that begin at `first`.
    pub fn new(random: SharedRandom, first: Duration, time: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(10);
        Self { backoff: Backoff::new(random, first, LONGEST), deadline: Instant::now() + time }
    }

    /// How long to wait before the next attempt; `None` if there should be none.
    pub fn wait<T>(&mut self, result: &Result<T, CallError>) -> Option<Duration> {
        let error = result.as_ref().err().filter(|error| error.is_temporary())?;
        if let CallError::Http(HttpError::Handshake { .. }) = error {
            // A certificate that is not trusted will not be in ten seconds; a person waits for these words.
            return None;
        }
        let wait = self.backoff.next(error.retry_after());
        (Instant::now() + wait <= self.deadline).then_some(wait)
    }
}
