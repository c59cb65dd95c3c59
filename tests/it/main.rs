//! The one integration binary: the crate from outside, over real sockets.
//!
//! Nothing sleeps in order to pass: tests wait for what they expect, and the time limits in `support` only bound how
//! long a failure takes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "fakes run in tasks of their own and read the real clock")]

mod admin;
mod batches;
mod crash;
mod delivery;
mod framing;
mod server;
mod support;
mod upstream;
