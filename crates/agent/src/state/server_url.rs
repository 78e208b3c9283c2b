//! Which server this device belongs to.

use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};
use url::{Host, Url};

/// The compiled-in default; a distributor sets it at build time.
const COMPILED_IN: Option<&str> = option_env!("BRAMBLE_DEFAULT_SERVER");
/// Names the server where `--server` does not.
pub const VARIABLE: &str = "RPI_CONNECT_SERVER";

/// The origin of a server: `https://connect.example.org`, without anything after it. Plain HTTP only on
/// this very machine, because a token travels in every request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(Url);

/// Why a text is no server address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL at all, or one with more than an origin.
    #[error("\"{0}\" is not a server address; write it like https://connect.example.org")]
    Malformed(String),
    /// Would send the token in clear.
    #[error("\"{0}\" is not encrypted; use https:// (http:// is accepted on this machine only)")]
    Unencrypted(String),
    /// Nobody named one.
    #[error(
        "no server is configured; name it with rpi-connect signin --server https://…, \
         in RPI_CONNECT_SERVER or in /etc/rpi-connect/config.toml"
    )]
    Missing,
    /// The configuration file cannot be used.
    #[error("{path} cannot be used: {why}")]
    Configuration {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ServerUrl {
    /// Reads an address. A bare host name means https.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let malformed = || ServerUrlError::Malformed(text.chars().take(255).collect());
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text).map_err(|_| malformed())?
        } else {
            Url::parse(&format!("https://{text}")).map_err(|_| malformed())?
        };
        let only_an_origin = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path() == "/"
            && url.host().is_some();
        if !only_an_origin {
            return Err(malformed());
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_this_machine(&url) => Ok(Self(url)),
            "http" => Err(ServerUrlError::Unencrypted(text.to_owned())),
            _ => Err(malformed()),
        }
    }

    /// `https://host[:port]`, as requests are signed with and people see it.
    pub fn origin(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// `host[:port]`, for the `Host` header.
    pub fn authority(&self) -> &str {
        self.origin().split_once("://").map_or("", |(_, rest)| rest)
    }

    /// The host without brackets, to look up.
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => String::new(),
        }
    }

    /// The port, given or implied.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Whether it is spoken to over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;
    fn try_from(text: String) -> Result<Self, ServerUrlError> {
        Self::parse(&text)
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.origin().to_owned()
    }
}

/// `/etc/rpi-connect/config.toml`.
#[derive(Debug, Default, Deserialize)]
struct Configuration {
    /// The server to sign in to.
    server: Option<String>,
    /// A file with the only authority to trust for it.
    ca: Option<std::path::PathBuf>,
    /// A file with the private key of the machine's identity.
    identity: Option<std::path::PathBuf>,
}

impl Configuration {
    fn read(root: &Path) -> Result<(Self, std::path::PathBuf), ServerUrlError> {
        let path = root.join("etc/rpi-connect/config.toml");
        let read = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| unusable(&path, e.message().to_owned()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(unusable(&path, error.to_string())),
        };
        Ok((read, path))
    }
}

fn unusable(path: &Path, why: String) -> ServerUrlError {
    ServerUrlError::Configuration { path: path.display().to_string(), why }
}

/// The file with the machine's private key, if the administrator of the machine named one.
pub fn configured_identity(root: &Path) -> Result<Option<std::path::PathBuf>, ServerUrlError> {
    Ok(Configuration::read(root)?.0.identity)
}

/// What the administrator of the machine chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The server.
    pub server: ServerUrl,
    /// PEM of the only authority to trust.
    pub ca: Option<String>,
}

/// The server to sign in to when nobody named one: environment, then `/etc/rpi-connect/config.toml`
/// below `root`, then the compiled-in default.
pub fn configured_server(environment: Option<&str>, root: &Path) -> Result<Configured, ServerUrlError> {
    let (file, path) = Configuration::read(root)?;
    let ca = match file.ca {
        Some(ca) => Some(
            std::fs::read_to_string(&ca)
                .map_err(|error| unusable(&path, format!("{}: {error}", ca.display())))?,
        ),
        None => None,
    };
    let environment = environment.filter(|text| !text.trim().is_empty());
    let text = environment.or(file.server.as_deref()).or(COMPILED_IN).ok_or(ServerUrlError::Missing)?;
    Ok(Configured { server: ServerUrl::parse(text)?, ca })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_origin() {
        for (text, origin) in [
            ("https://pi.example/", "https://pi.example"),
            ("pi.example", "https://pi.example"),
            ("https://pi.example:443", "https://pi.example"),
            ("https://PI.example:8443", "https://pi.example:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(ServerUrl::parse(text).expect(text).origin(), origin);
        }
        assert_eq!(ServerUrl::parse("https://[::1]:9").expect("v6").host(), "::1");
    }

    #[test]
    fn what_would_leak_a_token_is_refused() {
        assert!(matches!(ServerUrl::parse("http://pi.example"), Err(ServerUrlError::Unencrypted(_))));
        for text in
            ["", "https://", "ftp://x", "https://u:p@x", "https://x/path", "https://x/?a", "https://x/#a"]
        {
            assert!(matches!(ServerUrl::parse(text), Err(ServerUrlError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn environment_comes_before_the_file() {
        let root = tempfile::tempdir().expect("a folder");
        let none = configured_server(None, root.path());
        assert!(COMPILED_IN.is_some() || none == Err(ServerUrlError::Missing), "{none:?}");
        std::fs::create_dir_all(root.path().join("etc/rpi-connect")).expect("folder");
        std::fs::write(
            root.path().join("etc/rpi-connect/config.toml"),
            "server = \"https://file.example\"\n",
        )
        .expect("file");
        let from = |environment| configured_server(environment, root.path()).expect("a server").server;
        assert_eq!(from(None).origin(), "https://file.example");
        assert_eq!(from(Some("https://env.example")).origin(), "https://env.example");
        std::fs::write(root.path().join("etc/rpi-connect/config.toml"), "server = [").expect("file");
        assert!(matches!(configured_server(None, root.path()), Err(ServerUrlError::Configuration { .. })));
    }
}
