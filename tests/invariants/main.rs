//! The delivery invariants of the catalogue (section 4) over random schedules of senders, failures and time, against
//! the whole gateway without its sockets. A failing schedule is printed as small as proptest can make it, with the seed
//! that it came from.
//!
//! Time is owned by the tests: tokio's paused clock, and on top of it whatever a schedule lets pass at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that fails says how to play it again")]
#![expect(clippy::disallowed_methods, reason = "requests run in tasks of their own, as they do in the server")]

mod deliveries;
mod queue;
mod schedule;
mod sync;

#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/history.rs"]
mod history;
#[path = "../support/recorder.rs"]
mod recorder;
#[path = "../support/world.rs"]
mod world;
