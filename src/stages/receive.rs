//! A request as it came in: the head, and the head with its whole body.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address: the peer's, or what trusted proxies say it is. `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether `address` is a client's own, and not that of a load balancer nobody declared.
    pub known: bool,
}

/// The request line and the headers, before any byte of the body is read.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method as sent; methods are case-sensitive (RFC 9110, section 9.1).
    pub method: Method,
    /// The path as sent: undecoded, never normalised.
    pub path: String,
    /// What followed the first `?`, as sent; `None` when there was none.
    pub query: Option<String>,
    /// All headers as sent.
    pub headers: HeaderMap,
    /// Who sent it.
    pub client: Client,
}

/// A whole request within its source's limits. Nobody has checked who sent it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Request line and headers.
    pub head: Head,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When the last byte of it had arrived.
    pub at: Timestamp,
}
