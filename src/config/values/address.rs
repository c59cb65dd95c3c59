//! Addresses and headers.

use std::{
    cmp::Ordering,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use http::{HeaderName, HeaderValue, Uri};
use ipnet::IpNet;

use crate::{config::values::Leaf, stages::address::HostPattern};

/// An absolute `http` or `https` address without user information and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(pub Uri);

impl Leaf for Url {
    fn want() -> String {
        "a URL".to_owned()
    }

    fn help(_text: &str) -> String {
        "scheme, host and path, without user name and fragment: \"http://127.0.0.1:3000/webhooks\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok().filter(|_| !text.contains('#'))?;
        let host = uri.authority().is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
        (matches!(uri.scheme_str(), Some("http" | "https")) && host).then_some(Self(uri))
    }
}

/// A range of addresses; one address alone is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl Leaf for Cidr {
    fn want() -> String {
        "an address or a range of addresses".to_owned()
    }

    fn help(text: &str) -> String {
        match net(text) {
            Some(net) => format!(
                "write {:?} for the range, or {:?} for the address",
                net.trunc().to_string(),
                net.addr().to_string()
            ),
            None => "for example \"203.0.113.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        net(text).filter(|net| *net == net.trunc()).map(Self)
    }
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A host that the gateway goes to by itself, or several of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(pub HostPattern);

impl Leaf for Host {
    fn want() -> String {
        "the name of a host, in which `*` stands for a part of a label".to_owned()
    }

    fn help(text: &str) -> String {
        HostPattern::parse(text).err().unwrap_or_else(|| "for example \"keys.example.com\"".to_owned())
    }

    fn parse(text: &str) -> Option<Self> {
        HostPattern::parse(text).ok().map(Self)
    }
}

/// Where a listener waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Leaf for Listen {
    fn want() -> String {
        "an address to listen on".to_owned()
    }

    fn help(_text: &str) -> String {
        "an IP address and a port, or a socket: \"127.0.0.1:8080\", \"[::]:80\", \"unix:/run/hooksieve.sock\""
            .to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => PathBuf::parse(path).filter(|path| path.is_absolute()).map(Self::Unix),
            None => text.parse().ok().map(Self::Tcp),
        }
    }
}

/// The name of a host, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub String);

impl Leaf for HostName {
    fn want() -> String {
        "the name of a host".to_owned()
    }

    fn help(_text: &str) -> String {
        "the name alone, without scheme, port and path: \"hooks.internal\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let is_name = text.len() <= 253 && text.split('.').all(|label| !label.is_empty() && letters(label));
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }
}

/// The name of a header. Ordered, as the key of a map must be; `HeaderName` is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(pub HeaderName);

impl PartialOrd for Header {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Header {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl Leaf for Header {
    fn want() -> String {
        "a header name".to_owned()
    }

    fn help(_text: &str) -> String {
        "for example \"x-signature\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Leaf for HeaderValue {
    fn want() -> String {
        "a header value".to_owned()
    }

    fn help(_text: &str) -> String {
        "visible ASCII characters, with blanks only between them".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
        let mut value: Self = text.parse().ok().filter(|_| visible)?;
        // It may be a credential for the application: no `Debug` shows it.
        value.set_sensitive(true);
        Some(value)
    }
}
