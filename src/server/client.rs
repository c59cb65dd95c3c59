//! Who is at the other end: the peer, or what the proxies we trust say about it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::stages::receive::Client;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client behind `peer` (`None` on a Unix socket).
///
/// Hops are read from the right, each vouched for by the trusted hop after it. The first untrusted one is the client;
/// at one that is not an address the walk ends with the last good one, for nothing to its left can be believed.
pub(crate) fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let Some(peer) = peer.map(|address| address.to_canonical()) else {
        return Client { address: None, known: false };
    };
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return Client { address: Some(peer), known: !is_local(peer) };
    }
    let mut client = Client { address: Some(peer), known: false };
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = parse_hop(hop) else { return client };
            client = Client { address: Some(address), known: true };
            if !is_trusted(address) {
                return client;
            }
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:443`.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(address.to_canonical())
}

/// Addresses that nobody on the internet has: such a peer is a proxy that nobody declared, or a neighbour.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared(v4.octets()),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10 (RFC 6598): carriers and cloud load balancers.
const fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0b1100_0000 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, forwarded: &[&'static str], want: &str, known: bool) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let got = client(Some(peer.parse().unwrap()), &headers, &trusted);
        assert_eq!(got, Client { address: Some(want.parse().unwrap()), known });
    }

    #[test]
    fn a_peer_nobody_trusts_speaks_for_itself() {
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9", true);
        check("::ffff:203.0.113.9", &[], "203.0.113.9", true);
        check("192.168.1.1", &["198.51.100.1"], "192.168.1.1", false);
        check("127.0.0.1", &[], "127.0.0.1", false);
        check("fe80::1", &[], "fe80::1", false);
        check("100.64.3.2", &[], "100.64.3.2", false);
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1", true);
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.7"], "198.51.100.1", true);
        check("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.7"], "198.51.100.1", true);
        check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1", true);
        check("fd00::1", &["[2001:db8::5]:443"], "2001:db8::5", true);
        check("fd00::1", &["[2001:db8::5]"], "2001:db8::5", true);
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3", true);
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_walk() {
        check("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1", false);
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2", true);
        check("10.0.0.1", &["198.51.100.1,,10.0.0.2"], "10.0.0.2", true);
        check("10.0.0.1", &[""], "10.0.0.1", false);
        check("10.0.0.1", &[], "10.0.0.1", false);
    }

    #[test]
    fn a_unix_socket_has_no_client() {
        assert_eq!(client(None, &HeaderMap::new(), &[]), Client { address: None, known: false });
    }
}
