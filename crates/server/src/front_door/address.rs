//! Who asks: the peer, or whom a trusted proxy names.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

/// Who asks, after trusted proxies were believed. An extractor for every handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Of a request that the front door let in.
    pub fn of(parts: &Parts) -> Self {
        // The front door puts it into every request.
        parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// The peer's address; the last hop of `X-Forwarded-For` if the peer is a trusted proxy. Earlier hops
/// are what the client wrote, so they are never believed.
pub fn client_address(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
    let peer = peer.to_canonical();
    if !trusted.iter().any(|network| network.contains(&peer)) {
        return ClientAddress(peer);
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let last = last.and_then(|value| value.rsplit(',').next()).and_then(|hop| hop.trim().parse().ok());
    ClientAddress(last.map_or(peer, |address: IpAddr| address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_hop_of_a_trusted_proxy_counts() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let cases: &[(&str, &[&str], &str)] = &[
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.1.1.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.1.1.1", &["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
            ("10.1.1.1", &["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.1.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.1.1.1", &["203.0.113.9, nonsense"], "10.1.1.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("::ffff:192.0.2.1", &[], "192.0.2.1"),
        ];
        for (peer, forwarded, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *forwarded {
                headers.append("x-forwarded-for", value.parse().expect("a header"));
            }
            let found = client_address(&trusted, peer.parse().expect("an address"), &headers);
            assert_eq!(found.0.to_string(), *expected, "{peer} {forwarded:?}");
        }
    }
}
