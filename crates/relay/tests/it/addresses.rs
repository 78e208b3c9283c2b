//! Whom a peer may be, asked of a running relay. The table of all ranges is a unit test of `address`.

use std::net::SocketAddr;

use bramble_relay::credentials::Side;
use bramble_relay::stun::{attribute, code, method};

use crate::bench::{Bench, Peer};
use crate::client::{Client, relayed, udp_transport};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn neither_permission_nor_channel_reaches_inside() {
    let bench = Bench::with(|config| {
        config.own_addresses = vec![address("5.9.1.2:0").ip()];
    });
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    client.allocate().await;
    let inside = [
        peer.address(),
        bench.udp(),
        address("127.0.0.2:80"),
        address("10.0.0.1:80"),
        address("192.168.1.1:53"),
        address("169.254.169.254:80"),
        address("224.0.0.1:5353"),
        address("255.255.255.255:67"),
        address("0.0.0.0:80"),
        address("5.9.1.2:22"),
        address("127.0.0.2:0"),
        address("[::ffff:127.0.0.1]:80"),
        address("[::ffff:10.0.0.1]:80"),
    ];
    for peer in inside {
        assert_eq!(client.permit(peer).await, Err(code::FORBIDDEN), "{peer}");
        assert_eq!(client.bind(0x4000, peer).await, Err(code::FORBIDDEN), "{peer}");
    }
    assert_eq!(client.permit(address("1.1.1.1:443")).await, Ok(()));
    assert_eq!(client.bind(0x4000, address("8.8.8.8:443")).await, Ok(()));
    // A permission is for an address, but every datagram is looked at with its port.
    client.send_to(address("1.1.1.1:0"), b"x").await;
    bench.until(|it| it.forbidden == 27).await;
    // Some clients name no port with a permission; a channel always has one.
    assert_eq!(client.permit(address("1.1.1.1:0")).await, Ok(()));
    assert_eq!(client.bind(0x4001, address("1.1.1.1:0")).await, Err(code::FORBIDDEN));
    // The relay's own address has a live relayed port, so it may be named; its other ports stay closed.
    assert_eq!(client.permit(SocketAddr::new(bench.udp().ip(), 0)).await, Ok(()));
    client.send_to(peer.address(), b"x").await;
    client.send_to(bench.udp(), b"x").await;
    bench.until(|it| it.forbidden == 30).await;
}

#[tokio::test]
async fn one_bad_peer_refuses_the_whole_request() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    let write = |it: bramble_relay::stun::Builder| {
        it.xor_address(attribute::XOR_PEER_ADDRESS, peer.address())
            .xor_address(attribute::XOR_PEER_ADDRESS, address("10.0.0.1:80"))
    };
    assert_eq!(client.ask(method::CREATE_PERMISSION, &write).await, Err(code::FORBIDDEN));
    assert_eq!(client.ask(method::CREATE_PERMISSION, &|it| it).await, Err(code::BAD_REQUEST));
    peer.send(relayed, b"not let in").await;
    bench.until(|it| it.forbidden == 2).await;
}

#[tokio::test]
async fn a_relayed_port_is_a_peer_only_while_it_lives() {
    let bench = Bench::strict();
    let mut browser = bench.client("s", Side::Browser).await;
    let mut device = bench.client("s", Side::Device).await;
    browser.allocate().await;
    let at_device = device.allocate().await;
    assert_eq!(browser.bind(0x4000, at_device).await, Ok(()));
    assert_eq!(device.refresh(0).await, Ok(0));
    assert_eq!(browser.permit(at_device).await, Err(code::FORBIDDEN));
    assert_eq!(browser.bind(0x4000, at_device).await, Err(code::FORBIDDEN));
    // The channel is there, the port is not: whatever took it since gets nothing.
    let squatter = tokio::net::UdpSocket::bind(at_device).await.expect("the port is free again");
    let before = bench.relay.stats().forbidden;
    browser.send_on(0x4000, b"too late").await;
    bench.until(|it| it.forbidden == before + 1).await;
    drop(squatter);
}

