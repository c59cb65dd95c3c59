//! Who asks without the token: told to the operator, but not once for every guess.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// At most one line of the log in this time.
const EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Requests that were refused for want of the token.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    last: Option<Timestamp>,
    since: u64,
}

impl Refusals {
    /// One more. Nothing of the request is logged: what it brought may be a token with a slip in it.
    pub(super) fn report(&self, now: Timestamp) {
        if let Some(requests) = self.due(now) {
            tracing::warn!(requests, "the admin listener was asked without its token, or with a wrong one");
        }
    }

    /// How many there were since the last line, if it is time for another one. A clock that was set back counts as time
    /// that has passed.
    fn due(&self, now: Timestamp) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.since += 1;
        if counted.last.is_some_and(|last| (SignedDuration::ZERO..EVERY).contains(&now.duration_since(last))) {
            return None;
        }
        counted.last = Some(now);
        Some(std::mem::take(&mut counted.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_22_guesses_are_told_once_a_minute() {
        let refusals = Refusals::default();
        let at = |second| refusals.due(Timestamp::from_second(second).unwrap());
        assert_eq!([100, 101, 159].map(at), [Some(1), None, None]);
        assert_eq!([160, 161].map(at), [Some(3), None]);
        assert_eq!([50, 51].map(at), [Some(2), None], "the clock was set back");
    }
}
