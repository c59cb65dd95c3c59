//! What the gateway fetches by itself: the keys that senders publish, and the addresses by which some of them have an
//! endpoint confirmed.
//!
//! Where it goes is decided before it gets here: an [`Errand`] holds an address that was on a list. What this module
//! sees to is the way there. Only over `https`, to public addresses, without a redirect, for a bounded time and a bounded
//! answer, and never more often than [`keys`] says.

mod https;
pub mod keys;
mod public;

use std::{future::Future, pin::Pin};

use bytes::Bytes;

pub use self::https::{Https, Limits, Network, SystemNetwork};
use crate::stages::schemes::published::Errand;

/// What can be sent on an errand.
pub trait Fetch: Send + Sync {
    /// Goes there once and comes back with the body of a 2xx.
    fn fetch<'a>(&'a self, errand: &'a Errand) -> BoxFuture<'a, Result<Bytes, Failure>>;
}

/// A boxed future, so that it can stand behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server says that there is no such thing, with this status.
    Absent(u16),
    /// The server cannot be asked, or does not say; what happened is for the log.
    Unavailable(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent(status) => write!(f, "answered with {status}"),
            Self::Unavailable(problem) => f.write_str(problem),
        }
    }
}
