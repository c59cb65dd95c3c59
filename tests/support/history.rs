//! What happened between senders, gateway and application, and whether it may have happened like that: the checker of
//! the delivery invariants (`catalogue.md`, section 4).

#[path = "history/journal.rs"]
mod journal;
#[path = "history/tests.rs"]
mod tests;
#[path = "history/tries.rs"]
mod tries;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Duration,
};

use self::tries::{Tries, Try};

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
    /// The journal has noted what became of what has this body: nothing more is to be delivered of it.
    Decided(String),
    /// The process was killed, and with it everything that was under way.
    Crashed,
    /// The process ended as it should, and began anew.
    Restarted,
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
    /// What is looked up again and again.
    pub(crate) index: OnceLock<Index>,
}

/// Where to find things in a long history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Identities under which several events came.
    shared: BTreeSet<String>,
    /// The steps at which the journal took something, by its body.
    kept: BTreeMap<String, Vec<usize>>,
    /// Those at which it took an array.
    arrays: Vec<usize>,
}

struct Request<'a> {
    events: &'a [Event],
    rejected: bool,
    received: (usize, Duration),
}

impl History {
    /// Of senders that wait for their deliveries.
    pub(crate) fn sync(lease: Duration, window: Duration, steps: Vec<(Duration, Step)>) -> Self {
        Self { lease, window, is_queued: false, is_ordered: false, is_over: true, steps, index: OnceLock::new() }
    }

