//! The delivery log: what became of every event, noted behind the answer. Without a journal there is none.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    deliver::{Delivery, Trip},
    plan::Plan,
};
use crate::{
    stages::words::Verdict,
    state::journal::{Class, Note, Tried},
    telemetry::printable,
    upstream::Attempt,
};

impl Trip<'_> {
    /// Notes what is not in the journal yet, and of what is there, what its sender was told.
    pub(super) fn note(self, plans: &[&Plan], ends: &[Delivery], answer: u16) {
        let Some(journal) = &self.gateway.journal else { return };
        let mut entries: Vec<_> = ends.iter().filter_map(|end| end.entry).collect();
        entries.dedup();
        if !entries.is_empty() {
            journal.store().answered(entries, answer);
        }
        let others = plans.iter().zip(ends).filter(|(_, end)| end.entry.is_none());
        let notes: Vec<_> = others.map(|(plan, end)| self.line(plan, end, answer, journal.keeps_bodies())).collect();
        if !notes.is_empty() {
            journal.store().note(notes, self.gateway.clock.now());
        }
    }

    /// What was refused leaves a line and nothing more; the bytes of what was delivered are kept if all are, but for an
    /// event that went out in an array: alone, it was never what has that identity.
    fn line(self, plan: &Plan, end: &Delivery, answer: u16, keeps_bodies: bool) -> Note {
        let parcel = &plan.parcel;
        let key = end.key.or(parcel.key).unwrap_or_else(|| self.source.unique_key(self.traceparent, parcel));
        let is_kept = keeps_bodies && end.verdict == Verdict::Forward && !self.source.delivery.as_array;
        let kept = is_kept.then(|| self.kept(parcel, parcel.bytes.clone()));
        let mut entry = self.entry(parcel, key, end.verdict);
        entry.event_type = entry.event_type.map(|name| printable(&name).into_owned());
        entry.fault = plan.fault();
        entry.kept = kept;
        Note { entry, answer, attempt: end.tried.clone() }
    }
}

/// An attempt as it is remembered; nothing of one that never began.
pub(super) fn tried(attempt: &Attempt, number: u32, at: Timestamp, took: Duration) -> Option<Tried> {
    let (class, status, error) = match attempt {
        Attempt::Delivered(delivered) => (Class::Delivered, Some(delivered.status.as_u16()), None),
        Attempt::Refused { status, .. } => (Class::Refused, Some(status.as_u16()), None),
        Attempt::Ambiguous { error, .. } => (Class::Ambiguous, None, Some(error)),
        Attempt::NotSent { error, .. } => (Class::NotSent, None, Some(error)),
        Attempt::Full => return None,
    };
    let error = error.map(|error| printable(error).into_owned());
    Some(Tried { at, number, class, status, took, error })
}
