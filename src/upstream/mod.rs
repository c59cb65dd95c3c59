//! The way out: one delivery attempt, and what became of it.

mod client;

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

pub use client::{HttpUpstream, Settings, Tls};
pub(crate) use client::{chain, retry_after};

/// One request to an application, ready to be sent. The address is the upstream's own; events never choose it.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Exactly the headers to send, besides the connection's own.
    pub headers: HeaderMap,
    /// Exactly the bytes to send.
    pub body: Bytes,
    /// How long the attempt may take at most, from now.
    pub within: Duration,
    /// Whether the application's 2xx body is wanted back (`delivery.relay`).
    pub relay: bool,
}

/// What became of one attempt. Every error of the client is mapped to exactly one of these.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// A 2xx head was read; whatever the body did, the event is delivered.
    Delivered(Delivered),
    /// A final head other than 2xx was read: 1xx, 3xx, 4xx or 5xx.
    Refused {
        /// The status the application gave.
        status: StatusCode,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<RetryAfter>,
    },
    /// Bytes may have reached the application, but no answer was read.
    Ambiguous {
        /// The time ran out, rather than the connection.
        timeout: bool,
        /// What happened, for the log.
        error: String,
    },
    /// Not one byte of the request was sent.
    NotSent {
        /// The connection could not be made in time.
        timeout: bool,
        /// What happened, for the log.
        error: String,
    },
    /// `max_in_flight` attempts are under way already; nothing was sent.
    Full,
}

/// When an application wants to be asked again (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so many seconds.
    Seconds(u64),
    /// At this time.
    At(Timestamp),
}

impl RetryAfter {
    /// How long that is from `now`: nothing for a time that has passed.
    #[must_use]
    pub fn wait(self, now: Timestamp) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::At(time) => Duration::try_from(time.duration_since(now)).unwrap_or_default(),
        }
    }
}

/// The application's answer to a delivered event.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The 2xx status.
    pub status: StatusCode,
    /// Content type and body, when they were asked for.
    pub relay: Option<(Option<http::HeaderValue>, Bytes)>,
}

/// A boxed future, so that an upstream can stand behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An application that events are forwarded to.
pub trait Upstream: Send + Sync {
    /// Makes one attempt. Never retries after a byte was sent.
    fn deliver(&self, outbound: Outbound) -> BoxFuture<'_, Attempt>;
}
