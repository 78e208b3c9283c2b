//! Who gets an allocation, and what becomes of it (RFC 8656 §7, §8).

use std::time::Duration;

use bramble_relay::credentials::{Credential, Secret, Side, issue};
use bramble_relay::stun::{Builder, Class, Message, attribute, code, method};

use crate::bench::{Bench, Peer, START};
use crate::client::{Client, From, relayed, transaction, udp_transport};

#[tokio::test]
async fn binding_tells_the_client_its_address() {
    let bench = Bench::strict();
    let mut udp = bench.client("s", Side::Browser).await;
    let mut tcp = bench.tcp_client("s", Side::Browser).await;
    assert!(udp.mapped().await.ip().is_loopback());
    assert!(tcp.mapped().await.port() > 0);
}

#[tokio::test]
async fn a_good_credential_allocates() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    let answer = client.ask(method::ALLOCATE, &udp_transport).await.expect("allocated");
    let message = Message::parse(&answer).expect("well-formed");
    assert_eq!(message.number(attribute::LIFETIME), Some(600));
    assert_eq!(message.xor_address(attribute::XOR_MAPPED_ADDRESS), Some(client.mapped().await));
    assert!((49152..=65535).contains(&relayed(&answer).port()));
    assert_eq!(bench.relay.stats().allocations, 1);
}

#[tokio::test]
async fn bad_foreign_and_expired_credentials_do_not() {
    let bench = Bench::strict();
    let good = bench.credential("s", Side::Browser);
    let wrong = Credential { password: "d3Jvbmc=".to_owned(), ..good.clone() };
    let foreign =
        issue(&Secret::new("another relay's secret"), "s", Side::Browser, START + 600).expect("issued");
    let expired = issue(&bench.secret, "s", Side::Browser, START).expect("issued");
    let endless = issue(&bench.secret, "s", Side::Browser, START + 3601).expect("issued");
    let other_side = Credential { username: good.username.replace(":b", ":d"), ..good.clone() };
    let longer = Credential { username: format!("{}:s:b", START + 601), ..good.clone() };
    let shapeless = Credential { username: "somebody".to_owned(), ..good };
    for bad in [wrong, foreign, expired, endless, other_side, longer, shapeless] {
        let mut client = Client::udp(bench.udp(), &bad).await;
        assert_eq!(client.try_allocate().await, Err(code::UNAUTHENTICATED), "{bad:?}");
    }
    assert_eq!(bench.relay.stats().allocations, 0);
}

#[tokio::test]
async fn an_allocation_outlives_its_credential() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Device).await;
    let relayed = client.allocate().await;
    // Past the expiry, and past the life of the nonce.
    bench.move_clock(2 * 3600);
    let before = client.nonce.clone();
    assert_eq!(client.refresh(1200).await, Ok(1200));
    assert_ne!(client.nonce, before, "the relay asked for a new nonce");
    assert_eq!(client.permit(peer.address()).await, Ok(()));
    assert_eq!(client.bind(0x4000, peer.address()).await, Ok(()));
    peer.send(relayed, b"still here").await;
    assert_eq!(client.receive().await.payload, b"still here");
    // The credential makes no other.
    let mut second = bench.client("s", Side::Device).await;
    assert_eq!(second.try_allocate().await, Err(code::UNAUTHENTICATED));
}

#[tokio::test]
async fn a_stale_nonce_is_told_from_a_wrong_password() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    let good = client.nonce.clone();
    for bad in ["AAAAAAAAAAAAAAAA", "x", &"n".repeat(700)] {
        client.nonce = bad.to_owned();
        let write = |it: Builder| it.number(attribute::LIFETIME, 600);
        assert_eq!(client.ask_once(method::REFRESH, &write).await, Err(code::STALE_NONCE));
    }
    // Somebody else's nonce is as good as none.
    let mut other = bench.client("s", Side::Device).await;
    other.try_allocate().await.expect("allocated");
    other.nonce = good;
    let refused = other.ask_once(method::REFRESH, &|it| it).await;
    assert_eq!(refused, Err(code::STALE_NONCE));
    assert_eq!(other.refresh(600).await, Ok(600));
}

