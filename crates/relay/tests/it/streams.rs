//! TCP and TLS: framing, slow and silent clients, streams handed over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bramble_relay::Relay;
use bramble_relay::credentials::Side;
use bramble_relay::stun::{Builder, Class, Message, attribute, method, write_channel_data};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::bench::{Bench, Peer};
use crate::client::{Client, From, transaction};

/// A server's and a client's configuration that trust each other.
pub fn tls() -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)
        .expect("a server configuration");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

#[tokio::test]
async fn frames_may_be_cut_anywhere() {
    let bench = Bench::start();
    let peer = Peer::bind().await;
    let mut client = bench.tcp_client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    // A binding request, two frames with padding, one without.
    let id = transaction();
    let mut stream = Builder::new(Class::Request, method::BINDING, id).fingerprint().finish();
    for payload in [&b"one"[..], b"fives", b"four"] {
        write_channel_data(&mut stream, 0x4000, payload, true);
    }
    for cut in 0..=stream.len() {
        client.send(&stream[..cut]).await;
        client.send(&stream[cut..]).await;
        for payload in [&b"one"[..], b"fives", b"four"] {
            assert_eq!(peer.receive().await, (payload.to_vec(), relayed), "cut at {cut}");
        }
        let answer = client.next().await.expect("an answer");
        assert_eq!(Message::parse(&answer).expect("well-formed").transaction(), id);
    }
    for byte in &stream {
        client.send(&[*byte]).await;
    }
    for payload in [&b"one"[..], b"fives", b"four"] {
        assert_eq!(peer.receive().await.0, payload);
    }
}

#[tokio::test]
async fn what_does_not_speak_stun_is_closed() {
    let bench = Bench::strict();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00\x01\x00\x00GARB",
        b"\x00\x01\x00\x03",
        b"\xff",
        // A frame longer than a stranger may send.
        b"\x00\x01\x10\x00\x21\x12\xa4\x42",
    ] {
        let mut stream = TcpStream::connect(bench.tcp()).await.expect("connected");
        stream.write_all(garbage).await.expect("written");
        // Closed with or without a reset, according to what was still unread.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"", "{garbage:?}");
    }
    bench.until(|it| it.streams == 0).await;
}

#[tokio::test]
async fn a_client_of_one_byte_per_second_is_dropped() {
    let bench = Bench::with(|config| config.limits.frame_timeout = Duration::from_millis(200));
    let mut stream = TcpStream::connect(bench.tcp()).await.expect("connected");
    let request = Builder::new(Class::Request, method::BINDING, transaction()).finish();
    let mut closed = false;
    for byte in &request {
        // A second is five times what a frame may take; here time runs five times as fast.
        if stream.write_all(&[*byte]).await.is_err() {
            closed = true;
            break;
        }
        let mut buffer = [0; 64];
        let answer = tokio::time::timeout(Duration::from_millis(40), stream.read(&mut buffer));
        if matches!(answer.await, Ok(Ok(0) | Err(_))) {
            closed = true;
            break;
        }
    }
    assert!(closed, "the whole request was taken, byte by byte");
    bench.until(|it| it.streams == 0).await;
}

#[tokio::test]
async fn a_busy_client_is_not_taken_for_a_slow_one() {
    let bench = Bench::with(|config| {
        config.allow = vec!["127.0.0.0/8".parse().expect("a network")];
        config.limits.frame_timeout = Duration::from_secs(1);
    });
    let peer = Peer::bind().await;
    let mut client = bench.tcp_client("s", Side::Browser).await;
    client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    let mut frame = Vec::new();
    write_channel_data(&mut frame, 0x4000, &[1; 100], true);
    let (head, tail) = frame.split_at(50);
    let turned = [tail, head].concat();
    // There is an unfinished frame at all times, but never the same.
    client.send(head).await;
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        client.send(&turned).await;
        peer.receive().await;
    }
}

#[tokio::test]
async fn a_silent_client_is_dropped_and_one_with_an_allocation_is_not() {
    let bench = Bench::with(|config| {
        config.limits.frame_timeout = Duration::from_secs(1);
        config.limits.unallocated_timeout = Duration::from_secs(1);
    });
    let mut silent = TcpStream::connect(bench.tcp()).await.expect("connected");
    let mut working = bench.tcp_client("s", Side::Browser).await;
    working.allocate().await;
    assert_eq!(silent.read(&mut [0; 1]).await.expect("an orderly end"), 0);
    // Nobody who has only looked around stays either, however often.
    let mut looking = TcpStream::connect(bench.tcp()).await.expect("connected");
    let request = Builder::new(Class::Request, method::BINDING, transaction()).finish();
    while looking.write_all(&request).await.is_ok() {
        if looking.read(&mut [0; 100]).await.unwrap_or(0) == 0 {
            break;
        }
    }
    bench.until(|it| it.streams == 1).await;
    assert!(working.mapped().await.port() > 0);
}

