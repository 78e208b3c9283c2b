//! Ending a session, and ending altogether.

use bramble_relay::StartError;
use bramble_relay::credentials::{Secret, Side, issue};
use bramble_relay::stun::code;

use crate::bench::{Bench, Peer, START};
use crate::client::Client;

#[tokio::test]
async fn ending_a_session_ends_both_sides_at_once() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut browser = bench.tcp_client("doomed", Side::Browser).await;
    let mut device = bench.client("doomed", Side::Device).await;
    let mut other = bench.client("other", Side::Device).await;
    browser.allocate().await;
    let at_device = device.allocate().await;
    device.bind(0x4000, peer.address()).await.expect("bound");
    other.allocate().await;
    assert_eq!(bench.relay.end_session("doomed"), 2);
    assert_eq!(bench.relay.stats().allocations, 1);
    assert_eq!(browser.next().await, None, "its stream is closed");
    assert_eq!(device.refresh(600).await, Err(code::ALLOCATION_MISMATCH));
    device.send_on(0x4000, b"nothing").await;
    device.settle().await;
    assert_eq!(bench.relay.stats().bytes_from_clients, 0);
    // The port is free at once or very soon.
    while tokio::net::UdpSocket::bind(at_device).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.refresh(600).await, Ok(600));
}

#[tokio::test]
async fn an_ended_session_does_not_come_back() {
    let bench = Bench::strict();
    bench.client("doomed", Side::Browser).await.allocate().await;
    bench.relay.end_session("doomed");
    // Valid by itself, and even one that is issued now.
    let mut known = bench.client("doomed", Side::Device).await;
    assert_eq!(known.try_allocate().await, Err(code::FORBIDDEN));
    let fresh = issue(&bench.secret, "doomed", Side::Browser, START + 3600).expect("issued");
    assert_eq!(Client::udp(bench.udp(), &fresh).await.try_allocate().await, Err(code::FORBIDDEN));
    assert_eq!(bench.relay.end_session("never heard of"), 0);
}

#[tokio::test]
async fn shutting_down_closes_everything() {
    let bench = Bench::strict();
    let mut udp = bench.client("s", Side::Browser).await;
    let mut tcp = bench.tcp_client("s", Side::Device).await;
    let relayed = udp.allocate().await;
    tcp.allocate().await;
    let (udp_port, tcp_port) = (bench.udp(), bench.tcp());
    bench.relay.shutdown().await;
    bench.relay.shutdown().await;
    assert_eq!(tcp.next().await, None);
    assert_eq!((bench.relay.stats().allocations, bench.relay.stats().streams), (0, 0));
    for port in [relayed, udp_port] {
        tokio::net::UdpSocket::bind(port).await.expect("free");
    }
    tokio::net::TcpListener::bind(tcp_port).await.expect("free");
}

#[tokio::test]
async fn it_says_why_it_does_not_start() {
    let bench = Bench::strict();
    let taken = bench.udp();
    let start = |udp, ports, secret: &str| {
        let config = bramble_relay::Config {
            udp: vec![udp],
            tcp: vec![],
            tls: vec![],
            public_ip: None,
            ports,
            allow: vec![],
            own_addresses: vec![],
            secret: Secret::new(secret),
            limits: bramble_relay::Limits::default(),
        };
        bramble_relay::Relay::start(config, std::sync::Arc::new(|| START)).map(|_| ())
    };
    let any = "127.0.0.1:0".parse().expect("an address");
    let long = "long enough for a test";
    assert!(matches!(start(taken, 50_000..=50_100, long), Err(StartError::Listen { transport: "UDP", .. })));
    #[expect(clippy::reversed_empty_ranges, reason = "an operator may write it so")]
    let reversed = 50_100..=50_000;
    assert!(matches!(start(any, reversed, long), Err(StartError::NoPorts)));
    assert!(matches!(start(any, 0..=50_000, long), Err(StartError::NoPorts)));
    assert!(matches!(start(any, 50_000..=50_100, "short"), Err(StartError::ShortSecret)));
}
