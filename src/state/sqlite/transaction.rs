//! One commit in the making: what the calls of a group change in the file, and what they will have changed in memory.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Settings,
    memory::{Draft, Memory, Slot},
    names,
    record::{Course, Damaged, count},
    statements::Statements,
    tally, time,
};
use crate::state::{
    journal::{JournalError, State, Tried},
    key::OrderKey,
};

/// What a change of an entry adds to what is written ahead, roughly.
const CHANGE_BYTES: u64 = 1_500;

/// The calls of a group, on their way to one commit.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a Connection,
    pub(super) statements: Statements<'a>,
    pub(super) memory: &'a Memory,
    pub(super) settings: &'a Settings,
    pub(super) draft: Draft,
    /// Milliseconds of the journal's own clock; it never goes back.
    pub(super) elapsed: i64,
    /// Bytes of the file that are in use.
    pub(super) used: u64,
    /// Why no event can be taken, whatever the bounds say.
    pub(super) full: Option<&'static str>,
}

/// Why a call was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was refused before anything was written; the others of its group are not concerned.
    Refused(JournalError),
    /// The file did not take it: nothing of the group counts.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// How an entry stands.
#[derive(Debug)]
pub(super) struct Standing {
    source: i64,
    upstream: Option<i64>,
    pub(super) order: Option<OrderKey>,
    pub(super) course: Course,
    fixed: i64,
}

/// What a change of an entry's course came from.
#[derive(Clone, Copy, Default)]
pub(super) struct End<'a> {
    /// The attempt that was made.
    pub(super) tried: Option<&'a Tried>,
    /// Why nothing more is tried.
    pub(super) death: Option<&'a str>,
}

