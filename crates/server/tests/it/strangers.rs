//! What a stranger may cost: time, bytes, connections. And what passes where.

use crate::harness::{TestApp, read_to_close, read_until};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SHORTLY: Duration = Duration::from_millis(150);

fn impatient(config: &mut bramble_server::config::Config) {
    config.limits.head = SHORTLY;
    config.limits.body = SHORTLY;
    config.limits.handshake = SHORTLY;
}

/// Sends one byte after the other, and hands out what came back when the server closed.
async fn drip(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, text: &str) -> String {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for byte in text.bytes().cycle().take(10_000) {
        ticks.tick().await;
        if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    read_to_close(&mut stream).await
}

#[tokio::test]
async fn heads_and_handshakes_that_drip_are_dropped() {
    let plain = TestApp::with(false, impatient).await;
    for text in
        ["GET /events?channel=DeviceChannel HTTP/1.1\r\nX: xxxxxxxx", "GET /up HTTP/1.1\r\nX: xxxxxxx"]
    {
        let answer = drip(plain.connect(&[]).await, text).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    let silent = TcpStream::connect(plain.address()).await.expect("it listens");
    assert_eq!(read_to_close(&mut { silent }).await, "", "says nothing at all");
    let tls = TestApp::with(true, impatient).await;
    let stream = TcpStream::connect(tls.address()).await.expect("it listens");
    drip(stream, "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03").await;
    let again = tls.http().get(tls.url("/up")).send().await.expect("an answer");
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn bodies_that_drip_are_dropped() {
    let server = TestApp::with(false, impatient).await;
    let mut stream = server.connect(&[]).await;
    let head = "POST /client/auth-key-exchange HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = drip(stream, "x").await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = TestApp::start().await;
    for path in ["/up", "/events?channel=DeviceChannel"] {
        let mut stream = server.connect(&[]).await;
        let long = "x".repeat(20_000);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n");
        // The server may stop listening in the middle.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = read_to_close(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let server = TestApp::start().await;
    let request = server.http().post(server.url("/client/token")).header("content-type", "application/json");
    let answer = request.body(vec![b' '; 300 * 1024]).send().await.expect("an answer");
    assert_eq!(answer.status(), 413);
    assert!(answer.text().await.expect("text").contains("payload_too_large"));
}

#[tokio::test]
async fn beyond_the_limit_connections_are_closed_and_room_comes_back() {
    let server = TestApp::with(false, |config| config.limits.connections = 2).await;
    let first = server.connect(&[]).await;
    let mut second = server.connect(&[]).await;
    second.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    read_until(&mut second, "\r\n\r\nup\n").await;
    assert_eq!(read_to_close(&mut server.connect(&[]).await).await, "");
    drop(first);
    bramble_testkit::eventually("there is room again", bramble_testkit::SHORT, async || {
        let mut stream = server.connect(&[]).await;
        let _ = stream.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        read_to_close(&mut stream).await.contains("200 OK").then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_from_other_sites_change_nothing() {
    let server = TestApp::start().await;
    let post = |headers: &'static [(&'static str, &'static str)]| {
        let request = server.http().post(server.url("/sign-out"));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        &[("origin", "https://evil.example")],
    ] {
        let answer = post(headers).send().await.expect("an answer");
        assert_eq!(answer.status(), 403, "{headers:?}");
    }
    let own = post(&[("sec-fetch-site", "same-origin")]).send().await.expect("an answer");
    assert_ne!(own.status(), 403);
    // Devices are no browsers.
    let device = server.http().post(server.url("/client/none")).send().await.expect("an answer");
    assert_eq!(device.status(), 404);
}

#[tokio::test]
async fn the_plain_listener_redirects_and_metrics_stay_apart() {
    let any = Some("127.0.0.1:0".parse().expect("an address"));
    let server = TestApp::with(true, |config| {
        config.http_listen = any;
        config.metrics_listen = any;
    })
    .await;
    let http = server.http();
    let door = &server.server().front_door;
    let plain = format!("http://{}", door.redirect_address().expect("it listens"));
    let up = http.get(format!("{plain}/up")).send().await.expect("an answer");
    assert_eq!(
        (up.status().as_u16(), &up.headers()["x-timestamp"]),
        (200, &"1795348800".parse().expect("text"))
    );
    let moved = http
        .get(format!("{plain}/devices?x=1"))
        .header("host", "evil.example")
        .send()
        .await
        .expect("an answer");
    assert_eq!(moved.status(), 308);
    assert_eq!(moved.headers()["location"].to_str().expect("text"), server.url("/devices?x=1"));

    let secure = http.get(server.url("/up")).send().await.expect("an answer");
    assert!(secure.headers()["strict-transport-security"].to_str().expect("text").contains("max-age"));
    assert_eq!(http.get(server.url("/metrics")).send().await.expect("an answer").status(), 404);
    let metrics = format!("http://{}/metrics", door.metrics_address().expect("it listens"));
    let text = http.get(metrics).send().await.expect("an answer").text().await.expect("text");
    assert!(text.contains("bramble_http_requests_total{route=\"/up\",status=\"200\"} 1\n"), "{text}");
    assert!(text.contains("\nbramble_devices_online 0\n"), "{text}");
}

#[tokio::test]
async fn stun_on_the_https_port_reaches_the_relay() {
    use bramble_server::config::RelayConfig;
    use tokio::io::AsyncReadExt;
    let any = "127.0.0.1:0".parse().expect("an address");
    let relay = RelayConfig {
        udp: any,
        tcp: any,
        tls: None,
        public_ip: None,
        ports: 49152..=49999,
        rate: 12_500_000,
        allow: Vec::new(),
    };
    let server = TestApp::with(true, |config| config.relay = Some(relay)).await;
    // A binding request without attributes.
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend_from_slice(b"twelve bytes");
    for protocols in [&[][..], &[b"http/1.1".as_slice()]] {
        let mut stream = server.connect(protocols).await;
        stream.write_all(&request).await.expect("sent");
        let mut answer = [0; 20];
        tokio::time::timeout(bramble_testkit::SHORT, stream.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!((&answer[..2], &answer[8..]), (&[1, 1][..], &b"twelve bytes"[..]));
    }
    let relaying = server.app.relay.as_ref().expect("it runs");
    let servers = relaying
        .ice_servers(bramble_wire::SessionId(uuid::Uuid::nil()), bramble_relay::credentials::Side::Browser);
    let turn = &servers[1];
    assert!(
        turn.urls
            .iter()
            .any(|url| *url == format!("turns:localhost:{}?transport=tcp", server.address().port()))
    );
    assert_eq!(turn.username.as_deref(), Some("1795349400:00000000-0000-0000-0000-000000000000:b"));
    let device = server.device().await;
    let request = server.http().get(server.url("/client/ice-servers")).bearer_auth(device.token.expose());
    let told: bramble_wire::device_api::IceServers =
        request.send().await.expect("an answer").json().await.expect("servers");
    assert_eq!(told.ice_servers[1].urls, turn.urls);
    assert_eq!(told.ice_servers[1].username, Some(format!("1795349400:{}:d", device.id)));
}

#[tokio::test]
async fn a_stranger_cannot_make_the_server_keep_much() {
    let server = TestApp::start().await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(17 * 1024));
    let http = server.http();
    let post = async |path: &str, token: &str| {
        let request = http.post(server.url(path)).header("content-type", "application/json");
        let request = request.bearer_auth(token).body(large.clone());
        request.send().await.expect("an answer").status().as_u16()
    };
    for path in ["/client/device", "/client/token", "/client/auth-key-exchange"] {
        assert_eq!(post(path, "").await, 413, "{path}");
    }
    let device = server.device().await;
    let sync = "/client/sessions/sync";
    assert_ne!(post(sync, device.token.expose()).await, 413, "a device may say more");
    // Without a right to, nothing of a body is waited for.
    let mut stream = server.connect(&[]).await;
    let head = format!(
        "POST {sync} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer rpdev_x\r\n\
         Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    read_until(&mut stream, "HTTP/1.1 401 Unauthorized").await;
}

#[tokio::test]
async fn proxies_and_this_machine_are_not_one_address() {
    let server = TestApp::with(false, |config| config.limits.connections_per_address = 1).await;
    let mut all = [server.connect(&[]).await, server.connect(&[]).await];
    for stream in &mut all {
        stream.write_all(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        read_until(stream, "\r\n\r\nup\n").await;
    }
}
