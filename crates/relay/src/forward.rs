//! The data path: from a client to a peer and back. Synchronous, allocates nothing per datagram.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::address::unmapped;
use crate::allocation::{Allocation, Charge, Direction, Route};
use crate::client_path::{ClientPath, FiveTuple};
use crate::requests;
use crate::shared::{Shared, count};
use crate::stun::{Class, Frame, Message, attribute, method};
use crate::udp::{Destination, Outbox, UdpPort};

/// Batches a task handles before it lets others run.
const BATCHES_IN_A_ROW: usize = 8;

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
    /// The sender is a stream and can be paused; datagrams over the rate are dropped.
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

    fn relay_out(&mut self, from: &Arc<Allocation>, peer: SocketAddr, payload: &[u8]) {
        match from.account.charge(Direction::FromClient, payload.len(), self.may_wait, self.now) {
            Charge::Paid => {}
            Charge::TooFast => return count(&self.shared.counters.dropped, 1),
            Charge::Exhausted => return self.exhausted(from),
        }
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
        match to.account.charge(Direction::ToClient, payload.len(), false, self.now) {
            Charge::Paid => {}
            Charge::TooFast => return count(&self.shared.counters.dropped, 1),
            Charge::Exhausted => return self.exhausted(to),
        }
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
