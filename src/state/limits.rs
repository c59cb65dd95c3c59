//! Two budgets. Each client has one of *failures*: looked at before a body is read, charged only when a request could
//! not be read or proved ([`ClientLimit`]). Each source has one of *events*, charged after authentication only, so
//! that nobody else can use it up ([`BucketStore`], [`SourceLimit`]).
//!
//! A budget of `burst` is there at first and comes back at `rate`, one by one (GCRA, as in ATM's traffic contract).

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use crate::{
    stages::receive::Client,
    state::{StoreFuture, at_once, key::BucketKey, memory::buckets::Buckets},
};

/// The largest burst; larger ones are cut to it, so that 1/h still counts in 64 bits of nanoseconds.
pub const BURST_MAX: u32 = 1_000_000;

/// How many clients with failures are remembered: about 24 MiB. Beyond that, the one that was quiet for longest is
/// forgotten, and with it what it had used up.
pub const CLIENTS_MAX: u64 = 65_536;

/// How many buckets one source's `limit.by` can have before the one that was quiet for longest is forgotten.
pub const BUCKETS_MAX: u64 = 65_536;

/// So many per period: `50/s`, `600/m`, `10/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Period,
}

/// The time a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

/// A budget: what is there at first, and how fast it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How fast the budget comes back.
    pub rate: Rate,
    /// How much there is at most, and after a pause; at most [`BURST_MAX`].
    pub burst: NonZeroU32,
}

/// When to come back: whole seconds, rounded up, at least one. The value of `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(u64);

impl RetryAfter {
    /// The seconds to wait.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

impl From<Duration> for RetryAfter {
    fn from(wait: Duration) -> Self {
        Self((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}

/// What came of asking a bucket for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the answer may have been no"]
pub enum Taken {
    /// There was room, and it is used now.
    Granted,
    /// There is not enough room yet; nothing was used.
    Later(RetryAfter),
    /// That many never fit, not even into a full bucket: no retry of the same request can succeed.
    Never {
        /// What a full bucket holds.
        burst: NonZeroU32,
    },
}

/// An engine that keeps buckets of one limit.
pub trait BucketStore: fmt::Debug + Send + Sync {
    /// Takes `n` from the bucket `key`, all or nothing.
    ///
    /// A request whose events belong to several buckets asks each in turn. If one says no, those asked before stay
    /// charged: the sender pays for its refused batch there, as it would for any attempt.
    fn take(&self, key: BucketKey, n: NonZeroU32, now: Instant) -> StoreFuture<'_, Taken>;
}

/// The limit of a source, in memory: a [`BucketStore`] that remembers at most [`BUCKETS_MAX`] buckets.
#[derive(Debug)]
pub struct SourceLimit {
    limit: Limit,
    buckets: Buckets,
}

impl SourceLimit {
    /// Full buckets. `now` is any instant before the first request.
    #[must_use]
    pub fn new(limit: Limit, now: Instant) -> Self {
        Self { limit, buckets: Buckets::new(limit, BUCKETS_MAX, now) }
    }

    /// What it was made with: a reload that does not change it keeps the buckets.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }
}

impl BucketStore for SourceLimit {
    fn take(&self, key: BucketKey, n: NonZeroU32, now: Instant) -> StoreFuture<'_, Taken> {
        at_once(self.buckets.take(&key, n, now))
    }
}

/// The limit of failed requests per client: per IPv4 address, or per /64 of IPv6.
///
/// It is kept by each replica for itself, because it has to answer before anything is read.
#[derive(Debug)]
pub struct ClientLimit {
    limit: Limit,
    applies_to_private: bool,
    buckets: Buckets,
}

impl ClientLimit {
    /// No failures so far. `now` is any instant before the first request.
    #[must_use]
    pub fn new(limit: Limit, applies_to_private: bool, now: Instant) -> Self {
        Self { limit, applies_to_private, buckets: Buckets::new(limit, CLIENTS_MAX, now) }
    }

    /// What it was made with, and whether it applies to private addresses: a reload that changes neither keeps the
    /// failures.
    #[must_use]
    pub const fn settings(&self) -> (Limit, bool) {
        (self.limit, self.applies_to_private)
    }

    /// Whether the client may try at all. Changes nothing, and costs an honest client nothing.
    pub fn admit(&self, client: &Client, now: Instant) -> Result<(), RetryAfter> {
        self.bucket(client).map_or(Ok(()), |bucket| self.buckets.look(&bucket, now))
    }

    /// The client's request could not be read, or failed authentication.
    ///
    /// Requests that were admitted side by side are all answered, so a client can be ahead of its budget by as many
    /// connections as it is allowed to have.
    pub fn charge(&self, client: &Client, now: Instant) {
        if let Some(bucket) = self.bucket(client) {
            // A bucket that is empty already stays as it is: failures that raced do not prolong the wait.
            let _: Taken = self.buckets.take(&bucket, NonZeroU32::MIN, now);
        }
    }

    /// Whether the client has a budget. One at a private address of whom nobody said who it is has none: it may be a
    /// load balancer that is missing from `trusted_proxies`, and one attacker behind it would silence everybody.
    #[must_use]
    pub fn applies_to(&self, client: &Client) -> bool {
        self.bucket(client).is_some()
    }

    fn bucket(&self, client: &Client) -> Option<BucketKey> {
        let address = client.address?.to_canonical();
        let applies = client.known || self.applies_to_private || !is_private(address);
        applies.then(|| BucketKey::of_client(address))
    }
}

/// Whether an address means different hosts in different networks: loopback, link-local, private (RFC 1918, RFC 4193)
/// and shared by carriers and clouds (RFC 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
