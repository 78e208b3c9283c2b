//! One server's client: connections, requests, answers.

use super::{
    sign::Signer,
    tls::{CertificateTime, TlsError, client_config},
};
use crate::state::{SecretText, ServerUrl};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig, pki_types::ServerName};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// For one address of a host; the next one is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the look-up to the end of the handshake.
const SETUP_TIMEOUT: Duration = Duration::from_secs(15);
/// A whole request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: an offer of 64 KiB with every byte escaped twice over.
const MAX_ANSWER: usize = 256 * 1024;
/// Kept connections: an answer, its candidates and a state report travel at once.
const MAX_IDLE: usize = 3;
/// How long they are kept; then they only cost memory on both sides.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// What to send.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// The token, where the endpoint takes one.
    pub token: Option<&'a SecretText>,
    /// JSON, if there is a body.
    pub body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// `Retry-After` in seconds; the form with a date is not used by our server.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Why there is no answer. The words are for people and contain no secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name.
    #[error("the address of {host} cannot be looked up: {source}")]
    Resolve {
        /// Host name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection.
    #[error("{host} cannot be reached: {source}")]
    Connect {
        /// Host name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate is not valid at the time that this device believes it is.
    #[error("the certificate of {host} is not valid at this time; is the clock of this device right?")]
    CertificateTime {
        /// Host name.
        host: String,
    },
    /// The certificate or the handshake.
    #[error("no secure connection to {host}: {why}")]
    Handshake {
        /// Host name.
        host: String,
        /// What rustls said.
        why: String,
    },
    /// TLS cannot be set up at all.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Too slow.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Host name.
        host: String,
    },
    /// Not HTTP, too large, or cut off.
    #[error("{host} gave no proper answer: {why}")]
    Protocol {
        /// Host name.
        host: String,
        /// What went wrong.
        why: String,
    },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Sender = SendRequest<Full<Bytes>>;
type Idle = Arc<Mutex<Vec<(Sender, Instant)>>>;

/// Speaks to one server.
#[derive(Clone)]
pub struct Client {
    server: ServerUrl,
    tls: Option<Arc<ClientConfig>>,
    time: CertificateTime,
    signer: Signer,
    idle: Idle,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

/// An answer that does not end: the event stream.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    /// This end of its connection.
    local: Option<SocketAddr>,
}

impl EventStream {
    /// Whether this machine no longer has the address that the stream was opened from: then nothing comes any
    /// more, and no word of that either.
    pub fn is_stranded(&self) -> bool {
        let bound = self.local.map(|local| UdpSocket::bind(SocketAddr::from((local.ip(), 0))));
        bound.is_some_and(|bound| bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable))
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Client {
    /// A client that trusts `ca` (PEM) or else the system's authorities, and signs with `serial_number`.
    pub fn new(server: ServerUrl, ca: Option<&str>, serial_number: &str) -> Result<Self, TlsError> {
        let time = CertificateTime::default();
        let tls = if server.is_encrypted() { Some(client_config(ca, &time)?) } else { None };
        Ok(Self { server, tls, time, signer: Signer::new(serial_number), idle: Idle::default() })
    }

    /// The server it speaks to.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// What it trusts; `None` without TLS.
    pub fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.clone()
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&self, request: Request<'_>) -> Result<Response, HttpError> {
        self.send_with(request, &[]).await
    }

    /// The same with more headers, which the request signature does not cover.
    pub async fn send_with(
        &self,
        request: Request<'_>,
        more: &[(&str, &str)],
    ) -> Result<Response, HttpError> {
        let mut message = self.message(&request, "application/json");
        for (name, value) in more {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                message.headers_mut().insert(name, value);
            }
        }
        timeout(REQUEST_TIMEOUT, self.exchange(message)).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Opens the event stream on a connection of its own. An answer other than 200 is the `Err` inside.
    pub async fn open_events(
        &self,
        path: &str,
        token: Option<&SecretText>,
    ) -> Result<Result<EventStream, Response>, HttpError> {
        let request = Request { method: Method::GET, path, token, body: None };
        let message = self.message(&request, "text/event-stream");
        let open = async {
            let (mut sender, local) = self.connect().await?;
            let answer = sender.send_request(message).await.map_err(|error| self.protocol(&error))?;
            let (parts, body) = answer.into_parts();
            if parts.status == StatusCode::OK {
                return Ok(Ok(EventStream { body, local }));
            }
            let body = self.collect(body).await?;
            Ok(Err(Response { status: parts.status, headers: parts.headers, body }))
        };
        timeout(REQUEST_TIMEOUT, open).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Asks `GET /up` without TLS for the time, for a board whose clock was never set. True if a time was
    /// learned.
    pub async fn learn_time(&self) -> bool {
        if !CertificateTime::clock_is_unset() {
            return false;
        }
        let host = self.server.host();
        let asked = timeout(REQUEST_TIMEOUT, async {
            let stream = dial(&host, 80).await?;
            let request = Request { method: Method::GET, path: "/up", token: None, body: None };
            let mut sender = self.handshake(Box::new(stream)).await?;
            let answer = sender.send_request(self.message(&request, "*/*")).await;
            answer.map_err(|error| self.protocol(&error))
        });
        let Ok(Ok(answer)) = asked.await else { return false };
        let told = answer.headers().get("x-timestamp").and_then(|v| v.to_str().ok()?.parse().ok());
        told.is_some_and(|seconds| self.time.learn(seconds))
    }

    fn message(&self, request: &Request<'_>, accept: &str) -> http::Request<Full<Bytes>> {
        let body = request.body.clone().unwrap_or_default();
        let url = format!("{}{}", self.server.origin(), request.path);
        // The order of sending is the order of signing.
        let bearer = request.token.map(|token| format!("Bearer {}", token.expose()));
        let mut headers = Vec::with_capacity(3);
        if let Some(bearer) = &bearer {
            headers.push(("Authorization", bearer.as_str()));
        }
        if request.body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        headers.push(("Accept", accept));
        let signature = self.signer.sign(request.method.as_str(), &url, &headers, &body);

        let mut message = http::Request::new(Full::new(Bytes::from(body)));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.path.parse().unwrap_or_default();
        let fields = message.headers_mut();
        let mut put = |name: &str, value: &str, secret: bool| {
            // All names are constants; a value that is no header value (no token ever) is left out.
            let name = http::HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) {
                value.set_sensitive(secret);
                fields.insert(name, value);
            }
        };
        put("Host", self.server.authority(), false);
        for (name, value) in headers {
            put(name, value, name == "Authorization");
        }
        put(bramble_wire::signature::HEADER, &signature, false);
        put("User-Agent", concat!("rpi-connect/", env!("CARGO_PKG_VERSION")), false);
        message
    }

    async fn exchange(&self, message: http::Request<Full<Bytes>>) -> Result<Response, HttpError> {
        let mut message = message;
        // A kept connection may have been closed meanwhile: then nothing was sent, and the request
        // comes back to be sent on another one.
        while let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(message).await {
                Ok(answer) => return self.finish(sender, answer).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => message = unsent,
                    None => return Err(self.protocol(error.error())),
                },
            }
        }
        let (mut sender, _) = self.connect().await?;
        let answer = sender.send_request(message).await.map_err(|error| self.protocol(&error))?;
        self.finish(sender, answer).await
    }

    async fn finish(&self, sender: Sender, answer: http::Response<Incoming>) -> Result<Response, HttpError> {
        let (parts, body) = answer.into_parts();
        let body = self.collect(body).await?;
        self.keep(sender);
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, HttpError> {
        let whole = Limited::new(body, MAX_ANSWER).collect().await;
        whole.map(http_body_util::Collected::to_bytes).map_err(|error| self.protocol(&*error))
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| sender.is_ready() && since.elapsed() < IDLE_TIME);
        idle.pop().map(|(sender, _)| sender)
    }

    fn keep(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= MAX_IDLE {
            return;
        }
        idle.push((sender, Instant::now()));
        if idle.len() == 1 {
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    /// A connection, and this end of it.
    async fn connect(&self) -> Result<(Sender, Option<SocketAddr>), HttpError> {
        let setup = async {
            let host = self.server.host();
            let stream = dial(&host, self.server.port()).await?;
            let local = stream.local_addr().ok();
            let sender = match &self.tls {
                None => self.handshake(Box::new(stream)).await?,
                Some(config) => {
                    let stream = secure(stream, &host, Arc::clone(config)).await?;
                    self.handshake(Box::new(stream)).await?
                }
            };
            Ok((sender, local))
        };
        timeout(SETUP_TIMEOUT, setup).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn handshake(&self, stream: Box<dyn Stream>) -> Result<Sender, HttpError> {
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(64 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.protocol(&error))?;
        tokio::spawn(async move {
            // What ends a connection is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn protocol(&self, error: &(dyn std::error::Error + 'static)) -> HttpError {
        HttpError::Protocol { host: self.server.authority().to_owned(), why: chain(error) }
    }

    fn timed_out(&self) -> HttpError {
        HttpError::Timeout { host: self.server.authority().to_owned() }
    }
}

/// Closes kept connections when their time is over.
async fn sweep(idle: std::sync::Weak<Mutex<Vec<(Sender, Instant)>>>) {
    loop {
        tokio::time::sleep(IDLE_TIME).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_TIME);
        if idle.is_empty() {
            return;
        }
    }
}

/// TLS on a stream, to the host of this name.
pub(crate) async fn secure<S>(
    stream: S,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<S>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| HttpError::Handshake { host: host.to_owned(), why: error.to_string() })?;
    // Boxed, because the handshake's state is large and the connection lives for months.
    Box::pin(TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(|error| tls_failed(host.to_owned(), &error))
}

/// A connection to the first address of a host that answers.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let resolve = |source| HttpError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(resolve)?.collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are single writes that somebody waits for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(HttpError::Connect { host: host.to_owned(), source: last })
}

fn tls_failed(host: String, error: &io::Error) -> HttpError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => HttpError::CertificateTime { host },
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => HttpError::Handshake {
            host,
            why: "its certificate is from an authority that is not trusted here; \
                  name a private one at sign-in with --ca FILE"
                .to_owned(),
        },
        // The variant is rustls-webpki's own, below `Other`; its name is all that can be looked at.
        _ if error.to_string().contains("CaUsedAsEndEntity") => HttpError::Handshake {
            host,
            why: "its certificate is an authority's own; give the server one that the authority signed"
                .to_owned(),
        },
        _ => HttpError::Handshake { host, why: error.to_string() },
    }
}

/// Whether whoever was there said something that is no TLS at all.
pub(crate) fn answered_in_the_clear(error: &HttpError) -> bool {
    matches!(error, HttpError::Handshake { why, .. } if why.contains("InvalidContentType"))
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
