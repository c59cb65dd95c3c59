//! Where the gateway goes by itself. A request may bring a URL, such as that of a certificate; it is followed only when
//! it is on the list of its source, and nothing is resolved and nobody is asked to find that out (W-52).

use std::fmt;

use regex::Regex;

use crate::stages::{
    selector::{Ambiguous, Facts},
    template::Template,
    words::Refusal,
};

/// The longest URL that is looked at, in bytes.
const URL_MAX: usize = 2048;

/// The port of a URL that names none (RFC 9110, section 4.2.2).
const HTTPS: u16 = 443;

/// An `https` URL that an operator or a preset wrote, or that was on a list of theirs. There is no other way to make
/// one, so whoever has one may go there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
    /// Path and query.
    target: String,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

/// What a URL must be, besides `https`: its host, its path and its query are each on the list.
#[derive(Clone, Debug)]
pub struct AllowList {
    /// One of these.
    pub hosts: Vec<HostPattern>,
    /// The shape of the path, from first to last character.
    pub path: Regex,
    /// The shape of the query; without one there must be no query.
    pub query: Option<Regex>,
}

/// A host by name, or several: a `*` stands for letters, digits and hyphens within one label, and never for a name that
/// strangers could register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    labels: Vec<String>,
    port: u16,
}

/// A place the gateway may have to go to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// Always the same.
    Fixed(Address),
    /// Made of parts of the request, and on the list.
    Listed {
        /// The URL.
        url: Template,
        /// What it must be.
        list: AllowList,
    },
}

impl Destination {
    /// The address for this request; nothing when a part of it is absent, and a refusal when it is not on the list.
    pub fn find(&self, facts: &Facts<'_>) -> Result<Option<Address>, Refusal> {
        match self {
            Self::Fixed(address) => Ok(Some(address.clone())),
            Self::Listed { url, list } => {
                let Some(url) = url.render(facts).map_err(|Ambiguous| Refusal::AuthAmbiguous)? else {
                    return Ok(None);
                };
                list.admit(&url).map(Some).map_err(|NoAddress| Refusal::AuthMalformed)
            }
        }
    }
}

impl AllowList {
    /// The address that a URL names, if it is on the list.
    pub fn admit(&self, url: &[u8]) -> Result<Address, NoAddress> {
        let parts = std::str::from_utf8(url).ok().and_then(Parts::of).ok_or(NoAddress)?;
        let listed = self.hosts.iter().any(|pattern| pattern.matches(&parts.host, parts.port))
            && is_whole(&self.path, parts.path)
            && match &self.query {
                Some(shape) => is_whole(shape, parts.query.unwrap_or_default()),
                None => parts.query.is_none(),
            };
        if listed { Ok(parts.address()) } else { Err(NoAddress) }
    }
}

impl Address {
    /// A URL from the configuration: whoever wrote it has chosen it.
    pub fn fixed(url: &str) -> Result<Self, NoAddress> {
        Parts::of(url).map(|parts| parts.address()).ok_or(NoAddress)
    }

    /// The host's name, in lower case; never an IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query, as they are sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The value of `Host`: without the port where it is that of the scheme (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        if self.port == HTTPS { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.target)
    }
}

/// Without the query: it may hold a token.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "https://{}{path}", self.authority())
    }
}

impl HostPattern {
    /// Reads `name`, `name:port`, or a name with `*` in it. The error says what is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("//") || text.contains('/') {
            return Err("it is a URL; write the host alone, for example \"keys.example.com\"".to_owned());
        }
        let (name, port) = authority(text).ok_or("a host is a name of letters, digits, `-` and `.`")?;
        let labels: Vec<String> = name.split('.').map(str::to_owned).collect();
        let literal = name.replace('*', "x");
        if labels.len() < 2 || !is_host(&literal) {
            return Err("it is not the full name of a host, for example \"keys.example.com\"".to_owned());
        }
        let pattern = Self { labels, port };
        if pattern.is_open() {
            return Err("the `*` stands where strangers can register names; write out the sender's own domain, for \
                        example \"keys.*.example.com\""
                .to_owned());
        }
        Ok(pattern)
    }

    /// Whether this is the name of a host that is meant.
    pub fn names(&self, host: &str) -> bool {
        self.matches(host, self.port)
    }

    /// Whether this host and port are meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let mut labels = host.split('.');
        port == self.port
            && self.labels.iter().all(|pattern| labels.next().is_some_and(|label| is_like(label, pattern)))
            && labels.next().is_none()
            && (self.is_literal() || self.owns(host))
    }

    fn is_literal(&self) -> bool {
        !self.labels.iter().any(|label| label.contains('*'))
    }

    /// Whether the domain that was registered for a host of this pattern is written out in it: what a `*` stands for
    /// must not make it a name under a public suffix, such as that of a bucket.
    fn owns(&self, host: &str) -> bool {
        let literal = self.labels.iter().rev().take_while(|label| !label.contains('*'));
        let domain = psl::domain_str(host).map(|domain| domain.split('.').count());
        domain.is_some_and(|labels| labels <= literal.count())
    }

    fn is_open(&self) -> bool {
        !self.is_literal() && !self.owns(&self.labels.join(".").replace('*', "x"))
    }
}

/// A URL, taken apart. Whatever two readers could read differently is not read at all: user names, escapes and dots in
/// the path, backslashes, fragments, names that are numbers, names in Unicode.
struct Parts<'a> {
    host: String,
    port: u16,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        if url.len() > URL_MAX {
            return None;
        }
        let rest = url.strip_prefix("https://")?;
        let (written, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = authority(written)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (if target.is_empty() { "/" } else { target }, None),
        };
        let is_sound = is_host(&host) && is_path(path) && query.is_none_or(is_query);
        is_sound.then_some(Self { host, port, path, query })
    }

    fn address(&self) -> Address {
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        Address { host: self.host.clone(), port: self.port, target: format!("{}{query}", self.path) }
    }
}

/// A name in lower case, and a port.
fn authority(text: &str) -> Option<(String, u16)> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => {
            let is_number = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
            (name, port.parse().ok().filter(|_| is_number)?)
        }
        None => (text, HTTPS),
    };
    Some((name.to_ascii_lowercase(), port))
}

/// A name of the DNS whose last label is no number (RFC 1123, section 2.1), and that is not an encoded one in Unicode
/// (RFC 5891, section 4.2.3.1).
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.get(2..4) != Some("--")
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && last.bytes().all(|it| it.is_ascii_alphabetic())
}

/// Unescaped characters of a path (RFC 3986, section 3.3), without segments that lead elsewhere.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte))
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Characters of a query (RFC 3986, section 3.4).
fn is_query(query: &str) -> bool {
    query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte))
}

/// Whether a label is what the pattern says; its `*` stands for one character or more.
fn is_like(label: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return label == pattern };
    let Some(after) = label.strip_prefix(start) else { return false };
    (1..=after.len()).any(|taken| is_like(&after[taken..], rest))
}

fn is_whole(shape: &Regex, text: &str) -> bool {
    shape.find(text).is_some_and(|found| found.len() == text.len())
}

#[cfg(test)]
mod tests;
