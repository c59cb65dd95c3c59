//! Which cases are tried.

use std::{
    env,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Tries `count` seeds, or what the environment says. They are others in every run; a failure prints its seed.
pub(crate) fn each(count: u64, check: impl Fn(u64)) {
    let (first, count) = match (number("HOOKSIEVE_SEED"), number("HOOKSIEVE_SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, more) => (u64::from(fastrand::u32(..)), more.unwrap_or(count)),
    };
    (first..first + count).for_each(|seed| watched(seed, &check));
    println!("{count} seeds from {first} on");
}

/// Tries one seed.
pub(crate) fn one(check: impl Fn(u64)) {
    watched(number("HOOKSIEVE_SEED").unwrap_or_else(|| u64::from(fastrand::u32(..))), &check);
}

fn watched(seed: u64, check: &impl Fn(u64)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(seed))) {
        println!("this was HOOKSIEVE_SEED={seed}");
        resume_unwind(panic);
    }
}

/// A number that whoever runs the tests has chosen.
pub(crate) fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

/// Says that a test cannot run here. In CI, where everything it needs is installed, that is a failure.
pub(crate) fn not_run(why: &str) {
    assert!(env::var_os("CI").is_none(), "not run: {why}");
    impossible(why);
}

/// The same for what cannot be installed, but is a matter of the machine: loop devices, for one.
pub(crate) fn impossible(why: &str) {
    // Not by a macro: those are silent where a test passes.
    writeln!(io::stderr(), "NOT RUN: {why}").expect("there is somebody to tell");
}
