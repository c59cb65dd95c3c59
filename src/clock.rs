//! The only place that asks what time it is. Everything else is handed a [`Now`].

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// One reading of both clocks.
///
/// `wall` is compared with signed timestamps and printed; every duration (lease, window, deadline) is measured on
/// `steady`, which never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Civil time, as the operating system believes it to be.
    pub wall: Timestamp,
    /// Monotonic time.
    pub steady: Instant,
}

/// Something that knows the time.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
    fn now(&self) -> Now {
        Now { wall: Timestamp::now(), steady: Instant::now() }
    }
}

/// A clock that moves only when it is told to: tests own time with it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Now>>);

impl ManualClock {
    /// A clock that stands still at `wall`.
    #[expect(clippy::disallowed_methods, reason = "a steady instant cannot be made up, only read")]
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Now { wall, steady: Instant::now() })))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no panic while held");
        now.wall += by;
        now.steady += by;
    }

    /// Somebody sets the civil clock, and the steady one takes no notice.
    pub fn set(&self, wall: Timestamp) {
        self.0.lock().expect("no panic while held").wall = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        *self.0.lock().expect("no panic while held")
    }
}
