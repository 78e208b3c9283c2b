//! `GET /events`: the bytes that existing clients parse, on every way to it.

use crate::harness::{Linked, TestApp, read_to_close, read_until};
use bramble_server::live::Change;
use bramble_testkit::{SHORT, eventually};
use bramble_wire::SessionId;
use bramble_wire::events::Command;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

const CONFIRM: &str = "event: confirm_subscription\ndata: {\"type\":\"confirm_subscription\",\
                       \"identifier\":\"{\\\"channel\\\":\\\"DeviceChannel\\\"}\"}\n\n";
const SESSION: &str =
    "data: {\"command\":\"session\",\"data\":{\"id\":\"00000000-0000-0000-0000-000000000000\"}}\n\n";

fn order() -> Command {
    Command::Session { id: SessionId(Uuid::nil()) }
}

fn chunk(event: &str) -> String {
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// Splits what came into the head and the events, each of which must be one chunk.
async fn check(server: &TestApp, device: &Linked, stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let head = read_until(stream, "\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    let size = read_until(stream, "\r\n").await;
    let welcome = read_until(stream, "\n\n\r\n").await;
    assert!(welcome.starts_with("event: welcome\ndata: {\"type\":\"welcome\",\"sid\":\""), "{welcome}");
    assert_eq!(usize::from_str_radix(size.trim(), 16).expect("a size"), welcome.len() - 2);
    assert_eq!(
        read_until(stream, "\n\n\r\n").await,
        chunk(CONFIRM).to_lowercase().replace("devicechannel", "DeviceChannel")
    );
    assert!(server.app.link.send(device.id, order()));
    assert_eq!(read_until(stream, "\n\n\r\n").await, chunk(SESSION));
    server.app.link.disconnect(device.id, Some(Command::SignOut {}));
    let out = chunk("data: {\"command\":\"sign_out\",\"data\":{}}\n\n");
    assert_eq!(read_until(stream, "0\r\n\r\n").await, format!("{out}0\r\n\r\n"));
}

#[tokio::test]
async fn on_a_plain_connection() {
    let server = TestApp::start().await;
    let device = server.device().await;
    let mut stream = server.connect(&[]).await;
    // The slowest way to say it: the head arrives in pieces.
    let request = device.request();
    for piece in request.as_bytes().chunks(7) {
        stream.write_all(piece).await.expect("sent");
        stream.flush().await.expect("sent");
    }
    check(&server, &device, &mut stream).await;
    assert_eq!(read_to_close(&mut stream).await, "");
}

#[tokio::test]
async fn on_tls() {
    let server = TestApp::start_tls().await;
    let device = server.device().await;
    for protocols in [&[][..], &[b"http/1.1".as_slice()]] {
        let mut stream = server.connect(protocols).await;
        stream.write_all(device.request().as_bytes()).await.expect("sent");
        check(&server, &device, &mut stream).await;
    }
}

#[tokio::test]
async fn on_tls_1_2_as_older_clients_speak_it() {
    let server = TestApp::start_tls().await;
    let device = server.device().await;
    let authority = server.authority.as_ref().expect("an authority");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority.ca).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address()).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    stream.write_all(device.request().as_bytes()).await.expect("sent");
    check(&server, &device, &mut stream).await;
}

