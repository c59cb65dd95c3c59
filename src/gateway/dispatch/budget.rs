//! How much of an upstream's traffic may be repetitions that fail (O-15).

use std::time::Instant;

/// What everything is counted in: a tenth of what one fresh attempt is worth to those that repeat.
const FRESH: u64 = 1;

/// A repetition costs twice what ten fresh attempts bring, and gets it back if it succeeds. With every second attempt
/// failing, repetitions are a tenth of the traffic; with none failing they are free, as they must be after an outage.
const REPEATED: u64 = 20;

/// What comes by itself in a second, so that a queue without fresh events is still tried: one repetition.
const PER_SECOND: u64 = REPEATED;

/// What can be saved up: fifty repetitions.
const MAX: u64 = 50 * REPEATED;

/// The budget of one upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    saved: u64,
    at: Instant,
}

impl Budget {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { saved: MAX, at: now }
    }

    /// How many repetitions may begin now.
    pub(super) fn repetitions(&mut self, now: Instant) -> usize {
        let seconds = now.saturating_duration_since(self.at).as_secs();
        if seconds > 0 {
            self.at += std::time::Duration::from_secs(seconds);
            self.earn(seconds.saturating_mul(PER_SECOND));
        }
        usize::try_from(self.saved / REPEATED).unwrap_or(usize::MAX)
    }

    /// An attempt begins.
    pub(super) fn begins(&mut self, is_repetition: bool) {
        if is_repetition {
            self.saved = self.saved.saturating_sub(REPEATED);
        } else {
            self.earn(FRESH);
        }
    }

    /// A repetition was taken.
    pub(super) fn succeeded(&mut self) {
        self.earn(REPEATED);
    }

    fn earn(&mut self, tenths: u64) {
        self.saved = self.saved.saturating_add(tenths).min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn now() -> Instant {
        ManualClock::at(jiff::Timestamp::UNIX_EPOCH).now().steady
    }

    /// How many of so many attempts may be repetitions, when every `nth` attempt fails and is repeated.
    fn repetitions(attempts: usize, nth: usize) -> usize {
        let (mut budget, now) = (Budget::new(now()), now());
        budget.saved = 0;
        let (mut waiting, mut repeated) = (0, 0);
        for attempt in 0..attempts {
            let is_repetition = waiting > 0 && budget.repetitions(now) > 0;
            budget.begins(is_repetition);
            waiting -= usize::from(is_repetition);
            repeated += usize::from(is_repetition);
            if attempt % nth == 0 {
                waiting += 1;
            } else if is_repetition {
                budget.succeeded();
            }
        }
        repeated
    }

    #[test]
    fn o_15_repetitions_are_a_tenth_of_the_traffic() {
        assert!(repetitions(10_000, 2) <= 1_100, "{}", repetitions(10_000, 2));
        assert!(repetitions(10_000, 1) <= 500, "{}", repetitions(10_000, 1));
        assert!(repetitions(10_000, 20) >= 450, "a few failures are repeated: {}", repetitions(10_000, 20));
    }

    #[test]
    fn d_50_a_queue_drains_freely_when_the_upstream_is_back() {
        let mut budget = Budget::new(now());
        for _ in 0..100_000 {
            assert!(budget.repetitions(now()) > 0);
            budget.begins(true);
            budget.succeeded();
        }
    }

    #[test]
    fn one_repetition_in_a_second_is_always_allowed() {
        let start = now();
        let mut budget = Budget::new(start);
        while budget.repetitions(start) > 0 {
            budget.begins(true);
        }
        for second in 1..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(budget.repetitions(now), 1);
            budget.begins(true);
            assert_eq!(budget.repetitions(now), 0);
        }
    }
}
