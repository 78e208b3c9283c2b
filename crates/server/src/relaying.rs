//! The embedded relay, wired: its secret from the sealed settings, its addresses for browsers and
//! devices. What a relay does is the room `bramble-relay`'s business.

use crate::config::{Config, RelayConfig};
use crate::front_door::tls::Certificates;
use crate::start::StartError;
use bramble_model::seal::MasterKey;
use bramble_model::session::RELAY_CREDENTIAL_LIFETIME;
use bramble_model::{Random, SharedClock};
use bramble_relay::credentials::{self, Secret, Side};
use bramble_relay::{Relay, Stats};
use bramble_store::Store;
use bramble_wire::SessionId;
use bramble_wire::signalling::IceServer;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

/// The setting that holds the sealed secret.
const SETTING: &str = "relay-secret";

/// The running relay.
#[derive(Debug)]
pub struct Relaying {
    relay: Relay,
    secret: Secret,
    clock: SharedClock,
    urls: Urls,
    /// Of its own TLS port, if it has one.
    certificates: Option<Certificates>,
}

/// What clients are told.
#[derive(Debug)]
struct Urls {
    stun: String,
    turn: Vec<String>,
}

impl Relaying {
    /// Binds and serves.
    pub async fn start(
        config: &Config,
        relay: &RelayConfig,
        store: &Store,
        key: &MasterKey,
        clock: SharedClock,
        random: &dyn Random,
    ) -> Result<Self, StartError> {
        let secret = Secret::new(secret(store, key, random).await?);
        let tls = match (relay.tls, &config.tls) {
            (Some(address), Some(files)) => Some((address, Certificates::for_relay(files)?)),
            _ => None,
        };
        let relay_config = bramble_relay::Config {
            udp: vec![relay.udp],
            tcp: vec![relay.tcp],
            tls: tls.iter().map(|(address, it)| (*address, it.config())).collect(),
            public_ip: relay.public_ip,
            ports: relay.ports.clone(),
            allow: relay.allow.clone(),
            own_addresses: own_addresses(config.listen.ip()),
            secret: secret.clone(),
            limits: bramble_relay::Limits::at_rate(relay.rate),
        };
        let time = Arc::clone(&clock);
        let now: bramble_relay::Clock = Arc::new(move || u64::try_from(time.unix()).unwrap_or_default());
        let running =
            Relay::start(relay_config, now).map_err(|error| StartError::Relay(error.to_string()))?;
        let urls = Urls::new(config, relay, &running);
        Ok(Self { relay: running, secret, clock, urls, certificates: tls.map(|(_, it)| it) })
    }

    /// Reads certificate and key of its TLS port again.
    pub fn reload(&self) -> Result<(), StartError> {
        self.certificates.as_ref().map_or(Ok(()), Certificates::reload)
    }

    /// What one side of a session is told: STUN, and TURN with a credential of its own.
    pub fn ice_servers(&self, session: SessionId, side: Side) -> Vec<IceServer> {
        let expires = self.clock.now() + RELAY_CREDENTIAL_LIFETIME;
        let expires = u64::try_from(expires.unix_timestamp()).unwrap_or_default();
        let stun = IceServer { urls: vec![self.urls.stun.clone()], username: None, credential: None };
        // A UUID is a session id that every relay accepts.
        let Ok(issued) = credentials::issue(&self.secret, &session.to_string(), side, expires) else {
            return vec![stun];
        };
        let turn = IceServer {
            urls: self.urls.turn.clone(),
            username: Some(issued.username),
            credential: Some(issued.password),
        };
        vec![stun, turn]
    }

    /// Ends what both sides of a session relay, at once, and lets neither begin again.
    pub fn end_session(&self, session: SessionId) {
        self.relay.end_session(&session.to_string());
    }

    /// Serves a stream of the main listener that speaks STUN.
    pub async fn serve_stream<S>(&self, stream: S, peer: SocketAddr, local: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.relay.serve_stream(stream, peer, local).await;
    }

    /// Numbers.
    pub fn stats(&self) -> Stats {
        self.relay.stats()
    }

    /// Where it listens.
    pub fn local_addresses(&self) -> &bramble_relay::LocalAddresses {
        self.relay.local_addresses()
    }

    /// Ends everything.
    pub async fn shutdown(&self) {
        self.relay.shutdown().await;
    }
}