#[tokio::test]
async fn the_allocation_ends_with_its_connection() {
    let bench = Bench::strict();
    let mut client = bench.tcp_client("s", Side::Browser).await;
    client.allocate().await;
    drop(client);
    bench.until(|it| it.allocations == 0 && it.streams == 0).await;
}

#[tokio::test]
async fn so_many_streams_and_no_more() {
    let bench = Bench::with(|config| config.limits.streams_per_address = 2);
    let mut first = bench.tcp_client("s", Side::Browser).await;
    let mut second = bench.tcp_client("s", Side::Browser).await;
    first.settle().await;
    second.settle().await;
    let mut third = TcpStream::connect(bench.tcp()).await.expect("the kernel accepts");
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0);
    drop(first);
    bench.until(|it| it.streams == 1).await;
    bench.tcp_client("s", Side::Browser).await.settle().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_fill_the_memory() {
    let bench = Bench::with(|config| {
        config.allow = vec!["127.0.0.0/8".parse().expect("a network")];
        config.limits.stream_queue_bytes = 100_000;
        config.limits.write_timeout = Duration::from_millis(300);
        config.limits.bytes_per_second = 1_000_000_000;
        config.limits.burst_bytes = 1_000_000_000;
    });
    let peer = Peer::bind().await;
    let mut client = bench.tcp_client("s", Side::Browser).await;
    let relayed = client.allocate().await;
    client.bind(0x4000, peer.address()).await.expect("bound");
    let flood = async {
        loop {
            peer.send(relayed, &[0; 8000]).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = bench.until(|it| it.streams == 0) => {}
    }
    assert!(bench.relay.stats().dropped > 0, "more was dropped than kept");
}

#[tokio::test]
async fn turn_over_tls_on_its_own_port() {
    let (server, connector) = tls();
    let bench = Bench::with(|config| {
        config.tls = vec![(SocketAddr::from(([127, 0, 0, 1], 0)), server)];
        config.limits.frame_timeout = Duration::from_secs(2);
    });
    let address = bench.relay.local_addresses().tls[0];
    let tcp = TcpStream::connect(address).await.expect("connected");
    let stream = connector.connect(name(), tcp).await.expect("a handshake");
    let mut browser = Client::stream(stream, &bench.credential("s", Side::Browser));
    let mut device = bench.client("s", Side::Device).await;
    let (at_browser, at_device) = (browser.allocate().await, device.allocate().await);
    browser.bind(0x4000, at_device).await.expect("bound");
    device.bind(0x4000, at_browser).await.expect("bound");
    for length in [1, 1000, 60_000] {
        browser.send_on(0x4000, &vec![7; length]).await;
        assert_eq!(device.receive().await.payload.len(), length);
        device.send_on(0x4000, &vec![8; length]).await;
        let data = browser.receive().await;
        assert_eq!((data.from, data.payload.len()), (From::Channel(0x4000), length));
    }
    // Who does not shake hands is not waited for.
    let mut silent = TcpStream::connect(address).await.expect("connected");
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// What the front door of the server does with its HTTPS port.
#[tokio::test]
async fn turn_over_tls_on_the_port_of_something_else() {
    let (server, connector) = tls();
    let bench = Bench::strict();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let relay = bench.relay.clone();
    let door = tokio::spawn(async move {
        let (tcp, peer) = listener.accept().await.expect("a client");
        let local = tcp.local_addr().expect("bound");
        let mut stream = TlsAcceptor::from(server).accept(tcp).await.expect("a handshake");
        let mut first = vec![0; 16];
        let length = stream.read(&mut first).await.expect("first bytes");
        first.truncate(length);
        assert!(Relay::looks_like_stun(&first));
        let (reader, writer) = tokio::io::split(stream);
        let stream = tokio::io::join(std::io::Cursor::new(first).chain(reader), writer);
        relay.serve_stream(stream, peer, local).await;
    });
    let tcp = TcpStream::connect(address).await.expect("connected");
    let stream = connector.connect(name(), tcp).await.expect("a handshake");
    let mut client = Client::stream(stream, &bench.credential("s", Side::Browser));
    client.allocate().await;
    bench.relay.end_session("s");
    assert_eq!(client.next().await, None);
    door.await.expect("the door is free again");
}

#[test]
fn the_first_bytes_tell_stun_from_http() {
    let request = Builder::new(Class::Request, method::ALLOCATE, transaction())
        .number(attribute::REQUESTED_TRANSPORT, 17 << 24)
        .finish();
    for length in 1..=request.len() {
        assert!(Relay::looks_like_stun(&request[..length]), "{length} bytes");
    }
    for other in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01",
        b"\x00\x01\x00\x00\x21\x12\xa4\x43",
    ] {
        assert!(!Relay::looks_like_stun(other), "{other:?}");
    }
}
