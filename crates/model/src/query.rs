//! The language of the search bar and of the management API's `query`: words that must occur in the
//! name or the serial number, and filters like `model:5` or `tag:kiosk`.
//!
//! ```
//! use bramble_model::query::Query;
//! let query = Query::parse(r#"model:5 tag:production "front desk" lobby:1"#);
//! assert_eq!((query.models, query.tags), (vec!["5".to_owned()], vec!["production".to_owned()]));
//! assert_eq!(query.words, ["front desk", "lobby:1"]);
//! ```

use crate::text::fold;

/// Longest query that is looked at, in characters. The rest is left out: no name is as long.
pub const MAX_QUERY: usize = 1000;
/// Most parts of a query that are looked at.
pub const MAX_PARTS: usize = 32;

/// A filter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qualifier {
    /// Board model.
    Model,
    /// Size of the memory.
    Memory,
    /// Operating system.
    Os,
    /// A tag.
    Tag,
    /// `online` or `offline`; beyond the public service.
    Is,
}

impl Qualifier {
    /// Every one, in the order of the suggestions.
    pub const ALL: [Self; 5] = [Self::Model, Self::Memory, Self::Os, Self::Tag, Self::Is];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Tag => "tag",
            Self::Is => "is",
        }
    }

    /// The one with this name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name))
    }
}

/// What is looked for. Texts are folded ([`fold`]), so that case does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Each must occur in the name or the serial number.
    pub words: Vec<String>,
    /// Any of these; none given: all.
    pub models: Vec<String>,
    /// Any of these.
    pub memories: Vec<String>,
    /// Any of these.
    pub systems: Vec<String>,
    /// All of these.
    pub tags: Vec<String>,
    /// Only devices that are online now.
    pub online: bool,
    /// Only devices that are not. With `online` nothing matches.
    pub offline: bool,
}

impl Query {
    /// Reads what somebody typed. Nothing is an error: what is no filter is a word. A text beyond the
    /// limits matches no device: what is left out of it could have left devices out.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut all = parts(text);
        for part in all.by_ref().take(MAX_PARTS) {
            match part {
                Part::Filter(qualifier, value) => query.filter(qualifier, value),
                Part::Word(word) => query.words.push(fold(word)),
            }
        }
        if all.next().is_some() || text.chars().nth(MAX_QUERY).is_some() {
            query.words.push(NOWHERE.to_owned());
        }
        // No name has one, and PostgreSQL takes none in a text.
        if text.contains('\0') {
            return Self { words: vec![NOWHERE.to_owned()], ..Self::default() };
        }
        query
    }

    fn filter(&mut self, qualifier: Qualifier, value: &str) {
        let folded = fold(value);
        match qualifier {
            Qualifier::Model => self.models.push(folded),
            Qualifier::Memory => self.memories.push(folded),
            Qualifier::Os => self.systems.push(folded),
            Qualifier::Tag => self.tags.push(folded),
            Qualifier::Is => match folded.as_str() {
                "online" => self.online = true,
                "offline" => self.offline = true,
                _ => self.words.push(format!("is:{folded}")),
            },
        }
    }

    /// Whether every device matches.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A word that no device has: control characters are taken out of names and serial numbers.
const NOWHERE: &str = "\u{1}";

/// A part of a query as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Free text, without its quotes.
    Word(&'a str),
    /// A known qualifier and its value.
    Filter(Qualifier, &'a str),
}

impl Part<'_> {
    /// It as a query of its own: read again it is the same part.
    pub fn typed(self) -> String {
        match self {
            Self::Filter(qualifier, value) => format!("{}:{value}", qualifier.as_str()),
            Self::Word(word) => {
                let plain = !word.contains(char::is_whitespace) && part(word) == self;
                if plain && !word.starts_with('"') { word.to_owned() } else { format!("\"{word}\"") }
            }
        }
    }
}

/// The parts of a query in their order, without those that say nothing.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let end = text.char_indices().nth(MAX_QUERY).map_or(text.len(), |(at, _)| at);
    let mut rest = &text[..end];
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                // Without its second quote a phrase goes to the end.
                let (word, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                rest = after;
                if !word.trim().is_empty() {
                    return Some(Part::Word(word.trim()));
                }
                continue;
            }
            let (word, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            rest = after;
            return Some(part(word));
        }
    })
}

fn part(word: &str) -> Part<'_> {
    let filter = word.split_once(':').and_then(|(name, value)| Some((Qualifier::named(name)?, value)));
    match filter {
        // `tag:` alone is text. Left out, a script whose variable is empty would get every device.
        Some((qualifier, value)) if !value.is_empty() => Part::Filter(qualifier, value),
        _ => Part::Word(word),
    }
}

