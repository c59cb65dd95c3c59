//! Who a client is behind proxies: nobody passes for another, whatever he writes to the left of what a proxy of ours adds.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::{server::client, stages::receive::Client};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The lines of `X-Forwarded-For` that a client sends.
///
/// # Panics
///
/// When a client is another one than our proxy says, or one that nobody vouches for.
pub fn proxies(data: &[u8]) {
    let address = |text: &str| text.parse::<IpAddr>().expect("a constant");
    let (proxy, sender) = (address("10.0.0.1"), address("198.51.100.9"));
    let networks = ["10.0.0.0/8", "fd00::/8"];
    let trusted = networks.map(|network| network.parse::<IpNet>().expect("a constant"));
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let judge = |peer: IpAddr, lines: &[&[u8]]| {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line).ok());
        let headers: Option<HeaderMap> = values.map(|value| Some((X_FORWARDED_FOR, value?))).collect();
        headers.map(|_| client(Some(peer), &appended(lines), &trusted))
    };

    // One who comes directly is himself.
    let Some(direct) = judge(sender, &lines) else { return };
    assert_eq!(direct, Client { address: Some(sender), known: true });

    // Our proxy names him at the right end of the last line, or in a line of its own.
    let longer = [lines.last().copied().unwrap_or_default(), b", 198.51.100.9"].concat();
    let in_line = [&lines[..lines.len() - 1], &[&longer]].concat();
    let in_own_line = [&lines[..], &[b"198.51.100.9:4711"]].concat();
    for lines in [in_line, in_own_line] {
        assert_eq!(judge(proxy, &lines), Some(Client { address: Some(sender), known: true }), "{lines:?}");
    }

    // Our proxy names nobody: then it is a hop that is written there, and a trusted one vouches for each.
    let found = judge(proxy, &lines).expect("the lines were headers before");
    let written = lines.join(&b","[..]);
    let hops: Vec<Option<IpAddr>> = written.rsplit(|byte| *byte == b',').map(hop).collect();
    let vouched = hops.iter().take_while(|hop| hop.as_ref().is_some_and(is_trusted)).count();
    let expected =
        hops.get(vouched).copied().flatten().or_else(|| hops.get(vouched.checked_sub(1)?).copied().flatten());
    assert_eq!(found, Client { address: Some(expected.unwrap_or(proxy)), known: expected.is_some() }, "{lines:?}");
}

fn appended(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).expect("it was checked before"));
    }
    headers
}

/// One hop: an address, in brackets or not, with a port or not.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let without_port = match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => host,
        Some(_) | None => text,
    };
    let is_v6_with_port = without_port != text && without_port.starts_with('[');
    let bare = match without_port.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => without_port,
    };
    let address = bare.parse::<IpAddr>().ok().filter(|address| !is_v6_with_port || address.is_ipv6())?;
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::proxies;

    #[test]
    fn promises_hold_for_these() {
        for lines in [
            "",
            "1.1.1.1, 198.51.100.1, 10.0.0.7",
            "1.1.1.1\n10.0.0.7",
            "unknown, 10.0.0.2",
            "10.0.0.3, 10.0.0.2\n",
            "[2001:db8::5]:443,[2001:db8::5],2001:db8::5,::ffff:10.0.0.1",
            "10.0.0.2:80, 10.0.0.2:, 10.0.0.2:99999",
            ",,",
            "\u{e9}",
            "fe80::1%1",
            "[10.0.0.1], [10.0.0.1]:80",
        ] {
            proxies(lines.as_bytes());
        }
    }
}
