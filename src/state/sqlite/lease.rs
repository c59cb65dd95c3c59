//! Handing out what is due.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rusqlite::{Connection, ErrorCode, params};

use super::{
    memory::Memory,
    record::{self, Course, Damaged},
    time::millis,
};
use crate::state::journal::{Entry, EntryId, Lane, Leased, Leases, State};

/// One in so many events of a lease is the newest one instead of the oldest, so that after an outage the events of now
/// do not wait for all those of then (D-50).
const FRESH_EVERY: usize = 4;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    id: i64,
}

/// Entries that were to be leased and cannot be.
#[derive(Debug, Default)]
pub(super) struct Unfit {
    /// They do not say what was written.
    pub(super) damaged: Vec<i64>,
    /// The index of due events says something else than the table.
    pub(super) lost: Vec<i64>,
    /// The page that they are on is damaged.
    pub(super) unreadable: Vec<i64>,
}

impl Unfit {
    fn is_empty(&self) -> bool {
        self.damaged.is_empty() && self.lost.is_empty() && self.unreadable.is_empty()
    }
}

/// What an attempt to read an entry led to.
enum Fetched {
    Leased(Box<Leased>),
    Damaged,
    Lost,
    Unreadable,
}

/// Which end of the queue.
#[derive(Clone, Copy)]
enum End {
    Oldest,
    Newest,
}

/// Looks for due events, for one call.
pub(super) struct Lessor<'a> {
    pub(super) db: &'a Connection,
    pub(super) memory: &'a mut Memory,
    /// Where the journal's clock stands.
    pub(super) elapsed: i64,
}

