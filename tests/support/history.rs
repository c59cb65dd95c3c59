//! What happened between senders, gateway and application, and whether it may have happened like that: the checker of
//! the delivery invariants (`catalogue.md`, section 4).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// An event as its sender knows it. Other bytes make it another event, even under the same identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// What it must not overtake, where events are ordered.
    pub(crate) group: u8,
    pub(crate) bytes: String,
}

/// One attempt, as the application saw it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The request that it is for.
    pub(crate) request: usize,
    pub(crate) body: String,
    pub(crate) webhook_id: String,
    pub(crate) idempotency_key: String,
    /// `hooksieve-attempt`.
    pub(crate) number: u32,
    /// `hooksieve-received-at`.
    pub(crate) received_at: String,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// An authentic request came in. A rejected one has an event that its source refuses together with all others.
    Received { request: usize, events: Vec<Event>, rejected: bool },
    /// A request that proves nothing was answered; whether nothing is different from before.
    Forged { request: usize, status: u16, unchanged: bool },
    /// An attempt began. Attempts are counted from 0, in this order.
    Sent(Attempt),
    /// An attempt ended.
    Ended { attempt: usize, delivered: bool },
    /// A request was answered.
    Answered { request: usize, status: u16 },
    /// The journal took a group.
    Kept(Vec<Kept>),
    /// The gateway gave up what has this body.
    Died(String),
    /// The process was killed, and with it everything that was under way.
    Crashed,
}

/// What the journal took: one event, or an array of some.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) body: String,
    /// It is not to be delivered.
    pub(crate) is_aside: bool,
    /// It was not there yet.
    pub(crate) is_new: bool,
    /// It says so later: until then others are told to come again.
    pub(crate) is_late: bool,
}

impl Kept {
    /// Whether an event is part of it.
    fn has(&self, event: &Event) -> bool {
        self.body == event.bytes || (self.body.starts_with('[') && self.body.contains(&event.bytes))
    }
}

/// Everything that happened, in its order, each with the time of the gateway's steady clock.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) lease: Duration,
    pub(crate) window: Duration,
    /// Whether events are delivered from the journal, rather than while their senders wait.
    pub(crate) is_queued: bool,
    /// Whether events of one group must not overtake each other.
    pub(crate) is_ordered: bool,
    /// Whether nothing is left to be done.
    pub(crate) is_over: bool,
    pub(crate) steps: Vec<(Duration, Step)>,
}

/// An attempt with all that is known of it.
struct Try<'a> {
    attempt: &'a Attempt,
    events: BTreeSet<&'a Event>,
    /// Whether the application got an array.
    is_array: bool,
    sent: (usize, Duration),
    ended: Option<(usize, Duration)>,
    delivered: bool,
    /// When its request came: no claim of it is older.
    received: Duration,
}

impl Try<'_> {
    /// Whether it was under way at a step.
    fn is_under_way(&self, step: usize) -> bool {
        self.sent.0 < step && self.ended.is_none_or(|(ended, _)| ended > step)
    }

    /// Since when the event counts as delivered. A holder whose lease may have been up settles nothing (I5).
    fn settled(&self, lease: Duration) -> Option<(usize, Duration)> {
        self.ended.filter(|(_, time)| self.delivered && *time < self.received + lease)
    }
}

struct Request<'a> {
    events: &'a [Event],
    rejected: bool,
    received: (usize, Duration),
}

impl History {
    /// Of senders that wait for their deliveries.
    pub(crate) fn sync(lease: Duration, window: Duration, steps: Vec<(Duration, Step)>) -> Self {
        Self { lease, window, is_queued: false, is_ordered: false, is_over: true, steps }
    }

    /// The invariants that were broken, each with what broke it.
    pub(crate) fn violations(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        let requests = self.requests();
        let tries = self.tries(&requests, &mut broken);
        self.acknowledgements(&requests, &tries, &mut broken);
        self.repeats(&tries, &mut broken);
        self.bounds(&tries, &mut broken);
        self.identities(&tries, &mut broken);
        self.forgeries(&mut broken);
        if self.is_over {
            self.losses(&requests, &tries, &mut broken);
        }
        if self.is_ordered {
            self.orders(&tries, &mut broken);
        }
        self.acceptances(&tries, &mut broken);
        broken
    }

