//! What the writer does without being asked, in small steps, so that nobody waits for it: it forgets what is old,
//! and lets the clock and the gauges go on.
//!
//! What waits for the application or for an operator is never deleted, however old it is and however full the disk
//! (D-35, D-46). Where the log of what is done with takes too much room, its oldest part goes before its time.

use rusqlite::{OptionalExtension as _, params};

use super::{evidence::NO_ENTRY, memory::Slot, record, transaction::Transaction};
use crate::{
    clock::Now,
    state::{claims::WINDOW_MAX, journal::State, key::EventKey},
};

/// Rows that one step deletes, at most.
const STEP: i64 = 256;

/// Rows that one step looks through for the oldest pending entry, at most.
const SEARCH: i64 = 10_000;

/// How many milliseconds of the journal's clock a crash may cost entries that wait for their next attempt.
const CLOCK_EVERY: i64 = 10_000;

/// Where the next step goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Upkeep {
    /// The last settled identity that was looked at.
    settled: i64,
    /// Whether there were too many when it was looked.
    crowded: bool,
    /// Where the search for the oldest pending entry goes on, and whether it is pending.
    oldest: (i64, Option<i64>),
    /// The last entry that was looked at for damage.
    scrubbed: i64,
    /// The first entry that was not there when the file was opened.
    opened: i64,
    /// Whether all entries that were there when the file was opened have been looked at.
    once: bool,
    /// Whether there is more to do at once.
    pub(super) more: bool,
}

impl Upkeep {
    /// The file was just opened, and the next entry will be `next_id`.
    pub(super) fn opened(next_id: i64) -> Self {
        Self { opened: next_id, ..Self::default() }
    }

    /// Whether all entries that were there when the file was opened have been looked at.
    pub(super) fn is_through(&self) -> bool {
        self.once
    }

    /// Since when the oldest pending entry waits, by the journal's clock.
    pub(super) fn oldest_since(&self) -> Option<i64> {
        self.oldest.1
    }
}

