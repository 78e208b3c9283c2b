//! One allocation: a relayed address, who owns it, and whom it may talk to (RFC 8656 §2.3, §5).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client_path::{ClientPath, FiveTuple};
use crate::config::Limits;
use crate::credentials::LongTermKey;
use crate::delayed::{Delayed, Room};
use crate::quota::TokenBucket;
use crate::stun::TransactionId;
use crate::throttle::lock;
use crate::udp::UdpPort;

/// RFC 8656 §9.
const PERMISSION_LIFETIME: Duration = Duration::from_mins(5);
/// RFC 8656 §12.
const CHANNEL_LIFETIME: Duration = Duration::from_mins(10);
/// IPv4 and UDP headers. Counting them bounds the number of datagrams together with the bytes.
const DATAGRAM_OVERHEAD: usize = 28;

/// What one credential has used. It outlives its allocations, so that a new one does not start from zero.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) session: String,
    pub(crate) expires_at: u64,
    /// Changed under the table's lock only.
    pub(crate) allocations: AtomicUsize,
    most_bytes: u64,
    bytes: AtomicU64,
    rates: Mutex<Rates>,
}

#[derive(Debug)]
struct Rates {
    from_client: TokenBucket,
    to_client: TokenBucket,
}

impl Rates {
    fn of(&mut self, direction: Direction) -> &mut TokenBucket {
        match direction {
            Direction::FromClient => &mut self.from_client,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// What a datagram of this length counts.
fn charged(length: usize) -> u32 {
    u32::try_from(length + DATAGRAM_OVERHEAD).unwrap_or(u32::MAX)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    FromClient,
    ToClient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Paid,
    TooFast,
    Exhausted,
}

impl Account {
    #[expect(clippy::cast_precision_loss, reason = "a rate of 2^52 bytes per second is beyond any network")]
    pub(crate) fn new(username: &str, session: &str, expires_at: u64, limits: &Limits, now: Instant) -> Self {
        let bucket = || TokenBucket::new(limits.bytes_per_second as f64, limits.burst_bytes as f64, now);
        Self {
            username: username.to_owned(),
            session: session.to_owned(),
            expires_at,
            allocations: AtomicUsize::new(0),
            most_bytes: limits.bytes_per_credential,
            bytes: AtomicU64::new(0),
            rates: Mutex::new(Rates { from_client: bucket(), to_client: bucket() }),
        }
    }

    /// Accounts for a datagram. With `may_wait` it is paid for in any case, and [`Self::debt`] tells how long to pause.
    pub(crate) fn charge(&self, direction: Direction, length: usize, may_wait: bool, now: Instant) -> Charge {
        let length = charged(length);
        {
            let mut rates = lock(&self.rates);
            let bucket = rates.of(direction);
            if may_wait {
                bucket.borrow(f64::from(length), now);
            } else if !bucket.take(f64::from(length), now) {
                return Charge::TooFast;
            }
        }
        let used = self.bytes.fetch_add(u64::from(length), Ordering::Relaxed);
        if used >= self.most_bytes { Charge::Exhausted } else { Charge::Paid }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.most_bytes
    }

    /// How long until a datagram of this length may pass; `None` if it never may.
    pub(crate) fn until(&self, direction: Direction, length: usize, now: Instant) -> Option<Duration> {
        lock(&self.rates).of(direction).until(f64::from(charged(length)), now)
    }

    /// How long the client must not send.
    pub(crate) fn debt(&self, now: Instant) -> Duration {
        lock(&self.rates).from_client.debt(now)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) tuple: FiveTuple,
    /// As peers see it; the socket may be bound to another address.
    pub(crate) relayed: SocketAddr,
    pub(crate) port: Arc<UdpPort>,
    pub(crate) client: ClientPath,
    pub(crate) account: Arc<Account>,
    pub(crate) key: LongTermKey,
    /// Of the Allocate that made it: the same again is a retransmission (RFC 8656 §7.2).
    pub(crate) made_by: TransactionId,
    /// Cancelled when the allocation must end; its task then cleans up.
    pub(crate) ended: CancellationToken,
    /// Told when the time of expiry has moved.
    pub(crate) moved: Notify,
    /// What waits because the credential is over its rate.
    pub(crate) delayed: Delayed,
    released: AtomicBool,
    most_peers: usize,
    indications: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    expires: Instant,
    permissions: HashMap<IpAddr, Instant>,
    channels: HashMap<u16, Channel>,
    by_peer: HashMap<SocketAddr, u16>,
    requests: TokenBucket,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    expires: Instant,
}

/// What an allocation is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) tuple: FiveTuple,
    pub(crate) relayed: SocketAddr,
    pub(crate) port: UdpPort,
    pub(crate) client: ClientPath,
    pub(crate) account: Arc<Account>,
    pub(crate) key: LongTermKey,
    pub(crate) made_by: TransactionId,
    pub(crate) lifetime: Duration,
}

/// How a datagram of a peer reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Channel(u16),
    Indication,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindError {
    /// The channel has another peer, or the peer another channel.
    Taken,
    Full,
}

impl Allocation {
    pub(crate) fn new(
        parts: Parts,
        limits: &Limits,
        room: Arc<Room>,
        ended: CancellationToken,
        now: Instant,
    ) -> Self {
        let Parts { tuple, relayed, port, client, account, key, made_by, lifetime } = parts;
        let requests =
            TokenBucket::new(f64::from(limits.requests_per_second), f64::from(limits.request_burst), now);
        Self {
            tuple,
            relayed,
            port: Arc::new(port),
            client,
            account,
            key,
            made_by,
            ended,
            moved: Notify::new(),
            delayed: Delayed::new(limits.delayed_bytes, room),
            released: AtomicBool::new(false),
            most_peers: limits.peers_per_allocation,
            indications: AtomicU64::new(0),
            state: Mutex::new(State {
                expires: now + lifetime,
                permissions: HashMap::new(),
                channels: HashMap::new(),
                by_peer: HashMap::new(),
                requests,
            }),
        }
    }

    pub(crate) fn expires(&self) -> Instant {
        lock(&self.state).expires
    }

    /// Still there, and meant to be.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        !self.ended.is_cancelled() && self.expires() > now
    }

    pub(crate) fn refresh(&self, lifetime: Duration, now: Instant) {
        lock(&self.state).expires = now + lifetime;
        self.moved.notify_one();
    }

    /// The client gives it up.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
    }