impl Transaction<'_> {
    /// Reads how an entry stands. One that is damaged is set aside, and as good as not there.
    pub(super) fn standing(&mut self, id: i64, wall: Timestamp) -> rusqlite::Result<Option<Standing>> {
        let mut read = self.db.prepare_cached(
            "SELECT id, fixed, seal, state, due, since, attempts, in_a_row, source, upstream, \
             order_key FROM entry WHERE id = ?1",
        )?;
        let standing = |row: &rusqlite::Row<'_>| -> Result<Standing, Damaged> {
            Ok(Standing {
                course: Course::read(row)?,
                fixed: row.get(1)?,
                source: row.get(8)?,
                upstream: row.get(9)?,
                order: row.get::<_, Option<[u8; 32]>>(10)?.map(OrderKey::from_bytes),
            })
        };
        match read.query_row([id], |row| Ok(standing(row))).optional()? {
            Some(Ok(standing)) => Ok(Some(standing)),
            Some(Err(Damaged)) => self.set_aside(id, wall).map(|()| None),
            None => Ok(None),
        }
    }

    /// Changes what becomes of an entry.
    pub(super) fn set_course(&mut self, id: i64, from: &Standing, to: Course, end: End<'_>) -> rusqlite::Result<()> {
        self.statements.course.run(params![
            id,
            to.state.as_str(),
            to.due,
            to.since,
            to.attempts,
            to.in_a_row,
            to.seal(id, from.fixed),
            end.death,
            end.tried.is_some(),
            end.tried.and_then(|tried| tried.status),
        ])?;
        if from.course.state != to.state {
            let slot = |state| Slot { source: from.source, upstream: from.upstream.unwrap_or(0), state };
            self.draft.count(slot(from.course.state), -1);
            self.draft.count(slot(to.state), 1);
            self.draft.pending.push((id, to.state == State::Pending));
        }
        self.draft.timed = true;
        self.draft.written += CHANGE_BYTES;
        Ok(())
    }

    /// Sets a damaged entry aside: it is not delivered, and an operator hears of it (D-31).
    pub(super) fn set_aside(&mut self, id: i64, wall: Timestamp) -> rusqlite::Result<()> {
        let fixed: i64 = self.db.query_row("SELECT fixed FROM entry WHERE id = ?1", [id], |row| row.get(0))?;
        let course = Course { state: State::Quarantined, due: None, since: self.elapsed, attempts: 0, in_a_row: 0 };
        self.db.execute(
            "UPDATE entry SET state = ?2, due = NULL, since = ?3, attempts = 0, in_a_row = 0, seal = ?4, \
             death = 'corrupt' WHERE id = ?1",
            params![id, course.state.as_str(), course.since, course.seal(id, fixed)],
        )?;
        self.audit(id, wall, "found damaged, and set aside")?;
        self.draft.pending.push((id, false));
        self.draft.damaged.push(id);
        tracing::error!(entry = id, "an entry of the journal is damaged; it is set aside and not delivered");
        Ok(())
    }

    /// A line for whoever asks what was done to an entry.
    pub(super) fn audit(&self, id: i64, wall: Timestamp, what: &str) -> rusqlite::Result<()> {
        let mut insert = self.db.prepare_cached("INSERT INTO audit (entry, at, what) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![id, wall.as_microsecond(), what])?;
        Ok(())
    }

    /// Notes an attempt that was made.
    pub(super) fn attempt(&mut self, id: i64, tried: &Tried) -> rusqlite::Result<()> {
        self.statements.attempt.run(params![
            id,
            tried.number,
            tried.at.as_microsecond(),
            tried.class.as_str(),
            tried.status,
            i64::try_from(tried.took.as_micros()).unwrap_or(i64::MAX),
            tried.error
        ])
    }

    /// The number of a name, which gets one if it has none.
    pub(super) fn name(&mut self, text: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some(id) = self.memory.names.number(text).or_else(|| self.draft.names.number(text)) {
            return Ok(id);
        }
        let id = names::store(self.db, text)?;
        self.draft.names.insert(Arc::clone(text), id);
        Ok(id)
    }

    /// Lets the oldest undecided entry of an order be the one that is due, unless another one is under way (I14).
    pub(super) fn advance(&mut self, order: &OrderKey, wall: Timestamp) -> rusqlite::Result<()> {
        let mut find = self.db.prepare_cached(
            "SELECT min(id), max(id) FILTER (WHERE due IS NOT NULL) FROM entry \
             WHERE order_key = ?1 AND state = 'pending'",
        )?;
        let (oldest, due): (Option<i64>, Option<i64>) =
            find.query_row([order.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(oldest) = oldest.filter(|oldest| due != Some(*oldest)) else { return Ok(()) };
        if let Some(due) = due {
            if self.memory.leased.contains(&due) && !self.draft.let_go.contains(&due) {
                return Ok(());
            }
            self.set_due(due, None, wall)?;
        }
        self.set_due(oldest, Some(self.elapsed), wall)
    }

    /// What was damaged or is gone was not delivered, and its sender may bring it again: dedup must not hide that (I2).
    fn void(&mut self) -> rusqlite::Result<()> {
        let keys = self.memory.evidence().identities(&self.draft.damaged);
        if keys.is_empty() {
            return Ok(());
        }
        let mut forget = self.db.prepare("DELETE FROM settled WHERE entry = ?1")?;
        for entry in &self.draft.damaged {
            forget.execute([entry])?;
        }
        self.draft.void = keys;
        Ok(())
    }

    /// What was damaged or is gone may have been what others of its order waited for; which order that was is unknown.
    fn advance_all(&mut self, wall: Timestamp) -> rusqlite::Result<()> {
        let mut find = self.db.prepare(
            "SELECT DISTINCT order_key FROM entry INDEXED BY entry_order \
             WHERE state = 'pending' AND order_key IS NOT NULL",
        )?;
        let orders: Vec<Option<[u8; 32]>> = find.query_map([], |row| Ok(row.get(0).ok()))?.collect::<Result<_, _>>()?;
        orders.into_iter().flatten().try_for_each(|order| self.advance(&OrderKey::from_bytes(order), wall))
    }

    fn set_due(&mut self, id: i64, due: Option<i64>, wall: Timestamp) -> rusqlite::Result<()> {
        // The scrub finds what is damaged or gone.
        let Some(standing) = self.standing(id, wall)? else { return Ok(()) };
        let course = Course { due, ..standing.course };
        self.set_course(id, &standing, course, End::default())
    }

    /// The last changes before the commit: how many entries there are, and where the clock stands.
    pub(super) fn finish(&mut self, wall: Timestamp) -> rusqlite::Result<()> {
        if self.draft.damaged.is_empty() {
            for (slot, change) in self.draft.tally.iter().filter(|(_, change)| **change != 0) {
                let entries = self.memory.tally.get(slot).copied().unwrap_or(0) + change;
                tally::store(self.db, *slot, entries)?;
            }
        } else {
            self.advance_all(wall)?;
            self.void()?;
            // A damaged row may say anything about its source and state, so counting up and down is of no use.
            self.draft.recounted = Some(tally::recount(self.db)?);
        }
        if self.draft.timed {
            time::store(self.db, self.elapsed, self.draft.next_id)?;
        }
        Ok(())
    }

    /// Whether there is no room for `bytes` more in `entries` entries, and why.
    pub(super) fn no_room(&self, entries: usize, bytes: usize) -> Option<String> {
        if let Some(full) = self.full {
            return Some(full.to_owned());
        }
        let waiting: i64 = [State::Pending, State::Dead, State::Quarantined]
            .into_iter()
            .map(|state| self.memory.total(state) + self.draft.total(state))
            .sum();
        let mark = |bound: u64| bound - bound / 10;
        let (bound, size) = (self.settings.max_entries, self.settings.max_size);
        if u64::try_from(waiting + count(entries)).unwrap_or(0) > mark(bound) {
            return Some(format!("{waiting} entries wait for the application or for you, and {bound} are the limit"));
        }
        (self.used + self.draft.bytes + bytes as u64 > mark(size))
            .then(|| format!("{} bytes are in use, and {size} are the limit", self.used))
    }
}
