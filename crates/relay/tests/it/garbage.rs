//! Bytes that nobody meant.

use std::net::SocketAddr;

use bramble_relay::address::{PeerFilter, true_address};
use bramble_relay::credentials::{LongTermKey, Secret, Side, Username};
use bramble_relay::nonce;
use bramble_relay::stun::{
    Builder, Class, Frame, Message, Splitter, TransactionId, attribute, method, write_channel_data,
    write_data_indication,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::bench::Bench;

/// RFC 5769 §2.4: a request with long-term authentication, made by others.
#[test]
fn the_sample_request_of_rfc_5769_verifies() {
    let mut bytes = vec![0x00, 0x01, 0x00, 0x60, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e]);
    bytes.extend([0x00, 0x06, 0x00, 0x12]);
    bytes.extend("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes());
    bytes.extend([0, 0, 0x00, 0x15, 0x00, 0x1c]);
    bytes.extend(b"f//499k954d6OL34oL9FSTvy64sA");
    bytes.extend([0x00, 0x14, 0x00, 0x0b]);
    bytes.extend(b"example.org\0");
    bytes.extend([0x00, 0x08, 0x00, 0x14]);
    bytes.extend([0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8]);
    bytes.extend([0xe0, 0x71, 0x2e, 0x85, 0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66]);
    let message = Message::parse(&bytes).expect("well-formed");
    let username = message.text(attribute::USERNAME).expect("a username");
    assert_eq!((message.class(), message.method()), (Class::Request, method::BINDING));
    assert_eq!(message.text(attribute::REALM), Some("example.org"));
    // The password after string preparation, as the RFC prints it.
    let key = LongTermKey::of_password(username, "example.org", "TheMatrIX");
    assert!(message.verify_integrity(key.bytes()));
    let wrong = LongTermKey::of_password(username, "example.org", "TheMatrix");
    assert!(!message.verify_integrity(wrong.bytes()));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x01;
        let verified = Message::parse(&changed).is_ok_and(|it| it.verify_integrity(key.bytes()));
        assert!(!verified, "byte {at} is not covered");
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

/// Bytes that get past the first checks more often than chance would have it.
fn stun_like() -> impl Strategy<Value = Vec<u8>> {
    let attributes = vec((any::<u16>(), vec(any::<u8>(), 0..40), 0u8..8), 0..8);
    (0u16..0x4000, attributes, any::<[u8; 12]>()).prop_map(|(kind, attributes, id)| {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        bytes.extend(id);
        for (kind, value, odd) in attributes {
            let kind = if odd < 6 { kind % 0x30 } else { kind };
            let length = if odd == 7 { 0xFFFF } else { u16::try_from(value.len()).expect("short") };
            bytes.extend(kind.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(&value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let length = u16::try_from(bytes.len() - 20).expect("short");
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    })
}

fn read_everything(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    for (kind, _) in message.attributes() {
        let _ = (message.text(kind), message.number(kind), message.xor_address(kind), message.family(kind));
        let _ = (message.get(kind), message.error_code());
    }
    let _ = message.verify_integrity(b"key");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600), chunk in 1usize..50) {
        read_everything(&bytes);
        let _ = Frame::of_datagram(&bytes);
        let _ = Frame::first_of_stream(&bytes, 2048);
        let mut splitter = Splitter::default();
        for part in bytes.chunks(chunk) {
            if splitter.feed(part, || 2048, |_| {}).is_err() {
                break;
            }
        }
        let _ = nonce::is_fresh(&Secret::new("s"), ([127, 0, 0, 1], 1).into(), 0, &bytes);
        let _ = Username::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_message_panics(bytes in stun_like()) {
        read_everything(&bytes);
    }

    #[test]
    fn what_is_written_is_read(peer in address(), id in any::<[u8; 12]>(), payload in vec(any::<u8>(), 0..2000)) {
        let mut bytes = Vec::new();
        let length = write_data_indication(&mut bytes, TransactionId(id), peer, &payload);
        prop_assert_eq!(length, bytes.len());
        let message = Message::parse(&bytes).expect("well-formed");
        prop_assert_eq!((message.class(), message.method()), (Class::Indication, method::DATA));
        prop_assert_eq!(message.xor_address(attribute::XOR_PEER_ADDRESS), Some(peer));
        prop_assert_eq!(message.get(attribute::DATA), Some(&payload[..]));
        let signed = Builder::new(Class::Request, method::REFRESH, TransactionId(id))
            .attribute(attribute::USERNAME, &payload)
            .integrity(b"key")
            .fingerprint()
            .finish();
        let message = Message::parse(&signed).expect("well-formed");
        prop_assert!(message.verify_integrity(b"key") && !message.verify_integrity(b"another"));
    }

    #[test]
    fn a_stream_comes_apart_as_it_was_put_together(
        payloads in vec((0x4000u16..0x5000, vec(any::<u8>(), 0..300)), 1..12),
        chunk in 1usize..400,
    ) {
        let mut stream = Vec::new();
        for (channel, payload) in &payloads {
            write_channel_data(&mut stream, *channel, payload, true);
        }
        let mut found = Vec::new();
        let mut splitter = Splitter::default();
        for part in stream.chunks(chunk) {
            let fed = splitter.feed(part, || 65_556, |frame| {
                if let Frame::Channel(data) = frame {
                    found.push((data.channel, data.payload.to_vec()));
                }
            });
            prop_assert_eq!(fed, Ok(()));
        }
        prop_assert!(!splitter.is_waiting());
        prop_assert_eq!(found, payloads);
    }

    #[test]
    fn no_disguise_opens_the_filter(v4 in any::<std::net::Ipv4Addr>(), port in 1u16..) {
        let filter = PeerFilter::new(vec![], []);
        let plain = filter.allows((v4, port).into());
        let [a, b, c, d] = v4.octets();
        let nat64 = std::net::Ipv6Addr::from([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]);
        prop_assert_eq!(filter.allows((v4.to_ipv6_mapped(), port).into()), plain);
        prop_assert_eq!(filter.allows((nat64, port).into()), plain);
        prop_assert_eq!(true_address(nat64.into()), std::net::IpAddr::V4(v4));
    }
}

/// A relay that has been shouted at still answers.
#[tokio::test]
async fn garbage_on_the_wire_changes_nothing() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..500 {
        let bytes = stun_like().new_tree(&mut runner).expect("a value").current();
        client.send(&bytes).await;
        client.send(&bytes[..bytes.len() / 2]).await;
        client.send(&[]).await;
    }
    bench.until(|it| it.dropped > 0 || it.allocations == 1).await;
    let mut other = bench.client("t", Side::Browser).await;
    other.allocate().await;
    assert_eq!(bench.relay.stats().allocations, 2);
}
