//! Places where a test lets the process die, or a step fail. There are none in a release: both functions are empty.
//!
//! `HOOKSIEVE_FAULT=journal.before_commit:3` aborts at the third passing of that point, which is like `kill -9` at the
//! worst moment. `journal.commit:3:fail` lets the third try of that step fail. Several are separated by commas.

#[cfg(debug_assertions)]
pub use armed::{arm, point, trips};

/// Nothing: the process goes on.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn point(_name: &str) {}

/// Never: the step does not fail here.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[must_use]
pub const fn trips(_name: &str) -> bool {
    false
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        cell::RefCell,
        process,
        sync::{
            LazyLock,
            atomic::{AtomicU32, Ordering::Relaxed},
        },
    };

    /// A place that was named in the environment.
    struct Armed {
        name: String,
        /// Passings that are left, the last of which it is.
        left: AtomicU32,
        fails: bool,
    }

    static ARMED: LazyLock<Vec<Armed>> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "a test says this to the program, not an operator")]
        let list = std::env::var("HOOKSIEVE_FAULT").unwrap_or_default();
        list.split(',').filter_map(parse).collect()
    });

    thread_local! {
        static HERE: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    fn parse(text: &str) -> Option<Armed> {
        let mut parts = text.split(':');
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let left = parts.next().map_or(Some(1), |number| number.parse().ok())?;
        Some(Armed { name, left: AtomicU32::new(left), fails: parts.next() == Some("fail") })
    }

    fn reached(name: &str, fails: bool) -> bool {
        let hit = |armed: &&Armed| armed.fails == fails && armed.name == name;
        ARMED.iter().filter(hit).any(|armed| {
            armed.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok_and(|left| left == 1)
        })
    }

    /// Aborts, if this is the passing that was asked for.
    pub fn point(name: &str) {
        if reached(name, false) {
            process::abort();
        }
    }

    /// Whether this step is to fail now.
    #[must_use]
    pub fn trips(name: &str) -> bool {
        let here = HERE.with_borrow_mut(|armed| {
            armed.iter().position(|armed| *armed == name).map(|index| armed.remove(index)).is_some()
        });
        here || reached(name, true)
    }

    /// Lets the next try of this step fail, on this thread.
    pub fn arm(name: &'static str) {
        HERE.with_borrow_mut(|armed| armed.push(name));
    }
}
