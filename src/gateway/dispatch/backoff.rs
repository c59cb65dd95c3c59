//! When a failed event is tried again, if it is.

use std::time::Duration;

/// How a queued event is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The longest pause after the first failure; it doubles with each failure after it.
    pub first: Duration,
    /// The longest pause of all. No wish of the application makes it longer.
    pub max: Duration,
    /// For how long an event is tried, without the time that the gateway was down.
    pub give_up: Duration,
    /// How often, if that is bounded.
    pub attempts: Option<u32>,
    /// Statuses of the application that are its last word.
    pub give_up_on: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            max: Duration::from_hours(1),
            give_up: Duration::from_hours(24),
            attempts: None,
            give_up_on: vec![410],
        }
    }
}

/// A failed attempt, and what went before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// Attempts in a row that failed, this one included.
    pub(super) attempts: u32,
    /// For how long the event has been tried.
    pub(super) age: Duration,
    /// The status of the application, if there was an answer.
    pub(super) status: Option<u16>,
    /// How long the application wants to be left alone.
    pub(super) wish: Option<Duration>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again after so long.
    Again(Duration),
    /// Nothing more; the operator is told why.
    GiveUp(String),
}

impl Retry {
    /// What is to be done about a failure. `random` is anything from 0 to `u64::MAX`.
    pub(super) fn next(&self, failure: Failure, random: u64) -> Next {
        let Failure { attempts, age, status, wish } = failure;
        let answer = status.map_or_else(|| "there was no answer".to_owned(), |status| format!("status {status}"));
        if status.is_some_and(|status| self.give_up_on.contains(&status)) {
            return Next::GiveUp(format!("{answer} is the application's last word"));
        }
        if self.attempts.is_some_and(|most| attempts >= most) {
            return Next::GiveUp(format!("given up after {attempts} attempts; at the last one {answer}"));
        }
        let left = self.give_up.saturating_sub(age);
        if left.is_zero() {
            let hours = self.give_up.as_secs_f64() / 3600.0;
            return Next::GiveUp(format!("given up after {hours:.1} hours; at the last attempt {answer}"));
        }
        // What is left of the time ends with one more attempt, not with a pause.
        Next::Again(self.pause(attempts, wish, random).min(left))
    }

    /// Full jitter: anything between nothing and the whole pause, so that events that failed together do not come back
    /// together (D-42). A wish of the application is a floor under it, within bounds (D-43).
    fn pause(&self, attempts: u32, wish: Option<Duration>, random: u64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.max);
        fraction(whole, random).max(wish.unwrap_or_default().min(self.max))
    }
}

/// A random part of a time.
pub(super) fn fraction(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Failure = Failure { attempts: 1, age: Duration::ZERO, status: Some(500), wish: None };

    fn again(failure: Failure, random: u64) -> Duration {
        match Retry::default().next(failure, random) {
            Next::Again(pause) => pause,
            Next::GiveUp(why) => panic!("{why}"),
        }
    }

    #[test]
    fn d_42_pauses_double_up_to_a_cap_and_are_drawn_from_the_whole() {
        let check = |attempts, seconds: u32| {
            let failure = Failure { attempts, ..FAILURE };
            assert_eq!(again(failure, 0), Duration::ZERO);
            let whole = Duration::from_secs(u64::from(seconds));
            assert_eq!(again(failure, u64::MAX), whole.saturating_sub(Duration::from_nanos(1)), "{attempts}");
            assert_eq!(again(failure, 1 << 63), whole / 2, "{attempts}");
        };
        for (attempts, seconds) in [(1, 5), (2, 10), (3, 20), (10, 2_560), (11, 3_600), (40, 3_600), (u32::MAX, 3_600)]
        {
            check(attempts, seconds);
        }
    }

    #[test]
    fn d_43_a_wish_is_heard_within_bounds() {
        let wished = |seconds, random| again(Failure { wish: Some(Duration::from_secs(seconds)), ..FAILURE }, random);
        assert_eq!(wished(120, 0), Duration::from_mins(2));
        assert_eq!(wished(1, u64::MAX), Duration::from_nanos(4_999_999_999));
        assert_eq!(wished(u64::MAX, 0), Duration::from_hours(1));
        assert_eq!(wished(0, 0), Duration::ZERO);
    }

    #[test]
    fn d_44_what_ends_an_event() {
        let retry = Retry { attempts: Some(3), give_up_on: vec![410, 422], ..Retry::default() };
        let ends = |failure| matches!(retry.next(failure, 0), Next::GiveUp(_));
        for status in [400, 404, 500, 503] {
            assert!(!ends(Failure { status: Some(status), ..FAILURE }), "{status}");
        }
        assert!(!ends(Failure { status: None, ..FAILURE }));
        assert!(ends(Failure { status: Some(410), ..FAILURE }));
        assert!(ends(Failure { status: Some(422), ..FAILURE }));
        assert!(!ends(Failure { attempts: 2, ..FAILURE }));
        assert!(ends(Failure { attempts: 3, ..FAILURE }));
        assert!(ends(Failure { age: Duration::from_hours(24), ..FAILURE }));
        let Next::GiveUp(why) = retry.next(Failure { age: Duration::from_hours(25), ..FAILURE }, 0) else { panic!() };
        assert_eq!(why, "given up after 24.0 hours; at the last attempt status 500");
    }

    #[test]
    fn the_last_attempt_is_made_when_the_time_is_up() {
        let failure = Failure { attempts: 20, age: Duration::from_secs(24 * 3600 - 7), ..FAILURE };
        assert_eq!(again(failure, u64::MAX), Duration::from_secs(7));
    }
}
