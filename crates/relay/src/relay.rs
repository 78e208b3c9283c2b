//! The handle: start, hand over a stream, end a session, stop.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::PeerFilter;
use crate::config::{Config, LocalAddresses, StartError, Stats};
use crate::delayed::Room;
use crate::shared::{Counters, RelayedPlaces, Shared, spawn};
use crate::throttle::{StreamCount, Throttle};
use crate::udp::{Purpose, UdpPort};
use crate::{Clock, forward, stream, stun};

/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Nothing that is swept hurts before.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_SECRET: usize = 16;

/// A running relay. Clones are the same relay; it runs until [`Relay::shutdown`].
#[derive(Clone)]
pub struct Relay {
    shared: Arc<Shared>,
    local: Arc<LocalAddresses>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("local", &self.local)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Binds all addresses and serves them. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If an address cannot be bound; then none is served.
    pub fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        if config.secret.len() < SHORTEST_SECRET {
            return Err(StartError::ShortSecret);
        }
        if config.ports.is_empty() || *config.ports.start() == 0 {
            return Err(StartError::NoPorts);
        }
        let Bound { udp, tcp, tls } = Bound::bind(&config)?;
        let local = LocalAddresses {
            udp: udp.iter().map(UdpPort::local).collect(),
            tcp: tcp.iter().filter_map(|it| it.local_addr().ok()).collect(),
            tls: tls.iter().filter_map(|(it, _)| it.local_addr().ok()).collect(),
        };
        let shared = Arc::new(shared(config, clock));
        for port in udp {
            spawn(&shared, forward::serve_listener(Arc::clone(&shared), Arc::new(port)));
        }
        for listener in tcp {
            spawn(&shared, stream::serve_listener(Arc::clone(&shared), listener, None));
        }
        for (listener, tls) in tls {
            spawn(&shared, stream::serve_listener(Arc::clone(&shared), listener, Some(tls)));
        }
        spawn(&shared, sweep(Arc::clone(&shared)));
        Ok(Self { shared, local: Arc::new(local) })
    }

    /// The bound addresses; useful where port 0 was configured.
    pub fn local_addresses(&self) -> &LocalAddresses {
        &self.local
    }

    /// Whether a connection that begins so speaks STUN (RFC 8489 §5: the first two bits are zero, no text begins so).
    /// One byte is enough to tell it from HTTP; the more are given, the more is checked. No bytes: `false`.
    pub fn looks_like_stun(first: &[u8]) -> bool {
        stun::could_be_stun(first)
    }

    /// Serves a stream that someone else accepted, until it ends: a TLS stream of the HTTPS port whose first bytes
    /// [look like STUN](Self::looks_like_stun). Bytes already read must come first out of `stream`.
    pub async fn serve_stream<S>(&self, stream: S, peer: SocketAddr, local: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let served = self.shared.tasks.track_future(stream::serve(&self.shared, stream, peer, local));
        served.await;
    }

    /// Ends the allocations of both sides of a session at once, and lets none of its credentials make another. Returns
    /// how many allocations there were.
    pub fn end_session(&self, session_id: &str) -> usize {
        self.shared.table.end_session(session_id, self.shared.now())
    }

    /// Numbers for `/metrics`.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            allocations: self.shared.table.len(),
            streams: self.shared.streams.total(),
            bytes_from_clients: counters.from_clients.load(Ordering::Relaxed),
            bytes_to_clients: counters.to_clients.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            forbidden: counters.forbidden.load(Ordering::Relaxed),
        }
    }

    /// Closes everything and waits until it is closed. A second call waits too.
    pub async fn shutdown(&self) {
        self.shared.table.close();
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

fn shared(config: Config, clock: Clock) -> Shared {
    let now = Instant::now();
    let listening: Vec<IpAddr> = config
        .udp
        .iter()
        .chain(&config.tcp)
        .chain(config.tls.iter().map(|(address, _)| address))
        .map(SocketAddr::ip)
        .collect();
    let own = listening.iter().chain(&config.own_addresses).chain(&config.public_ip).copied();
    let limits = config.limits;
    Shared {
        clock,
        secret: config.secret,
        filter: PeerFilter::new(config.allow, own),
        places: RelayedPlaces {
            public_ip: config.public_ip,
            listening,
            own: config.own_addresses,
            ports: config.ports,
        },
        table: crate::table::Table::default(),
        throttle: Throttle::new(limits.requests_per_second, limits.request_burst, now),
        streams: StreamCount::new(limits.streams, limits.streams_per_address),
        delayed: Arc::new(Room::new(limits.delayed_bytes_in_all)),
        limits,
        next_stream: AtomicU64::new(0),
        counters: Counters::default(),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }
}

async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        shared.table.sweep(shared.now());
        shared.throttle.sweep(Instant::now());
    }
}

struct Bound {
    udp: Vec<UdpPort>,
    tcp: Vec<TcpListener>,
    tls: Vec<(TcpListener, TlsAcceptor)>,
}

impl Bound {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let failed = |transport, address| move |source| StartError::Listen { transport, address, source };
        let mut bound = Self { udp: Vec::new(), tcp: Vec::new(), tls: Vec::new() };
        for &address in &config.udp {
            let purpose = Purpose::Listener { only_v6: has_v4_twin(address, config.udp.iter()) };
            bound.udp.push(UdpPort::bind(address, purpose).map_err(failed("UDP", address))?);
        }
        for &address in &config.tcp {
            let only_v6 = has_v4_twin(address, config.tcp.iter());
            bound.tcp.push(listen(address, only_v6).map_err(failed("TCP", address))?);
        }
        for (address, tls) in &config.tls {
            let only_v6 = has_v4_twin(*address, config.tls.iter().map(|(address, _)| address));
            let listener = listen(*address, only_v6).map_err(failed("TLS", *address))?;
            bound.tls.push((listener, TlsAcceptor::from(Arc::clone(tls))));
        }
        Ok(bound)
    }
}

/// Whether IPv4 is listed by itself, so that the IPv6 socket must leave it alone.
fn has_v4_twin<'a>(address: SocketAddr, mut all: impl Iterator<Item = &'a SocketAddr>) -> bool {
    all.any(|it| it.is_ipv4() && it.port() == address.port())
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Connections of a former process that are not quite gone must not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
