//! The journal against everything that can happen to it: a process that is killed, power that is lost in the middle of
//! a write, a disk that fails, fills up or rots. What was acknowledged must come through all of it (I10).
//!
//! Cases are chosen by seeds, and a failure prints its own. `HOOKSIEVE_SEED=N` tries one again, and
//! `HOOKSIEVE_SEEDS=10000` tries so many. What cannot run on this machine says so, and fails in CI.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test of many cases says which one it is at")]
#![expect(clippy::disallowed_methods, reason = "the environment says how many cases to try")]

mod application;
mod chronicle;
mod damage;
mod disk;
mod full;
mod gateway;
#[path = "../support/history.rs"]
mod history;
mod kill;
mod seeds;
mod sender;
mod states;
mod strace;
mod syscalls;
mod work;
