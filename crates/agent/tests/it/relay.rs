//! Sessions through a relay: Debian's coturn, over each transport.

use crate::peer::Order;
use crate::visit::{PATIENCE, Visit, settings};
use base64::Engine as _;
use bramble_wire::signalling::{IceServer, Path};
use hmac::{Hmac, KeyInit, Mac};
use rustls::pki_types::CertificateDer;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{Message, MessageWrite, MessageWriteExt, MessageWriteVec};

const SECRET: &str = "a secret that coturn and the test share";

struct Coturn {
    process: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    certificate: CertificateDer<'static>,
    _folder: TempDir,
}

impl Coturn {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert_file, key.cert.pem()).expect("written");
        std::fs::write(&key_file, key.signing_key.serialize_pem()).expect("written");
        let (plain, tls) = (free_address(), free_address());
        let process = Command::new("turnserver")
            .args(["-n", "--no-cli", "--use-auth-secret", "--realm=bramble", "--allow-loopback-peers"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--log-file=stdout", "--no-dtls"])
            .arg(format!("--static-auth-secret={SECRET}"))
            .arg(format!("--listening-port={}", plain.port()))
            .arg(format!("--tls-listening-port={}", tls.port()))
            .arg(format!("--cert={}", cert_file.display()))
            .arg(format!("--pkey={}", key_file.display()))
            .arg(format!("--pidfile={}", folder.path().join("pid").display()))
            .arg(format!("--userdb={}", folder.path().join("db").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed (Debian package coturn)");
        let this = Self { process, plain, tls, certificate: key.cert.der().clone(), _folder: folder };
        let listens = async {
            while TcpStream::connect(plain).await.is_err() || TcpStream::connect(tls).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("coturn listens");
        this
    }

    fn server(urls: Vec<String>) -> IceServer {
        // In the year 2036; coturn compares with 32 bits.
        let username = "2100000000:01234567-89ab-4cde-8f01-23456789abcd:d".to_owned();
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).expect("any length");
        mac.update(username.as_bytes());
        let credential = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        IceServer { urls, username: Some(username), credential: Some(credential) }
    }

    fn trust(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free for both transports.
fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// A shell through the relay at this URL: keys, much output, and the end.
async fn works_through(coturn: &Coturn, urls: Vec<String>) {
    let mut settings = settings();
    settings.relay_only = true;
    settings.turn_tls = Some(coturn.trust());
    let mut visit = Visit::begin(settings, vec![Coturn::server(urls)]).await;
    visit.start().await;
    assert_eq!(visit.connected(), Some(Path::Relayed));
    visit.type_in("seq 200000; echo al''l; exit 3\n");
    visit.until("all output", |it| it.screen.contains("200000\r\nall")).await;
    assert_eq!(visit.until_ended().await, "The shell ended with status 3.");
}

#[tokio::test]
async fn a_session_goes_through_a_relay_over_udp() {
    let coturn = Coturn::start().await;
    works_through(&coturn, vec![format!("turn:{}?transport=udp", coturn.plain)]).await;
}

#[tokio::test]
async fn a_session_goes_through_a_relay_over_tcp() {
    let coturn = Coturn::start().await;
    works_through(&coturn, vec![format!("turn:{}?transport=tcp", coturn.plain)]).await;
}

#[tokio::test]
async fn a_session_goes_through_a_relay_over_tls() {
    let coturn = Coturn::start().await;
    works_through(&coturn, vec![format!("turns:{}?transport=tcp", coturn.tls)]).await;
}

#[tokio::test]
async fn where_udp_is_blocked_the_next_transport_is_used() {
    let coturn = Coturn::start().await;
    let deaf = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let udp = format!("turn:{}?transport=udp", deaf.local_addr().expect("an address"));
    works_through(&coturn, vec![udp, format!("turn:{}?transport=tcp", coturn.plain)]).await;
}

#[tokio::test]
async fn a_direct_path_is_preferred_and_the_relay_offered_as_well() {
    let coturn = Coturn::start().await;
    let server = Coturn::server(vec![format!("turn:{}?transport=udp", coturn.plain)]);
    let mut visit = Visit::begin(settings(), vec![server]).await;
    visit.start().await;
    assert_eq!(visit.connected(), Some(Path::Direct));
    visit.until("the relayed candidate", |it| it.candidates.len() == 1).await;
}

/// Behind a network address translation, which loopback is not: answers with an address of the outside.
async fn answer_from_outside(socket: tokio::net::UdpSocket, outside: SocketAddr) {
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.expect("a datagram");
        let request = Message::from_bytes(&buffer[..length]).expect("a STUN message");
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        let mapped = XorMappedAddress::new(outside, request.transaction_id());
        answer.add_attribute(&mapped).expect("room");
        socket.send_to(&answer.finish(), from).await.expect("sent");
    }
}

#[tokio::test]
async fn the_address_that_a_stun_server_sees_is_offered() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let url = format!("stun:{}", socket.local_addr().expect("an address"));
    let outside = SocketAddr::from(([198, 51, 100, 7], 4242));
    let server = tokio::spawn(answer_from_outside(socket, outside));
    let stun = IceServer { urls: vec![url], username: None, credential: None };
    let mut visit = Visit::begin(settings(), vec![stun]).await;
    visit.until("the candidate", |it| !it.candidates.is_empty()).await;
    let candidate = &visit.candidates[0];
    assert!(candidate.contains(" 198.51.100.7 4242 typ srflx"), "{candidate}");
    server.abort();
}

#[tokio::test]
async fn a_relay_that_does_not_know_us_or_whose_certificate_is_strange_gives_no_session() {
    let coturn = Coturn::start().await;
    let mut stranger = Coturn::server(vec![format!("turn:{}?transport=udp", coturn.plain)]);
    stranger.credential = Some("d3Jvbmc=".to_owned());
    let untrusted = Coturn::server(vec![format!("turns:{}", coturn.tls)]);
    let other = Coturn::start().await;
    for server in [stranger, untrusted] {
        let mut settings = settings();
        settings.relay_only = true;
        settings.turn_tls = Some(other.trust());
        settings.connect_timeout = Duration::from_secs(2);
        let mut visit = Visit::begin(settings, vec![server]).await;
        visit.peer.order(Order::Draw(true));
        assert_eq!(visit.until_ended().await, "The browser could not be reached.");
        assert!(visit.candidates.is_empty());
    }
}
