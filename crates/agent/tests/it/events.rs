//! The event stream's parser under what a network and a hostile server can do to it.

use bramble_agent::http::sse::{MAX_DATA, MAX_LINE, RawEvent, SseError, SseParser};
use bramble_wire::events::ServerEvent;
use proptest::prelude::*;

fn parse(chunks: &[&[u8]]) -> Result<Vec<RawEvent>, SseError> {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    for chunk in chunks {
        parser.push(chunk, |event| events.push(event))?;
    }
    Ok(events)
}

fn event(name: Option<&str>, data: &str) -> RawEvent {
    RawEvent { name: name.map(str::to_owned), data: data.to_owned() }
}

#[test]
fn the_servers_own_events_come_through() {
    let mut bytes = ServerEvent::Welcome { sid: "a".into() }.to_bytes();
    bytes.extend(ServerEvent::Ping { now: 7 }.to_bytes());
    let events = parse(&[&bytes]).expect("parses");
    let read: Vec<_> =
        events.iter().filter_map(|it| ServerEvent::parse(it.name.as_deref(), &it.data)).collect();
    assert_eq!(read, [ServerEvent::Welcome { sid: "a".into() }, ServerEvent::Ping { now: 7 }]);
}

#[test]
fn comments_unknown_fields_and_carriage_returns_are_no_trouble() {
    let text = b": hello\r\nid: 3\r\nretry: 5\r\nevent: x\r\ndata: one\r\ndata: two\r\n\r\n\n\ndata:three\n\nevent: y\n\n";
    let events = parse(&[text]).expect("parses");
    assert_eq!(events, [event(Some("x"), "one\ntwo"), event(None, "three")]);
}

#[test]
fn what_has_no_end_is_refused() {
    assert_eq!(parse(&[&vec![b'x'; MAX_LINE + 1]]), Err(SseError::LongLine));
    let line = [b"data: ".as_slice(), &vec![b'x'; 1000], b"\n"].concat();
    let lines: Vec<&[u8]> = std::iter::repeat_n(line.as_slice(), MAX_DATA / 1000 + 1).collect();
    assert_eq!(parse(&lines), Err(SseError::LongEvent));
    assert_eq!(parse(&[b"data: \xff\n"]), Err(SseError::NotText));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_in_any_pieces_give_what_they_give_in_one(
        bytes in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..400),
        cuts in prop::collection::vec(0_usize..400, 0..20),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(parse(&pieces), parse(&[&bytes]));
    }

    #[test]
    fn every_event_written_is_read(
        written in prop::collection::vec((prop::option::of("[a-z_]{1,20}"), "[^\r\n]{0,200}"), 0..20),
    ) {
        let lines = |(name, data): &(Option<String>, String)| match name {
            Some(name) => format!("event: {name}\ndata: {data}\n\n"),
            None => format!("data: {data}\n\n"),
        };
        let text: String = written.iter().map(lines).collect();
        let expected: Vec<RawEvent> =
            written.iter().map(|(name, data)| event(name.as_deref(), data)).collect();
        prop_assert_eq!(parse(&[text.as_bytes()]).expect("parses"), expected);
    }
}
