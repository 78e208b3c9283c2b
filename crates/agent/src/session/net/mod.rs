//! A session's sockets and relays: everything between the peer connection and the network.
//!
//! One socket per address of the device carries direct traffic and learns its outside address from the
//! STUN servers; relays are tried from the best transport to the worst until one gives an allocation.

mod gather;
mod leg;
mod socket;
mod stun;
mod turn;

use super::SessionSettings;
use bramble_wire::signalling::{IceServer, Path};
use gather::{Found, Gathering};
use leg::Leg;
use socket::{BatchSocket, Inbox, any_port};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use str0m::Candidate;
use str0m::net::{Protocol, Transmit};
use stun::Binding;
use turn::{News, Relay};

/// How long a full kernel buffer may hold up the session before what waits is dropped.
const BLOCKED: Duration = Duration::from_millis(100);

/// Something to deal with.
#[derive(Debug)]
pub(crate) enum Ready {
    Socket(usize),
    Relay(usize),
    Found(Found),
    /// What was held up can go on.
    Writable,
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Socket(usize),
    Relay(usize),
}

/// A datagram that found no room.
#[derive(Debug)]
struct Held {
    way: Way,
    transmit: Option<Transmit>,
    since: Instant,
}

#[derive(Debug)]
pub(crate) struct Network {
    sockets: Vec<BatchSocket>,
    bindings: Vec<Binding>,
    relays: Vec<Relay>,
    gathering: Option<Gathering>,
    inbox: Inbox,
    held: Option<Held>,
    candidates: VecDeque<Candidate>,
    /// A STUN server answered.
    outside: bool,
    /// Relayed addresses of the browser.
    theirs: HashSet<SocketAddr>,
    /// Where the last encrypted datagram went.
    route: Option<(SocketAddr, SocketAddr)>,
}

impl Network {
    pub(crate) fn open(settings: &SessionSettings, servers: &[IceServer]) -> io::Result<Self> {
        let addresses = match (settings.relay_only, &settings.host_addresses) {
            (true, _) => Vec::new(),
            (false, Some(addresses)) => addresses.clone(),
            (false, None) => gather::host_addresses(),
        };
        let mut sockets = Vec::new();
        let mut failure = None;
        for address in addresses {
            match BatchSocket::bind(any_port(address)) {
                Ok(socket) => sockets.push(socket),
                Err(error) => failure = Some(error),
            }
        }
        if let (true, false, Some(error)) = (sockets.is_empty(), settings.relay_only, failure) {
            return Err(error);
        }
        Ok(Self {
            sockets,
            bindings: Vec::new(),
            relays: Vec::new(),
            gathering: Some(Gathering::start(servers, settings.turn_tls.as_ref())),
            inbox: Inbox::new(),
            held: None,
            candidates: VecDeque::new(),
            outside: false,
            theirs: HashSet::new(),
            route: None,
        })
    }

    /// The device's own addresses.
    pub(crate) fn host_candidates(&self) -> Vec<Candidate> {
        self.sockets.iter().filter_map(|socket| Candidate::host(socket.local(), Protocol::Udp).ok()).collect()
    }

    /// Addresses learned since the last call.
    pub(crate) fn next_candidate(&mut self) -> Option<Candidate> {
        self.candidates.pop_front()
    }

    /// Whether a STUN server told the device's outside address, new or not.
    pub(crate) fn knows_outside(&self) -> bool {
        self.outside
    }

    /// Remembers the browser's relays, to tell the path.
    pub(crate) fn their_relay(&mut self, address: SocketAddr) {
        self.theirs.insert(address);
    }

    /// How the encrypted traffic goes, once there is any.
    pub(crate) fn path(&self) -> Option<Path> {
        let (source, destination) = self.route?;
        let ours = self.relays.iter().any(|relay| relay.relayed() == Some(source));
        Some(if ours || self.theirs.contains(&destination) { Path::Relayed } else { Path::Direct })
    }

