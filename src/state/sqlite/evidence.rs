//! Which identities have evidence, and until when: the index of the table `settled`, and what makes it last.
//!
//! Evidence lasts for its window, and for as long as its event is to be delivered: until then the event is known, however
//! late it is, and a repeat of it would be a second record of the same thing (D-40). It is made from the file at every
//! start. Only the writer changes it, after the commit that a change belongs to; whoever claims an event looks into it.

use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeBounds,
};

use jiff::Timestamp;
use rusqlite::Connection;

use super::memory::Draft;
use crate::state::key::{Digest, EventKey, KeyMap};

/// The entry of what never was one: it was delivered while its sender waited.
pub(super) const NO_ENTRY: i64 = 0;

/// What is known of a settled identity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) digest: Digest,
    /// Microseconds of civil time.
    pub(super) until: i64,
    /// The entry that the identity is of, or is in.
    pub(super) entry: i64,
}

/// All settled identities, and which entries are still to be delivered.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    settled: KeyMap<Known>,
    pending: BTreeSet<i64>,
    /// Identities whose event was found damaged since the start.
    void: HashSet<EventKey>,
}

impl Evidence {
    /// Reads it from the file.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut evidence = Self::default();
        // Both indexes together have every pending entry: one that is not due waits for another one of its order.
        let mut pending = db.prepare(
            "SELECT id FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL UNION ALL \
             SELECT id FROM entry INDEXED BY entry_order WHERE state = 'pending' AND order_key IS NOT NULL",
        )?;
        let mut rows = pending.query([])?;
        while let Some(row) = rows.next()? {
            evidence.pending.insert(row.get(0)?);
        }
        let mut settled = db.prepare("SELECT key, digest, until, ifnull(entry, 0) FROM settled ORDER BY id")?;
        let mut rows = settled.query([])?;
        while let Some(row) = rows.next()? {
            // One that is damaged is no evidence any more.
            if let (Ok(key), Ok(digest), Ok(until), Ok(entry)) = (row.get(0), row.get(1), row.get(2), row.get(3)) {
                let known = Known { digest: Digest::from_bytes(digest), until, entry };
                evidence.settled.insert(EventKey::from_bytes(key), known);
            }
        }
        Ok(evidence)
    }

    /// What is known of an identity, whether or not it still counts.
    pub(super) fn known(&self, key: &EventKey) -> Option<&Known> {
        self.settled.get(key)
    }

    /// How many identities are known.
    pub(super) fn len(&self) -> usize {
        self.settled.len()
    }

    /// The entries that are to be delivered, with numbers in a range.
    pub(super) fn entries(&self, numbers: impl RangeBounds<i64>) -> impl Iterator<Item = i64> {
        self.pending.range(numbers).copied()
    }

    /// Whether an entry is to be delivered.
    pub(super) fn is_pending(&self, entry: i64) -> bool {
        self.pending.contains(&entry)
    }

    /// The bytes that an identity stands for, while their event is to be delivered.
    pub(super) fn pending(&self, key: &EventKey) -> Option<Digest> {
        self.settled.get(key).filter(|known| self.is_pending(known.entry)).map(|known| known.digest)
    }

    /// The identities of some entries.
    pub(super) fn identities(&self, entries: &[i64]) -> Vec<EventKey> {
        self.settled.iter().filter(|(_, known)| entries.contains(&known.entry)).map(|(key, _)| *key).collect()
    }

    /// Whether the event of an identity was found damaged, and nothing is known of it any more.
    pub(super) fn is_void(&self, key: &EventKey) -> bool {
        self.void.contains(key)
    }

    /// A transaction is safe.
    pub(super) fn adopt(&mut self, draft: &mut Draft) {
        for (entry, is_pending) in draft.pending.drain(..) {
            if is_pending {
                self.pending.insert(entry);
            } else {
                self.pending.remove(&entry);
            }
        }
        for key in draft.void.drain(..) {
            self.settled.remove(&key);
            self.void.insert(key);
        }
        for (key, known) in draft.settled.drain() {
            self.settled.insert(key, known);
            self.void.remove(&key);
        }
        for (key, until) in draft.cut.drain(..) {
            self.settled.entry(key).and_modify(|known| known.until = known.until.min(until));
        }
        for (key, until) in draft.unsettled.drain(..) {
            // It may have been settled anew since.
            if self.known(&key).is_some_and(|known| known.until <= until && !self.is_pending(known.entry)) {
                self.settled.remove(&key);
            }
        }
    }
}

impl Known {
    /// Whether an event with this digest is a repeat, now that its entry `is_pending` or is not.
    pub(super) fn covers(&self, digest: &Digest, wall: Timestamp, is_pending: bool) -> bool {
        self.digest == *digest && (wall.as_microsecond() < self.until || is_pending)
    }
}
