//! How values look in columns.

use bramble_model::Timestamp;
use time::Duration;

/// Whole microseconds since the Unix epoch.
pub(crate) fn to_micros(at: Timestamp) -> i64 {
    let since = at - Timestamp::UNIX_EPOCH;
    // 292,000 years either way.
    i64::try_from(since.whole_microseconds()).unwrap_or(i64::MAX)
}

/// The moment of a column.
pub(crate) fn from_micros(micros: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(Duration::microseconds(micros)).unwrap_or(Timestamp::UNIX_EPOCH)
}