    /// Waits for something to deal with. While a datagram is held up nothing is read, so that the
    /// peer connection is not fed more than it can put out.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Ready> {
        if let Some(held) = &self.held {
            let writable = match held.way {
                Way::Socket(index) => self.sockets[index].poll_writable(cx),
                Way::Relay(index) => match self.relays.get_mut(index) {
                    Some(relay) => relay.poll_writable(cx),
                    None => Poll::Ready(()),
                },
            };
            return writable.map(|()| Ready::Writable);
        }
        if reading {
            for (index, socket) in self.sockets.iter().enumerate() {
                if socket.poll_readable(cx).is_ready() {
                    return Poll::Ready(Ready::Socket(index));
                }
            }
            for (index, relay) in self.relays.iter_mut().enumerate() {
                if relay.poll_readable(cx).is_ready() {
                    return Poll::Ready(Ready::Relay(index));
                }
            }
        }
        if let Some(gathering) = &mut self.gathering {
            match gathering.found.poll_recv(cx) {
                Poll::Ready(Some(found)) => return Poll::Ready(Ready::Found(found)),
                Poll::Ready(None) => self.gathering = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Deals with it. What is for the peer connection goes to `sink`: from, to, bytes.
    pub(crate) fn handle(
        &mut self,
        ready: Ready,
        now: Instant,
        mut sink: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) {
        match ready {
            Ready::Socket(index) => {
                let local = self.sockets[index].local();
                if !self.sockets[index].receive(&mut self.inbox) {
                    return;
                }
                for (from, bytes) in self.inbox.datagrams() {
                    let mut bindings = self.bindings.iter().enumerate();
                    let answered = bindings.find_map(|(at, binding)| {
                        let outside = binding.answer(from, bytes)?;
                        (binding.socket == index).then_some((at, outside))
                    });
                    match answered {
                        Some((at, outside)) => {
                            self.bindings.swap_remove(at);
                            self.outside = true;
                            self.candidates.extend(
                                Candidate::server_reflexive(outside, local, Protocol::Udp)
                                    .ok()
                                    .filter(|_| outside != local),
                            );
                        }
                        None => sink(from, local, bytes),
                    }
                }
            }
            Ready::Relay(index) => {
                let Some(relay) = self.relays.get_mut(index) else { return };
                if let Some(relayed) = relay.relayed() {
                    relay.receive(&mut self.inbox, now, |peer, bytes| sink(peer, relayed, bytes));
                } else {
                    relay.receive(&mut self.inbox, now, |_, _| {});
                }
                self.turn_relays(now);
            }
            Ready::Found(found) => self.found(found, now),
            Ready::Writable => self.release(now),
        }
    }

    fn found(&mut self, found: Found, now: Instant) {
        let (leg, server, login) = match found {
            Found::Stun(server) => {
                let sockets = self.sockets.iter().enumerate();
                let fitting = sockets.filter(|(_, socket)| socket.local().is_ipv4() == server.is_ipv4());
                self.bindings.extend(fitting.map(|(index, _)| Binding::new(index, server, now)));
                self.tick(now);
                return;
            }
            Found::TurnUdp { server, login } => match Leg::datagrams(server) {
                Ok(leg) => (leg, server, login),
                Err(error) => {
                    tracing::debug!(%error, "no socket for a relay");
                    return;
                }
            },
            Found::TurnStream { stream, local, server, login } => (Leg::framed(stream, local), server, login),
        };
        // One allocation is enough, and the relay counts them.
        if self.relays.iter().any(|relay| relay.relayed().is_some()) {
            return;
        }
        self.relays.push(Relay::new(leg, server, &login, now));
        self.turn_relays(now);
    }

    /// Sends a datagram of the peer connection, or holds it.
    pub(crate) fn transmit(&mut self, transmit: Transmit, now: Instant) {
        let is_dtls = transmit.contents.first().is_some_and(|first| (20..64).contains(first));
        if is_dtls {
            self.route = Some((transmit.source, transmit.destination));
        }
        let socket = self.sockets.iter().position(|socket| socket.local() == transmit.source);
        let relay = || self.relays.iter().position(|relay| relay.relayed() == Some(transmit.source));
        let Some(way) = socket.map(Way::Socket).or_else(|| relay().map(Way::Relay)) else { return };
        if !self.try_send(way, &transmit, now) {
            self.held = Some(Held { way, transmit: Some(transmit), since: now });
        }
    }

    fn try_send(&mut self, way: Way, transmit: &Transmit, now: Instant) -> bool {
        let bytes: &[u8] = &transmit.contents;
        match way {
            Way::Socket(index) => self.sockets[index]
                .send(transmit.destination, bytes.len(), |buffer| buffer.copy_from_slice(bytes)),
            Way::Relay(index) => match self.relays.get_mut(index) {
                Some(relay) => relay.send(transmit.destination, bytes, now),
                None => true,
            },
        }
    }

    /// Whether the peer connection should put out nothing more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.held.is_some()
    }

    /// Sends all batches.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.held.is_some() {
            return;
        }
        let sockets = self.sockets.iter_mut().enumerate();
        let stuck = sockets
            .filter(|(_, socket)| socket.has_batch())
            .find_map(|(index, socket)| (!socket.flush()).then_some(Way::Socket(index)));
        let mut relays = self.relays.iter_mut().enumerate();
        let stuck =
            stuck.or_else(|| relays.find_map(|(index, relay)| (!relay.flush()).then_some(Way::Relay(index))));
        self.held = stuck.map(|way| Held { way, transmit: None, since: now });
    }

    /// Tries again what was held up, or gives it up.
    fn release(&mut self, now: Instant) {
        let Some(mut held) = self.held.take() else { return };
        let sent = match &held.transmit {
            Some(transmit) => self.try_send(held.way, transmit, now),
            None => true,
        };
        if sent {
            held.transmit = None;
        } else if now >= held.since + BLOCKED {
            match held.way {
                Way::Socket(index) => self.sockets[index].drop_batch(),
                Way::Relay(index) => self.relays.get_mut(index).into_iter().for_each(Relay::drop_batch),
            }
        } else {
            self.held = Some(held);
        }
    }

    /// Whatever is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        for binding in &mut self.bindings {
            let (index, server) = (binding.socket, binding.server);
            if let Some(request) = binding.due(now) {
                // Repeated if there is no room.
                self.sockets[index].send(server, request.len(), |buffer| buffer.copy_from_slice(request));
            }
        }
        self.bindings.retain(|binding| !binding.is_over());
        if self.held.as_ref().is_some_and(|held| now >= held.since + BLOCKED) {
            self.release(now);
        }
        self.turn_relays(now);
    }

    fn turn_relays(&mut self, now: Instant) {
        let candidates = &mut self.candidates;
        self.relays.retain_mut(|relay| {
            if relay.next().is_none_or(|next| next > now) {
                return true;
            }
            match relay.turn(now) {
                News::None => true,
                News::Allocated(address) => {
                    let local = SocketAddr::new(address.ip(), 0);
                    candidates.extend(Candidate::relayed(address, local, Protocol::Udp).ok());
                    true
                }
                News::Over => {
                    tracing::debug!("a relay is of no use");
                    false
                }
            }
        });
    }

    /// When to call [`Self::tick`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let bindings = self.bindings.iter().filter_map(Binding::next);
        let relays = self.relays.iter().filter_map(Relay::next);
        let held = self.held.iter().map(|held| held.since + BLOCKED);
        bindings.chain(relays).chain(held).min()
    }

    /// Gives allocations back.
    pub(crate) fn close(&mut self, now: Instant) {
        self.flush(now);
        self.relays.iter_mut().for_each(|relay| relay.close(now));
    }
}
