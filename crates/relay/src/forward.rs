//! The data path: from a client to a peer and back. Synchronous, allocates nothing per datagram.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::address::unmapped;
use crate::allocation::{Allocation, Charge, Direction, Route};
use crate::client_path::{ClientPath, FiveTuple};
use crate::requests;
use crate::shared::{Shared, count};
use crate::stun::{Class, Frame, Message, attribute, method};
use crate::udp::{Destination, Outbox, UdpPort, with_buffers};

/// Batches a task handles before it lets others run.
const BATCHES_IN_A_ROW: usize = 8;

/// Between two looks at what waits; a rate of a byte per second would make it endless.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Where frames come from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) tuple: FiveTuple,
    pub(crate) client: ClientPath,
}

/// One synchronous stretch of work.
pub(crate) struct Flow<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) now: Instant,
    pub(crate) out: &'a mut Outbox,
    /// The sender is a stream and can be paused; datagrams over the rate wait in the allocation's queue.
    pub(crate) may_wait: bool,
}

impl Flow<'_> {
    /// Handles one frame of a client. `allocation` is looked up at most once per stretch, and anew after a request.
    pub(crate) fn handle(
        &mut self,
        origin: &Origin,
        allocation: &mut Option<Arc<Allocation>>,
        frame: Frame<'_>,
    ) {
        if allocation.is_none() {
            *allocation = self.shared.table.of_client(&origin.tuple, self.now);
        }
        match frame {
            Frame::Channel(data) => {
                let Some(allocation) = allocation else { return };
                if let Some(peer) = allocation.peer_of(data.channel, self.now) {
                    self.relay_out(allocation, peer, data.payload);
                }
            }
            Frame::Stun(bytes) => {
                // Not STUN, or an answer to something nobody asked: silence (RFC 8489 §6.3).
                let Ok(message) = Message::parse(bytes) else { return };
                match (message.class(), message.method()) {
                    (Class::Indication, method::SEND) => {
                        if let Some(allocation) = allocation {
                            self.send_indication(allocation, &message);
                        }
                    }
                    (Class::Request, _) => {
                        if let Some(answer) =
                            requests::answer(self.shared, origin, allocation.as_ref(), &message, self.now)
                        {
                            origin.client.send_message(self.out, &answer);
                        }
                        *allocation = None;
                    }
                    _ => {}
                }
            }
        }
    }

    /// RFC 8656 §11.2.
    fn send_indication(&mut self, allocation: &Arc<Allocation>, message: &Message<'_>) {
        let peer = message.xor_address(attribute::XOR_PEER_ADDRESS).map(unmapped);
        let (Some(peer), Some(payload)) = (peer, message.get(attribute::DATA)) else { return };
        let understood = message.attributes().all(|(kind, _)| attribute::is_understood(kind));
        if understood && allocation.has_permission(peer.ip(), self.now) {
            self.relay_out(allocation, peer, payload);
        }
    }

    /// From a client: to its peer, or into the queue if it is too fast.
    fn relay_out(&mut self, from: &Arc<Allocation>, peer: SocketAddr, payload: &[u8]) {
        let direction = Direction::FromClient;
        if !self.may_wait && from.delayed.has_any(direction) {
            return self.delay(from, direction, peer, payload);
        }
        match from.account.charge(direction, payload.len(), self.may_wait, self.now) {
            Charge::Paid => self.pass_out(from, peer, payload),
            Charge::TooFast => self.delay(from, direction, peer, payload),
            Charge::Exhausted => self.exhausted(from),
        }
    }

    /// What has been paid for by its sender.
    fn pass_out(&mut self, from: &Arc<Allocation>, peer: SocketAddr, payload: &[u8]) {
        // Between two clients of this relay nothing passes through the kernel, so it works without hairpin NAT too.
        if let Some(to) = self.shared.table.of_relayed(peer, self.now) {
            count(&self.shared.counters.from_clients, payload.len());
            self.relay_in(&to, from.relayed, payload);
        } else if peer.is_ipv6() == from.relayed.is_ipv6() && self.shared.filter.allows(peer) {
            count(&self.shared.counters.from_clients, payload.len());
            let to = Destination { port: Arc::clone(&from.port), to: peer, from: None };
            self.out.push(&to, payload.len(), |bytes| bytes.extend_from_slice(payload));
        } else {
            count(&self.shared.counters.forbidden, 1);
        }
    }

    /// RFC 8656 §11.3 and §12.7: what comes to a relayed address goes on if there is a permission, and if the sender is
    /// one that could be given a permission.
    pub(crate) fn relay_in(&mut self, to: &Arc<Allocation>, peer: SocketAddr, payload: &[u8]) {
        let Some(route) = to.route_from(peer, self.now) else {
            return count(&self.shared.counters.forbidden, 1);
        };
        if !self.shared.may_relay(peer, self.now) {
            return count(&self.shared.counters.forbidden, 1);
        }
        let direction = Direction::ToClient;
        if to.delayed.has_any(direction) {
            return self.delay(to, direction, peer, payload);
        }
        match to.account.charge(direction, payload.len(), false, self.now) {
            Charge::Paid => self.pass_in(to, route, peer, payload),
            Charge::TooFast => self.delay(to, direction, peer, payload),
            Charge::Exhausted => self.exhausted(to),
        }
    }

    /// What has been paid for by its receiver.
    fn pass_in(&mut self, to: &Arc<Allocation>, route: Route, peer: SocketAddr, payload: &[u8]) {
        let sent = match route {
            Route::Channel(number) => to.client.send_channel_data(self.out, number, payload),
            Route::Indication => {
                to.client.send_data_indication(self.out, to.next_indication(), peer, payload)
            }
        };
        if sent {
            count(&self.shared.counters.to_clients, payload.len());
        } else {
            count(&self.shared.counters.dropped, 1);
        }
    }

    fn delay(&self, at: &Arc<Allocation>, direction: Direction, peer: SocketAddr, payload: &[u8]) {
        // What no pause would let pass is not worth waiting for.
        let passes = at.account.until(direction, payload.len(), self.now).is_some();
        if !(passes && at.delayed.push(direction, peer, payload)) {
            count(&self.shared.counters.dropped, 1);
        }
    }

    /// Lets what waits in a queue pass as far as the rate allows. Returns how long the next one has to wait.
    fn release(&mut self, at: &Arc<Allocation>, direction: Direction) -> Option<Duration> {
        loop {
            let length = at.delayed.first(direction)?;
            match at.account.charge(direction, length, false, self.now) {
                Charge::Paid => {}
                Charge::TooFast => return at.account.until(direction, length, self.now),
                Charge::Exhausted => {
                    self.exhausted(at);
                    return None;
                }
            }
            // Only this allocation's task takes from its queues, so it is the one that was looked at.
            let waiting = at.delayed.pop(direction)?;
            match direction {
                Direction::FromClient => self.pass_out(at, waiting.peer, &waiting.payload),
                // Permissions may have ended while it waited.
                Direction::ToClient => match at.route_from(waiting.peer, self.now) {
                    Some(route) => self.pass_in(at, route, waiting.peer, &waiting.payload),
                    None => count(&self.shared.counters.forbidden, 1),
                },
            }
        }
    }

    /// The credential has moved all the bytes it may: its allocations end, so that both ends notice.
    fn exhausted(&self, allocation: &Allocation) {
        if !allocation.ended.is_cancelled() {
            tracing::info!(relay.session = %allocation.account.session, "a relay credential has used up its bytes");
            allocation.ended.cancel();
        }
        count(&self.shared.counters.dropped, 1);
    }
}

