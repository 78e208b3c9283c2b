//! Waiting for a condition.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For what takes milliseconds; generous, because two cores may be busy with other tests.
pub const SHORT: Duration = Duration::from_secs(10);
/// For what takes seconds.
pub const LONG: Duration = Duration::from_mins(1);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and hands it out.
///
/// # Panics
/// If there is nothing within the limit. The message says what was waited for.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < until, "waited {limit:?} in vain: {what}");
        sleep(PAUSE).await;
    }
}
