//! What callers and the writer both look at, without waiting for each other.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{command::Command, evidence::Evidence};
use crate::state::{
    journal::{JournalError, JournalStats},
    key::{Digest, EventKey},
};

/// Numbers and the state of health.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: Box<Path>,
    stats: Mutex<JournalStats>,
    trouble: Mutex<Option<String>>,
    /// How many files the journal has been in.
    generation: AtomicU64,
    /// Held during a checkpoint, and while the journal gets another file.
    pub(super) checkpoint: Mutex<()>,
    /// How the last checkpoint went, until the writer has heard of it.
    pub(super) checkpointed: Mutex<Option<rusqlite::Result<()>>>,
    /// Notes that wait for the writer.
    pub(super) notes: AtomicUsize,
    /// Entries that wait for the writer.
    pub(super) waiting: AtomicUsize,
    evidence: Arc<RwLock<Evidence>>,
}

impl Shared {
    pub(super) fn new(path: &Path, evidence: Arc<RwLock<Evidence>>) -> Self {
        Self {
            path: path.into(),
            stats: Mutex::default(),
            trouble: Mutex::default(),
            generation: AtomicU64::new(0),
            checkpoint: Mutex::default(),
            checkpointed: Mutex::default(),
            notes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            evidence,
        }
    }

    pub(super) fn stats(&self) -> JournalStats {
        *self.lock()
    }

    pub(super) fn current_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn trouble(&self, reason: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// The bytes that an identity stands for, while their event is to be delivered.
    pub(super) fn pending(&self, key: &EventKey) -> Option<Digest> {
        self.evidence.read().unwrap_or_else(PoisonError::into_inner).pending(key)
    }

    /// Whether the event of an identity was found damaged.
    pub(super) fn is_void(&self, key: &EventKey) -> bool {
        self.evidence.read().unwrap_or_else(PoisonError::into_inner).is_void(key)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The journal is in another file now.
    pub(super) fn replaced(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    pub(super) fn weighs(&self, bytes: u64) {
        self.lock().bytes = bytes;
    }

    pub(super) fn counts(&self, counts: [i64; 3]) {
        let [pending, dead, quarantined] = counts.map(|count| u64::try_from(count).unwrap_or(0));
        let mut stats = self.lock();
        (stats.pending, stats.dead, stats.quarantined) = (pending, dead, quarantined);
    }

    pub(super) fn committed(&self, appended: u64, damaged: u64) {
        let mut stats = self.lock();
        stats.commits += 1;
        stats.appended += appended;
        stats.damaged += damaged;
    }

    pub(super) fn damaged(&self, entries: u64) {
        self.lock().damaged += entries;
    }

    pub(super) fn oldest_pending(&self, age: Duration) {
        self.lock().oldest_pending = age;
    }

    pub(super) fn notes_dropped(&self, notes: usize) {
        self.lock().notes_dropped += notes as u64;
    }

    pub(super) fn append_failed(&self) {
        self.lock().failed += 1;
    }

    /// Tells whoever asked that it was not done, and counts that.
    pub(super) fn refuse(&self, command: Command, error: &JournalError) {
        // Nobody may be waiting for the answer any more.
        match command {
            Command::Append { reply, .. } => {
                self.append_failed();
                let _ = reply.send(Err(error.clone()));
            }
            Command::Note { notes, .. } => self.notes_dropped(notes.len()),
            Command::Remember { .. } => self.lock().remember_failed += 1,
            Command::Answered { .. }
            | Command::LetGo { .. }
            | Command::SetAside { .. }
            | Command::Reindex
            | Command::Upkeep { .. } => {}
            Command::Lease { reply, .. } => drop(reply.send(Err(error.clone()))),
            Command::Mark { reply, .. } => drop(reply.send(Err(error.clone()))),
            Command::Replay { reply, .. } => drop(reply.send(Err(error.clone()))),
            Command::Discard { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }

    /// The writer has begun with a call.
    pub(super) fn taken(&self, command: &Command) {
        match command {
            Command::Append { records, .. } => drop(self.waiting.fetch_sub(records.len(), Relaxed)),
            Command::Note { notes, .. } => drop(self.notes.fetch_sub(notes.len(), Relaxed)),
            Command::Remember { .. }
            | Command::Answered { .. }
            | Command::Lease { .. }
            | Command::Mark { .. }
            | Command::Replay { .. }
            | Command::Discard { .. }
            | Command::LetGo { .. }
            | Command::SetAside { .. }
            | Command::Reindex
            | Command::Upkeep { .. } => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, JournalStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
