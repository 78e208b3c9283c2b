//! Finding the servers of an offer: URLs, names, connections. What takes time runs in tasks of its own.

use bramble_wire::signalling::IceServer;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Most URLs of one offer that are followed.
const MOST_SERVERS: usize = 8;
/// Most host addresses; a machine full of bridges has dozens.
const MOST_ADDRESSES: usize = 8;
/// Name, connection and TLS handshake together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Head start of each relay transport before the next, worse one: UDP, TCP, TLS.
const HEAD_START: Duration = Duration::from_millis(750);

/// A connection to a relay.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// For a relay. Not `Debug`: a secret.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) credential: String,
}

/// A server that can be spoken to.
pub(crate) enum Found {
    Stun(SocketAddr),
    TurnUdp { server: SocketAddr, login: Login },
    TurnStream { stream: Box<dyn Stream>, local: SocketAddr, server: SocketAddr, login: Login },
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stun(_) => "Stun",
            Self::TurnUdp { .. } => "TurnUdp",
            Self::TurnStream { .. } => "TurnStream",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    Stun,
    TurnUdp,
    TurnTcp,
    TurnTls,
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Runs until dropped; what it finds comes out of the receiver.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) found: mpsc::Receiver<Found>,
    _tasks: JoinSet<()>,
}

impl Gathering {
    pub(crate) fn start(servers: &[IceServer], tls: Option<&Arc<rustls::ClientConfig>>) -> Self {
        let (sender, found) = mpsc::channel(MOST_SERVERS);
        let mut tasks = JoinSet::new();
        let mut wanted: Vec<(Address, Option<Login>)> = Vec::new();
        for server in servers {
            let login = server.username.clone().zip(server.credential.clone());
            let login = login.map(|(username, credential)| Login { username, credential });
            let known = server.urls.iter().filter_map(|url| parse(url));
            wanted.extend(known.map(|address| (address, login.clone())));
        }
        wanted.sort_by_key(|(address, _)| address.scheme);
        wanted.truncate(MOST_SERVERS);
        let best = wanted.iter().map(|(address, _)| address.scheme).find(|it| *it != Scheme::Stun);
        for (address, login) in wanted {
            let steps = match best {
                Some(best) if address.scheme > best => address.scheme as u32 - best as u32,
                _ => 0,
            };
            let (sender, tls) = (sender.clone(), tls.cloned());
            tasks.spawn(async move {
                tokio::time::sleep(HEAD_START * steps).await;
                let scheme = address.scheme;
                match tokio::time::timeout(PATIENCE, reach(address, login, tls)).await {
                    // The session may be over.
                    Ok(Ok(found)) => drop(sender.send(found).await),
                    Ok(Err(error)) => tracing::debug!(?scheme, %error, "server not usable"),
                    Err(_) => tracing::debug!(?scheme, "server not reached in time"),
                }
            });
        }
        Self { found, _tasks: tasks }
    }
}

async fn reach(
    address: Address,
    login: Option<Login>,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> io::Result<Found> {
    let server = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await?
        .min_by_key(SocketAddr::is_ipv6)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    if address.scheme == Scheme::Stun {
        return Ok(Found::Stun(server));
    }
    let login = login.ok_or_else(|| io::Error::other("a relay needs a name and a credential"))?;
    if address.scheme == Scheme::TurnUdp {
        return Ok(Found::TurnUdp { server, login });
    }
    let tcp = TcpStream::connect(server).await?;
    tcp.set_nodelay(true)?;
    let local = tcp.local_addr()?;
    let stream: Box<dyn Stream> = if address.scheme == Scheme::TurnTls {
        let tls = tls.ok_or_else(|| io::Error::other("TLS is not configured"))?;
        let name = ServerName::try_from(address.host).map_err(io::Error::other)?;
        Box::new(tokio_rustls::TlsConnector::from(tls).connect(name, tcp).await?)
    } else {
        Box::new(tcp)
    };
    Ok(Found::TurnStream { stream, local, server, login })
}

/// `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]`, `turns:host[:port][?transport=tcp]`.
fn parse(url: &str) -> Option<Address> {
    let (scheme, rest) = url.split_once(':')?;
    let (authority, transport) = match rest.split_once('?') {
        Some((authority, query)) => (authority, query.strip_prefix("transport=")),
        None => (rest, None),
    };
    let (scheme, default_port) = match (scheme, transport) {
        ("stun", None) => (Scheme::Stun, 3478),
        ("turn", None | Some("udp")) => (Scheme::TurnUdp, 3478),
        ("turn", Some("tcp")) => (Scheme::TurnTcp, 3478),
        ("turns", None | Some("tcp")) => (Scheme::TurnTls, 5349),
        _ => return None,
    };
    let (host, port) = split_port(authority)?;
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => default_port,
    };
    (!host.is_empty()).then(|| Address { scheme, host: host.to_owned(), port })
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// The addresses to offer.
pub(crate) fn host_addresses() -> Vec<IpAddr> {
    // Without interfaces there is still loopback.
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    choose(interfaces.filter_map(|interface| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    }))
}

/// All usable ones; those of loopback when there is nothing else.
fn choose(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    for address in addresses.filter(|address| is_offerable(*address)) {
        if !chosen.contains(&address) && chosen.len() < MOST_ADDRESSES {
            chosen.push(address);
        }
    }
    if chosen.is_empty() {
        chosen = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    chosen
}

fn is_offerable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified(),
        // A link-local address means nothing without the interface it belongs to.
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unspecified() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(scheme: Scheme, host: &str, port: u16) -> Address {
        Address { scheme, host: host.to_owned(), port }
    }

    #[test]
    fn urls_are_understood() {
        assert_eq!(parse("stun:192.0.2.1:3478"), Some(address(Scheme::Stun, "192.0.2.1", 3478)));
        assert_eq!(parse("stun:example.org"), Some(address(Scheme::Stun, "example.org", 3478)));
        assert_eq!(parse("turn:[2001:db8::1]:99"), Some(address(Scheme::TurnUdp, "2001:db8::1", 99)));
        assert_eq!(parse("turn:a?transport=tcp"), Some(address(Scheme::TurnTcp, "a", 3478)));
        assert_eq!(parse("turns:a:443?transport=tcp"), Some(address(Scheme::TurnTls, "a", 443)));
    }

    #[test]
    fn what_is_no_server_is_passed_over() {
        for url in [
            "",
            "turn:",
            "http://a",
            "turn:a:notaport",
            "turn:a?transport=smoke",
            "turn:[::1",
            "stun:a:70000",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    fn chosen(addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
        choose(addresses).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_is_offered_only_when_there_is_nothing_else() {
        assert_eq!(
            chosen(&["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "2001:db8::7"]),
            ["192.0.2.7", "2001:db8::7"]
        );
        assert_eq!(chosen(&["127.0.0.1", "::1", "fe80::1"]), ["127.0.0.1", "::1"]);
        assert_eq!(chosen(&[]), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn a_machine_full_of_bridges_offers_a_few() {
        let bridges: Vec<String> = (0..100).map(|it| format!("10.0.{it}.1")).collect();
        let bridges: Vec<&str> = bridges.iter().map(String::as_str).collect();
        assert_eq!(chosen(&bridges).len(), MOST_ADDRESSES);
    }
}
