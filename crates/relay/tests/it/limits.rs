//! Quotas and rates, each at its edge.

use std::time::Duration;

use bramble_relay::credentials::Side;
use bramble_relay::stun::{Builder, Class, code, method};

use crate::bench::{Bench, Peer};
use crate::client::transaction;

const LOOPBACK: &str = "127.0.0.0/8";

#[tokio::test]
async fn a_credential_has_two_allocations_at_once() {
    let bench = Bench::strict();
    let mut first = bench.client("s", Side::Browser).await;
    let mut second = bench.tcp_client("s", Side::Browser).await;
    let mut third = bench.client("s", Side::Browser).await;
    first.allocate().await;
    second.allocate().await;
    assert_eq!(third.try_allocate().await, Err(code::QUOTA_REACHED));
    // The other side has its own.
    bench.client("s", Side::Device).await.allocate().await;
    first.refresh(0).await.expect("given up");
    third.allocate().await;
}

#[tokio::test]
async fn the_server_has_so_many_in_all() {
    let bench = Bench::with(|config| config.limits.allocations = 3);
    for session in ["a", "b", "c"] {
        bench.client(session, Side::Browser).await.allocate().await;
    }
    let mut fourth = bench.client("d", Side::Browser).await;
    assert_eq!(fourth.try_allocate().await, Err(code::INSUFFICIENT_CAPACITY));
}

#[tokio::test]
async fn no_free_port_is_said_so() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let bench = Bench::with(|config| config.ports = port..=port);
    let mut client = bench.client("s", Side::Browser).await;
    assert_eq!(client.try_allocate().await, Err(code::INSUFFICIENT_CAPACITY));
    drop(taken);
    assert_eq!(client.allocate().await.port(), port);
    // A failed attempt does not count.
    let mut other = bench.client("s", Side::Browser).await;
    assert_eq!(other.try_allocate().await, Err(code::INSUFFICIENT_CAPACITY), "the only port is in use");
}

#[tokio::test]
async fn datagrams_over_the_rate_arrive_later_and_in_order() {
    let bench = Bench::with(|config| {
        config.allow = vec![LOOPBACK.parse().expect("a network")];
        config.limits.bytes_per_second = 1_000_000;
        config.limits.burst_bytes = 10_000;
    });
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    // With its headers each counts 1000, so 100 take 90 ms beyond the burst; a little less, because clocks are coarse.
    let least = Duration::from_millis(80);
    let started = tokio::time::Instant::now();
    for number in 0..100 {
        client.send_on(0x4000, &[number; 972]).await;
    }
    for number in 0..100 {
        assert_eq!(peer.receive().await.0, [number; 972]);
    }
    assert!(started.elapsed() > least, "{:?}", started.elapsed());
    let started = tokio::time::Instant::now();
    for number in 0..100 {
        peer.send(relayed, &[number; 972]).await;
    }
    for number in 0..100 {
        assert_eq!(client.receive().await.payload, [number; 972]);
    }
    assert!(started.elapsed() > least, "{:?}", started.elapsed());
    assert_eq!(bench.relay.stats().dropped, 0);
}

#[tokio::test]
async fn two_clients_of_one_relay_lose_nothing_to_the_rate() {
    let bench = Bench::with(|config| config.limits = bramble_relay::Limits::at_rate(1_000_000));
    let mut device = bench.client("s", Side::Device).await;
    let mut browser = bench.client("s", Side::Browser).await;
    let (of_device, of_browser) = (device.allocate().await, browser.allocate().await);
    device.bind(0x4000, of_browser).await.expect("bound");
    browser.bind(0x4000, of_device).await.expect("bound");
    // More than the burst by as much as a fast sender has on its way.
    let burst = 256 * 1024 / 1228;
    let count = burst + 64 * 1024 / 1200;
    for _ in 0..count {
        device.send_on(0x4000, &[1; 1200]).await;
    }
    bench.until(|it| it.bytes_to_clients + 1200 * it.dropped >= count * 1200).await;
    assert_eq!(bench.relay.stats().dropped, 0);
}

