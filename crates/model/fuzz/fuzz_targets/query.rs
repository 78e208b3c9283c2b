//! Whatever somebody types into the search bar: it is read within its bounds, and what the bar shows of it
//! is read as the same again.
#![no_main]

use bramble_model::query::{MAX_PARTS, MAX_QUERY, Part, Query, parts};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let query = Query::parse(text);
    let said = query.words.len()
        + query.models.len()
        + query.memories.len()
        + query.systems.len()
        + query.tags.len();
    // One more says that there was too much.
    assert!(said <= MAX_PARTS + 1);
    assert!(query.words.iter().chain(&query.tags).all(|it| !it.is_empty()));
    let shown: Vec<String> = parts(text).map(Part::typed).collect();
    let again = shown.join(" ");
    // Quotes that were left out may make it longer than what is read.
    if text.chars().count() <= MAX_QUERY && again.chars().count() <= MAX_QUERY {
        assert!(parts(&again).eq(parts(text)), "{text:?} {again:?}");
        assert_eq!(Query::parse(&again), query);
    }
});