#[tokio::test]
async fn after_another_request_on_the_same_connection() {
    let server = TestApp::start_tls().await;
    let device = server.device().await;
    let mut stream = server.connect(&[b"http/1.1"]).await;
    stream.write_all(b"GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    assert!(read_until(&mut stream, "\r\n\r\nup\n").await.to_lowercase().contains("x-timestamp: 1795348800"));
    stream.write_all(device.request().as_bytes()).await.expect("sent");
    check(&server, &device, &mut stream).await;
}

#[tokio::test]
async fn on_http2() {
    let server = TestApp::start_tls().await;
    let device = server.device().await;
    let url = server.url("/events?channel=DeviceChannel");
    let request = server.http().get(url).bearer_auth(device.token.expose());
    let mut answer = request.send().await.expect("an answer");
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.ends_with(CONFIRM) {
        text.push_str(
            std::str::from_utf8(&answer.chunk().await.expect("data").expect("more")).expect("text"),
        );
    }
    assert!(text.starts_with("event: welcome\n"), "{text}");
    assert!(server.app.link.send(device.id, order()));
    assert_eq!(answer.chunk().await.expect("data").expect("an event"), SESSION.as_bytes());
    server.app.link.disconnect(device.id, None);
    while let Some(rest) = answer.chunk().await.expect("a clean end") {
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[tokio::test]
async fn a_newer_stream_closes_the_older() {
    let server = TestApp::start().await;
    let device = server.device().await;
    let mut first = server.events(&device).await;
    let mut second = server.events(&device).await;
    assert_eq!(read_to_close(&mut first).await, "0\r\n\r\n");
    assert!(server.app.link.send(device.id, order()));
    assert_eq!(read_until(&mut second, "\n\n\r\n").await, chunk(SESSION));
}

#[tokio::test]
async fn strangers_get_an_answer_in_words() {
    let server = TestApp::start().await;
    let device = server.device().await;
    let foreign = device.request().replace(device.token.expose(), &format!("rpdev_{}", "1".repeat(24)));
    let cases = [
        (foreign, "401", "invalid_token"),
        (device.request().replace("Authorization", "X-Nothing"), "401", "missing_token"),
        (device.request().replace("Bearer", "Basic"), "401", "missing_token"),
        (device.request().replace(device.token.expose(), "rpdev_short"), "401", "invalid_token"),
        (device.request().replace("?channel=DeviceChannel", ""), "400", "DeviceChannel"),
        (device.request().replace("GET", "POST"), "405", "method_not_allowed"),
    ];
    for (request, status, word) in cases {
        let mut stream = server.connect(&[]).await;
        let request = request.replace("Accept:", "Connection: close\r\nAccept:");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = read_to_close(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word), "{answer}");
    }
    assert!(!server.app.link.is_online(device.id));
}

#[tokio::test]
async fn presence_lasts_for_the_grace_and_is_told() {
    let server = TestApp::with(false, |config| config.online_grace = Duration::from_millis(200)).await;
    let device = server.device().await;
    let mut changes = server.app.live.subscribe();
    let mut next =
        async || tokio::time::timeout(SHORT, changes.recv()).await.expect("in time").expect("told");
    let expected = Change { account: device.account, device: Some(device.id) };
    let stream = server.events(&device).await;
    assert_eq!(next().await, expected);
    assert!(server.app.link.is_online(device.id));
    drop(stream);
    assert_eq!(next().await, expected);
    assert!(!server.app.link.is_online(device.id));
    let seen = server.app.store.device_anywhere(device.id).await.expect("an answer").expect("the device");
    assert_eq!(seen.last_seen_at, Some(bramble_model::Clock::now(&*server.clock)));
}

#[tokio::test]
async fn pings_keep_coming() {
    let server = TestApp::with(false, |config| config.ping_interval = Duration::from_millis(50)).await;
    let device = server.device().await;
    let mut stream = server.events(&device).await;
    let ping = chunk("event: ping\ndata: {\"type\":\"ping\",\"message\":1795348800}\n\n");
    for _ in 0..3 {
        assert_eq!(read_until(&mut stream, "\n\n\r\n").await, ping);
    }
}

#[tokio::test]
async fn a_stop_ends_streams_in_order() {
    let server = TestApp::start_tls().await;
    let device = server.device().await;
    let mut stream = server.events(&device).await;
    let read = tokio::spawn(async move { read_to_close(&mut stream).await });
    server.stop().await;
    assert_eq!(read.await.expect("read"), "0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let server = TestApp::with(false, |config| config.ping_interval = Duration::from_millis(20)).await;
    let device = server.device().await;
    let stream = server.events(&device).await;
    // Orders until the system's buffers and ours are full.
    eventually("the stream is given up", SHORT, async || {
        while server.app.link.send(device.id, order()) {}
        (server.app.link.open_streams() == 0).then_some(())
    })
    .await;
    drop(stream);
}
