//! Addresses as this server looks at them: what they really are, and which of them a stranger may be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;

/// The address without its IPv4-mapped disguise (RFC 4291 §2.5.5.2). A socket that serves both families shows IPv4
/// clients so.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The address a packet to `ip` would arrive at in the end: unmapped, and with the IPv4 address taken out of the
/// well-known NAT64 prefix 64:ff9b::/96 (RFC 6052 §2.1).
pub fn true_address(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => match v6.octets() {
            [0x00, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => {
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whether the address is unicast and reachable from anywhere (the IANA special-purpose registries, RFC 6890, leave out
/// the rest). Unknown ranges of IPv6 are not: only 2000::/3 has been given out.
pub fn is_globally_routable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => is_global_v6(v6),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let bytes = ip.octets();
    // This network, loopback, multicast and all above it with the broadcast address.
    let reserved = matches!(bytes, [0 | 127 | 224..=255, ..]);
    // RFC 1918, and the shared address space of providers (RFC 6598).
    let private = matches!(bytes, [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..]);
    // Link-local, where clouds keep their metadata service; one cloud has its host agent behind a public address that
    // answers only from inside.
    let platform = matches!(bytes, [169, 254, ..] | [168, 63, 129, 16]);
    // IETF protocol assignments, former 6to4 relays, documentation, benchmarking (RFC 2544).
    let assigned = matches!(bytes, [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18..=19, ..])
        || matches!(bytes, [198, 51, 100, _] | [203, 0, 113, _]);
    !(reserved || private || platform || assigned)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let given_out = (0x2000..=0x3FFF).contains(&first);
    // IETF protocol assignments: Teredo, ORCHID, benchmarking …
    let assigned = first == 0x2001 && second <= 0x01FF;
    let documentation = (first == 0x2001 && second == 0x0DB8) || (first == 0x3FFF && second <= 0x0FFF);
    // An IPv4 address in disguise (RFC 7526 has deprecated it).
    let six_to_four = first == 0x2002;
    given_out && !(assigned || documentation || six_to_four)
}

/// Bytes of an address, for keyed hashes.
pub(crate) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Which peers are not a relayed address of this server but may be reached all the same.
#[derive(Debug)]
pub struct PeerFilter {
    allow: Vec<IpNet>,
    own: RwLock<Vec<IpAddr>>,
}

impl PeerFilter {
    /// `allow` is the operator's word and wins; `own` are the server's own addresses.
    pub fn new(allow: Vec<IpNet>, own: impl IntoIterator<Item = IpAddr>) -> Self {
        let own = own.into_iter().filter(|ip| !ip.is_unspecified()).map(true_address).collect();
        Self { allow, own: RwLock::new(own) }
    }

    /// Whether a datagram may go to or come from `peer`. Pure and cheap: asked for every datagram.
    pub fn allows(&self, peer: SocketAddr) -> bool {
        let ip = true_address(peer.ip());
        if peer.port() == 0 {
            return false;
        }
        self.is_allowed_by_operator(ip) || (is_globally_routable(ip) && !self.is_own(ip))
    }

    /// [`Self::allows`], and the kernel does not know the address as one of this machine's. Asked when a permission or
    /// a channel is made, which must come before every datagram; so an address that was added to an interface while
    /// running is not a way around the filter.
    pub fn allows_anew(&self, peer: SocketAddr) -> bool {
        self.allows(peer) && {
            let ip = true_address(peer.ip());
            self.is_allowed_by_operator(ip) || !is_of_this_machine(ip)
        }
    }

    /// Remembers an address as the server's own. Every address that relayed addresses are made of must be: a permission
    /// for a relayed address is one for all ports of it, and only here the others are refused.
    pub fn learn_own(&self, ip: IpAddr) {
        let ip = true_address(ip);
        if !self.is_own(ip) {
            self.own.write().unwrap_or_else(PoisonError::into_inner).push(ip);
        }
    }

    /// Whether the address is known as the server's own.
    fn is_own(&self, ip: IpAddr) -> bool {
        self.own.read().unwrap_or_else(PoisonError::into_inner).contains(&ip)
    }

    fn is_allowed_by_operator(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&ip))
    }
}

/// The kernel lets a socket be bound to local addresses only.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn filter(allow: &[&str]) -> PeerFilter {
        let allow = allow.iter().map(|net| net.parse().expect("a network")).collect();
        PeerFilter::new(allow, ["5.9.1.2".parse().expect("ours"), "2a01:4f8::2".parse().expect("ours")])
    }

    #[test]
    fn strangers_on_the_internet_are_allowed() {
        for good in [
            "1.1.1.1:443",
            "8.8.8.8:1",
            "100.63.255.255:9",
            "100.128.0.0:9",
            "172.32.0.1:5",
            "198.20.0.1:5",
            "[2606:4700::1111]:443",
            "[2001:200::1]:5",
            "[::ffff:8.8.8.8]:5",
            "[64:ff9b::808:808]:5",
        ] {
            assert!(filter(&[]).allows(peer(good)), "{good}");
        }
    }

    #[test]
    fn everything_that_is_not_the_internet_is_refused() {
        for bad in [
            "127.0.0.1:80",
            "127.255.255.254:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "10.0.0.1:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.168.1.1:80",
            "100.64.0.1:80",
            "100.100.100.200:80",
            "169.254.169.254:80",
            "169.254.0.1:80",
            "168.63.129.16:80",
            "192.0.0.192:80",
            "192.0.2.1:80",
            "198.51.100.1:80",
            "203.0.113.1:80",
            "192.88.99.1:80",
            "198.18.0.1:80",
            "224.0.0.1:80",
            "239.255.255.250:1900",
            "240.0.0.1:80",
            "255.255.255.255:80",
            "1.1.1.1:0",
            "[::]:80",
            "[::1]:80",
            "[::7f00:1]:80",
            "[fe80::1]:80",
            "[fc00::1]:80",
            "[fd00:ec2::254]:80",
            "[ff02::1]:80",
            "[100::1]:80",
            "[2001:db8::1]:80",
            "[3fff::1]:80",
            "[2001::1]:80",
            "[2001:10::1]:80",
            "[2002:7f00:1::]:80",
            "[4000::1]:80",
            "[fec0::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[::ffff:0:a00:1]:80",
            "[64:ff9b::7f00:1]:80",
            "[64:ff9b::a00:1]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[64:ff9b::e000:1]:80",
            "[64:ff9b:1::808:808]:80",
            // Our own, in every disguise.
            "5.9.1.2:443",
            "[::ffff:5.9.1.2]:443",
            "[64:ff9b::509:102]:443",
            "[2a01:4f8::2]:443",
        ] {
            assert!(!filter(&[]).allows(peer(bad)), "{bad}");
        }
    }

    #[test]
    fn the_operator_may_allow_more() {
        let it = filter(&["127.0.0.0/8", "fd00:1::/32"]);
        assert!(it.allows(peer("127.0.0.5:9")) && it.allows_anew(peer("127.0.0.5:9")));
        assert!(it.allows(peer("[::ffff:127.0.0.5]:9")) && it.allows(peer("[fd00:1::7]:9")));
        assert!(
            !it.allows(peer("127.0.0.5:0"))
                && !it.allows(peer("[fd00:2::7]:9"))
                && !it.allows(peer("10.0.0.1:9"))
        );
    }

    #[test]
    fn an_address_can_turn_out_to_be_ours() {
        let it = filter(&[]);
        assert!(it.allows(peer("1.1.1.1:9")));
        it.learn_own("1.1.1.1".parse().expect("an address"));
        assert!(!it.allows(peer("1.1.1.1:9")) && !it.allows(peer("[64:ff9b::101:101]:9")));
    }

    #[test]
    fn the_kernel_knows_what_is_ours() {
        assert!(is_of_this_machine("127.0.0.1".parse().expect("loopback")));
        assert!(!is_of_this_machine("192.0.2.77".parse().expect("documentation")));
    }
}
