//! URLs that come with requests: which of them the gateway would follow. The target compares what was let through with
//! another reader of URLs, so that there is none that the two read differently.

use regex::Regex;

use crate::stages::address::{AllowList, HostPattern};

/// What was let through.
#[derive(Debug)]
pub struct Followed {
    /// As it came.
    pub url: String,
    /// The host that would be connected to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What would be asked for.
    pub target: String,
}

/// The sender's own domain, one of which every host must be under.
pub const DOMAINS: [&str; 2] = [".amazonaws.com", ".eventgrid.azure.net"];

/// The letters `A`, `E` and `S` stand for a host of either list and for `https://`, so that a fuzzer finds them.
pub fn address(data: &[u8]) -> Option<Followed> {
    let text = std::str::from_utf8(data).ok()?;
    let url = text.replace('A', "sns.eu-1.amazonaws.com").replace('E', "rp-x.eventgrid.azure.net:553");
    let url = url.replace('S', "https://");
    let address = list().admit(url.as_bytes()).ok()?;
    Some(Followed { host: address.host().to_owned(), port: address.port(), target: address.target().to_owned(), url })
}

/// Wide but for the hosts.
fn list() -> AllowList {
    let hosts = ["sns.*.amazonaws.com", "rp-*.eventgrid.azure.net:553"];
    AllowList {
        hosts: hosts.iter().map(|host| HostPattern::parse(host).expect("a constant")).collect(),
        path: Regex::new("^.*$").expect("a constant"),
        query: Some(Regex::new("^.*$").expect("a constant")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known() {
        let followed = address(b"SA/x?y").unwrap();
        assert_eq!(
            (followed.host.as_str(), followed.port, followed.target.as_str()),
            ("sns.eu-1.amazonaws.com", 443, "/x?y")
        );
        assert_eq!(address(b"SE/x").unwrap().port, 553);
        for other in ["", "A", "S", "Su@A/", "SA.x/", "SA:80/", "SA\\/", "S A/"] {
            assert!(address(other.as_bytes()).is_none(), "{other}");
        }
    }
}
