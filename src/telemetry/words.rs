//! The closed lists behind labels and fields.

use crate::stages::{
    answer::status_of,
    words::{Cause, Refusal, Verdict},
};

/// What became of a request, or of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Delivered.
    Forward,
    /// Kept in the journal.
    Queue,
    /// Delivered or kept before.
    Duplicate,
    /// Not wanted.
    Drop,
    /// A test or verification, answered here.
    Handshake,
    /// Set aside.
    Quarantine,
    /// Not conforming, not authentic or not readable, and told so.
    Reject,
    /// Not delivered; to be tried again.
    Fail,
    /// Events of one request with different ends.
    Mixed,
    /// A request without events.
    AcceptEmpty,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::Forward,
        Self::Queue,
        Self::Duplicate,
        Self::Drop,
        Self::Handshake,
        Self::Quarantine,
        Self::Reject,
        Self::Fail,
        Self::Mixed,
        Self::AcceptEmpty,
    ];

    /// The word in the log and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Queue => "queue",
            Self::Duplicate => "duplicate",
            Self::Drop => "drop",
            Self::Handshake => "handshake",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Fail => "fail",
            Self::Mixed => "mixed",
            Self::AcceptEmpty => "accept-empty",
        }
    }

    /// Whether an event can have it, and not only a request.
    #[must_use]
    pub const fn is_of_an_event(self) -> bool {
        match self {
            Self::Mixed | Self::AcceptEmpty => false,
            Self::Drop
            | Self::Duplicate
            | Self::Fail
            | Self::Forward
            | Self::Handshake
            | Self::Quarantine
            | Self::Queue
            | Self::Reject => true,
        }
    }

    /// What became of a request whose events have these verdicts; the reason is the first event's that has one.
    #[must_use]
    pub fn of(verdicts: &[Verdict]) -> (Self, Reason) {
        let reason = verdicts.iter().map(|verdict| Reason::from(*verdict)).find(|reason| *reason != Reason::None);
        let mut outcomes = verdicts.iter().map(|verdict| Self::from(*verdict));
        let outcome = match outcomes.next() {
            None => Self::AcceptEmpty,
            Some(first) if outcomes.all(|other| other == first) => first,
            Some(_) => Self::Mixed,
        };
        (outcome, reason.unwrap_or(Reason::None))
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Forward => Self::Forward,
            Verdict::Queue => Self::Queue,
            Verdict::Duplicate => Self::Duplicate,
            Verdict::Drop(_) => Self::Drop,
            Verdict::Handshake => Self::Handshake,
            Verdict::Quarantine(_) => Self::Quarantine,
            Verdict::Reject(_) => Self::Reject,
            Verdict::Fail(_) => Self::Fail,
        }
    }
}

impl From<Refusal> for Outcome {
    /// What the sender can mend is rejected; what it can only try again has failed.
    fn from(refusal: Refusal) -> Self {
        if status_of(refusal).is_server_error() { Self::Fail } else { Self::Reject }
    }
}

/// Why it became of it; empty for what went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Nothing to explain.
    #[default]
    None,
    /// Why a request was refused, or an event not delivered.
    Refusal(Refusal),
    /// Why an event was dropped, set aside or rejected.
    Cause(Cause),
}

impl Reason {
    /// How many reasons there are.
    pub(super) const COUNT: usize = 1 + Refusal::ALL.len() + Cause::ALL.len();

    /// The word in the log and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Refusal(refusal) => refusal.as_str(),
            Self::Cause(cause) => cause.as_str(),
        }
    }

    /// The place among all reasons.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::None => 0,
            Self::Refusal(refusal) => 1 + refusal as usize,
            Self::Cause(cause) => 1 + Refusal::ALL.len() + cause as usize,
        }
    }
}

impl From<Verdict> for Reason {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Forward | Verdict::Queue | Verdict::Duplicate | Verdict::Handshake => Self::None,
            Verdict::Drop(cause) | Verdict::Quarantine(cause) | Verdict::Reject(cause) => Self::Cause(cause),
            Verdict::Fail(refusal) => Self::Refusal(refusal),
        }
    }
}

/// How many events of one request came to which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u32; 8]);

impl Counts {
    /// Counts one event.
    pub fn add(&mut self, verdict: Verdict) {
        self.0[Outcome::from(verdict) as usize] += 1;
    }

    /// All events.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// The events with this outcome, if there were any; there are none with an outcome that only requests have.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> Option<u32> {
        self.0.get(outcome as usize).copied().filter(|count| *count > 0)
    }
}

impl FromIterator<Verdict> for Counts {
    fn from_iter<I: IntoIterator<Item = Verdict>>(verdicts: I) -> Self {
        let mut counts = Self::default();
        verdicts.into_iter().for_each(|verdict| counts.add(verdict));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_word_of_its_events() {
        let check = |verdicts: &[Verdict], word: &str, want: Reason| {
            let (outcome, reason) = Outcome::of(verdicts);
            assert_eq!((outcome.as_str(), reason), (word, want));
        };
        check(&[], "accept-empty", Reason::None);
        check(&[Verdict::Forward], "forward", Reason::None);
        check(&[Verdict::Forward, Verdict::Duplicate], "mixed", Reason::None);
        check(&[Verdict::Drop(Cause::Unwanted), Verdict::Drop(Cause::Tenant)], "drop", Reason::Cause(Cause::Unwanted));
        check(&[Verdict::Forward, Verdict::Fail(Refusal::InFlight)], "mixed", Reason::Refusal(Refusal::InFlight));
        for verdict in [Verdict::Queue, Verdict::Handshake, Verdict::Duplicate] {
            check(&[verdict, verdict], verdict.as_str(), Reason::None);
        }
        for cause in Cause::ALL {
            check(&[Verdict::Quarantine(*cause)], "quarantine", Reason::Cause(*cause));
            check(&[Verdict::Reject(*cause)], "reject", Reason::Cause(*cause));
        }
    }

    #[test]
    fn every_reason_has_a_place_of_its_own() {
        let refusals = Refusal::ALL.iter().map(|refusal| Reason::Refusal(*refusal));
        let causes = Cause::ALL.iter().map(|cause| Reason::Cause(*cause));
        let places: Vec<_> = std::iter::once(Reason::None).chain(refusals).chain(causes).map(Reason::index).collect();
        assert!(places.into_iter().eq(0..Reason::COUNT));
        assert!(Outcome::ALL.iter().map(|outcome| *outcome as usize).eq(0..Outcome::ALL.len()));
    }

    #[test]
    fn events_are_counted_by_their_end() {
        let counts: Counts = [Verdict::Forward, Verdict::Drop(Cause::Tenant), Verdict::Forward].into_iter().collect();
        assert_eq!((counts.total(), counts.of(Outcome::Forward), counts.of(Outcome::Drop)), (3, Some(2), Some(1)));
        assert_eq!((counts.of(Outcome::Fail), counts.of(Outcome::Mixed)), (None, None));
    }
}
