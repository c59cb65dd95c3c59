//! Whether an upstream is well enough to be asked, and by how many at once.

use std::time::{Duration, Instant};

use super::backoff::fraction;

/// Failures in a row, over all events, after which the upstream is left alone.
const FAILURES: u32 = 10;

/// How long it is left alone at first, and at most; twice as long each time that it does not recover.
const REST: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_mins(1);

/// How long it takes to get from one attempt at a time to as many as there may be (D-50).
const RAMP: Duration = Duration::from_secs(30);

/// The breaker of one upstream, and the slow start after it was open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    state: State,
    /// Failures since the last sign of life.
    failures: u32,
    /// How often in a row it has opened.
    openings: u32,
    /// Since when it recovers.
    recovering_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// Nobody asks before this.
    Open(Instant),
    /// One event is on its way to see.
    HalfOpen,
}

/// What the breaker allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// So many attempts at once.
    UpTo(usize),
    /// One, to see whether the upstream is back.
    Probe,
    /// None, for so long.
    Wait(Duration),
}

/// What a change of the breaker is called in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has just opened.
    Opened(Duration),
    /// It has just closed.
    Closed,
}

impl Breaker {
    /// What may be under way at `now`, where the upstream takes `max` at once.
    pub(super) fn admits(&self, max: usize, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::UpTo(self.ramp(max, now)),
            State::Open(until) if now < until => Admission::Wait(until - now),
            State::Open(_) => Admission::Probe,
            State::HalfOpen => Admission::Wait(REST_MAX),
        }
    }

    fn ramp(&self, max: usize, now: Instant) -> usize {
        let Some(since) = self.recovering_since else { return max };
        let part = now.saturating_duration_since(since).as_secs_f64() / RAMP.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of `max`"
        )]
        let grown = (max as f64 * part) as usize;
        grown.clamp(1, max.max(1))
    }

    /// A probe is on its way.
    pub(super) fn probes(&mut self) {
        self.state = State::HalfOpen;
    }

    /// The probe never got to the upstream: somebody else has to look.
    pub(super) fn probed_nothing(&mut self, now: Instant) {
        if self.state == State::HalfOpen {
            self.state = State::Open(now);
        }
    }

    /// The application answered, if only to refuse an event: it lives.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Change> {
        self.failures = 0;
        if self.recovering_since.is_some_and(|since| now.saturating_duration_since(since) >= RAMP) {
            (self.recovering_since, self.openings) = (None, 0);
        }
        (self.state != State::Closed).then(|| {
            (self.state, self.recovering_since) = (State::Closed, Some(now));
            Change::Closed
        })
    }

    /// The application did not answer, or said that it cannot work.
    pub(super) fn failed(&mut self, now: Instant, random: u64) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Closed if self.failures < FAILURES => None,
            // Attempts that were under way when it opened say nothing new.
            State::Open(_) => None,
            State::Closed | State::HalfOpen => {
                let whole = REST.saturating_mul(1 << self.openings.min(16)).min(REST_MAX);
                let rest = whole / 2 + fraction(whole / 2, random);
                self.openings = self.openings.saturating_add(1);
                self.state = State::Open(now + rest);
                Some(Change::Opened(rest))
            }
        }
    }

    /// Closed 0, half-open 1, open 2: for the metrics.
    pub(super) fn level(&self) -> i64 {
        match self.state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn start() -> Instant {
        ManualClock::at(jiff::Timestamp::UNIX_EPOCH).now().steady
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A breaker that has just opened.
    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(now, u64::MAX), None);
        }
        assert!(matches!(breaker.failed(now, 0), Some(Change::Opened(rest)) if rest == secs(1)));
        breaker
    }

    #[test]
    fn one_event_among_others_does_not_open_it() {
        let (mut breaker, now) = (Breaker::default(), start());
        for _ in 0..100 {
            assert_eq!(breaker.failed(now, 0), None);
            assert_eq!(breaker.answered(now), None);
        }
        assert_eq!(breaker.admits(8, now), Admission::UpTo(8));
    }

    #[test]
    fn o_14_an_upstream_that_does_not_answer_is_left_alone() {
        let now = start();
        let mut breaker = open(now);
        assert_eq!(breaker.admits(8, now), Admission::Wait(secs(1)));
        assert_eq!(breaker.failed(now, 0), None, "those under way change nothing");
        let later = now + secs(1);
        assert_eq!(breaker.admits(8, later), Admission::Probe);
        breaker.probes();
        assert_eq!(breaker.level(), 1);
        assert_eq!(breaker.failed(later, 0), Some(Change::Opened(secs(2))), "twice as long");
        assert_eq!(breaker.admits(8, later + secs(1)), Admission::Wait(secs(1)));
        for _ in 0..20 {
            breaker.probes();
            breaker.failed(later, u64::MAX);
        }
        let Admission::Wait(rest) = breaker.admits(8, later) else { panic!("{breaker:?}") };
        assert!(rest > secs(59) && rest <= REST_MAX, "{rest:?}");
    }

    #[test]
    fn d_50_a_slow_start_after_an_outage() {
        let now = start();
        let mut breaker = open(now);
        breaker.probes();
        assert_eq!(breaker.answered(now), Some(Change::Closed));
        for (after, want) in [(0, 1), (1, 3), (15, 50), (29, 96), (30, 100), (300, 100)] {
            assert_eq!(breaker.admits(100, now + secs(after)), Admission::UpTo(want), "{after}");
        }
        assert_eq!(breaker.admits(1, now), Admission::UpTo(1));
        breaker.answered(now + secs(31));
        assert_eq!(breaker.openings, 0, "an upstream that stays well starts from the beginning");
    }

    #[test]
    fn a_probe_that_got_nowhere_is_followed_by_another() {
        let now = start();
        let mut breaker = open(now);
        breaker.probes();
        assert_eq!(breaker.admits(8, now), Admission::Wait(REST_MAX), "one at a time");
        breaker.probed_nothing(now);
        assert_eq!(breaker.admits(8, now), Admission::Probe);
    }
}
