//! A device that is nothing but the wire protocol: for thousands of them, and for what a real agent
//! would never send.

use crate::{SHORT, TestServer};
use bramble_wire::{
    DeviceId,
    device_api::{AuthKeyExchange, Linked},
    events::ServerEvent,
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// A linked device without a body.
#[derive(Debug, Clone)]
pub struct FakeDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its token.
    pub token: String,
}

impl FakeDevice {
    /// Links one with a key.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn link(server: &TestServer, key: &str, serial_number: &str) -> Self {
        let body = AuthKeyExchange {
            auth_key: key.to_owned(),
            serial_number: serial_number.to_owned(),
            hostname: format!("fake-{serial_number}"),
            client_id: "bramble-testkit".to_owned(),
        };
        let url = format!("{}/client/auth-key-exchange", server.url());
        let answer = server.http().post(url).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());
        let linked: Linked = answer.json().await.expect("a linked device");
        Self { id: linked.device_id, token: linked.access_token }
    }
}

/// How to reach a server without an HTTP library in between.
#[derive(Debug, Clone)]
pub struct Dialer {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Dialer {
    /// To a server.
    pub fn new(server: &TestServer) -> Self {
        Self { address: server.address(), tls: server.authority().map(crate::Authority::client) }
    }

    /// To another address of the same server, such as a proxy's.
    #[must_use]
    pub fn through(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    async fn dial(&self, from: Ipv4Addr) -> io::Result<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((IpAddr::V4(from), 0)))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        // Boxed: the handshake's state is large and not needed afterwards.
        let stream = Box::pin(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await?;
        Ok(Box::new(stream))
    }

    /// Opens a device's event stream and reads until the subscription is confirmed.
    pub async fn events(&self, token: &str) -> io::Result<EventStream> {
        self.events_from(token, Ipv4Addr::LOCALHOST).await
    }

    /// The same from another address of loopback: one address has too few ports for a fleet.
    pub async fn events_from(&self, token: &str, from: Ipv4Addr) -> io::Result<EventStream> {
        let mut stream = self.dial(from).await?;
        let request = format!(
            "GET /events?channel=DeviceChannel HTTP/1.1\r\nHost: localhost:{}\r\n\
             Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n",
            self.address.port()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut events = EventStream { stream, status: 0, unread: Vec::new() };
        events.read_head().await?;
        if events.status == 200 {
            while events.next().await? != ServerEvent::ConfirmSubscription {}
            events.unread.shrink_to_fit();
        }
        Ok(events)
    }
}

/// An open event stream.
pub struct EventStream {
    stream: Box<dyn Stream>,
    /// The status that the server answered with.
    pub status: u16,
    unread: Vec<u8>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("status", &self.status).finish_non_exhaustive()
    }
}

impl EventStream {
    async fn read_head(&mut self) -> io::Result<()> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        self.status = status.ok_or_else(|| io::Error::other(format!("no HTTP answer: {head}")))?;
        Ok(())
    }

    /// The next event. Chunk sizes between events are skipped, as the known clients do.
    pub async fn next(&mut self) -> io::Result<ServerEvent> {
        loop {
            let block = self.until(b"\n\n").await?;
            let text = String::from_utf8_lossy(&block);
            let field = |name: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(name));
            let event = field("data: ").and_then(|data| ServerEvent::parse(field("event: "), data));
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// Waits until the server closes the stream.
    pub async fn closed(&mut self) {
        let mut buffer = [0; 256];
        while matches!(self.stream.read(&mut buffer).await, Ok(length) if length > 0) {}
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                let rest = self.unread.split_off(at + end.len());
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            let length = timeout(SHORT * 6, self.stream.read(&mut buffer)).await??;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend_from_slice(&buffer[..length]);
        }
    }
}
