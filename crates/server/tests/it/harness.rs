//! A server inside the test's process, on free ports and an empty folder, with its clock in hand.

use bramble_model::tags::Tags;
use bramble_model::text;
use bramble_model::{ManualClock, OsRandom, Random, Secret, SecretKind};
use bramble_server::app::{App, Ctx, Server};
use bramble_server::config::{Config, TlsFiles};
use bramble_server::front_door::Listeners;
use bramble_store::devices::NewDevice;
use bramble_store::users::NewUser;
use bramble_testkit::{Authority, SHORT};
use bramble_wire::{AccountId, DeviceId};
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use time::macros::datetime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// A running server.
pub struct TestApp {
    /// What it serves.
    pub app: Ctx,
    /// Its time.
    pub clock: Arc<ManualClock>,
    /// Its authority, with TLS.
    pub authority: Option<Authority>,
    server: Server,
    _folder: TempDir,
}

/// A linked device.
pub struct Linked {
    /// Which.
    pub id: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// Its token.
    pub token: Secret,
}

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl TestApp {
    /// Plain HTTP.
    pub async fn start() -> Self {
        Self::with(false, |_| {}).await
    }

    /// HTTPS.
    pub async fn start_tls() -> Self {
        Self::with(true, |_| {}).await
    }

    /// With other settings.
    pub async fn with(tls: bool, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = tls.then(|| Authority::new(folder.path()));
        let scheme = if tls { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://localhost")).expect("a URL");
        let mut config = Config::new(folder.path().join("data"), url);
        config.tls = authority.as_ref().map(|a| TlsFiles { cert: a.cert.clone(), key: a.key.clone() });
        change(&mut config);
        let listeners = Listeners::bind(&config).await.expect("free ports");
        config.public_url.set_port(Some(listeners.address().port())).expect("a port");
        let clock = Arc::new(ManualClock::at(datetime!(2026-11-22 12:00 UTC)));
        let app = App::build(config, clock.clone(), Arc::new(OsRandom)).await.expect("it builds");
        let server = Server::start(Arc::clone(&app), listeners).expect("it serves");
        Self { app, clock, authority, server, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.front_door.address()
    }

    /// Everything that listens.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Stops it.
    pub async fn stop(self) {
        timeout(SHORT, self.server.shutdown()).await.expect("it stops in time");
    }

    /// An address below its own.
    pub fn url(&self, path: &str) -> String {
        self.app.config.url(path)
    }

    /// A client for it.
    pub fn http(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(SHORT);
        let certificates = self.authority.iter().map(|authority| {
            let pem = std::fs::read(&authority.ca).expect("the authority's file");
            reqwest::Certificate::from_pem(&pem).expect("a certificate")
        });
        builder.tls_certs_only(certificates).build().expect("a client")
    }

    /// A connection, after TLS if it speaks that. `protocols` are offered in its handshake.
    pub async fn connect(&self, protocols: &[&[u8]]) -> Box<dyn Stream> {
        let stream = TcpStream::connect(self.address()).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let Some(authority) = &self.authority else { return Box::new(stream) };
        let mut config = (*authority.client()).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        Box::new(connector.connect(name, stream).await.expect("a handshake"))
    }

    /// A device of a new person, written into the store.
    pub async fn device(&self) -> Linked {
        let random: &dyn Random = &OsRandom;
        let at = bramble_model::Clock::now(&*self.clock);
        let account: AccountId = random.id();
        let email = format!("{account}@example.org");
        let tx = self.app.store.begin().await.expect("a transaction");
        let user = NewUser {
            id: random.id(),
            account,
            email_folded: text::email(&email).expect("an address"),
            email,
            name: "Ada".to_owned(),
            password_hash: None,
            is_operator: false,
            verified_at: Some(at),
            created_at: at,
        };
        assert!(tx.insert_user(user).await.expect("a person"));
        let token = Secret::generate(SecretKind::DeviceToken, random);
        let id: DeviceId = random.id();
        let device = NewDevice {
            tags: Tags::default(),
            id,
            account,
            name: "kiosk".to_owned(),
            serial_number: "10000000abcdef01".to_owned(),
            hostname: None,
            board_model: None,
            token: Some(token.hash()),
            at,
        };
        tx.insert_device(device).await.expect("a device");
        tx.commit().await.expect("committed");
        Linked { id, account, token }
    }

    /// An open event stream, right after its confirmation.
    pub async fn events(&self, device: &Linked) -> Box<dyn Stream> {
        let mut stream = self.connect(&[]).await;
        stream.write_all(device.request().as_bytes()).await.expect("sent");
        let text = read_until(&mut stream, "DeviceChannel\\\"}\"}\n\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        stream
    }
}

impl Linked {
    /// The request of existing clients.
    pub fn request(&self) -> String {
        format!(
            "GET /events?channel=DeviceChannel HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Accept: text/event-stream\r\n\r\n",
            self.token.expose()
        )
    }
}

/// Reads until a text ends what came.
pub async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let so_far = String::from_utf8_lossy(&read).into_owned();
        let byte = timeout(SHORT, stream.read_u8()).await;
        let byte = byte.unwrap_or_else(|_| panic!("waited for {end:?} after {so_far:?}"));
        read.push(byte.unwrap_or_else(|error| panic!("{error} instead of {end:?} after {so_far:?}")));
    }
    String::from_utf8(read).expect("text")
}

/// Everything until the other end closes; an abrupt end counts as one.
pub async fn read_to_close(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    let closed = timeout(SHORT, async {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
            read.extend_from_slice(&bytes[..length]);
        }
    });
    closed.await.expect("the connection is closed");
    String::from_utf8_lossy(&read).into_owned()
}