#[tokio::test]
async fn a_permission_for_a_relayed_port_opens_no_other_port_of_that_address() {
    let bench = Bench::strict();
    let neighbour = Peer::bind().await;
    let mut browser = bench.client("s", Side::Browser).await;
    let mut device = bench.client("s", Side::Device).await;
    let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
    browser.permit(at_device).await.expect("permitted");
    device.permit(at_browser).await.expect("permitted");
    // The permission is for 127.0.0.1, where the neighbour listens, too.
    browser.send_to(neighbour.address(), b"from outside").await;
    bench.until(|it| it.forbidden == 1).await;
    neighbour.send(at_browser, b"from inside").await;
    bench.until(|it| it.forbidden == 2).await;
    browser.send_to(at_device, b"as agreed").await;
    assert_eq!(device.receive().await.payload, b"as agreed");
    assert_eq!(bench.relay.stats().bytes_to_clients, 9);
}

#[tokio::test]
async fn behind_nat_the_public_address_is_the_relayed_one() {
    // The public address is not of this machine, so only the way inside the relay can connect the two.
    let bench = Bench::with(|config| config.public_ip = Some(address("5.9.1.2:0").ip()));
    let mut browser = bench.client("s", Side::Browser).await;
    let mut device = bench.client("s", Side::Device).await;
    let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
    assert_eq!(at_device.ip(), address("5.9.1.2:0").ip());
    browser.bind(0x4000, at_device).await.expect("bound");
    device.bind(0x4000, at_browser).await.expect("bound");
    browser.send_on(0x4000, b"hello").await;
    assert_eq!(device.receive().await.payload, b"hello");
    // Its other ports are not for peers, although there is a permission for the address now.
    let before = bench.relay.stats().forbidden;
    assert_eq!(browser.permit(address("5.9.1.2:22")).await, Err(code::FORBIDDEN));
    browser.send_to(address("5.9.1.2:22"), b"to the server itself").await;
    bench.until(|it| it.forbidden == before + 2).await;
}

#[tokio::test]
async fn ipv6_clients_get_ipv6_peers() {
    let bench = Bench::with(|config| {
        config.udp = vec![address("[::1]:0")];
        config.tcp = vec![];
        config.allow = vec!["::1/128".parse().expect("a network")];
    });
    let mut client = Client::udp(bench.udp(), &bench.credential("s", Side::Browser)).await;
    assert!(client.mapped().await.is_ipv6());
    // RFC 8656 §7.2: without a word about it IPv4 is meant, and here is none.
    assert_eq!(client.try_allocate().await, Err(code::FAMILY_NOT_SUPPORTED));
    let v6 = |it: bramble_relay::stun::Builder| {
        udp_transport(it).attribute(attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    };
    let relayed = relayed(&client.ask(method::ALLOCATE, &v6).await.expect("allocated"));
    let peer = Peer(tokio::net::UdpSocket::bind("[::1]:0").await.expect("a port"));
    assert_eq!(client.permit(peer.address()).await, Ok(()));
    client.send_to(peer.address(), b"six").await;
    assert_eq!(peer.receive().await, (b"six".to_vec(), relayed));
    peer.send(relayed, b"six too").await;
    assert_eq!(client.receive().await.payload, b"six too");
    // An IPv4 address stays one, whatever it is written as; NAT64 leads to where it says.
    for (inside, code) in [
        ("[::ffff:127.0.0.1]:80", code::PEER_FAMILY_MISMATCH),
        ("[64:ff9b::7f00:1]:80", code::FORBIDDEN),
        ("[64:ff9b::a9fe:a9fe]:80", code::FORBIDDEN),
        ("[fe80::1]:80", code::FORBIDDEN),
    ] {
        assert_eq!(client.permit(address(inside)).await, Err(code), "{inside}");
    }
    assert_eq!(client.permit(address("[64:ff9b::808:808]:80")).await, Ok(()));
}

#[tokio::test]
async fn one_socket_serves_both_families() {
    let bench = Bench::with(|config| {
        config.udp = vec![address("[::]:0")];
        config.allow = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    let server = SocketAddr::from(([127, 0, 0, 1], bench.udp().port()));
    let mut client = Client::udp(server, &bench.credential("s", Side::Browser)).await;
    assert!(client.mapped().await.is_ipv4(), "not the mapped form");
    let peer = Peer::bind().await;
    let relayed = client.allocate().await;
    assert_eq!(relayed.ip(), server.ip(), "the address the client came to");
    client.bind(0x4000, peer.address()).await.expect("bound");
    peer.send(relayed, b"back").await;
    assert_eq!(client.receive().await.payload, b"back");
}
