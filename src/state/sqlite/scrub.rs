//! Looking for damage before it is met: what is kept is read through, a little at a time, for as long as the process
//! runs. Found is what does not say what was written, and what the index of due events has lost (D-31).

use std::{collections::BTreeSet, ops::Bound};

use rusqlite::{ErrorCode, params};

use super::{
    record::{self, Course, Damaged},
    transaction::Transaction,
};
use crate::{clock::Now, state::journal::State};

/// Entries that one step reads, at most.
const STEP: usize = 64;

/// Bytes that one step reads, about.
const STEP_BYTES: usize = 1 << 20;

/// What a look at an entry led to.
enum Look {
    Whole {
        bytes: usize,
    },
    Damaged,
    /// It is due, and the index does not know.
    Lost,
}

impl Transaction<'_> {
    /// An event was to be delivered, and its row is not there any more.
    fn gone(&mut self, id: i64) {
        tracing::error!(
            entry = id,
            "an event of the journal is gone: its page is damaged. Nothing was deleted: stop the gateway, keep a copy, \
             and look for it with `sqlite3 JOURNAL .recover`"
        );
        self.draft.damaged.push(id);
        self.draft.pending.push((id, false));
    }

    /// Reads on from entry `from`. Where the next step goes on; 0 at the end.
    pub(super) fn scrub(&mut self, from: i64, now: Now) -> rusqlite::Result<i64> {
        match self.scrub_on(from, now) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                tracing::error!(
                    entry = from,
                    "a page of the journal is damaged; what is on it cannot be delivered. Nothing was deleted: stop \
                     the gateway, keep a copy, and save what can be read with `sqlite3 JOURNAL .recover`"
                );
                self.draft.unreadable += 1;
                Ok(from + record::count(STEP))
            }
            other => other,
        }
    }

    fn scrub_on(&mut self, from: i64, now: Now) -> rusqlite::Result<i64> {
        let mut select = self.db.prepare_cached("SELECT id FROM entry WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let ids: Vec<i64> =
            select.query_map([from, record::count(STEP)], |row| row.get(0))?.collect::<Result<_, _>>()?;
        self.miss(from, &ids)?;
        let mut bytes = 0;
        for id in &ids {
            match self.look(*id)? {
                Look::Whole { bytes: read } => bytes += read,
                Look::Damaged => self.set_aside(*id, now.wall)?,
                Look::Lost => self.reindex()?,
            }
            if bytes > STEP_BYTES {
                return Ok(*id);
            }
        }
        Ok(if ids.len() < STEP { 0 } else { ids.last().copied().unwrap_or(0) })
    }

    /// Looks whether what is to be delivered is among these entries, which are all that were found after `from`.
    fn miss(&mut self, from: i64, found: &[i64]) -> rusqlite::Result<()> {
        let found: BTreeSet<_> = found.iter().copied().collect();
        let last = if found.len() < STEP { i64::MAX } else { found.last().copied().unwrap_or(i64::MAX) };
        let is_gone = |id: &i64| !found.contains(id);
        let gone: Vec<_> =
            self.memory.evidence().entries((Bound::Excluded(from), Bound::Included(last))).filter(is_gone).collect();
        if gone.is_empty() { Ok(()) } else { self.reindex() }
    }

    fn look(&self, id: i64) -> rusqlite::Result<Look> {
        let Some(course) = self.course(id)? else { return Ok(Look::Whole { bytes: 0 }) };
        let Ok((course, set_aside)) = course else { return Ok(Look::Damaged) };
        match course.state {
            State::Delivered | State::Discarded | State::Noted => return Ok(Look::Whole { bytes: 0 }),
            State::Quarantined if set_aside => return Ok(Look::Whole { bytes: 0 }),
            State::Dead | State::Pending | State::Quarantined => {}
        }
        let entry = match record::read(self.db, &self.memory.names, id)? {
            Some(Ok((_, entry))) => entry,
            Some(Err(Damaged)) => return Ok(Look::Damaged),
            None => return Ok(Look::Whole { bytes: 0 }),
        };
        let Some(kept) = &entry.kept else { return Ok(Look::Damaged) };
        Ok(if self.indexed(id, &course)? { Look::Whole { bytes: kept.body.len() } } else { Look::Lost })
    }

    /// How an entry stands, and whether that is because it was found damaged before.
    fn course(&self, id: i64) -> rusqlite::Result<Option<Result<(Course, bool), Damaged>>> {
        let mut select = self.db.prepare_cached(
            "SELECT id, fixed, seal, state, due, since, attempts, in_a_row, ifnull(death, '') = 'corrupt' FROM entry \
             WHERE id = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| Ok((Course::read(row)?, row.get(8)?));
        let mut rows = select.query([id])?;
        Ok(rows.next()?.map(read))
    }

    /// Whether the index of due events has an entry that is one.
    fn indexed(&self, id: i64, course: &Course) -> rusqlite::Result<bool> {
        if course.state != State::Pending || course.due.is_none() {
            return Ok(true);
        }
        let mut select = self.db.prepare_cached(
            "SELECT 1 FROM entry e JOIN entry f INDEXED BY entry_due ON f.state = 'pending' AND f.due IS NOT NULL \
             AND f.upstream = e.upstream AND f.source = e.source AND (f.in_a_row > 0) = (e.in_a_row > 0) \
             AND f.due = e.due AND f.id = e.id WHERE e.id = ?1",
        )?;
        select.exists(params![id])
    }

    /// Makes the indexes of pending events anew. Where not even the events can be read, the others go on as before.
    pub(super) fn reindex(&mut self) -> rusqlite::Result<()> {
        tracing::error!("the index of due events is damaged; it is made anew from the events");
        let known: Vec<_> = self.memory.evidence().entries(..).collect();
        let mut find = self.db.prepare_cached("SELECT 1 FROM entry WHERE id = ?1")?;
        for id in known {
            if !find.exists([id])? {
                self.gone(id);
            }
        }
        match self.db.execute_batch("REINDEX entry_due; REINDEX entry_order") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                self.draft.unreadable += 1;
                Ok(())
            }
            other => other,
        }
    }
}
