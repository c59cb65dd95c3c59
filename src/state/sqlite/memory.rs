//! What the writer knows without asking the file: names, numbers, evidence, and what is leased.
//!
//! All of it but the leases is made from the file at every start, so there is nothing that could contradict it (D-41).
//! It changes only after the commit that it belongs to: until then, changes are in a [`Draft`].

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use rusqlite::Connection;

use super::{
    evidence::{Evidence, Known},
    names::Names,
    record,
    tally::{self, Tally},
    time,
};
use crate::state::{
    journal::{Settled, State},
    key::{EventKey, KeyMap},
};

/// Entries that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) source: i64,
    /// 0 for what goes nowhere.
    pub(super) upstream: i64,
    pub(super) state: State,
}

/// What is known of the file.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) tally: Tally,
    /// Those who claim events look into it, too.
    pub(super) evidence: Arc<RwLock<Evidence>>,
    /// Entries that are being delivered, or cannot be read.
    pub(super) leased: HashSet<i64>,
    /// Entries that were not where the index of due events says.
    pub(super) suspect: HashSet<i64>,
    /// How many events were leased since the start.
    pub(super) turn: usize,
    pub(super) next_id: i64,
    /// How many entries that wait were counted once, and were not found when the file was read. Whoever finds out why
    /// counts down; what is left when all was looked at is gone.
    pub(super) missing: u64,
    /// Milliseconds of the journal's own clock, as they were committed last.
    pub(super) elapsed: i64,
}

/// What a transaction changes in memory, once it is committed.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) names: Names,
    pub(super) tally: HashMap<Slot, i64>,
    pub(super) settled: KeyMap<Known>,
    /// Identities that are forgotten, and until when they were to be remembered.
    pub(super) unsettled: Vec<(EventKey, i64)>,
    /// Identities that are forgotten sooner than was meant.
    pub(super) cut: Vec<(EventKey, i64)>,
    /// Entries that are to be delivered from now on, or are not any more.
    pub(super) pending: Vec<(i64, bool)>,
    pub(super) let_go: Vec<i64>,
    pub(super) next_id: i64,
    pub(super) appended: u64,
    /// Bytes that are in use more than before, roughly.
    pub(super) bytes: u64,
    /// How many entries there are, where they had to be counted anew.
    pub(super) recounted: Option<Tally>,
    /// Bytes that were written ahead, roughly.
    pub(super) written: u64,
    /// Entries that were found damaged.
    pub(super) damaged: Vec<i64>,
    /// Identities that have no evidence any more, because their entries are damaged.
    pub(super) void: Vec<EventKey>,
    /// Places that cannot be read.
    pub(super) unreadable: u64,
    /// Whether something was changed that does not carry the time itself, so that the clock is written, too.
    pub(super) timed: bool,
}

impl Memory {
    /// Reads everything from the file. Leases are a process's own, so there are none.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut memory = Self::default();
        (memory.elapsed, memory.next_id) = time::load(db)?;
        memory.names = Names::load(db)?;
        memory.tally = match tally::load(db)? {
            Some(tally) => tally,
            None => tally::recount(db)?,
        };
        let evidence = Evidence::load(db)?;
        memory.missing = tally::missing(db, &memory.tally, record::count(evidence.entries(..).count()))?;
        if memory.missing > 0 {
            memory.tally = tally::recount(db)?;
        }
        memory.evidence = Arc::new(RwLock::new(evidence));
        Ok(memory)
    }

    /// A transaction begins.
    pub(super) fn draft(&self) -> Draft {
        Draft { next_id: self.next_id, ..Draft::default() }
    }

    /// The transaction is safe.
    pub(super) fn adopt(&mut self, mut draft: Draft, elapsed: i64) {
        self.evidence.write().unwrap_or_else(PoisonError::into_inner).adopt(&mut draft);
        self.names.extend(draft.names);
        for (slot, change) in draft.tally {
            *self.tally.entry(slot).or_default() += change;
        }
        if let Some(recounted) = draft.recounted {
            self.tally = recounted;
        }
        draft.let_go.into_iter().for_each(|id| self.let_go(id));
        self.next_id = draft.next_id;
        if draft.timed {
            self.elapsed = elapsed;
        }
    }

    /// The journal is in another file. What was made from that counts, but for what is this process's own.
    pub(super) fn replace(&mut self, other: Self) {
        let before = mem::replace(self, other);
        (self.leased, self.turn) = (before.leased, before.turn);
        let found = mem::replace(&mut self.evidence, before.evidence);
        let found = mem::take(&mut *found.write().unwrap_or_else(PoisonError::into_inner));
        *self.evidence.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// What has evidence.
    pub(super) fn evidence(&self) -> RwLockReadGuard<'_, Evidence> {
        self.evidence.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry is not leased any more.
    pub(super) fn let_go(&mut self, id: i64) {
        self.leased.remove(&id);
    }

    /// Entries in a state, of all sources.
    pub(super) fn total(&self, state: State) -> i64 {
        self.tally.iter().filter(|(slot, _)| slot.state == state).map(|(_, entries)| entries).sum()
    }

    /// The sources that have entries to be delivered to an upstream.
    pub(super) fn sources_for(&self, upstream: i64) -> impl Iterator<Item = i64> {
        let waits = move |(slot, entries): &(&Slot, &i64)| {
            slot.upstream == upstream && slot.state == State::Pending && **entries > 0
        };
        self.tally.iter().filter(waits).map(|(slot, _)| slot.source)
    }
}

impl Draft {
    /// So many more entries are counted there, or fewer.
    pub(super) fn count(&mut self, slot: Slot, change: i64) {
        *self.tally.entry(slot).or_default() += change;
    }

    /// How many more entries there are in a state, of all sources.
    pub(super) fn total(&self, state: State) -> i64 {
        self.tally.iter().filter(|(slot, _)| slot.state == state).map(|(_, change)| change).sum()
    }

    /// An identity of an entry has evidence, once this is committed.
    pub(super) fn settle(&mut self, settled: &Settled, entry: i64) {
        let known = Known { digest: settled.digest, until: settled.until.as_microsecond(), entry };
        self.settled.insert(settled.key, known);
    }
}