    fn requests(&self) -> BTreeMap<usize, Request<'_>> {
        let received = self.steps.iter().enumerate().filter_map(|(at, (time, step))| match step {
            Step::Received { request, events, rejected } => {
                Some((*request, Request { events, rejected: *rejected, received: (at, *time) }))
            }
            _ => None,
        });
        received.collect()
    }

    /// All attempts. Each must be for events that were received, with exactly their bytes (I7, I8), and none may be for
    /// a request of which one event is rejected (I15e).
    fn tries<'a>(
        &'a self,
        requests: &BTreeMap<usize, Request<'a>>,
        broken: &mut Vec<(&'static str, String)>,
    ) -> Vec<Try<'a>> {
        let mut tries: Vec<Try<'a>> = Vec::new();
        for (at, (time, step)) in self.steps.iter().enumerate() {
            match step {
                Step::Sent(attempt) => {
                    let request = requests.get(&attempt.request).filter(|request| request.received.0 < at);
                    let whole = request.and_then(|request| request.events.iter().find(|it| it.bytes == attempt.body));
                    let events = match (whole, request) {
                        (Some(event), _) => BTreeSet::from([event]),
                        (None, Some(request)) => parts(&attempt.body, request.events),
                        (None, None) => BTreeSet::new(),
                    };
                    match request {
                        None => broken.push(("I8", format!("nobody authentic asked for {attempt:?}"))),
                        Some(_) if events.is_empty() => broken.push(("I7", format!("other bytes: {attempt:?}"))),
                        Some(request) if request.rejected => broken.push(("I15", format!("rejected: {attempt:?}"))),
                        Some(_) => {}
                    }
                    tries.push(Try {
                        attempt,
                        events,
                        is_array: whole.is_none(),
                        sent: (at, *time),
                        ended: None,
                        delivered: false,
                        received: request.map_or(*time, |request| request.received.1),
                    });
                }
                Step::Ended { attempt, delivered } => {
                    tries[*attempt].ended = Some((at, *time));
                    tries[*attempt].delivered = *delivered;
                }
                Step::Crashed => {
                    for cut_off in tries.iter_mut().filter(|it| it.ended.is_none()) {
                        cut_off.ended = Some((at, *time));
                    }
                }
                Step::Received { .. } | Step::Forged { .. } | Step::Answered { .. } | Step::Kept(_) | Step::Died(_) => {
                }
            }
        }
        tries
    }

    /// When the journal took an event, and how.
    fn kept(&self, event: &Event) -> Vec<(usize, Duration, &Kept)> {
        let kept = self.steps.iter().enumerate().flat_map(|(at, (time, step))| match step {
            Step::Kept(entries) => entries.iter().map(|kept| (at, *time, kept)).collect(),
            _ => Vec::new(),
        });
        kept.filter(|(_, _, kept)| kept.has(event) && kept.is_new).collect()
    }

    fn crashed_between(&self, from: usize, to: usize) -> bool {
        self.steps[from..to].iter().any(|(_, step)| matches!(step, Step::Crashed))
    }

    /// No 2xx without evidence for every event (I1, I2, I15a); no refusal of what is settled (I19).
    fn acknowledgements(
        &self,
        requests: &BTreeMap<usize, Request<'_>>,
        tries: &[Try<'_>],
        broken: &mut Vec<(&'static str, String)>,
    ) {
        for (at, (time, step)) in self.steps.iter().enumerate() {
            let Step::Answered { request: number, status } = step else { continue };
            let Some(request) = requests.get(number) else { continue };
            let is_success = (200..300).contains(status);
            if is_success && request.rejected {
                broken.push(("I15", format!("request {number} has a rejected event and got {status}")));
            }
            let mut all_settled = !request.rejected;
            for event in request.events {
                let of_event = || tries.iter().filter(|it| it.delivered && it.events.contains(event));
                let kept = self.kept(event);
                let safe = kept.iter().map(|(step, time, _)| (*step, *time));
                let evidence = of_event().filter_map(|it| it.ended).chain(safe);
                let evidence = evidence.filter(|(ended, _)| *ended < at).map(|it| it.1);
                match evidence.max() {
                    None if is_success => broken.push(("I1", format!("request {number}: {status} without {event:?}"))),
                    Some(last) if is_success && last + self.window <= request.received.1 => {
                        broken.push(("I2", format!("request {number}: {status} for forgotten {event:?}")));
                    }
                    None | Some(_) => {}
                }
                let safe = kept.iter().filter(|(.., kept)| !kept.is_late).map(|(step, time, _)| (*step, *time));
                let mut settled = of_event().filter_map(|it| it.settled(self.lease)).chain(safe);
                all_settled &= settled.any(|(ended, then)| ended < request.received.0 && *time < then + self.window);
            }
            if all_settled && !is_success && !shares_identity(request.events, tries) {
                broken.push(("I19", format!("request {number}: {status} though everything is settled")));
            }
        }
    }

    /// One attempt at a time while its lease lasts (I4), and none for what is settled (I5, I15c, I19).
    fn repeats(&self, tries: &[Try<'_>], broken: &mut Vec<(&'static str, String)>) {
        for later in tries {
            for event in later.events.iter().filter(|event| !shares_identity([**event], tries)) {
                let (at, time) = later.sent;
                let earlier = tries.iter().filter(|it| it.sent.0 < at && it.events.contains(event));
                for earlier in earlier {
                    if self.is_queued {
                        self.repeats_from_the_journal(earlier, later, event, broken);
                        continue;
                    }
                    if earlier.is_under_way(at) && time < earlier.received + self.lease {
                        broken.push(("I4", format!("{event:?} is under way twice at step {at}")));
                    }
                    let settled = earlier.settled(self.lease).filter(|(ended, _)| *ended < at);
                    if settled.is_some_and(|(_, then)| time < then + self.window) && !shares_identity([*event], tries) {
                        broken.push(("I5", format!("{event:?} is sent at step {at} though it is settled")));
                    }
                }
            }
        }
    }

    /// What is in the journal is sent by one attempt at a time, and not again once one was taken, unless the process
    /// died before it had noted that, or the event was accepted anew.
    fn repeats_from_the_journal(
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

    /// An event is sent once, and once more for every exception on record (I6).
    fn bounds(&self, tries: &[Try<'_>], broken: &mut Vec<(&'static str, String)>) {
        let events: BTreeSet<_> = tries.iter().flat_map(|it| &it.events).copied().collect();
        for event in events {
            let of_event: Vec<_> = tries.iter().filter(|it| it.events.contains(event)).collect();
            let failed = of_event.iter().filter(|it| !it.delivered).count();
            let late = of_event.iter().filter(|it| it.delivered && it.settled(self.lease).is_none()).count();
            let forgotten = of_event.iter().filter(|it| {
                it.settled(self.lease)
                    .is_some_and(|(_, then)| of_event.iter().any(|at| at.sent.1 >= then + self.window))
            });
            let namesakes = tries.iter().filter(|it| it.events.iter().any(|other| other.id == event.id)).count();
            let conflicts = namesakes - of_event.len();
            let bound = if self.is_queued {
                let accepted = self.kept(event).len();
                let crashes = self.steps.iter().filter(|(_, step)| matches!(step, Step::Crashed)).count();
                accepted.max(1) + failed + crashes + conflicts
            } else {
                1 + failed + late + forgotten.count() + conflicts
            };
            if of_event.len() > bound {
                broken.push(("I6", format!("{event:?} was sent {} times, at most {bound} may be", of_event.len())));
            }
        }
    }

    /// What was acknowledged is delivered in the end, or given up with a record of it (I10, D-36).
    fn losses(
        &self,
        requests: &BTreeMap<usize, Request<'_>>,
        tries: &[Try<'_>],
        broken: &mut Vec<(&'static str, String)>,
    ) {
        let acknowledged = self.steps.iter().filter_map(|(_, step)| match step {
            Step::Answered { request, status: 200..=299 } => requests.get(request),
            _ => None,
        });
        for event in acknowledged.flat_map(|request| request.events).collect::<BTreeSet<_>>() {
            let is_delivered = tries.iter().any(|it| it.delivered && it.events.contains(event));
            let is_dead =
                self.steps.iter().any(|(_, step)| matches!(step, Step::Died(body) if body.contains(&event.bytes)));
            let is_aside = self.kept(event).iter().any(|(.., kept)| kept.is_aside);
            if !is_delivered && !is_dead && !is_aside {
                broken.push(("I10", format!("{event:?} was acknowledged and is lost")));
            }
        }
    }

    /// The journal takes an event once within its window (D-40).
    fn acceptances(&self, tries: &[Try<'_>], broken: &mut Vec<(&'static str, String)>) {
        let events: BTreeSet<_> = self.requests().into_values().flat_map(|request| request.events).collect();
        for event in events.into_iter().filter(|event| !shares_identity([*event], tries)) {
            for pair in self.kept(event).windows(2) {
                if pair[1].1 < pair[0].1 + self.window {
                    broken
                        .push(("D-40", format!("{event:?} is accepted twice, at {:?} and {:?}", pair[0].1, pair[1].1)));
                }
            }
        }
    }

    /// Of two events of one group the one that was accepted first is decided before the other is sent (I14).
    fn orders(&self, tries: &[Try<'_>], broken: &mut Vec<(&'static str, String)>) {
        let known: BTreeSet<_> = tries.iter().flat_map(|it| it.events.iter().copied()).collect();
        let accepted: Vec<&Event> = self
            .steps
            .iter()
            .flat_map(|(_, step)| match step {
                Step::Kept(kept) => kept.iter().filter(|kept| kept.is_new && !kept.is_aside).collect(),
                _ => Vec::new(),
            })
            .filter_map(|kept| known.iter().copied().find(|event| kept.body == event.bytes))
            .collect();
        let decided = |event: &Event, before: usize| {
            let taken = tries.iter().filter(|it| it.delivered && it.events.contains(event));
            let taken = taken.filter(|it| it.ended.is_some_and(|(ended, _)| ended < before)).count();
            let died = |(_, step): &&(Duration, Step)| matches!(step, Step::Died(body) if *body == event.bytes);
            taken + self.steps[..before].iter().filter(died).count()
        };
        for it in tries {
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

    /// Who proves nothing changes nothing (I16).
    fn forgeries(&self, broken: &mut Vec<(&'static str, String)>) {
        for (_, step) in &self.steps {
            if let Step::Forged { request, status, unchanged } = step
                && (!unchanged || *status != 401)
            {
                broken.push(("I16", format!("the forged request {request} got {status}, unchanged: {unchanged}")));
            }
        }
    }

    /// All attempts at an event have one identity, no two events have the same, and attempts are counted from the first
    /// on (I9).
    fn identities(&self, tries: &[Try<'_>], broken: &mut Vec<(&'static str, String)>) {
        for (index, later) in tries.iter().enumerate() {
            if later.attempt.webhook_id != later.attempt.idempotency_key {
                broken.push(("I9", format!("two identities: {:?}", later.attempt)));
            }
            let ids = |it: &Try<'_>| it.events.iter().map(|event| event.id.clone()).collect::<BTreeSet<_>>();
            for earlier in &tries[..index] {
                let is_same_id = earlier.attempt.webhook_id == later.attempt.webhook_id;
                if is_same_id && ids(earlier) != ids(later) {
                    broken.push(("I9", format!("one identity for {:?} and {:?}", earlier.events, later.events)));
                }
                let is_single = !earlier.is_array && !later.is_array;
                if is_single && earlier.events == later.events && !shares_identity(later.events.iter().copied(), tries)
                {
                    if !is_same_id {
                        broken.push(("I9", format!("two identities for {:?}", later.events)));
                    }
                    let is_retry = !earlier.delivered && earlier.ended.is_some_and(|(ended, _)| ended < later.sent.0);
                    let between = tries[..index].iter().any(|it| it.delivered && it.events == later.events);
                    // Attempts that overlap, after a lease, may each believe to be the first; the earliest stays.
                    // A process that died had no time to count.
                    let counts = (later.attempt.number > earlier.attempt.number
                        || self.crashed_between(earlier.sent.0, later.sent.0))
                        && later.attempt.received_at <= earlier.attempt.received_at;
                    // Accepted anew, after its window, an event is counted anew.
                    let is_same_entry = !self.is_queued || earlier.attempt.request == later.attempt.request;
                    if is_retry && is_same_entry && !between && !counts {
                        broken.push(("I9", format!("not counted on: {:?} {:?}", earlier.attempt, later.attempt)));
                    }
                }
            }
        }
    }
}

/// The events of `[a,b]`, in their order; none if it is not made of exactly their bytes, once each.
fn parts<'a>(body: &str, events: &'a [Event]) -> BTreeSet<&'a Event> {
    let Some(mut rest) = body.strip_prefix('[') else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for event in events {
        let Some(after) = rest.strip_prefix(event.bytes.as_str()) else { continue };
        if !found.insert(event) {
            return BTreeSet::new();
        }
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after == "]" => return found,
            None => break,
        }
    }
    BTreeSet::new()
}

/// Whether other bytes came under the identity of one of these events: then they are told apart as well as can be
/// and a repeat may be delivered once more.
fn shares_identity<'a>(events: impl IntoIterator<Item = &'a Event>, tries: &[Try<'_>]) -> bool {
    let others = |event: &Event| {
        tries.iter().flat_map(|it| &it.events).any(|other| other.id == event.id && other.bytes != event.bytes)
    };
    events.into_iter().any(others)
}

/// The checker must be able to fail: each of these histories breaks one invariant.
mod tests {
    use super::*;

    fn event(id: u8) -> Event {
        Event { id: id.to_string(), group: id % 2, bytes: format!("{{{id}}}") }
    }

    fn received(request: usize, ids: &[u8]) -> Step {
        Step::Received { request, events: ids.iter().map(|id| event(*id)).collect(), rejected: false }
    }

    fn sent(request: usize, body: &str, number: u32) -> Step {
        let webhook_id = format!("id of {body}");
        Step::Sent(Attempt {
            request,
            body: body.into(),
            idempotency_key: webhook_id.clone(),
            webhook_id,
            number,
            received_at: "1".into(),
        })
    }

    fn ended(attempt: usize, delivered: bool) -> Step {
        Step::Ended { attempt, delivered }
    }

    fn answered(request: usize, status: u16) -> Step {
        Step::Answered { request, status }
    }

    #[track_caller]
    fn check(steps: &[(u64, Step)], want: &[&str]) {
        let steps = steps.iter().map(|(time, step)| (Duration::from_secs(*time), step.clone())).collect();
        let history = History::sync(Duration::from_secs(10), Duration::from_secs(100), steps);
        let history = History { is_over: false, ..history };
        let broken = history.violations();
        assert_eq!(broken.iter().map(|(name, _)| *name).collect::<Vec<_>>(), want, "{broken:?}");
    }

    fn at_once(steps: Vec<Step>) -> Vec<(u64, Step)> {
        steps.into_iter().map(|step| (0, step)).collect()
    }

    /// One event, delivered and answered.
    fn good() -> Vec<Step> {
        vec![received(0, &[1]), sent(0, "{1}", 1), ended(0, true), answered(0, 200)]
    }

    #[test]
    fn what_is_right_passes() {
        check(&at_once(good()), &[]);
        let retried = [sent(0, "{1}", 1), ended(0, false), answered(0, 502), received(1, &[1]), sent(1, "{1}", 2)];
        let steps = [&[received(0, &[1])][..], &retried, &[ended(1, true), answered(1, 200)]].concat();
        check(&at_once(steps), &[]);
        let array = vec![received(0, &[1, 2, 3]), sent(0, "[{1},{3}]", 1), ended(0, false), answered(0, 503)];
        check(&at_once(array), &[]);
        let mut forgotten: Vec<_> = at_once(good());
        forgotten.extend([(100, received(1, &[1])), (100, sent(1, "{1}", 1)), (100, ended(1, true))]);
        check(&forgotten, &[]);
        check(&at_once(vec![Step::Forged { request: 0, status: 401, unchanged: true }]), &[]);
    }

    #[test]
    fn i_01_i_02_a_false_acknowledgement() {
        check(&at_once(vec![received(0, &[1]), answered(0, 200)]), &["I1"]);
        let early = vec![received(0, &[1]), sent(0, "{1}", 1), answered(0, 200), ended(0, true)];
        check(&at_once(early), &["I1"]);
        let failed = vec![received(0, &[1]), sent(0, "{1}", 1), ended(0, false), answered(0, 200)];
        check(&at_once(failed), &["I1"]);
        let half = vec![received(0, &[1, 2]), sent(0, "{1}", 1), ended(0, true), answered(0, 200)];
        check(&at_once(half), &["I1"]);
        let mut forgotten = at_once(good());
        forgotten.extend([(100, received(1, &[1])), (100, answered(1, 200))]);
        check(&forgotten, &["I2"]);
    }

    #[test]
    fn i_04_i_05_i_06_too_many_attempts() {
        let twice = vec![received(0, &[1]), received(1, &[1]), sent(0, "{1}", 1), sent(1, "{1}", 1), ended(0, false)];
        check(&at_once(twice), &["I4"]);
        let again = [good(), vec![received(1, &[1]), sent(1, "{1}", 1), ended(1, true), answered(1, 200)]].concat();
        check(&at_once(again), &["I5", "I6"]);
        // The late one settled nothing, so a second attempt was in order; the third was not.
        let steps = [
            (0, received(0, &[1])),
            (0, sent(0, "{1}", 1)),
            (11, received(1, &[1])),
            (11, sent(1, "{1}", 1)),
            (12, ended(0, true)),
            (12, ended(1, true)),
            (13, received(2, &[1])),
            (13, answered(2, 200)),
        ];
        check(&steps, &[]);
        check(&[&steps[..7], &[(13, sent(2, "{1}", 1)), (13, ended(2, true))]].concat(), &["I5", "I6"]);
    }

    #[test]
    fn i_07_i_08_other_bytes_and_inventions() {
        check(&at_once(vec![received(0, &[1]), sent(0, "{1} ", 1)]), &["I7"]);
        for body in ["[{1},{1}]", "[{2},{1}]", "[{1}, {2}]", "[{1},{2}", "[]"] {
            check(&at_once(vec![received(0, &[1, 2]), sent(0, body, 1)]), &["I7"]);
        }
        check(&at_once(vec![sent(7, "{1}", 1)]), &["I8"]);
    }

    #[test]
    fn i_09_identities() {
        let amended = |amend: &dyn Fn(&mut Attempt), id: u8, body: &str, want: &[&str]| {
            let mut second = sent(1, body, 2);
            if let Step::Sent(attempt) = &mut second {
                amend(attempt);
            }
            let first = [received(0, &[1]), sent(0, "{1}", 1), ended(0, false)];
            check(&at_once([&first[..], &[received(1, &[id]), second]].concat()), want);
        };
        amended(&|_| (), 1, "{1}", &[]);
        amended(&|attempt| attempt.idempotency_key.push('x'), 1, "{1}", &["I9"]);
        amended(&|attempt| attempt.number = 1, 1, "{1}", &["I9"]);
        amended(&|attempt| attempt.received_at = "2".into(), 1, "{1}", &["I9"]);
        let renamed = |attempt: &mut Attempt, name: &str| {
            (attempt.webhook_id, attempt.idempotency_key) = (name.to_owned(), name.to_owned());
        };
        amended(&|attempt| renamed(attempt, "other"), 1, "{1}", &["I9"]);
        amended(&|attempt| renamed(attempt, "id of {1}"), 2, "{2}", &["I9"]);
    }

    #[test]
    fn i_15_a_rejected_batch() {
        let rejected = Step::Received { request: 0, events: vec![event(1)], rejected: true };
        check(&at_once(vec![rejected.clone(), answered(0, 400)]), &[]);
        check(&at_once(vec![rejected.clone(), sent(0, "{1}", 1)]), &["I15"]);
        let steps = vec![rejected, sent(0, "{1}", 1), ended(0, true), answered(0, 200)];
        check(&at_once(steps), &["I15", "I15"]);
    }

    #[test]
    fn i_16_i_19_forgeries_and_quiet_duplicates() {
        check(&at_once(vec![Step::Forged { request: 0, status: 401, unchanged: false }]), &["I16"]);
        check(&at_once(vec![Step::Forged { request: 0, status: 200, unchanged: true }]), &["I16"]);
        check(&at_once([good(), vec![received(1, &[1]), answered(1, 503)]].concat()), &["I19"]);
    }
}
