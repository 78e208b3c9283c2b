//! What all tasks of one relay share.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Clock;
use crate::address::PeerFilter;
use crate::config::Limits;
use crate::credentials::Secret;
use crate::delayed::Room;
use crate::table::Table;
use crate::throttle::{StreamCount, Throttle};

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) secret: Secret,
    pub(crate) limits: Limits,
    pub(crate) filter: PeerFilter,
    pub(crate) places: RelayedPlaces,
    pub(crate) table: Table,
    pub(crate) throttle: Throttle,
    pub(crate) streams: StreamCount,
    pub(crate) delayed: Arc<Room>,
    pub(crate) next_stream: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Where relayed addresses are taken from.
#[derive(Debug)]
pub(crate) struct RelayedPlaces {
    pub(crate) public_ip: Option<IpAddr>,
    /// Addresses the operator listens on by name.
    pub(crate) listening: Vec<IpAddr>,
    pub(crate) own: Vec<IpAddr>,
    pub(crate) ports: RangeInclusive<u16>,
}

/// Where to bind a relayed address, and how peers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bind: IpAddr,
    pub(crate) advertised: IpAddr,
}

impl RelayedPlaces {
    /// For a client that came to `server`; `None` if this family is not offered.
    pub(crate) fn of_family(&self, v6: bool, server: SocketAddr) -> Option<Place> {
        let fits = |ip: &IpAddr| ip.is_ipv6() == v6 && !ip.is_unspecified();
        if let Some(advertised) = self.public_ip.filter(fits) {
            let any = if v6 { SocketAddr::from(([0; 16], 0)) } else { SocketAddr::from(([0; 4], 0)) };
            let bind = self.listening.iter().copied().find(fits).unwrap_or(any.ip());
            return Some(Place { bind, advertised });
        }
        let reached = Some(server.ip()).filter(fits);
        let ip = reached.or_else(|| self.listening.iter().chain(&self.own).copied().find(fits))?;
        Some(Place { bind: ip, advertised: ip })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) from_clients: AtomicU64,
    pub(crate) to_clients: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) forbidden: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(u64::try_from(amount).unwrap_or_default(), Ordering::Relaxed);
}

impl Shared {
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Whether `peer` may be bound or permitted for an allocation with this relayed address (RFC 8656 §21.1, and our
    /// rules). Stricter than [`Self::may_relay`]: it asks the kernel, too.
    pub(crate) fn may_permit(&self, peer: SocketAddr, now: tokio::time::Instant) -> bool {
        self.table.is_relayed(peer, now) || self.filter.allows_anew(peer)
    }

    /// Whether a datagram may go to or come from this very address and port.
    pub(crate) fn may_relay(&self, peer: SocketAddr, now: tokio::time::Instant) -> bool {
        self.filter.allows(peer) || self.table.is_relayed(peer, now)
    }
}

/// For a task that ends with the relay.
pub(crate) fn spawn(shared: &Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) {
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
    });
}
