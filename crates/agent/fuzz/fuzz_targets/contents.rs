//! Any bytes as a contents file; leaving the comments out never changes what it says.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src/update/artefact/contents.rs"]
mod contents;

use contents::{Contents, without_comments};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(first) = Contents::parse(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("it was parsed");
    let second = Contents::parse(without_comments(text).as_bytes()).expect("comments carry nothing");
    let said = |contents: Contents| {
        let payloads: Vec<_> =
            contents.payloads.into_iter().map(|payload| (payload.name, payload.kind)).collect();
        (contents.name, contents.version, contents.device_type, payloads)
    };
    assert_eq!(said(first), said(second));
});