#[tokio::test]
async fn a_retransmitted_allocate_is_the_same_allocation() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    assert_eq!(client.ask_once(method::ALLOCATE, &udp_transport).await, Err(code::STALE_NONCE));
    let request = client.signed(method::ALLOCATE, transaction(), &udp_transport);
    let first = client.exchange(&request).await;
    let second = client.exchange(&request).await;
    assert_eq!(relayed(&first), relayed(&second));
    // Another transaction is another wish.
    assert_eq!(client.try_allocate().await, Err(code::ALLOCATION_MISMATCH));
    assert_eq!(bench.relay.stats().allocations, 1);
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_its_name() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    let tcp = |it: Builder| it.number(attribute::REQUESTED_TRANSPORT, 6 << 24);
    assert_eq!(client.ask(method::ALLOCATE, &tcp).await, Err(code::UNSUPPORTED_TRANSPORT));
    assert_eq!(client.ask(method::ALLOCATE, &|it| it).await, Err(code::BAD_REQUEST));
    let cases: [(u16, &[u8], u16); 6] = [
        (attribute::DONT_FRAGMENT, &[], code::UNKNOWN_ATTRIBUTE),
        (attribute::EVEN_PORT, &[0x80], code::INSUFFICIENT_CAPACITY),
        (attribute::RESERVATION_TOKEN, &[1; 8], code::INSUFFICIENT_CAPACITY),
        (attribute::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0], code::FAMILY_NOT_SUPPORTED),
        (attribute::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0], code::BAD_REQUEST),
        (0x7FFF, &[], code::UNKNOWN_ATTRIBUTE),
    ];
    for (kind, value, code) in cases {
        let write = move |it: Builder| udp_transport(it).attribute(kind, value);
        assert_eq!(client.ask(method::ALLOCATE, &write).await, Err(code), "{kind:#06x}");
    }
    // Connect of RFC 6062 would open TCP to a peer.
    let connect = Builder::new(Class::Request, 0x00A, transaction()).finish();
    let answer = client.exchange(&connect).await;
    assert_eq!(Message::parse(&answer).expect("well-formed").error_code(), Some(code::BAD_REQUEST));
    assert_eq!(bench.relay.stats().allocations, 0);
}

#[tokio::test]
async fn an_even_port_can_be_had_alone() {
    let bench = Bench::strict();
    for session in ["a", "b", "c", "d", "e", "f"] {
        let mut client = bench.client(session, Side::Browser).await;
        let write = |it: Builder| udp_transport(it).attribute(attribute::EVEN_PORT, &[0]);
        let answer = client.ask(method::ALLOCATE, &write).await.expect("allocated");
        assert_eq!(relayed(&answer).port() % 2, 0);
    }
}

#[tokio::test]
async fn unknown_attributes_are_listed() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    let request =
        Builder::new(Class::Request, method::BINDING, transaction()).attribute(0x0077, b"").finish();
    let answer = client.exchange(&request).await;
    let message = Message::parse(&answer).expect("well-formed");
    assert_eq!(message.error_code(), Some(code::UNKNOWN_ATTRIBUTE));
    assert_eq!(message.get(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x00, 0x77][..]));
}

#[tokio::test]
async fn a_lifetime_of_zero_gives_the_allocation_up() {
    let bench = Bench::start();
    for mut client in [bench.client("s", Side::Browser).await, bench.tcp_client("s", Side::Browser).await] {
        client.allocate().await;
        assert_eq!(client.refresh(0).await, Ok(0));
        assert_eq!(client.refresh(600).await, Err(code::ALLOCATION_MISMATCH));
        assert_eq!(bench.relay.stats().allocations, 0);
        // The same client may have another, also on the same connection.
        client.allocate().await;
        assert_eq!(client.refresh(0).await, Ok(0));
    }
}

