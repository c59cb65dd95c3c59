//! The queue of one upstream: takes up as many events as the upstream is well enough for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::sleep,
};

use super::{
    Roster, Shared, Terms,
    attempt::Sign,
    breaker::{Admission, Breaker, Change},
    budget::Budget,
};
use crate::{
    gateway::source::Target,
    state::journal::{EntryId, Lane as Which, Leased, Mark},
    telemetry::QueueMetrics,
};

/// How long a lane sleeps that has nothing to wait for but news.
const LONG: Duration = Duration::from_hours(1);

/// How long it waits after the journal failed, and for its budget of repetitions.
const SHORT: Duration = Duration::from_secs(1);

/// How long an event waits whose delivery uncovered a defect of the gateway.
const DEFECT: Duration = Duration::from_mins(5);

/// One upstream's lane.
pub(super) struct Lane {
    name: Arc<str>,
    shared: Arc<Shared>,
    roster: Arc<Roster>,
    metrics: QueueMetrics,
    news: watch::Receiver<()>,
    breaker: Breaker,
    budget: Budget,
    under_way: JoinSet<Sign>,
    /// Which event a task is for, and whether it was tried before.
    tasks: HashMap<Id, (EntryId, bool)>,
    /// Sources whose events came up though nobody knows the source.
    strangers: Vec<Arc<str>>,
    /// There is nothing to take up before this, unless there is news.
    dry_until: Option<Instant>,
}

impl Lane {
    pub(super) fn new(name: Arc<str>, shared: Arc<Shared>) -> Self {
        Self {
            roster: shared.roster.load_full(),
            metrics: shared.telemetry.metrics.queue(&name),
            news: shared.journal.news(),
            breaker: Breaker::default(),
            budget: Budget::new(shared.clock.now().steady),
            under_way: JoinSet::new(),
            tasks: HashMap::new(),
            strangers: Vec::new(),
            dry_until: None,
            name,
            shared,
        }
    }

    /// Takes up events until the shutdown begins, then waits for those under way (D-51).
    pub(super) async fn run(mut self) {
        let shutdown = self.shared.shutdown.clone();
        while !shutdown.stop.is_cancelled() {
            let wait = tokio::select! {
                wait = self.take_up() => wait,
                () = shutdown.stop.cancelled() => break,
            };
            tokio::select! {
                () = shutdown.stop.cancelled() => break,
                Ok(()) = self.news.changed() => self.dry_until = None,
                Some(ended) = self.under_way.join_next_with_id() => self.ended(ended),
                () = sleep(wait) => {}
            }
            while let Some(ended) = self.under_way.try_join_next_with_id() {
                self.ended(ended);
            }
        }
        let finish = async { while self.under_way.join_next().await.is_some() {} };
        tokio::select! {
            () = finish => {}
            () = shutdown.abandon.cancelled() => {}
        }
    }

    /// Starts as many attempts as there may be. Returns how long it takes until there may be more.
    async fn take_up(&mut self) -> Duration {
        self.follow_configuration();
        let roster = self.roster.clone();
        let Some(target) = roster.targets.get(&self.name) else { return LONG };
        loop {
            let now = self.shared.clock.now();
            let (room, probes) = match self.breaker.admits(share(target.max_in_flight), now.steady) {
                Admission::UpTo(most) => (most.saturating_sub(self.under_way.len()), false),
                Admission::Probe => (1, true),
                Admission::Wait(rest) => return rest,
            };
            if room == 0 {
                return LONG;
            }
            if let Some(until) = self.dry_until.filter(|until| now.steady < *until) {
                return until - now.steady;
            }
            // A probe is one event, whichever; for the rest, repetitions have a budget.
            let repetitions = if probes { 1 } else { self.budget.repetitions(now.steady) };
            let count = if repetitions == 0 { room } else { room.min(repetitions) };
            let which = Which { upstream: self.name.clone(), except: self.waiting(), fresh_only: repetitions == 0 };
            let leases = match self.shared.journal.store().lease(which, count, now).await {
                Ok(leases) => leases,
                Err(error) => {
                    tracing::debug!(upstream = &*self.name, %error, "the journal gives no events");
                    return SHORT;
                }
            };
            let found = leases.events.len();
            for leased in leases.events {
                self.begin(leased, target, probes).await;
            }
            if found < count {
                let pause = leases.next_due.unwrap_or(LONG);
                self.dry_until = Some(now.steady + if repetitions == 0 { pause.min(SHORT) } else { pause });
            }
        }
    }

