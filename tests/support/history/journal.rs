//! What a journal adds to the invariants: nothing that it took is lost, taken twice, or overtaken.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Event, History, Kept, Request, Step,
    tries::{Tries, Try},
};

/// What was given up, if that happened.
fn died(step: &Step) -> Option<&str> {
    if let Step::Died(body) = step { Some(body) } else { None }
}

impl History {
    /// When the journal took an event, and how.
    pub(super) fn kept(&self, event: &Event) -> Vec<(usize, Duration, &Kept)> {
        let index = self.index();
        let steps: BTreeSet<_> = index.kept.get(&event.bytes).into_iter().flatten().chain(&index.arrays).collect();
        let kept = steps.into_iter().flat_map(|at| match &self.steps[*at] {
            (time, Step::Kept(entries)) => entries.iter().map(|kept| (*at, *time, kept)).collect(),
            _ => Vec::new(),
        });
        kept.filter(|(_, _, kept)| kept.has(event) && kept.is_new).collect()
    }

    /// Whether the journal may know an event as one that is to be delivered, at a step.
    pub(super) fn may_wait(&self, event: &Event, at: usize) -> bool {
        let Some(taken) = self.taken(event, at) else { return false };
        let is_decided =
            |(_, step): &(Duration, Step)| matches!(step, Step::Decided(body) if body.contains(&event.bytes));
        !self.steps[taken..at].iter().any(is_decided)
    }

    /// Whether an event is to be delivered from the journal, at a step, whatever anybody has noted: the application has
    /// not got it, and nobody has given it up.
    fn waits(&self, tries: &Tries<'_>, event: &Event, at: usize) -> bool {
        let Some(taken) = self.taken(event, at) else { return false };
        let got = |it: &Try<'_>| it.delivered && it.ended.is_some_and(|(ended, _)| (taken..at).contains(&ended));
        let died = |(_, step): &(Duration, Step)| matches!(step, Step::Died(body) if body.contains(&event.bytes));
        !tries.of(event).any(got) && !self.steps[taken..at].iter().any(died)
    }

    /// The step at which the journal last took an event that is to be delivered, before another step.
    fn taken(&self, event: &Event, before: usize) -> Option<usize> {
        let kept = self.kept(event).into_iter().filter(|(at, _, kept)| *at < before && !kept.is_aside);
        kept.map(|(at, ..)| at).next_back()
    }

    /// What is in the journal is sent by one attempt at a time, and not again once one was taken, unless the process
    /// died before it had noted that, or the event was accepted anew.
    pub(super) fn repeats_from_the_journal(
        &self,
        earlier: &Try<'_>,
        later: &Try<'_>,
        event: &Event,
        broken: &mut Vec<(&'static str, String)>,
    ) {
        let at = later.sent.0;
        // Accepted anew, after its window, an event is another entry: `acceptances` sees to that.
        if earlier.attempt.request != later.attempt.request {
            return;
        }
        if earlier.is_under_way(at) {
            broken.push(("I4", format!("{event:?} is under way twice at step {at}")));
        }
        let Some((ended, _)) = earlier.ended.filter(|_| earlier.delivered) else { return };
        if ended < at && !self.crashed_between(ended, at) {
            broken.push(("I5", format!("{event:?} is sent at step {at} though it is delivered")));
        }
    }

    /// What was acknowledged is delivered in the end, or given up with a record of it (I10, D-36).
    pub(super) fn losses(
        &self,
        requests: &BTreeMap<usize, Request<'_>>,
        tries: &Tries<'_>,
        broken: &mut Vec<(&'static str, String)>,
    ) {
        let died: Vec<_> = self.steps.iter().filter_map(|(_, step)| died(step)).collect();
        let acknowledged = self.steps.iter().filter_map(|(_, step)| match step {
            Step::Answered { request, status: 200..=299 } => requests.get(request),
            _ => None,
        });
        for event in acknowledged.flat_map(|request| request.events).collect::<BTreeSet<_>>() {
            let is_delivered = tries.of(event).any(|it| it.delivered);
            let is_dead = died.iter().any(|body| body.contains(&event.bytes));
            let is_aside = self.kept(event).iter().any(|(.., kept)| kept.is_aside);
            if !is_delivered && !is_dead && !is_aside {
                broken.push(("I10", format!("{event:?} was acknowledged and is lost")));
            }
        }
    }

    /// The journal takes an event once within its window, and not again before it is delivered or given up (D-40).
    pub(super) fn acceptances(&self, tries: &Tries<'_>, broken: &mut Vec<(&'static str, String)>) {
        let events: BTreeSet<_> = self.requests().into_values().flat_map(|request| request.events).collect();
        for event in events.into_iter().filter(|event| !self.shares_identity([*event])) {
            for pair in self.kept(event).windows(2) {
                if pair[1].1 < pair[0].1 + self.window || self.waits(tries, event, pair[1].0) {
                    broken
                        .push(("D-40", format!("{event:?} is accepted twice, at {:?} and {:?}", pair[0].1, pair[1].1)));
                }
            }
        }
    }

    /// Of two events of one group the one that was accepted first is decided before the other is sent (I14).
    pub(super) fn orders(&self, tries: &Tries<'_>, broken: &mut Vec<(&'static str, String)>) {
        let known: BTreeMap<_, _> = tries.of_event.keys().map(|event| (event.bytes.as_str(), *event)).collect();
        let accepted: Vec<&Event> = self
            .steps
            .iter()
            .flat_map(|(_, step)| match step {
                Step::Kept(kept) => kept.iter().filter(|kept| kept.is_new && !kept.is_aside).collect(),
                _ => Vec::new(),
            })
            .filter_map(|kept| known.get(kept.body.as_str()).copied())
            .collect();
        let decided = |event: &Event, before: usize| {
            let taken = tries.of(event).filter(|it| it.delivered);
            let taken = taken.filter(|it| it.ended.is_some_and(|(ended, _)| ended < before)).count();
            let died = |(_, step): &&(Duration, Step)| matches!(step, Step::Died(body) if *body == event.bytes);
            taken + self.steps[..before].iter().filter(died).count()
        };
        for it in tries.iter() {
            let (at, Some(event)) = (it.sent.0, it.events.first()) else { continue };
            // Which of its acceptances this attempt is for: those before it are decided.
            let turn = decided(event, at);
            let place =
                accepted.iter().enumerate().filter(|(_, other)| *other == event).nth(turn).map(|(place, _)| place);
            let Some(place) = place else { continue };
            for other in accepted[..place].iter().filter(|other| other.group == event.group && *other != event) {
                let before = accepted[..place].iter().filter(|it| it == &other).count();
                if decided(other, at) < before {
                    broken.push(("I14", format!("{event:?} overtakes {other:?} at step {at}")));
                }
            }
        }
    }
}
