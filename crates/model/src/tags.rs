//! Tags of devices: short words by which people find them.

use std::collections::BTreeSet;

/// Most tags of one device.
pub const MAX_TAGS: usize = 10;
/// Longest tag, in characters.
pub const MAX_TAG: usize = 30;

/// Tags that were checked: none twice, in alphabetical order.
///
/// ```
/// use bramble_model::tags::Tags;
/// let tags = Tags::new(["kiosk", "production", "kiosk"]).expect("tags");
/// assert_eq!(tags.as_slice(), ["kiosk", "production"]);
/// assert_eq!(Tags::new(["Kiosk"]).unwrap_err().to_string(), "Tags contains an invalid tag \"Kiosk\"");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<String>);

/// Why tags are refused, in the words of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTags {
    /// More than [`MAX_TAGS`].
    #[error("Tags is too long (maximum is 10 tags)")]
    TooMany,
    /// One that is no tag. Cut, so that an answer does not grow with what was sent.
    #[error("Tags contains an invalid tag \"{0}\"")]
    Invalid(String),
}

impl Tags {
    /// Checks them. The same tag twice is one.
    pub fn new<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Result<Self, BadTags> {
        let mut kept = BTreeSet::new();
        for tag in tags {
            let tag = tag.as_ref();
            if !is_tag(tag) {
                return Err(BadTags::Invalid(tag.chars().take(MAX_TAG + 1).collect()));
            }
            kept.insert(tag.to_owned());
            if kept.len() > MAX_TAGS {
                return Err(BadTags::TooMany);
            }
        }
        Ok(Self(kept.into_iter().collect()))
    }

    /// In alphabetical order.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether this can be a tag: 1 to 30 of `[a-z0-9_-]`.
pub fn is_tag(text: &str) -> bool {
    (1..=MAX_TAG).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tag_is_named() {
        for bad in ["", "Kiosk", "a b", "ä", "🍓", "a.b", &"x".repeat(31)] {
            assert!(matches!(Tags::new([bad]), Err(BadTags::Invalid(_))), "{bad:?}");
        }
        assert!(Tags::new(["x".repeat(30)]).is_ok());
        let long = "Ä".repeat(100_000);
        assert!(Tags::new([long]).unwrap_err().to_string().chars().count() < 80);
    }

    #[test]
    fn ten_are_enough() {
        let tag = |n: usize| format!("t{n}");
        assert!(Tags::new((0..10).map(tag)).is_ok());
        assert!(Tags::new((0..10).chain(0..10).map(tag)).is_ok(), "twice is once");
        assert_eq!(Tags::new((0..11).map(tag)), Err(BadTags::TooMany));
    }
}