    fn follow_configuration(&mut self) {
        let current = self.shared.roster.load_full();
        if !Arc::ptr_eq(&self.roster, &current) {
            self.roster = current;
            self.strangers.clear();
            self.dry_until = None;
        }
    }

    /// Sources whose events stay where they are.
    fn waiting(&self) -> Vec<Arc<str>> {
        let held = self.roster.sources.iter().filter(|(_, terms)| terms.on_hold).map(|(name, _)| name.clone());
        held.chain(self.strangers.iter().cloned()).collect()
    }

    /// Sends an event on its way, unless nobody knows its source: then it waits until somebody does.
    async fn begin(&mut self, leased: Leased, target: &Arc<Target>, probes: bool) {
        let Some(Terms { retry, .. }) = self.roster.sources.get(&leased.entry.source) else {
            self.strangers.push(leased.entry.source.clone());
            self.shared.mark(leased.id, Mark::Postponed(Duration::ZERO)).await;
            return;
        };
        if probes {
            self.breaker.probes();
        }
        let (entry, is_repetition) = (leased.id, leased.attempts_in_a_row > 0);
        self.budget.begins(is_repetition);
        let attempt = self.shared.clone().attempt(leased, target.clone(), retry.clone());
        let task = self.under_way.spawn(attempt);
        self.tasks.insert(task.id(), (entry, is_repetition));
        self.tell();
    }

    /// Learns from an attempt that ended. One that panicked says nothing of the upstream, and its event comes up again.
    fn ended(&mut self, ended: Result<(Id, Sign), JoinError>) {
        let (id, sign) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if let Some((entry, _)) = self.tasks.get(&error.id()).copied() {
                    let shared = self.shared.clone();
                    let mark = async move {
                        shared.mark(entry, Mark::Postponed(DEFECT)).await;
                        Sign::Nothing
                    };
                    self.under_way.spawn(mark);
                }
                (error.id(), Sign::Nothing)
            }
        };
        let is_repetition = self.tasks.remove(&id).is_some_and(|(_, is_repetition)| is_repetition);
        let now = self.shared.clock.now().steady;
        let change = match sign {
            Sign::Took => {
                if is_repetition {
                    self.budget.succeeded();
                }
                self.breaker.answered(now)
            }
            Sign::Refused => self.breaker.answered(now),
            Sign::Unwell => self.breaker.failed(now, (self.shared.random)()),
            Sign::Nothing => {
                self.breaker.probed_nothing(now);
                None
            }
        };
        self.dry_until = None;
        self.log(change);
        self.tell();
    }

    fn log(&self, change: Option<Change>) {
        let upstream = &*self.name;
        match change {
            Some(Change::Opened(rest)) => {
                let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(upstream, rest_ms, "the upstream is not well: queued events wait");
            }
            Some(Change::Closed) => tracing::info!(upstream, "the upstream is back: queued events go out again"),
            None => {}
        }
    }

    fn tell(&self) {
        self.metrics.breaker.set(self.breaker.level());
        self.metrics.in_flight.set(i64::try_from(self.under_way.len()).unwrap_or(i64::MAX));
    }
}

/// What queued events may use of an upstream: three quarters, so that events whose senders wait find room.
fn share(max_in_flight: usize) -> usize {
    (max_in_flight - max_in_flight / 4).max(1)
}