#[tokio::test]
async fn datagrams_far_over_the_rate_are_dropped() {
    let bench = Bench::with(|config| {
        config.allow = vec![LOOPBACK.parse().expect("a network")];
        config.limits.bytes_per_second = 1;
        config.limits.burst_bytes = 10_000;
        // No room for a third.
        config.limits.delayed_bytes = 3000;
    });
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    for _ in 0..20 {
        client.send_on(0x4000, &[1; 972]).await;
    }
    // With its headers each counts 1000.
    bench.until(|it| it.dropped == 8).await;
    assert_eq!(bench.relay.stats().bytes_from_clients, 9720);
    // The other direction has a bucket of its own.
    for _ in 0..20 {
        peer.send(relayed, &[2; 972]).await;
    }
    bench.until(|it| it.dropped == 16).await;
    assert_eq!(bench.relay.stats().bytes_to_clients, 9720);
}

#[tokio::test]
async fn a_stream_over_the_rate_is_slowed_and_loses_nothing() {
    let bench = Bench::with(|config| {
        config.allow = vec![LOOPBACK.parse().expect("a network")];
        config.limits.bytes_per_second = 1_000_000;
        config.limits.burst_bytes = 1_000;
    });
    let peer = Peer::bind().await;
    let mut client = bench.tcp_client("s", Side::Browser).await;
    client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    let started = tokio::time::Instant::now();
    for _ in 0..300 {
        client.send_on(0x4000, &[1; 972]).await;
    }
    for _ in 0..300 {
        peer.receive().await;
    }
    // The last reading of at most 64 KiB is not waited for.
    assert!(started.elapsed() > Duration::from_millis(200), "{:?}", started.elapsed());
    assert_eq!(bench.relay.stats().dropped, 0);
}

#[tokio::test]
async fn a_credential_without_bytes_left_ends() {
    let bench = Bench::with(|config| {
        config.allow = vec![LOOPBACK.parse().expect("a network")];
        config.limits.bytes_per_credential = 5_000;
    });
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    for _ in 0..6 {
        client.send_on(0x4000, &[1; 972]).await;
    }
    bench.until(|it| it.allocations == 0).await;
    assert_eq!(bench.relay.stats().bytes_from_clients, 5 * 972);
    assert_eq!(client.refresh(600).await, Err(code::ALLOCATION_MISMATCH));
    // Starting over does not start from zero.
    let mut again = bench.client("s", Side::Browser).await;
    assert_eq!(again.try_allocate().await, Err(code::QUOTA_REACHED));
    bench.client("s", Side::Device).await.allocate().await;
}

#[tokio::test]
async fn strangers_are_answered_so_often_and_no_more() {
    let bench = Bench::with(|config| {
        config.limits.requests_per_second = 1;
        config.limits.request_burst = 5;
    });
    let mut client = bench.client("s", Side::Browser).await;
    for _ in 0..20 {
        let request = Builder::new(Class::Request, method::BINDING, transaction()).finish();
        client.send(&request).await;
    }
    bench.until(|it| it.dropped >= 14).await;
    let mut answers = 0;
    for _ in 0..5 {
        client.next().await.expect("an answer");
        answers += 1;
    }
    assert!(answers + bench.relay.stats().dropped <= 20 + 1);
}

#[tokio::test]
async fn an_allocation_has_so_many_peers() {
    let bench = Bench::with(|config| {
        config.allow = vec![LOOPBACK.parse().expect("a network")];
        config.limits.peers_per_allocation = 3;
    });
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    for last in 1..=3 {
        assert_eq!(client.permit(([127, 0, 1, last], 9).into()).await, Ok(()));
    }
    assert_eq!(client.permit(([127, 0, 1, 4], 9).into()).await, Err(code::INSUFFICIENT_CAPACITY));
    assert_eq!(client.permit(([127, 0, 1, 1], 10).into()).await, Ok(()), "the same address again");
    for (channel, port) in [(0x4000, 1), (0x4001, 2), (0x4002, 3)] {
        assert_eq!(client.bind(channel, ([127, 0, 1, 1], port).into()).await, Ok(()));
    }
    let refused = client.bind(0x4003, ([127, 0, 1, 1], 4).into()).await;
    assert_eq!(refused, Err(code::INSUFFICIENT_CAPACITY));
}