    /// Whether it ended because the client gave it up, and not because somebody ended it.
    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Whether one more request on this allocation is answered.
    pub(crate) fn admits_request(&self, now: Instant) -> bool {
        lock(&self.state).requests.take(1.0, now)
    }

    /// Installs or refreshes all of them, or none (RFC 8656 §10.2).
    pub(crate) fn permit(&self, peers: &[IpAddr], now: Instant) -> bool {
        let mut state = lock(&self.state);
        state.forget_expired(self.most_peers, now);
        let added = peers.iter().filter(|ip| !state.permissions.contains_key(ip)).count();
        if state.permissions.len() + added > self.most_peers {
            return false;
        }
        state.permissions.extend(peers.iter().map(|ip| (*ip, now + PERMISSION_LIFETIME)));
        true
    }

    pub(crate) fn has_permission(&self, peer: IpAddr, now: Instant) -> bool {
        lock(&self.state).has_permission(peer, now)
    }

    /// Binds or refreshes a channel, and the permission that comes with it (RFC 8656 §12.2).
    pub(crate) fn bind(&self, channel: u16, peer: SocketAddr, now: Instant) -> Result<(), BindError> {
        let mut state = lock(&self.state);
        state.forget_expired(self.most_peers, now);
        let bound = state.channels.get(&channel).filter(|it| it.expires > now).map(|it| it.peer);
        let channel_of_peer = state.channel_of(peer, now);
        if bound.is_some_and(|it| it != peer) || channel_of_peer.is_some_and(|it| it != channel) {
            return Err(BindError::Taken);
        }
        let added = bound.is_none() && state.channels.len() >= self.most_peers;
        let permitted =
            state.permissions.contains_key(&peer.ip()) || state.permissions.len() < self.most_peers;
        if added || !permitted {
            return Err(BindError::Full);
        }
        if let Some(former) =
            state.channels.insert(channel, Channel { peer, expires: now + CHANNEL_LIFETIME })
        {
            state.by_peer.remove(&former.peer);
        }
        state.by_peer.insert(peer, channel);
        state.permissions.insert(peer.ip(), now + PERMISSION_LIFETIME);
        Ok(())
    }

    pub(crate) fn peer_of(&self, channel: u16, now: Instant) -> Option<SocketAddr> {
        lock(&self.state).channels.get(&channel).filter(|it| it.expires > now).map(|it| it.peer)
    }

    /// How a datagram from this peer goes on; `None` without a permission (RFC 8656 §11.3).
    pub(crate) fn route_from(&self, peer: SocketAddr, now: Instant) -> Option<Route> {
        let state = lock(&self.state);
        if !state.has_permission(peer.ip(), now) {
            return None;
        }
        Some(state.channel_of(peer, now).map_or(Route::Indication, Route::Channel))
    }

    /// An id for an indication. Nobody answers it, so it need not be hard to guess.
    pub(crate) fn next_indication(&self) -> TransactionId {
        let number = self.indications.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 12];
        id[4..].copy_from_slice(&number.to_be_bytes());
        TransactionId(id)
    }
}

impl State {
    fn has_permission(&self, peer: IpAddr, now: Instant) -> bool {
        self.permissions.get(&peer).is_some_and(|expires| *expires > now)
    }

    fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let channel = *self.by_peer.get(&peer)?;
        self.channels.get(&channel).is_some_and(|it| it.expires > now && it.peer == peer).then_some(channel)
    }

    /// Only when it gets crowded: everything that reads looks at the time itself.
    fn forget_expired(&mut self, most: usize, now: Instant) {
        if self.permissions.len().max(self.channels.len()) * 2 > most {
            self.permissions.retain(|_, expires| *expires > now);
            self.channels.retain(|_, it| it.expires > now);
            let Self { by_peer, channels, .. } = self;
            by_peer.retain(|_, channel| channels.contains_key(channel));
        }
    }
}