impl Lessor<'_> {
    /// See [`JournalStore::lease`](crate::state::journal::JournalStore::lease).
    pub(super) fn lease(&mut self, lane: &Lane, count: usize) -> rusqlite::Result<(Leases, Unfit)> {
        let (mut leases, mut unfit) = (Leases::default(), Unfit::default());
        let queues = self.queues(lane);
        for due in self.choose(&queues, count)? {
            match self.fetch(due)? {
                // A damaged index might bring one twice.
                Fetched::Leased(event) if self.memory.leased.insert(due.id) => leases.events.push(*event),
                Fetched::Damaged => unfit.damaged.push(due.id),
                Fetched::Leased(_) | Fetched::Lost => unfit.lost.push(due.id),
                Fetched::Unreadable => unfit.unreadable.push(due.id),
            }
        }
        self.memory.turn += leases.events.len();
        leases.next_due = self.next_due(&queues)?;
        if !unfit.is_empty() {
            // There may be others in their place.
            leases.next_due = Some(Duration::ZERO);
        }
        Ok((leases, unfit))
    }

    /// The queues of a lane: for each source one of events without a failed attempt, and one of the others.
    fn queues(&self, lane: &Lane) -> Vec<Queue> {
        let number = |name: &Arc<str>| self.memory.names.number(name);
        let Some(upstream) = number(&lane.upstream) else { return Vec::new() };
        let except: HashSet<_> = lane.except.iter().filter_map(number).collect();
        let sources = self.memory.sources_for(upstream).filter(|source| !except.contains(source));
        let both = |source| [false, true].map(|repeated| Queue { upstream, source, repeated });
        sources.flat_map(both).filter(|queue| !(lane.fresh_only && queue.repeated)).collect()
    }

    /// The oldest due events of all queues, and some of the newest where there are more than asked for.
    fn choose(&self, queues: &[Queue], count: usize) -> rusqlite::Result<Vec<Due>> {
        let mut chosen = self.due(queues.iter(), End::Oldest, count)?;
        let turn = self.memory.turn;
        let share = (turn + count) / FRESH_EVERY - turn / FRESH_EVERY;
        if chosen.len() == count && share > 0 {
            let fresh = self.due(queues.iter().filter(|queue| !queue.repeated), End::Newest, share)?;
            let old: HashSet<_> = chosen[..count - share].iter().map(|due| due.id).collect();
            let mut fresh: Vec<_> = fresh.into_iter().filter(|due| !old.contains(&due.id)).collect();
            let rest = chosen.split_off(count - share);
            let taken: HashSet<_> = fresh.iter().map(|due| due.id).collect();
            fresh.extend(rest.into_iter().filter(|due| !taken.contains(&due.id)));
            fresh.truncate(share);
            chosen.extend(fresh);
        }
        Ok(chosen)
    }

    /// Up to `count` events of these queues that are due, from one end, but those that are leased.
    fn due<'q>(&self, queues: impl Iterator<Item = &'q Queue>, end: End, count: usize) -> rusqlite::Result<Vec<Due>> {
        let mut select = self.db.prepare_cached(match end {
            End::Oldest => concat!(
                "SELECT due, id FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL ",
                "AND upstream = ?1 AND source = ?2 AND (in_a_row > 0) = ?3 AND due <= ?4 ORDER BY due, id"
            ),
            End::Newest => concat!(
                "SELECT due, id FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL ",
                "AND upstream = ?1 AND source = ?2 AND (in_a_row > 0) = ?3 AND due <= ?4 ORDER BY due DESC, id DESC"
            ),
        })?;
        let mut found = Vec::new();
        for queue in queues {
            let mut rows = select.query(params![queue.upstream, queue.source, queue.repeated, self.elapsed])?;
            let mut left = count;
            while left > 0
                && let Some(row) = rows.next()?
            {
                let due = Due { at: row.get(0)?, id: row.get(1)? };
                if !self.memory.leased.contains(&due.id) {
                    found.push(due);
                    left -= 1;
                }
            }
        }
        found.sort_unstable();
        match end {
            End::Oldest => found.truncate(count),
            End::Newest => drop(found.drain(..found.len().saturating_sub(count))),
        }
        Ok(found)
    }

    /// How long until one more is due.
    fn next_due(&self, queues: &[Queue]) -> rusqlite::Result<Option<Duration>> {
        let mut select = self.db.prepare_cached(
            "SELECT min(due) FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL \
             AND upstream = ?1 AND source = ?2 AND (in_a_row > 0) = ?3 AND due > ?4",
        )?;
        let mut next: Option<i64> = None;
        for queue in queues {
            let values = params![queue.upstream, queue.source, queue.repeated, self.elapsed];
            let due: Option<i64> = select.query_row(values, |row| row.get(0))?;
            next = next.into_iter().chain(due).min();
        }
        Ok(next.map(|due| millis(due - self.elapsed)))
    }

    /// Reads an event, whole, and checks it.
    fn fetch(&self, Due { at, id }: Due) -> rusqlite::Result<Fetched> {
        match record::read(self.db, &self.memory.names, id) {
            // The index says something else than the table.
            Ok(Some(Ok((course, _)))) if course.due != Some(at) => Ok(Fetched::Lost),
            Ok(Some(Ok((course, entry)))) => {
                Ok(self.leased(id, course, entry).map_or(Fetched::Damaged, Fetched::Leased))
            }
            Ok(Some(Err(Damaged))) => Ok(Fetched::Damaged),
            // The index knows it and the table does not.
            Ok(None) => Ok(Fetched::Lost),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(Fetched::Unreadable),
            Err(error) => Err(error),
        }
    }

    fn leased(&self, id: i64, course: Course, entry: Entry) -> Option<Box<Leased>> {
        let fit = course.state == State::Pending && entry.kept.is_some();
        fit.then_some(Box::new(Leased {
            id: EntryId(id),
            entry,
            attempts: u32::try_from(course.attempts).ok()?,
            attempts_in_a_row: u32::try_from(course.in_a_row).ok()?,
            age: millis(self.elapsed - course.since),
        }))
    }
}

/// Events of a source for an upstream, in the order in which they are due.
#[derive(Clone, Copy)]
struct Queue {
    upstream: i64,
    source: i64,
    /// Whether they have a failed attempt behind them.
    repeated: bool,
}
