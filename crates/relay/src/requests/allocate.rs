//! Allocate (RFC 8656 §7).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Request;
use super::authentication::Caller;
use crate::allocation::{Account, Allocation, Parts};
use crate::credentials::LONGEST_VALIDITY_SECONDS;
use crate::forward::serve_allocation;
use crate::shared::Place;
use crate::stun::{AddressFamily, Builder, attribute, code};
use crate::table::Refusal;
use crate::udp::{Purpose, UdpPort};

/// IANA's number of UDP, the only transport peers are reached by.
const UDP: u8 = 17;
/// RFC 8656 §3.2 names ten minutes.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(10);
/// RFC 8656 §7.2 recommends an hour at most.
const LONGEST_LIFETIME: Duration = Duration::from_hours(1);
/// Ports tried before the server says that it is full. The table knows its own, so these are other programs'.
const ATTEMPTS: usize = 32;

/// What the client gets of what it asks for (RFC 8656 §7.2): at least the default, at most the longest.
pub(super) fn granted_lifetime(asked: Option<u32>) -> Duration {
    let asked = Duration::from_secs(u64::from(asked.unwrap_or_default()));
    asked.clamp(DEFAULT_LIFETIME, LONGEST_LIFETIME)
}

impl Request<'_> {
    /// The checks of RFC 8656 §7.2 in its order, and those of the credential.
    pub(super) fn allocate(&self, caller: &Caller<'_>) -> Result<Builder, u16> {
        if let Some(existing) = self.allocation {
            let is_retransmission =
                existing.made_by == self.message.transaction() && existing.account.username == caller.text;
            return if is_retransmission {
                Ok(self.allocated(existing))
            } else {
                Err(code::ALLOCATION_MISMATCH)
            };
        }
        let v6 = self.requested_family()?;
        let clock = self.shared.now();
        let expires_at = caller.username.expires_at;
        if expires_at <= clock || expires_at > clock.saturating_add(LONGEST_VALIDITY_SECONDS) {
            return Err(code::UNAUTHENTICATED);
        }
        let place =
            self.shared.places.of_family(v6, self.origin.tuple.server).ok_or(code::FAMILY_NOT_SUPPORTED)?;
        let account =
            self.shared.table.reserve(caller.text, caller.username, &self.shared.limits, self.now).map_err(
                |refusal| match refusal {
                    Refusal::Ended => code::FORBIDDEN,
                    Refusal::Quota => code::QUOTA_REACHED,
                    Refusal::Full => code::INSUFFICIENT_CAPACITY,
                },
            )?;
        let Some((port, relayed)) = self.bind(place) else {
            self.shared.table.give_back(&account);
            tracing::warn!("no free port for a relay allocation; widen the port range");
            return Err(code::INSUFFICIENT_CAPACITY);
        };
        let allocation = self.open(caller, account, port, relayed).ok_or(code::INSUFFICIENT_CAPACITY)?;
        tracing::debug!(relay.session = caller.username.session, "relay allocation opened");
        let answer = self.allocated(&allocation);
        // RFC 8656 §7.2: the second family was asked for as a favour and is not there.
        let second_family = self.message.get(attribute::ADDITIONAL_ADDRESS_FAMILY).is_some();
        Ok(if second_family {
            answer.attribute(attribute::ADDRESS_ERROR_CODE, &[2, 0, 4, 40])
        } else {
            answer
        })
    }

    /// Refuses what is not offered; returns whether the relayed address is to be IPv6.
    fn requested_family(&self) -> Result<bool, u16> {
        let message = self.message;
        match message.get(attribute::REQUESTED_TRANSPORT) {
            Some([UDP, _, _, _]) => {}
            Some([_, _, _, _]) => return Err(code::UNSUPPORTED_TRANSPORT),
            _ => return Err(code::BAD_REQUEST),
        }
        let even_port = message.get(attribute::EVEN_PORT);
        let family = message.family(attribute::REQUESTED_ADDRESS_FAMILY);
        let second_family = message.family(attribute::ADDITIONAL_ADDRESS_FAMILY);
        let token = message.get(attribute::RESERVATION_TOKEN).is_some();
        let contradicts = (token && (even_port.is_some() || family.is_some() || second_family.is_some()))
            || (family.is_some() && second_family.is_some())
            || second_family.is_some_and(|it| it != Some(AddressFamily::V6))
            || (second_family.is_some() && even_port.is_some());
        if contradicts {
            return Err(code::BAD_REQUEST);
        }
        // WebRTC has no use for pairs of ports: an even one can be had (R = 0), but no other is kept beside it.
        let wants_pair = even_port.is_some_and(|value| value.first().is_none_or(|bits| bits & 0x80 != 0));
        if wants_pair || token {
            return Err(code::INSUFFICIENT_CAPACITY);
        }
        match family {
            None | Some(Some(AddressFamily::V4)) => Ok(false),
            Some(Some(AddressFamily::V6)) => Ok(true),
            Some(None) => Err(code::FAMILY_NOT_SUPPORTED),
        }
    }

    /// A port nobody can guess (RFC 8656 §7.2 asks for that), then the next free ones.
    fn bind(&self, place: Place) -> Option<(UdpPort, SocketAddr)> {
        let ports = &self.shared.places.ports;
        let (first, last) = (usize::from(*ports.start()), usize::from(*ports.end()));
        let size = last - first + 1;
        let client = self.origin.tuple.client;
        let chosen = self.shared.secret.sign(&[
            b"port\0",
            &self.message.transaction().0,
            &crate::address::octets(client.ip()),
            &client.port().to_be_bytes(),
        ]);
        let start = usize::from(u16::from_be_bytes([chosen[0], chosen[1]])) % size;
        let only_even = self.message.get(attribute::EVEN_PORT).is_some();
        (0..size)
            .filter_map(|step| u16::try_from(first + (start + step) % size).ok())
            .filter(|port| !only_even || port % 2 == 0)
            .filter(|port| !self.shared.table.is_relayed(SocketAddr::new(place.advertised, *port), self.now))
            .take(ATTEMPTS)
            .find_map(|port| {
                bind_relayed(place.bind, port).map(|it| (it, SocketAddr::new(place.advertised, port)))
            })
    }

    fn open(
        &self,
        caller: &Caller<'_>,
        account: Arc<Account>,
        port: UdpPort,
        relayed: SocketAddr,
    ) -> Option<Arc<Allocation>> {
        let parts = Parts {
            tuple: self.origin.tuple,
            relayed,
            port,
            client: self.origin.client.clone(),
            account,
            key: caller.key.clone(),
            made_by: self.message.transaction(),
            lifetime: granted_lifetime(self.message.number(attribute::LIFETIME)),
        };
        self.shared.filter.learn_own(relayed.ip());
        let ended = self.shared.stop.child_token();
        let allocation = Arc::new(Allocation::new(
            parts,
            &self.shared.limits,
            Arc::clone(&self.shared.delayed),
            ended,
            self.now,
        ));
        if !self.shared.table.insert(&allocation) {
            return None;
        }
        self.shared.tasks.spawn(serve_allocation(Arc::clone(self.shared), Arc::clone(&allocation)));
        Some(allocation)
    }

    fn allocated(&self, allocation: &Allocation) -> Builder {
        let left = allocation.expires().saturating_duration_since(self.now).as_secs();
        self.success()
            .xor_address(attribute::XOR_RELAYED_ADDRESS, allocation.relayed)
            .number(attribute::LIFETIME, u32::try_from(left).unwrap_or(u32::MAX))
            .xor_address(attribute::XOR_MAPPED_ADDRESS, self.origin.tuple.client)
    }
}

fn bind_relayed(ip: IpAddr, port: u16) -> Option<UdpPort> {
    UdpPort::bind(SocketAddr::new(ip, port), Purpose::Relayed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_stay_between_ten_minutes_and_an_hour() {
        for (asked, granted) in
            [(None, 600), (Some(0), 600), (Some(599), 600), (Some(1200), 1200), (Some(u32::MAX), 3600)]
        {
            assert_eq!(granted_lifetime(asked).as_secs(), granted);
        }
    }
}
