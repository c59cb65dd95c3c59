//! A clock for tests in paused time: it goes with tokio's, and further when it is told to.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hooksieve::clock::{Clock, ManualClock, Now};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When the tests take place: 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;

/// Both clocks of a gateway.
#[derive(Clone)]
pub(crate) struct TestClock {
    started: Instant,
    base: Now,
    shift: Arc<Mutex<Shift>>,
}

#[derive(Clone, Copy, Default)]
struct Shift {
    /// Of both clocks.
    both: Duration,
    /// Of the wall clock alone.
    wall: SignedDuration,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        let base = ManualClock::at(Timestamp::from_second(START).expect("a time")).now();
        Self { started: Instant::now(), base, shift: Arc::default() }
    }

    /// Time passes while everything that runs stands still.
    pub(crate) fn advance(&self, by: Duration) {
        self.shift.lock().expect("no panic while held").both += by;
    }

    /// Somebody sets the clock.
    pub(crate) fn set_wall(&self, by: SignedDuration) {
        self.shift.lock().expect("no panic while held").wall += by;
    }

    /// What has passed since the start, on the steady clock.
    pub(crate) fn passed(&self) -> Duration {
        self.now().steady - self.base.steady
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let shift = *self.shift.lock().expect("no panic while held");
        let passed = self.started.elapsed() + shift.both;
        Now { wall: self.base.wall + passed + shift.wall, steady: self.base.steady + passed }
    }
}
