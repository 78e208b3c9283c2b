//! Requests about an allocation that exists: Refresh, CreatePermission, ChannelBind. Their caller must be who made it;
//! whether the credential could still make one does not matter.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Request;
use super::allocate::granted_lifetime;
use super::authentication::Caller;
use crate::address::unmapped;
use crate::allocation::{Allocation, BindError};
use crate::shared::count;
use crate::stun::{AddressFamily, Builder, CHANNELS, attribute, code};

impl Request<'_> {
    fn own_allocation(&self, caller: &Caller<'_>) -> Result<&Arc<Allocation>, u16> {
        let allocation = self.allocation.ok_or(code::ALLOCATION_MISMATCH)?;
        if allocation.account.username != caller.text {
            return Err(code::WRONG_CREDENTIALS);
        }
        Ok(allocation)
    }

    /// RFC 8656 §8.2.
    pub(super) fn refresh(&self, caller: &Caller<'_>) -> Result<Builder, u16> {
        let allocation = self.own_allocation(caller)?;
        let family = AddressFamily::of(allocation.relayed.ip());
        if self.message.family(attribute::REQUESTED_ADDRESS_FAMILY).is_some_and(|it| it != Some(family)) {
            return Err(code::PEER_FAMILY_MISMATCH);
        }
        let asked = self.message.number(attribute::LIFETIME);
        let granted = if asked == Some(0) {
            allocation.release();
            self.shared.table.remove(allocation);
            0
        } else {
            let lifetime = granted_lifetime(asked);
            allocation.refresh(lifetime, self.now);
            u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
        };
        Ok(self.success().number(attribute::LIFETIME, granted))
    }

    /// RFC 8656 §10.2.
    pub(super) fn create_permission(&self, caller: &Caller<'_>) -> Result<Builder, u16> {
        let allocation = self.own_allocation(caller)?;
        let peers: Option<Vec<SocketAddr>> = self
            .message
            .xor_addresses(attribute::XOR_PEER_ADDRESS)
            .take(self.shared.limits.peers_per_allocation + 1)
            .map(|peer| peer.map(unmapped))
            .collect();
        let peers = peers.filter(|it| !it.is_empty()).ok_or(code::BAD_REQUEST)?;
        for peer in &peers {
            // A permission is for an address (§9); some clients name no port with it. Each datagram is looked at
            // with its port all the same.
            if peer.port() != 0 || !self.shared.table.relays_at(peer.ip(), self.now) {
                self.check_peer(allocation, nameless_port(*peer))?;
            }
        }
        let addresses: Vec<_> = peers.iter().map(SocketAddr::ip).collect();
        if !allocation.permit(&addresses, self.now) {
            return Err(code::INSUFFICIENT_CAPACITY);
        }
        Ok(self.success())
    }

    /// RFC 8656 §12.2.
    pub(super) fn channel_bind(&self, caller: &Caller<'_>) -> Result<Builder, u16> {
        let allocation = self.own_allocation(caller)?;
        let channel = match self.message.get(attribute::CHANNEL_NUMBER) {
            Some([high, low, _, _]) => u16::from_be_bytes([*high, *low]),
            _ => return Err(code::BAD_REQUEST),
        };
        let peer = self.message.xor_address(attribute::XOR_PEER_ADDRESS).map(unmapped);
        let peer = peer.filter(|_| CHANNELS.contains(&channel)).ok_or(code::BAD_REQUEST)?;
        self.check_peer(allocation, peer)?;
        allocation.bind(channel, peer, self.now).map_err(|error| match error {
            BindError::Taken => code::BAD_REQUEST,
            BindError::Full => code::INSUFFICIENT_CAPACITY,
        })?;
        Ok(self.success())
    }

    fn check_peer(&self, allocation: &Allocation, peer: SocketAddr) -> Result<(), u16> {
        if peer.is_ipv6() != allocation.relayed.is_ipv6() {
            return Err(code::PEER_FAMILY_MISMATCH);
        }
        if !self.shared.may_permit(peer, self.now) {
            count(&self.shared.counters.forbidden, 1);
            return Err(code::FORBIDDEN);
        }
        Ok(())
    }
}

/// What the filter is asked for a peer without a port: it refuses port 0, which no datagram can go to.
fn nameless_port(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip(), peer.port().max(1))
}
