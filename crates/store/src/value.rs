//! How values look in columns.

use bramble_model::Timestamp;
use sea_orm::sea_query::LikeExpr;
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

/// A pattern for "contains", in which the user's `%`, `_` and `\` are themselves.
pub(crate) fn contains(text: &str) -> LikeExpr {
    LikeExpr::new(format!("%{}%", literal(text))).escape('\\')
}

/// The same for "begins with".
pub(crate) fn begins(text: &str) -> LikeExpr {
    LikeExpr::new(format!("{}%", literal(text))).escape('\\')
}

fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