    /// The invariants that were broken, each with what broke it.
    pub(crate) fn violations(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        let requests = self.requests();
        let tries = Tries::new(self.tries(&requests, &mut broken));
        self.acknowledgements(&requests, &tries, &mut broken);
        self.repeats(&tries, &mut broken);
        self.bounds(&requests, &tries, &mut broken);
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
                _ => {}
            }
        }
        tries
    }

    /// Whether other bytes came under the identity of one of these events: then they are told apart as well as can be
    /// and a repeat may be delivered once more.
    fn shares_identity<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> bool {
        events.into_iter().any(|event| self.index().shared.contains(&event.id))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::default();
            let mut known: BTreeMap<&str, &str> = BTreeMap::new();
            for (at, (_, step)) in self.steps.iter().enumerate() {
                match step {
                    Step::Received { events, .. } => {
                        for event in events {
                            if *known.entry(&event.id).or_insert(&event.bytes) != event.bytes {
                                index.shared.insert(event.id.clone());
                            }
                        }
                    }
                    Step::Kept(kept) => {
                        for kept in kept {
                            if kept.body.starts_with('[') {
                                index.arrays.push(at);
                            }
                            index.kept.entry(kept.body.clone()).or_default().push(at);
                        }
                    }
                    _ => {}
                }
            }
            index
        })
    }

    fn crashed_between(&self, from: usize, to: usize) -> bool {
        self.steps[from..to].iter().any(|(_, step)| matches!(step, Step::Crashed))
    }

    fn restarted_between(&self, from: usize, to: usize) -> bool {
        self.steps[from..to].iter().any(|(_, step)| matches!(step, Step::Crashed | Step::Restarted))
    }

    /// No 2xx without evidence for every event (I1, I2, I15a); no refusal of what is settled (I19).
    fn acknowledgements(
        &self,
        requests: &BTreeMap<usize, Request<'_>>,
        tries: &Tries<'_>,
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
                let of_event = || tries.of(event).filter(|it| it.delivered);
                let kept = self.kept(event);
                let safe = kept.iter().map(|(step, time, _)| (*step, *time));
                let evidence = of_event().filter_map(|it| it.ended).chain(safe);
                let evidence = evidence.filter(|(ended, _)| *ended < at).map(|it| it.1);
                match evidence.max() {
                    None if is_success => broken.push(("I1", format!("request {number}: {status} without {event:?}"))),
                    Some(last)
                        if is_success
                            && last + self.window <= request.received.1
                            && !self.may_wait(event, request.received.0) =>
                    {
                        broken.push(("I2", format!("request {number}: {status} for forgotten {event:?}")));
                    }
                    None | Some(_) => {}
                }
                let safe = kept.iter().filter(|(.., kept)| !kept.is_late).map(|(step, time, _)| (*step, *time));
                let delivered = of_event().filter_map(|it| it.settled(self.lease)).filter(|_| !self.is_queued);
                let mut settled = delivered.chain(safe);
                all_settled &= settled.any(|(ended, then)| ended < request.received.0 && *time < then + self.window);
            }
            if all_settled && !is_success && !self.shares_identity(request.events) {
                broken.push(("I19", format!("request {number}: {status} though everything is settled")));
            }
        }
    }

    /// One attempt at a time while its lease lasts (I4), and none for what is settled (I5, I15c, I19).
    fn repeats(&self, tries: &Tries<'_>, broken: &mut Vec<(&'static str, String)>) {
        for later in tries.iter() {
            for event in later.events.iter().filter(|event| !self.shares_identity([**event])) {
                let (at, time) = later.sent;
                let earlier = tries.of(event).filter(|it| it.sent.0 < at);
                for earlier in earlier {
                    if self.is_queued {
                        self.repeats_from_the_journal(earlier, later, event, broken);
                        continue;
                    }
                    if earlier.is_under_way(at) && time < earlier.received + self.lease {
                        broken.push(("I4", format!("{event:?} is under way twice at step {at}")));
                    }
                    let settled = earlier.settled(self.lease).filter(|(ended, _)| *ended < at);
                    if settled.is_some_and(|(_, then)| time < then + self.window) && !self.shares_identity([*event]) {
                        broken.push(("I5", format!("{event:?} is sent at step {at} though it is settled")));
                    }
                }
            }
        }
    }

    /// An event is sent once, and once more for every exception on record (I6).
    fn bounds(
        &self,
        requests: &BTreeMap<usize, Request<'_>>,
        tries: &Tries<'_>,
        broken: &mut Vec<(&'static str, String)>,
    ) {
        let crashes = self.steps.iter().filter(|(_, step)| matches!(step, Step::Crashed)).count();
        let namesakes = |event: &Event| {
            requests.values().filter(|it| it.events.iter().any(|other| is_namesake(event, other))).count()
        };
        for event in tries.of_event.keys() {
            let of_event: Vec<_> = tries.of(event).collect();
            let failed = of_event.iter().filter(|it| !it.delivered).count();
            let late = of_event.iter().filter(|it| it.delivered && it.settled(self.lease).is_none()).count();
            let forgotten = of_event.iter().filter(|it| {
                it.settled(self.lease)
                    .is_some_and(|(_, then)| of_event.iter().any(|at| at.sent.1 >= then + self.window))
            });
            let conflicts = if self.shares_identity([*event]) { namesakes(event) } else { 0 };
            let bound = if self.is_queued {
                let accepted = self.kept(event).len();
                accepted.max(1) + failed + crashes + conflicts
            } else {
                1 + failed + late + forgotten.count() + conflicts
            };
            if of_event.len() > bound {
                broken.push(("I6", format!("{event:?} was sent {} times, at most {bound} may be", of_event.len())));
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
    fn identities(&self, tries: &Tries<'_>, broken: &mut Vec<(&'static str, String)>) {
        let mut of_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, later) in tries.iter().enumerate() {
            let of_id = of_id.entry(&later.attempt.webhook_id).or_default();
            let of_events = later.events.iter().flat_map(|event| tries.places(event)).copied();
            // Those that could have anything to do with it.
            let before: BTreeSet<_> = of_events.filter(|place| *place < index).chain(of_id.iter().copied()).collect();
            let before = || before.iter().map(|place| &tries.all[*place]);
            of_id.push(index);
            if later.attempt.webhook_id != later.attempt.idempotency_key {
                broken.push(("I9", format!("two identities: {:?}", later.attempt)));
            }
            let ids = |it: &Try<'_>| it.events.iter().map(|event| event.id.clone()).collect::<BTreeSet<_>>();
            for earlier in before() {
                let is_same_id = earlier.attempt.webhook_id == later.attempt.webhook_id;
                if is_same_id && ids(earlier) != ids(later) {
                    broken.push(("I9", format!("one identity for {:?} and {:?}", earlier.events, later.events)));
                }
                let is_single = !earlier.is_array && !later.is_array;
                if is_single && earlier.events == later.events && !self.shares_identity(later.events.iter().copied()) {
                    if !is_same_id {
                        broken.push(("I9", format!("two identities for {:?}", later.events)));
                    }
                    let is_retry = !earlier.delivered && earlier.ended.is_some_and(|(ended, _)| ended < later.sent.0);
                    let between = before().any(|it| it.delivered && it.events == later.events);
                    // Attempts that overlap, after a lease, may each believe to be the first; the earliest stays.
                    let (from, to) = (earlier.sent.0, later.sent.0);
                    // A process that died had no time to count; a new one knows nothing of attempts of which the
                    // sender was told that they failed.
                    let counts = (later.attempt.number > earlier.attempt.number || self.crashed_between(from, to))
                        && later.attempt.received_at <= earlier.attempt.received_at;
                    let counts = counts || (!self.is_queued && self.restarted_between(from, to));
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

fn is_namesake(event: &Event, other: &Event) -> bool {
    other.id == event.id && other.bytes != event.bytes
}
