//! Configuration: flags, then environment, then file, then defaults that work.
//!
//! [`settings`] lists every setting once, with its help and default; [`layers`] finds out which layer
//! a value comes from; [`validate`] turns the texts into a [`Config`] or into problems in plain words.
//! To add a setting: a line in `settings::ALL`, a field here, and its reading in `validate`.

pub mod check;
pub mod layers;
pub mod providers;
pub mod settings;
mod validate;

pub use layers::{Source, Values};
pub use validate::Problem;

use bramble_store::Target;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The validated configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder with database, secrets and socket.
    pub data: PathBuf,
    /// Where people and devices reach the server; its path is `/`.
    pub public_url: Url,
    /// Who may sign up.
    pub registration: Registration,
    /// Proxies whose last `X-Forwarded-For` hop counts.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Where the data is.
    pub database: Target,
    /// The main listener: HTTPS with [`Self::tls`], else plain HTTP behind a proxy.
    pub listen: SocketAddr,
    /// Certificate and key of the main listener.
    pub tls: Option<TlsFiles>,
    /// Plain HTTP: `/up` and a redirect to HTTPS.
    pub http_listen: Option<SocketAddr>,
    /// Prometheus metrics, for the operator's network only.
    pub metrics_listen: Option<SocketAddr>,
    /// The master key, if it is not `DIR/secrets/master.key`.
    pub master_key_file: Option<PathBuf>,
    /// The embedded relay; `None` when it is off.
    pub relay: Option<RelayConfig>,
    /// OpenID Connect providers that people may sign in with.
    pub providers: Vec<providers::Provider>,
    /// How mail leaves; `None`: the operator reads it with `bramble mail`.
    pub smtp_url: Option<Hidden>,
    /// The sender of every mail.
    pub mail_from: Option<String>,
    /// Which networks are in which country, if it is not the installed database.
    pub country_database: Option<PathBuf>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Time between two pings of a device stream.
    pub ping_interval: Duration,
    /// How long a device that lost its stream still counts as online.
    pub online_grace: Duration,
    /// Bounds on what a stranger may cost.
    pub limits: Limits,
}

impl Config {
    /// Defaults for everything that has one: SQLite in `data`, any free port on loopback, no relay.
    pub fn new(data: impl Into<PathBuf>, public_url: Url) -> Self {
        let data = data.into();
        Self {
            database: Target::Sqlite(sqlite_file(&data)),
            data,
            public_url,
            registration: Registration::default(),
            trusted_proxies: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            http_listen: None,
            metrics_listen: None,
            master_key_file: None,
            relay: None,
            providers: Vec::new(),
            smtp_url: None,
            mail_from: None,
            country_database: None,
            log_format: LogFormat::default(),
            ping_interval: Duration::from_secs(25),
            online_grace: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }

    /// Whether browsers reach the server over HTTPS, here or at a proxy.
    pub fn https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Whether every page must warn that passwords travel in the clear.
    pub fn insecure_http(&self) -> bool {
        !self.https() && !is_loopback(&self.public_url)
    }

    /// The public URL without its trailing slash: `https://pi.example`.
    pub fn origin(&self) -> String {
        self.public_url.as_str().trim_end_matches('/').to_owned()
    }

    /// An absolute URL below the public one. `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// The folder with secrets.
    pub fn secrets(&self) -> PathBuf {
        self.data.join("secrets")
    }

    /// The operator's socket.
    pub fn admin_socket(&self) -> PathBuf {
        admin_socket(&self.data)
    }
}

/// The operator's socket of a data folder.
pub fn admin_socket(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// The SQLite file of a data folder.
pub fn sqlite_file(data: &Path) -> PathBuf {
    data.join("bramble.db")
}

/// Whether a URL names this very machine, where plain HTTP crosses no network.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Certificate chain and private key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// The embedded relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// STUN and TURN over UDP.
    pub udp: SocketAddr,
    /// TURN over TCP.
    pub tcp: SocketAddr,
    /// TURN over TLS on a port of its own; on the HTTPS port it is always there.
    pub tls: Option<SocketAddr>,
    /// The address that others reach this relay at, when it is not the one it is bound to.
    pub public_ip: Option<IpAddr>,
    /// Ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Bytes per second that each side of a session may relay, each way.
    pub rate: u64,
    /// Private networks that may be relayed to.
    pub allow: Vec<ipnet::IpNet>,
}

/// Who may sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// Only whom somebody invited.
    #[default]
    Invitation,
    /// Anybody with an address.
    Open,
    /// Nobody.
    Closed,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// A text with a password in it: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

/// Bounds on what a stranger may cost. Settings only for tests, but for two: the defaults are the product's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once, whatever they speak.
    pub connections: usize,
    /// Of those, from one IPv4 address or one IPv6 /64 that is neither a trusted proxy nor this machine,
    /// without the streams of linked devices. A setting: only the operator knows who shares an address.
    pub connections_per_address: usize,
    /// A TLS handshake takes no longer.
    pub handshake: Duration,
    /// A request's head arrives within this time, and so does the next request on an idle connection.
    pub head: Duration,
    /// A request's body arrives within this time.
    pub body: Duration,
    /// A client takes some of an answer within this time.
    pub write_stall: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body, unless the route says less.
    pub body_bytes: usize,
    /// Live streams of one browser session.
    pub live_streams: usize,
    /// Requests of one management API token in an hour of the clock; 0 counts nothing. A setting.
    pub api_requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The files a process may open are raised to the system's bound at start; see lifecycle.
            connections: 60_000,
            // Thousands of devices behind one router come back at once after a restart.
            connections_per_address: 4_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            body: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            head_bytes: 16 * 1024,
            // An offer is 64 KiB of SDP, which JSON may double.
            body_bytes: 256 * 1024,
            live_streams: 12,
            api_requests: 5_000,
        }
    }
}