/// Serves one listening socket until the relay stops.
pub(crate) async fn serve_listener(shared: Arc<Shared>, port: Arc<UdpPort>) {
    loop {
        if port.readable().await.is_err() {
            return;
        }
        for _ in 0..BATCHES_IN_A_ROW {
            if !receive_from_clients(&shared, &port) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Returns whether there may be more.
fn receive_from_clients(shared: &Arc<Shared>, port: &Arc<UdpPort>) -> bool {
    let now = Instant::now();
    let is_unspecified = port.local().ip().is_unspecified();
    let received = port.receive(&shared.counters.dropped, |received, out| {
        let server_ip = received.arrived_at.filter(|_| is_unspecified);
        let server =
            SocketAddr::new(server_ip.unwrap_or(port.local().ip()).to_canonical(), port.local().port());
        let origin = Origin {
            tuple: FiveTuple { link: crate::client_path::Link::Datagram, client: received.source, server },
            // An answer must come from the address the question went to.
            client: ClientPath::Datagram(Destination {
                port: Arc::clone(port),
                to: received.source,
                from: server_ip,
            }),
        };
        let mut flow = Flow { shared, now, out, may_wait: false };
        let mut allocation = None;
        for frame in received.datagrams().filter_map(Frame::of_datagram) {
            flow.handle(&origin, &mut allocation, frame);
        }
    });
    received.is_ok_and(|filled| filled > 0)
}

/// Serves one relayed address until its allocation ends, and then clears up.
pub(crate) async fn serve_allocation(shared: Arc<Shared>, allocation: Arc<Allocation>) {
    let expiry = tokio::time::sleep_until(allocation.expires());
    tokio::pin!(expiry);
    let release = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(release);
    let mut waits = false;
    loop {
        tokio::select! {
            () = allocation.ended.cancelled() => break,
            () = allocation.moved.notified() => expiry.as_mut().reset(allocation.expires()),
            () = &mut expiry => {
                if !allocation.is_live(Instant::now()) {
                    break;
                }
                expiry.as_mut().reset(allocation.expires());
            }
            () = allocation.delayed.filled() => {
                waits = true;
                release.as_mut().reset(Instant::now());
            }
            () = &mut release, if waits => {
                let next = release_delayed(&shared, &allocation);
                waits = next.is_some();
                if let Some(next) = next {
                    release.as_mut().reset(Instant::now() + next);
                }
            }
            readable = allocation.port.readable() => {
                if readable.is_err() {
                    break;
                }
                for _ in 0..BATCHES_IN_A_ROW {
                    if !receive_from_peers(&shared, &allocation) {
                        break;
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }
    shared.table.remove(&allocation);
    tracing::debug!(relay.session = %allocation.account.session, "relay allocation ended");
}

/// Returns how long what still waits has to wait.
fn release_delayed(shared: &Arc<Shared>, allocation: &Arc<Allocation>) -> Option<Duration> {
    with_buffers(&shared.counters.dropped, |_, out| {
        let mut flow = Flow { shared, now: Instant::now(), out, may_wait: false };
        let next = [Direction::FromClient, Direction::ToClient].map(|it| flow.release(allocation, it));
        next.into_iter().flatten().min().map(|it| it.min(LONGEST_PAUSE))
    })
}

fn receive_from_peers(shared: &Arc<Shared>, allocation: &Arc<Allocation>) -> bool {
    let now = Instant::now();
    let received = allocation.port.receive(&shared.counters.dropped, |received, out| {
        let mut flow = Flow { shared, now, out, may_wait: false };
        for payload in received.datagrams() {
            flow.relay_in(allocation, received.source, payload);
        }
    });
    received.is_ok_and(|filled| filled > 0)
}
