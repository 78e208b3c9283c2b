//! Data: indications and channels, over every transport, to peers and between clients.

use bramble_relay::credentials::Side;
use bramble_relay::stun::code;

use crate::bench::{Bench, Peer};
use crate::client::{Client, Data, From};

#[tokio::test]
async fn a_peer_and_a_client_exchange_indications() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    for mut client in [bench.client("s", Side::Browser).await, bench.tcp_client("t", Side::Browser).await] {
        let relayed = client.allocate().await;
        client.permit(peer.address()).await.expect("permitted");
        client.send_to(peer.address(), b"ping").await;
        assert_eq!(peer.receive().await, (b"ping".to_vec(), relayed));
        peer.send(relayed, b"pong").await;
        assert_eq!(
            client.receive().await,
            Data { from: From::Peer(peer.address()), payload: b"pong".to_vec() }
        );
    }
}

#[tokio::test]
async fn a_peer_and_a_client_use_a_channel() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    for mut client in [bench.client("s", Side::Browser).await, bench.tcp_client("t", Side::Browser).await] {
        let relayed = client.allocate().await;
        client.bind(0x4ABC, peer.address()).await.expect("bound");
        // Lengths around the padding, none, and the most that UDP carries.
        for length in [1, 2, 3, 4, 5, 0, 1200, 65_507 - 4] {
            let payload: Vec<u8> = (0..length).map(|it| u8::try_from(it % 251).expect("small")).collect();
            client.send_on(0x4ABC, &payload).await;
            assert!(peer.receive().await == (payload.clone(), relayed), "{length} bytes to the peer");
            peer.send(relayed, &payload).await;
            let expected = Data { from: From::Channel(0x4ABC), payload };
            assert!(client.receive().await == expected, "{length} bytes to the client");
        }
    }
}

#[tokio::test]
async fn both_sides_of_a_session_meet_at_the_relay() {
    // Strict: on loopback nothing but a live relayed port is allowed.
    let bench = Bench::strict();
    let transports = [(false, false), (false, true), (true, false), (true, true)];
    for (number, (browser_tcp, device_tcp)) in transports.into_iter().enumerate() {
        let session = format!("session-{number}");
        let mut browser = connect(&bench, &session, Side::Browser, browser_tcp).await;
        let mut device = connect(&bench, &session, Side::Device, device_tcp).await;
        let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
        browser.permit(at_device).await.expect("permitted");
        device.permit(at_browser).await.expect("permitted");
        browser.send_to(at_device, b"hello").await;
        assert_eq!(device.receive().await, Data { from: From::Peer(at_browser), payload: b"hello".to_vec() });
        browser.bind(0x4001, at_device).await.expect("bound");
        device.bind(0x4002, at_browser).await.expect("bound");
        device.send_on(0x4002, b"welcome").await;
        assert_eq!(
            browser.receive().await,
            Data { from: From::Channel(0x4001), payload: b"welcome".to_vec() }
        );
    }
}

async fn connect(bench: &Bench, session: &str, side: Side, tcp: bool) -> Client {
    if tcp { bench.tcp_client(session, side).await } else { bench.client(session, side).await }
}

#[tokio::test]
async fn nothing_passes_without_a_permission() {
    let bench = Bench::start();
    let (friend, stranger) = (Peer::bind().await, Peer::bind().await);
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    stranger.send(relayed, b"let me in").await;
    bench.until(|it| it.forbidden == 1).await;
    client.send_to(stranger.address(), b"not yet").await;
    client.send_on(0x4000, b"no such channel").await;
    client.settle().await;
    client.bind(0x4000, friend.address()).await.expect("bound");
    client.send_on(0x4000, b"now").await;
    assert_eq!(friend.receive().await.0, b"now");
    friend.send(relayed, b"welcome").await;
    assert_eq!(client.receive().await.payload, b"welcome");
}

#[tokio::test]
async fn between_clients_both_must_permit() {
    let bench = Bench::strict();
    let mut browser = bench.client("s", Side::Browser).await;
    let mut device = bench.client("s", Side::Device).await;
    let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
    browser.bind(0x4000, at_device).await.expect("bound");
    browser.send_on(0x4000, b"unasked").await;
    bench.until(|it| it.forbidden == 1).await;
    device.permit(at_browser).await.expect("permitted");
    browser.send_on(0x4000, b"asked").await;
    assert_eq!(device.receive().await.payload, b"asked");
}

#[tokio::test]
async fn channels_keep_to_their_rules() {
    let bench = Bench::start();
    let (one, two) = (Peer::bind().await, Peer::bind().await);
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    for outside in [0x3FFF, 0x8000, 0xFFFF, 0] {
        assert_eq!(client.bind(outside, one.address()).await, Err(code::BAD_REQUEST), "{outside:#x}");
    }
    assert_eq!(client.bind(0x4000, one.address()).await, Ok(()));
    assert_eq!(client.bind(0x4000, one.address()).await, Ok(()), "a refresh");
    assert_eq!(client.bind(0x4000, two.address()).await, Err(code::BAD_REQUEST), "the channel is taken");
    assert_eq!(client.bind(0x4001, one.address()).await, Err(code::BAD_REQUEST), "the peer has one");
    assert_eq!(client.bind(0x4001, two.address()).await, Ok(()));
    let v6 = "[2606:4700::1]:9".parse().expect("an address");
    assert_eq!(client.bind(0x4002, v6).await, Err(code::PEER_FAMILY_MISMATCH));
}

#[tokio::test]
async fn many_datagrams_of_many_sizes_keep_their_boundaries() {
    let bench = Bench::strict();
    let mut browser = bench.client("s", Side::Browser).await;
    let mut device = bench.client("s", Side::Device).await;
    let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
    browser.bind(0x4000, at_device).await.expect("bound");
    device.bind(0x4000, at_browser).await.expect("bound");
    // Equal ones, then a shorter, then a longer: what is joined on the way must come apart again.
    let lengths = [1200, 1200, 1200, 700, 1200, 10, 10, 11, 1400, 1401, 1401, 1, 0, 5];
    for (number, length) in lengths.into_iter().enumerate() {
        browser.send_on(0x4000, &vec![u8::try_from(number).expect("few"); length]).await;
    }
    for (number, length) in lengths.into_iter().enumerate() {
        let data = device.receive().await;
        assert_eq!(data.payload, vec![u8::try_from(number).expect("few"); length]);
    }
}
