//! Configuration: flags, then environment, then file, then defaults that work.

use std::path::PathBuf;
use url::Url;

/// The validated configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder with database, secrets and socket.
    pub data: PathBuf,
    /// Where people and devices reach the server; no trailing slash.
    pub public_url: Url,
    /// Who may sign up.
    pub registration: Registration,
    /// Proxies whose last `X-Forwarded-For` hop counts.
    pub trusted_proxies: Vec<ipnet::IpNet>,
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