impl Urls {
    fn new(config: &Config, relay: &RelayConfig, running: &Relay) -> Self {
        let bound = running.local_addresses();
        let port = |all: &[SocketAddr], else_: SocketAddr| all.first().unwrap_or(&else_).port();
        let (udp, tcp) = (port(&bound.udp, relay.udp), port(&bound.tcp, relay.tcp));
        let host = host(&config.public_url, relay);
        let mut turn =
            vec![format!("turn:{host}:{udp}?transport=udp"), format!("turn:{host}:{tcp}?transport=tcp")];
        // A certificate is for the name, so TLS never goes by address.
        let name = config.public_url.host_str().unwrap_or("localhost");
        if config.tls.is_some()
            && let Some(port) = config.public_url.port_or_known_default()
        {
            turn.push(format!("turns:{name}:{port}?transport=tcp"));
        }
        if let Some(address) = bound.tls.first() {
            turn.push(format!("turns:{name}:{}?transport=tcp", address.port()));
        }
        Self { stun: format!("stun:{host}:{udp}"), turn }
    }
}

/// The host for STUN and TURN: the operator's word, else the public URL's host; on this machine the
/// address that the relay listens on, because `localhost` may mean the other family.
fn host(public_url: &Url, relay: &RelayConfig) -> String {
    let literal = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    if let Some(ip) = relay.public_ip {
        return literal(ip);
    }
    match public_url.host() {
        Some(url::Host::Domain("localhost")) | None => match relay.udp.ip() {
            ip if !ip.is_unspecified() => literal(ip),
            _ => "127.0.0.1".to_owned(),
        },
        Some(host) => host.to_string(),
    }
}

/// Hexadecimal text, so that an operator can hand it to coturn.
#[expect(clippy::single_match_else, reason = "both ways are of the same weight")]
async fn secret(store: &Store, key: &MasterKey, random: &dyn Random) -> Result<Vec<u8>, StartError> {
    let sealed = match store.setting(SETTING).await? {
        Some(sealed) => sealed,
        None => {
            let fresh = hex::encode(random.bytes::<32>());
            let tx = store.begin().await?;
            let sealed = tx.setting_or(SETTING, key.seal(SETTING, fresh.as_bytes(), random)).await?;
            tx.commit().await?;
            sealed
        }
    };
    key.open(SETTING, &sealed).map_err(|_| StartError::Relay("its secret does not open".to_owned()))
}

/// Addresses of this machine, to which nothing is ever relayed. What cannot be read is left out: only
/// public addresses matter, all others are refused as peers anyway.
fn own_addresses(listen: IpAddr) -> Vec<IpAddr> {
    let mut addresses = vec![listen];
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = None;
    for line in v4.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            addresses.extend(last.take());
        }
    }
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    for line in v6.lines() {
        let mut bytes = [0; 16];
        let word = line.split_whitespace().next().unwrap_or_default();
        if hex::decode_to_slice(word, &mut bytes).is_ok() {
            addresses.push(IpAddr::V6(Ipv6Addr::from(bytes)));
        }
    }
    addresses.retain(|address| !address.is_unspecified());
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_knows_its_own_addresses() {
        let own = own_addresses("0.0.0.0".parse().expect("an address"));
        assert!(own.contains(&"127.0.0.1".parse().expect("an address")), "{own:?}");
    }

    #[test]
    fn hosts_are_what_clients_can_reach() {
        let relay = |listen: &str, public: Option<&str>| RelayConfig {
            udp: listen.parse().expect("an address"),
            tcp: listen.parse().expect("an address"),
            tls: None,
            public_ip: public.map(|ip| ip.parse().expect("an address")),
            ports: 49152..=49999,
            rate: 12_500_000,
            allow: Vec::new(),
        };
        let host = |url: &str, relay: &RelayConfig| super::host(&Url::parse(url).expect("a URL"), relay);
        let any = relay("0.0.0.0:3478", None);
        assert_eq!(host("https://pi.example", &any), "pi.example");
        assert_eq!(host("http://localhost:8080", &any), "127.0.0.1");
        assert_eq!(host("http://localhost:8080", &relay("[::1]:3478", None)), "[::1]");
        assert_eq!(host("https://pi.example", &relay("0.0.0.0:3478", Some("192.0.2.7"))), "192.0.2.7");
        assert_eq!(host("https://[2001:db8::1]", &any), "[2001:db8::1]");
    }
}
