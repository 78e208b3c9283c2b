//! An allocation on a relay.

use super::gather::Login;
use super::leg::Leg;
use super::socket::Inbox;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant as StunInstant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::types::{TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

/// Datagrams kept while the relay is asked for a permission.
const MOST_WAITING: usize = 32;
/// Most peers that get a channel, which saves 32 bytes per datagram.
const MOST_CHANNELS: usize = 8;
/// Turns of the client per look; it settles within a few.
const MOST_TURNS: usize = 64;
/// The least time between two looks that nothing but a timer asked for.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Relay {
    /// Over streams as well: framing is `Leg`'s, so the client sees whole messages either way.
    client: TurnClientUdp,
    leg: Leg,
    server: SocketAddr,
    base: Instant,
    relayed: Option<SocketAddr>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    channels: Vec<SocketAddr>,
    next: Option<Instant>,
    over: bool,
}

/// What a look at the relay brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    /// The address to offer.
    Allocated(SocketAddr),
    /// It is of no use (any more).
    Over,
}

impl Relay {
    pub(crate) fn new(leg: Leg, server: SocketAddr, login: &Login, now: Instant) -> Self {
        let credentials = TurnCredentials::new(&login.username, &login.credential);
        let mut config = TurnConfig::new(credentials);
        if let Leg::Framed(_) = leg {
            // A stream repeats by itself.
            let patience = Duration::from_secs(10);
            config.set_request_retransmits(patience, patience, 1, patience);
        }
        let client = TurnClientUdp::allocate(leg.local(), server, config);
        Self {
            client,
            leg,
            server,
            base: now,
            relayed: None,
            waiting: VecDeque::new(),
            channels: Vec::new(),
            next: Some(now),
            over: false,
        }
    }

    pub(crate) fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Timers and events; call it when `next` is due and after anything was received.
    pub(crate) fn turn(&mut self, now: Instant) -> News {
        let mut news = News::None;
        for _ in 0..MOST_TURNS {
            let wait = self.client.poll(self.stun(now));
            while let Some(transmit) = self.client.poll_transmit(self.stun(now)) {
                let bytes: &[u8] = transmit.data.as_ref();
                // Lost if there is no room: the client repeats its requests.
                self.leg.send(self.server, bytes.len(), |buffer| buffer.copy_from_slice(bytes));
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    TurnEvent::AllocationCreated(_, address) => {
                        self.relayed = Some(address);
                        news = News::Allocated(address);
                    }
                    TurnEvent::AllocationCreateFailed(_) => self.over = true,
                    TurnEvent::PermissionCreated(_, ip) => self.release(now, |to| to.ip() == ip),
                    TurnEvent::PermissionCreateFailed(_, ip) => self.waiting.retain(|(to, _)| to.ip() != ip),
                    TurnEvent::ChannelCreateFailed(_, peer) => {
                        tracing::debug!(%peer, "relay refused a channel");
                    }
                    _ => {}
                }
            }
            match wait {
                TurnPollRet::WaitUntil(until) => {
                    let until = self.base + Duration::from_nanos(until.as_nanos().cast_unsigned());
                    self.next = Some(until);
                    if until > now {
                        break;
                    }
                }
                TurnPollRet::Closed => {
                    self.over = true;
                    break;
                }
                // For TCP allocations, which are never asked for.
                TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => break,
            }
        }
        // Should it ask for more turns than that, it gets them after a pause.
        self.next = self.next.map(|next| next.max(now + PAUSE));
        self.leg.flush();
        if self.over || self.leg.is_closed() {
            self.next = None;
            return News::Over;
        }
        news
    }

    /// Sends to a peer, after asking for a permission if need be. `false`: no room, keep it.
    pub(crate) fn send(&mut self, to: SocketAddr, bytes: &[u8], now: Instant) -> bool {
        let instant = self.stun(now);
        if !self.client.have_permission(TransportType::Udp, to.ip()) {
            if self.waiting.len() < MOST_WAITING {
                self.waiting.push_back((to, bytes.to_vec()));
            }
            // An error means that it was asked for already, or never will be granted.
            if self.client.create_permission(TransportType::Udp, to.ip(), instant).is_ok() {
                self.next = Some(now);
            }
            return true;
        }
        // DTLS goes to the chosen peer only; checks go to many.
        let is_dtls = bytes.first().is_some_and(|first| (20..64).contains(first));
        if is_dtls && !self.channels.contains(&to) && self.channels.len() < MOST_CHANNELS {
            self.channels.push(to);
            if self.client.bind_channel(TransportType::Udp, to, instant).is_ok() {
                self.next = Some(now);
            }
        }
        match self.client.send_to(TransportType::Udp, to, bytes, instant) {
            Ok(Some(message)) => {
                let length = message.data.len();
                self.leg.send(self.server, length, |buffer| {
                    message.write_into(buffer);
                })
            }
            Ok(None) | Err(_) => true,
        }
    }

    /// Sends what waited for this permission.
    fn release(&mut self, now: Instant, granted: impl Fn(SocketAddr) -> bool) {
        for (to, bytes) in std::mem::take(&mut self.waiting) {
            if granted(to) {
                self.send(to, &bytes, now);
            } else {
                self.waiting.push_back((to, bytes));
            }
        }
    }

    pub(crate) fn receive(
        &mut self,
        inbox: &mut Inbox,
        now: Instant,
        mut sink: impl FnMut(SocketAddr, &[u8]),
    ) {
        let instant = self.stun(now);
        let (client, local) = (&mut self.client, self.leg.local());
        let receive = |from: SocketAddr, bytes: &[u8]| {
            let transmit = Transmit::new(bytes, TransportType::Udp, from, local);
            if let TurnRecvRet::PeerData(data) = client.recv(transmit, instant) {
                sink(data.peer, data.data());
            }
        };
        self.leg.receive(inbox, receive, self.server);
        self.next = Some(now);
    }

    /// Gives the allocation back.
    pub(crate) fn close(&mut self, now: Instant) {
        let instant = self.stun(now);
        if self.relayed.is_some() && self.client.delete(instant).is_ok() {
            self.turn(now);
        }
    }

    pub(crate) fn flush(&mut self) -> bool {
        self.leg.flush()
    }

    pub(crate) fn drop_batch(&mut self) {
        self.leg.drop_batch();
    }

    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.leg.poll_readable(cx)
    }

    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.leg.poll_writable(cx)
    }

    fn stun(&self, now: Instant) -> StunInstant {
        let nanos = now.saturating_duration_since(self.base).as_nanos();
        StunInstant::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}