impl Transaction<'_> {
    /// One step of everything.
    pub(super) fn upkeep(&mut self, mut at: Upkeep, now: Now) -> rusqlite::Result<Upkeep> {
        let finished = self.forget_finished(now)?;
        let settled = self.forget_settled(&mut at, now)?;
        at.scrubbed = self.scrub(at.scrubbed, now)?;
        at.once |= at.scrubbed == 0 || at.scrubbed >= at.opened;
        at.more = finished >= STEP || settled >= STEP / 2 || !at.once;
        self.find_oldest(&mut at)?;
        if self.memory.total(State::Pending) > 0 && self.elapsed >= self.memory.elapsed + CLOCK_EVERY {
            self.draft.timed = true;
        }
        Ok(at)
    }

    /// Deletes what was done with long ago, by either clock: one that was set back must not keep things for ever.
    fn forget_finished(&mut self, now: Now) -> rusqlite::Result<i64> {
        let retention = self.settings.retention;
        let by_wall =
            now.wall.as_microsecond().saturating_sub(i64::try_from(retention.as_micros()).unwrap_or(i64::MAX));
        let by_clock = self.elapsed.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let crowded = self.used > self.settings.max_size / 5 * 4;
        let until = if crowded { i64::MAX } else { by_wall };
        let mut select = self.db.prepare_cached(
            "SELECT id, source, ifnull(upstream, 0), state FROM entry INDEXED BY entry_finished \
             WHERE (state = 'delivered' OR state = 'discarded' OR state = 'noted') AND received_at < ?1 \
             ORDER BY received_at LIMIT ?2",
        )?;
        let mut old = select.query_map(params![until, STEP], finished)?.collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            let mut select = self.db.prepare_cached(
                "SELECT id, source, ifnull(upstream, 0), state FROM entry INDEXED BY entry_finished \
                 WHERE (state = 'delivered' OR state = 'discarded' OR state = 'noted') AND received_at > ?1 \
                 AND since < ?2 LIMIT ?3",
            )?;
            old = select
                .query_map(params![now.wall.as_microsecond(), by_clock, STEP], finished)?
                .collect::<Result<_, _>>()?;
        }
        for (id, slot) in &old {
            self.forget(*id)?;
            if let Some(slot) = slot {
                self.draft.count(*slot, -1);
            }
            self.draft.timed = true;
        }
        Ok(record::count(old.len()))
    }

    /// Deletes an entry and all that belongs to it.
    fn forget(&self, id: i64) -> rusqlite::Result<()> {
        for sql in [
            "DELETE FROM kept WHERE entry = ?1",
            "DELETE FROM attempt WHERE entry = ?1",
            "DELETE FROM audit WHERE entry = ?1",
            "DELETE FROM entry WHERE id = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([id])?;
        }
        Ok(())
    }

    /// Deletes identities whose window is over, and the oldest if there are too many; but none of what is still to be
    /// delivered (D-40). How many.
    fn forget_settled(&mut self, at: &mut Upkeep, now: Now) -> rusqlite::Result<i64> {
        let wall = now.wall.as_microsecond();
        let longest = wall.saturating_add(i64::try_from(WINDOW_MAX.as_micros()).unwrap_or(i64::MAX));
        let known = record::count(self.memory.evidence().len());
        let excess = known - i64::try_from(self.settings.max_settled).unwrap_or(i64::MAX);
        if excess > 0 && !at.crowded {
            at.settled = 0;
        }
        at.crowded = excess > 0;
        let mut select = self.db.prepare_cached(
            "SELECT id, key, until, ifnull(entry, 0) FROM settled WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let key = |row: &rusqlite::Row<'_>| row.get(1).map(EventKey::from_bytes);
        // One that is damaged is known to nobody, and goes.
        let row = |row: &rusqlite::Row<'_>| {
            let settled = key(row).ok().zip(row.get(2).ok());
            let (key, until) = settled.unwrap_or((EventKey::from_bytes([0; 32]), 0));
            Ok((row.get(0)?, key, until, row.get(3).unwrap_or(NO_ENTRY)))
        };
        let rows: Vec<(i64, EventKey, i64, i64)> =
            select.query_map(params![at.settled, STEP], row)?.collect::<Result<_, _>>()?;
        let mut gone = 0;
        for (id, key, until, entry) in &rows {
            if (*until <= wall || gone < excess) && !self.memory.evidence().is_pending(*entry) {
                self.db.prepare_cached("DELETE FROM settled WHERE id = ?1")?.execute([id])?;
                self.draft.unsettled.push((*key, *until));
                gone += 1;
            } else if *until > longest {
                // The clock was set back. It must not make the window longer than it may be.
                let mut cut = self.db.prepare_cached("UPDATE settled SET until = ?2 WHERE id = ?1")?;
                cut.execute([*id, longest])?;
                self.draft.cut.push((*key, longest));
            }
        }
        at.settled = if record::count(rows.len()) < STEP { 0 } else { rows.last().map_or(0, |(id, ..)| *id) };
        Ok(gone)
    }

    /// Looks for the oldest pending entry, from where it looked last.
    fn find_oldest(&self, at: &mut Upkeep) -> rusqlite::Result<()> {
        let (from, _) = at.oldest;
        let mut select = self.db.prepare_cached(
            "SELECT id, since FROM entry WHERE id >= ?1 AND id < ?2 AND state = 'pending' ORDER BY id LIMIT 1",
        )?;
        let found = select.query_row([from, from + SEARCH], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        at.oldest = match found {
            Some((id, since)) => (id, Some(since)),
            // An entry that was replayed may lie behind.
            None if from + SEARCH > self.draft.next_id => (0, None),
            None => (from + SEARCH, None),
        };
        Ok(())
    }
}

/// An entry that can go, and where it is counted.
fn finished(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Option<Slot>)> {
    let state = record::state(row.get_ref(3)?.as_str()?);
    let (source, upstream) = (row.get(1)?, row.get(2)?);
    Ok((row.get(0)?, state.map(|state| Slot { source, upstream, state })))
}
