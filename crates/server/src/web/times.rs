//! Moments as pages show them: relative words that the reader understands at once, the exact time
//! for the tooltip. The script keeps the words current and turns the tooltip to the reader's zone.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A moment, ready for the macro `time::moment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339 in UTC, for the attribute.
    pub iso: String,
    /// "5 minutes ago", "in 3 days".
    pub text: String,
    /// "22 November 2026, 00:52 UTC".
    pub exact: String,
}

impl Moment {
    /// The moment `at`, seen from `now`.
    pub fn new(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        let at = at.to_offset(UtcOffset::UTC);
        let whole = at.replace_nanosecond(0).unwrap_or(at);
        Self {
            iso: whole.format(&Rfc3339).unwrap_or_default(),
            text: relative((at - now).whole_seconds()),
            exact: format!(
                "{} {} {}, {:02}:{:02} UTC",
                at.day(),
                at.month(),
                at.year(),
                at.hour(),
                at.minute()
            ),
        }
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Mean lengths are enough for words.
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;

/// Words for this many seconds from now; negative is in the past. `times.ts` says the same.
fn relative(seconds: i64) -> String {
    // What was made a moment ago for seven days ends "in 7 days".
    let grace = if seconds > HOUR.cast_signed() { MINUTE } else { 0 };
    let distance = seconds.unsigned_abs() + grace;
    let (count, unit) = match distance {
        0..=44 => return "just now".to_owned(),
        45..HOUR => ((distance / MINUTE).max(1), "minute"),
        HOUR..DAY => (distance / HOUR, "hour"),
        DAY..MONTH => (distance / DAY, "day"),
        MONTH..YEAR => (distance / MONTH, "month"),
        _ => (distance / YEAR, "year"),
    };
    let s = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{s} ago") } else { format!("in {count} {unit}{s}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::{Duration, macros::datetime};

    #[test]
    fn words_for_distances() {
        for (seconds, words) in [
            (0, "just now"),
            (-44, "just now"),
            (-45, "1 minute ago"),
            (-300, "5 minutes ago"),
            (-3_599, "59 minutes ago"),
            (-3_600, "1 hour ago"),
            (-86_400 * 2, "2 days ago"),
            (86_400 * 7 - 59, "in 7 days"),
            (86_400 * 7 - 61, "in 6 days"),
            (3_599, "in 59 minutes"),
            (86_400 * 45, "in 1 month"),
            (86_400 * 900, "in 2 years"),
            (i64::MIN, "292471208677 years ago"),
        ] {
            assert_eq!(relative(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn a_moment_names_its_exact_time_in_utc() {
        let now = datetime!(2026-11-22 00:52:57.5 UTC);
        let moment = Moment::new(now - Duration::minutes(7), now);
        assert_eq!(moment.iso, "2026-11-22T00:45:57Z");
        assert_eq!(moment.text, "7 minutes ago");
        assert_eq!(moment.exact, "22 November 2026, 00:45 UTC");
    }
}
