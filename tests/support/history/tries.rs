//! Attempts, with all that a history says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Attempt, Event};

/// An attempt with all that is known of it.
pub(super) struct Try<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) events: BTreeSet<&'a Event>,
    /// Whether the application got an array.
    pub(super) is_array: bool,
    pub(super) sent: (usize, Duration),
    pub(super) ended: Option<(usize, Duration)>,
    pub(super) delivered: bool,
    /// When its request came: no claim of it is older.
    pub(super) received: Duration,
}

impl Try<'_> {
    /// Whether it was under way at a step.
    pub(super) fn is_under_way(&self, step: usize) -> bool {
        self.sent.0 < step && self.ended.is_none_or(|(ended, _)| ended > step)
    }

    /// Since when the event counts as delivered. A holder whose lease may have been up settles nothing (I5).
    pub(super) fn settled(&self, lease: Duration) -> Option<(usize, Duration)> {
        self.ended.filter(|(_, time)| self.delivered && *time < self.received + lease)
    }
}

/// All attempts in their order, and where those of an event are: a long history is looked through once.
pub(super) struct Tries<'a> {
    pub(super) all: Vec<Try<'a>>,
    pub(super) of_event: BTreeMap<&'a Event, Vec<usize>>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(all: Vec<Try<'a>>) -> Self {
        let mut of_event: BTreeMap<&Event, Vec<usize>> = BTreeMap::new();
        for (index, it) in all.iter().enumerate() {
            it.events.iter().for_each(|event| of_event.entry(event).or_default().push(index));
        }
        Self { all, of_event }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Try<'a>> {
        self.all.iter()
    }

    /// The places of those for an event.
    pub(super) fn places(&self, event: &Event) -> &[usize] {
        self.of_event.get(event).map_or(&[], Vec::as_slice)
    }

    /// Those for an event.
    pub(super) fn of(&self, event: &Event) -> impl Iterator<Item = &Try<'a>> {
        self.places(event).iter().map(|index| &self.all[*index])
    }
}
