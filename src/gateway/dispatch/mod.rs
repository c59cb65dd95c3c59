//! Deliveries that nobody waits for: from the journal to the application, one lane for each upstream.
//!
//! What is decided here is decided by plain values that are handed the time: when an event is tried again
//! (`backoff.rs`), whether its upstream is well enough to be asked (`breaker.rs`), and how much of its traffic may be
//! repetitions (`budget.rs`). An event goes out with the configuration of the day, under the identity and with the
//! headers that it was accepted with.

mod attempt;
mod backoff;
mod breaker;
mod budget;
mod lane;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;

pub use self::backoff::Retry;
use self::lane::Lane;
use super::{
    Journal,
    source::{Active, Source, Target},
};
use crate::{clock::Clock, server::Shutdown, state::journal::State, telemetry::Telemetry};

/// What a generation of the configuration says about queued events.
#[derive(Debug, Default)]
pub struct Roster {
    targets: HashMap<Arc<str>, Arc<Target>>,
    sources: HashMap<Arc<str>, Terms>,
}

/// What is said for the events of one source.
#[derive(Clone, Debug)]
struct Terms {
    retry: Arc<Retry>,
    /// Whether they wait until the source is switched on again.
    on_hold: bool,
}

impl Roster {
    /// The upstreams, and how events of these sources are to be delivered.
    #[must_use]
    pub fn new(targets: &[Arc<Target>], sources: &[Source]) -> Self {
        let terms = |source: &Source| {
            let terms =
                Terms { retry: Arc::new(source.delivery.retry.clone()), on_hold: source.active == Active::Hold };
            (source.name.clone(), terms)
        };
        let target = |target: &Arc<Target>| (target.name.clone(), target.clone());
        Self { targets: targets.iter().map(target).collect(), sources: sources.iter().map(terms).collect() }
    }
}

/// Delivers what is pending in a journal until the shutdown begins.
pub struct Dispatcher {
    shared: Arc<Shared>,
    lanes: Mutex<BTreeSet<Arc<str>>>,
}

/// What all lanes have in common.
struct Shared {
    journal: Journal,
    clock: Arc<dyn Clock>,
    telemetry: Arc<Telemetry>,
    shutdown: Shutdown,
    roster: ArcSwap<Roster>,
    random: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Dispatcher {
    /// Goes to work. No new event is taken up once `shutdown` begins, and those under way are finished.
    pub fn start(
        journal: Journal,
        roster: Roster,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        shutdown: Shutdown,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let roster = ArcSwap::from_pointee(roster);
        let shared = Shared { journal, clock, telemetry, shutdown, roster, random: Box::new(random) };
        let dispatcher = Self { shared: Arc::new(shared), lanes: Mutex::default() };
        dispatcher.open_lanes();
        dispatcher
    }

    /// Goes on with another configuration. What is under way ends as it began.
    pub fn replace(&self, roster: Roster) {
        self.shared.roster.store(Arc::new(roster));
        self.open_lanes();
        self.shared.journal.wake();
    }

    /// A lane for every upstream that has none yet. A lane without an upstream waits: it may come back.
    fn open_lanes(&self) {
        let mut lanes = self.lanes.lock().expect("no panic while held");
        for name in self.shared.roster.load().targets.keys() {
            if lanes.insert(name.clone()) {
                let lane = Lane::new(name.clone(), self.shared.clone());
                self.shared.shutdown.tasks.spawn(lane.run());
            }
        }
        let shared = self.shared.clone();
        self.shared.shutdown.tasks.spawn(async move { shared.report_strangers().await });
    }
}

impl Shared {
    /// Tells the operator of events that wait because nobody knows their source any more.
    async fn report_strangers(&self) {
        let Ok(totals) = self.journal.store().totals().await else { return };
        let roster = self.roster.load_full();
        for (upstream, count) in totals.pending {
            if !roster.targets.contains_key(upstream.as_str()) {
                tracing::warn!(
                    upstream,
                    count,
                    "events wait in the journal for an upstream that is not in the configuration"
                );
            }
        }
        for (source, state, count) in totals.entries {
            if state == State::Pending && !roster.sources.contains_key(source.as_str()) {
                tracing::warn!(
                    source,
                    count,
                    "events wait in the journal for a source that is not in the configuration"
                );
            }
        }
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}
