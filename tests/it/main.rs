//! The one integration binary: the crate from outside, over real sockets.
//!
//! Nothing sleeps in order to pass: tests wait for what they expect, and the time limits in `support` only bound how
//! long a failure takes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test of many cases says which one it is at")]
#![expect(clippy::disallowed_methods, reason = "fakes run in tasks of their own and read the real clock")]

mod admin;
mod authenticity;
mod batches;
mod bodies;
mod commands;
mod configuration;
mod confirmations;
mod crash;
mod delivery;
mod forgeries;
mod framing;
mod handshakes;
mod journal;
mod keys;
mod learned;
mod night;
mod packing;
mod queue;
mod reload;
mod replay;
mod seeds;
mod server;
mod signatures;
mod support;
mod upstream;