#[tokio::test]
async fn an_allocation_that_is_not_refreshed_ends() {
    let bench = Bench::strict();
    let mut refreshed = bench.client("s", Side::Browser).await;
    let mut forgotten = bench.client("s", Side::Device).await;
    let mut stream = bench.tcp_client("s", Side::Device).await;
    refreshed.allocate().await;
    forgotten.allocate().await;
    stream.allocate().await;
    assert_eq!(refreshed.refresh(u32::MAX).await, Ok(3600));
    later(Duration::from_secs(601)).await;
    bench.until(|it| it.allocations == 1 && it.streams == 0).await;
    assert_eq!(stream.next().await, None);
    assert_eq!(forgotten.refresh(600).await, Err(code::ALLOCATION_MISMATCH));
    assert_eq!(refreshed.refresh(600).await, Ok(600));
}

/// Moves monotonic time, on which all lifetimes run.
async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn permissions_and_channels_lapse() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.refresh(3600).await.expect("refreshed");
    client.bind(0x4000, peer.address()).await.expect("bound");
    // RFC 8656 §9: five minutes. The channel still carries what the client sends.
    later(Duration::from_mins(6)).await;
    peer.send(relayed, b"uninvited").await;
    bench.until(|it| it.forbidden == 1).await;
    client.send_on(0x4000, b"still bound").await;
    assert_eq!(peer.receive().await.0, b"still bound");
    client.permit(peer.address()).await.expect("permitted");
    peer.send(relayed, b"invited").await;
    assert_eq!(client.receive().await.from, From::Channel(0x4000));
    // RFC 8656 §12: ten minutes. Then the number and the peer are free for others.
    later(Duration::from_mins(5)).await;
    client.send_on(0x4000, b"no longer").await;
    assert_eq!(client.bind(0x4001, peer.address()).await, Ok(()));
    client.send_on(0x4001, b"anew").await;
    assert_eq!(peer.receive().await.0, b"anew");
    peer.send(relayed, b"on the new one").await;
    assert_eq!(client.receive().await.from, From::Channel(0x4001));
}

#[tokio::test]
async fn requests_without_an_allocation_are_refused() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    assert_eq!(client.refresh(600).await, Err(code::ALLOCATION_MISMATCH));
    assert_eq!(client.permit(peer.address()).await, Err(code::ALLOCATION_MISMATCH));
    assert_eq!(client.bind(0x4000, peer.address()).await, Err(code::ALLOCATION_MISMATCH));
}

#[tokio::test]
async fn an_allocation_obeys_only_the_username_that_made_it() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.permit(peer.address()).await.expect("permitted");
    let mine = client.credential.clone();
    client.credential = bench.credential("another", Side::Browser);
    assert_eq!(client.refresh(0).await, Err(code::WRONG_CREDENTIALS));
    assert_eq!(client.permit(peer.address()).await, Err(code::WRONG_CREDENTIALS));
    assert_eq!(client.bind(0x4000, peer.address()).await, Err(code::WRONG_CREDENTIALS));
    client.credential = Credential { password: "d3Jvbmc=".to_owned(), ..mine };
    assert_eq!(client.refresh(0).await, Err(code::UNAUTHENTICATED));
    peer.send(relayed, b"untouched").await;
    assert_eq!(client.receive().await.from, From::Peer(peer.address()));
}

#[tokio::test]
async fn an_answer_to_a_stranger_is_short() {
    let bench = Bench::strict();
    let mut client = bench.client("s", Side::Browser).await;
    let request = udp_transport(Builder::new(Class::Request, method::ALLOCATE, transaction())).finish();
    let answer = client.exchange(&request).await;
    assert_eq!((request.len(), answer.len()), (28, 60), "with its headers an answer is 88 bytes for 56");
}
