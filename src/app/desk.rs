//! What operators are told and may do, through the admin door.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::{
    admin::{
        Desk,
        form::{Overview, Waiting},
    },
    clock::Clock,
    config::compile::{Compiled, Sender},
    gateway::{
        Journal,
        source::{Active, Mode, Source},
    },
    state::journal::{EntryId, JournalError, JournalFuture, JournalStore, Replay},
    telemetry::Metrics,
};

/// The desk of a running gateway.
pub(super) struct Office {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) journal: Option<Journal>,
    /// What the configuration says of each source.
    sources: ArcSwap<Vec<Overview>>,
}

impl Office {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        journal: Option<Journal>,
        compiled: &Compiled,
    ) -> Self {
        Self { clock, metrics, journal, sources: ArcSwap::from_pointee(overviews(compiled)) }
    }

    /// Tells of another configuration from now on.
    pub(super) fn replace(&self, compiled: &Compiled) {
        self.sources.store(Arc::new(overviews(compiled)));
    }
}

impl Desk for Office {
    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn sources(&self) -> Vec<Overview> {
        let mut sources = self.sources.load().to_vec();
        for source in &mut sources {
            let metrics = self.metrics.source(&source.name);
            source.last_secret = metrics.last_secret().map(|name| name.to_string());
            source.events = metrics.events().map(|(verdict, count)| (verdict.as_str(), count)).collect();
        }
        sources
    }

    fn journal(&self) -> Option<&dyn JournalStore> {
        self.journal.as_ref().map(Journal::store)
    }

    fn replay(&self, entry: EntryId, again: bool) -> JournalFuture<Replay> {
        let Some(journal) = self.journal.clone() else { return none() };
        let now = self.clock.now();
        Box::pin(async move {
            let replay = journal.replay(entry, again, now).await?;
            if replay == Replay::Queued {
                tracing::info!(entry = entry.0, again, "an operator had a delivery made again");
            }
            Ok(replay)
        })
    }

    fn discard(&self, entry: EntryId) -> JournalFuture<bool> {
        let Some(journal) = self.journal.clone() else { return none() };
        let now = self.clock.now();
        Box::pin(async move {
            let dropped = journal.discard(entry, now).await?;
            if dropped {
                tracing::info!(entry = entry.0, "an operator dropped a delivery");
            }
            Ok(dropped)
        })
    }
}

fn none<T: Send + 'static>() -> JournalFuture<T> {
    Box::pin(std::future::ready(Err(JournalError::Failed("there is none".to_owned()))))
}

fn overviews(compiled: &Compiled) -> Vec<Overview> {
    let sources = compiled.sources.iter();
    sources.filter_map(|source| Some(overview(source, compiled.senders.get(&*source.name)?))).collect()
}

fn overview(source: &Source, sender: &Sender) -> Overview {
    Overview {
        name: source.name.to_string(),
        path: source.path.clone(),
        provider: sender.provider.clone(),
        schemes: sender.schemes.clone(),
        active: match source.active {
            Active::Drop => "drop",
            Active::Hold => "hold",
            Active::Refuse => "refuse",
            Active::Yes => "yes",
        },
        mode: match source.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        },
        delivery: if source.queues() { "queued" } else { "sync" },
        upstream: source.delivery.target.name.to_string(),
        last_secret: None,
        events: std::collections::BTreeMap::new(),
        waiting: Waiting::default(),
    }
}
