//! What the relay is told at its start.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::credentials::Secret;

/// Where to listen, what to relay, for whom.
#[derive(Clone)]
pub struct Config {
    /// STUN and TURN over UDP (RFC 8656 §3.1; the usual port is 3478). `[::]` serves IPv4 too, unless an IPv4 address
    /// with the same port is listed.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// TURN over TLS on ports of its own. The HTTPS port hands its streams over with [`crate::Relay::serve_stream`].
    pub tls: Vec<(SocketAddr, Arc<rustls::ServerConfig>)>,
    /// The address peers reach the relay at, where it differs from the one it is bound to (behind 1:1 NAT). Without it
    /// the address the client came to is used.
    pub public_ip: Option<IpAddr>,
    /// Ports for relayed addresses (RFC 8656 §7.2 recommends 49152–65535).
    pub ports: RangeInclusive<u16>,
    /// Networks that may be peers although they are not on the internet. Wins over everything else.
    pub allow: Vec<IpNet>,
    /// Addresses of this server that peers must not be, besides those it listens on and `public_ip`.
    pub own_addresses: Vec<IpAddr>,
    /// Shared with whoever issues the credentials.
    pub secret: Secret,
    /// How much is too much.
    pub limits: Limits,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("udp", &self.udp)
            .field("tcp", &self.tcp)
            .field("tls", &self.tls.iter().map(|(address, _)| address).collect::<Vec<_>>())
            .field("public_ip", &self.public_ip)
            .field("ports", &self.ports)
            .field("allow", &self.allow)
            .field("own_addresses", &self.own_addresses)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of everything that grows. The defaults are those of the specification.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Allocations in all; each has a socket. The port range bounds them too.
    pub allocations: usize,
    /// Allocations at once per credential.
    pub allocations_per_credential: usize,
    /// Bytes per second per credential, counted in each direction by itself with IP and UDP headers.
    pub bytes_per_second: u64,
    /// How much may pass at once after a pause, in bytes.
    pub burst_bytes: u64,
    /// Bytes per credential, both directions together; then its allocations end.
    pub bytes_per_credential: u64,
    /// Peers an allocation may have permissions for, and as many channels.
    pub peers_per_allocation: usize,
    /// Open TCP and TLS streams in all.
    pub streams: usize,
    /// Open streams per address (IPv6: per /64). An office behind one address needs two per session.
    pub streams_per_address: usize,
    /// Bytes waiting, in each direction of an allocation, because datagrams come faster than the rate; more are dropped.
    pub delayed_bytes: usize,
    /// Bytes waiting for that reason in all allocations together.
    pub delayed_bytes_in_all: usize,
    /// Bytes waiting for a client that reads slower than its peer sends; more is dropped, as a router would.
    pub stream_queue_bytes: usize,
    /// Requests per second that are answered per address, or per allocation once there is one.
    pub requests_per_second: u32,
    /// Requests answered at once after a pause.
    pub request_burst: u32,
    /// A frame (or a TLS handshake) that has begun must be complete after this.
    pub frame_timeout: Duration,
    /// A stream that has no allocation is closed after this.
    pub unallocated_timeout: Duration,
    /// A client that takes nothing of what is written to it is dropped after this.
    pub write_timeout: Duration,
}

impl Limits {
    /// The defaults with another rate per credential, in bytes per second, and a burst that fits it.
    pub fn at_rate(bytes_per_second: u64) -> Self {
        // A sixth of a second, but never so little that one full window does not pass.
        let burst_bytes = (bytes_per_second / 6).max(256 * 1024);
        // Some 40 ms at the rate, as for streams, but neither less than a sender's smallest window nor much.
        let delayed_bytes =
            usize::try_from(bytes_per_second / 25).unwrap_or(usize::MAX).clamp(128 * 1024, 1024 * 1024);
        Self { bytes_per_second, burst_bytes, delayed_bytes, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 4096,
            allocations_per_credential: 2,
            // 100 Mbit/s.
            bytes_per_second: 12_500_000,
            // Some 160 ms at that rate: more than one round trip's worth of a fast sender.
            burst_bytes: 2_000_000,
            delayed_bytes: 512 * 1024,
            delayed_bytes_in_all: 64 * 1024 * 1024,
            bytes_per_credential: 20_000_000_000,
            peers_per_allocation: 128,
            streams: 4096,
            streams_per_address: 256,
            // Some 40 ms at 100 Mbit/s: more would be delay without use.
            stream_queue_bytes: 512 * 1024,
            // An office behind one address makes some twenty requests per session it opens. An answer has at most 88
            // bytes with its headers, so nobody's line is filled with them.
            requests_per_second: 200,
            request_burst: 1000,
            frame_timeout: Duration::from_secs(10),
            unallocated_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or the address is not of this machine.
    #[error(
        "The relay cannot listen on {address} ({transport}): {source}. Choose another address or free the port."
    )]
    Listen {
        /// UDP, TCP or TLS.
        transport: &'static str,
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// First port 0, or last before first.
    #[error("The relay needs a range of ports like 49152-49999.")]
    NoPorts,
    /// Guessable.
    #[error("The relay's secret must have at least 16 bytes.")]
    ShortSecret,
}

/// The bound addresses, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub struct LocalAddresses {
    /// See [`Config::udp`].
    pub udp: Vec<SocketAddr>,
    /// See [`Config::tcp`].
    pub tcp: Vec<SocketAddr>,
    /// See [`Config::tls`].
    pub tls: Vec<SocketAddr>,
}

/// Counters and gauges for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations now.
    pub allocations: usize,
    /// TCP and TLS streams now.
    pub streams: usize,
    /// Bytes of application data relayed from clients, since the start.
    pub bytes_from_clients: u64,
    /// Bytes of application data relayed to clients, since the start.
    pub bytes_to_clients: u64,
    /// Datagrams not relayed because of a limit or a full queue.
    pub dropped: u64,
    /// Datagrams and requests not relayed because of the peer filter.
    pub forbidden: u64,
}