/// The `model:` values that exist.
pub const MODELS: [&str; 23] = [
    "a", "b", "a+", "b+", "2b", "cm1", "3b", "zero", "cm3", "zerow", "3b+", "3a+", "cm3+", "4b", "zero2w",
    "400", "cm4", "cm4s", "5", "cm5", "500", "cm5lite", "cm0",
];
/// The `memory:` values that exist.
pub const MEMORIES: [&str; 7] = ["256mb", "512mb", "1gb", "2gb", "4gb", "8gb", "16gb"];

/// The `model:` value of a board, for example `cm5lite` for "Raspberry Pi CM5 Lite".
pub fn model_filter(board: &str) -> Option<&'static str> {
    let short = squeezed(board.strip_prefix("Raspberry Pi ")?);
    MODELS.into_iter().find(|known| *known == short)
}

/// The `memory:` value of a size, for example `8gb` for "8 GB".
pub fn memory_filter(memory: &str) -> Option<&'static str> {
    let short = squeezed(memory);
    MEMORIES.into_iter().find(|known| *known == short)
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_and_words_are_told_apart() {
        let query =
            Query::parse("MODEL:5 model:4B os:raspios-13 tag:a tag:b memory:8GB is:online is:lost x y:z");
        assert_eq!(query.models, ["5", "4b"]);
        assert_eq!(query.systems, ["raspios-13"]);
        assert_eq!(query.tags, ["a", "b"]);
        assert_eq!(query.memories, ["8gb"]);
        assert!(query.online && !query.offline);
        assert_eq!(query.words, ["is:lost", "x", "y:z"]);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(Query::parse(r#" "Two  Words" x"#).words, ["two  words", "x"]);
        assert_eq!(Query::parse(r#""tag:a""#).words, ["tag:a"], "quoted is text");
        assert_eq!(Query::parse(r#"a "b c"#).words, ["a", "b c"]);
        assert_eq!(Query::parse(r#"a"b"#).words, [r#"a"b"#]);
        assert!(Query::parse(r#" "" " " "#).is_empty());
    }

    #[test]
    fn a_filter_without_a_value_is_text_and_not_every_device() {
        assert_eq!(Query::parse("model: TAG:").words, ["model:", "tag:"]);
    }

    #[test]
    fn what_is_too_long_matches_nothing_instead_of_more() {
        let many = vec!["a"; MAX_PARTS].join(" ");
        assert_eq!(Query::parse(&many).words.len(), MAX_PARTS);
        for text in [format!("{many} b"), format!("{} tag:x", "a".repeat(MAX_QUERY))] {
            assert_eq!(Query::parse(&text).words.last().map(String::as_str), Some(NOWHERE), "{text}");
        }
        assert_eq!(Query::parse("tag:a \0").words, [NOWHERE]);
        assert!(!Query::parse(&"a".repeat(MAX_QUERY)).words.contains(&NOWHERE.to_owned()));
    }

    #[test]
    fn the_values_are_those_of_the_contract() {
        for (name, value) in [
            ("Raspberry Pi 2B", "2b"),
            ("Raspberry Pi Zero W", "zerow"),
            ("Raspberry Pi 3B+", "3b+"),
            ("Raspberry Pi Zero 2 W", "zero2w"),
            ("Raspberry Pi CM5 Lite", "cm5lite"),
            ("Raspberry Pi 5", "5"),
        ] {
            assert_eq!(model_filter(name), Some(value));
        }
        assert_eq!(model_filter("Orange 5"), None);
        assert_eq!(memory_filter("512 MB"), Some("512mb"));
        assert_eq!(memory_filter("3 GB"), None);
    }

    #[test]
    fn a_huge_query_is_cut() {
        let query = Query::parse(&"tag:x ".repeat(1_000_000));
        assert!(query.tags.len() <= MAX_PARTS);
        assert!(Query::parse(&"ß".repeat(1_000_000)).words[0].chars().count() <= 2 * MAX_QUERY);
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(text in "\\PC{0,200}") {
            let query = Query::parse(&text);
            prop_assert!(query.words.iter().all(|word| !word.is_empty()));
            prop_assert!(query.tags.iter().all(|tag| !tag.contains(char::is_whitespace)));
        }

        #[test]
        fn what_was_read_is_written_so_that_it_is_read_again(text in "([a-z\"]{0,3}|tag:x|is:|\"tag:a b\"|\\PC| ){0,20}") {
            let written: Vec<String> = parts(&text).map(Part::typed).collect();
            let again = written.join(" ");
            prop_assert!(parts(&again).eq(parts(&text)), "{text:?} {again:?}");
        }

        #[test]
        fn the_order_of_words_is_kept(words in prop::collection::vec("[a-z0-9]{1,8}", 0..10)) {
            prop_assert_eq!(Query::parse(&words.join("  ")).words, words);
        }

        #[test]
        fn what_is_quoted_is_one_word(text in "[a-z]{1,5}( [a-z]{1,5}){0,4}") {
            prop_assert_eq!(Query::parse(&format!("\"{text}\"")).words, vec![text]);
        }
    }
}
