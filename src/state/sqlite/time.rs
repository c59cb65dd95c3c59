//! The journal's own clock (D-52).

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    record::{Course, Damaged},
    seal::Seal,
};

/// A clock that only runs while a process has the journal open, in milliseconds. What is due in an hour is due in an hour,
/// whatever anybody sets the clocks of the machine to, and nothing is overdue after a night of being switched off.
#[derive(Clone, Copy, Debug)]
pub(super) struct JournalTime {
    before: i64,
    since: Instant,
}

impl JournalTime {
    /// It had run for `before` milliseconds, and goes on now.
    pub(super) const fn resume(before: i64, now: Instant) -> Self {
        Self { before, since: now }
    }

    /// Where it stands.
    pub(super) fn at(self, now: Instant) -> i64 {
        let run = now.saturating_duration_since(self.since).as_millis();
        self.before.saturating_add(i64::try_from(run).unwrap_or(i64::MAX))
    }
}

/// Milliseconds of the journal's clock; none if they are negative.
pub(super) fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Where the clock stood last, and the number of the next entry. Appends do not write either, because entries carry both.
pub(super) fn load(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    // One that cannot even be read as numbers is as wrong as any.
    let clock = |row: &Row<'_>| Ok([0, 1, 2].map(|column| row.get::<_, i64>(column).unwrap_or(0)));
    let [elapsed, next_id, sealed] = db.query_row("SELECT elapsed, next_id, seal FROM clock", [], clock)?;
    let (elapsed, next_id) = if seal(elapsed, next_id) == sealed { (elapsed, next_id) } else { (0, 1) };
    let last = |row: &Row<'_>| Ok((row.get(0)?, Course::read(row)));
    let last: Option<(i64, Result<Course, Damaged>)> = db
        .query_row(
            "SELECT id, fixed, seal, state, due, since, attempts, in_a_row FROM entry ORDER BY id DESC LIMIT 1",
            [],
            last,
        )
        .optional()?;
    Ok(match last {
        Some((id, Ok(course))) => (elapsed.max(course.since), next_id.max(id + 1)),
        Some((id, Err(Damaged))) => (elapsed, next_id.max(id + 1)),
        None => (elapsed, next_id),
    })
}

/// Writes down where the clock stands, and the number of the next entry.
pub(super) fn store(db: &Connection, elapsed: i64, next_id: i64) -> rusqlite::Result<()> {
    let mut write = db.prepare_cached("UPDATE clock SET elapsed = ?1, next_id = ?2, seal = ?3")?;
    write.execute([elapsed, next_id, seal(elapsed, next_id)])?;
    Ok(())
}

fn seal(elapsed: i64, next_id: i64) -> i64 {
    Seal::of("clock").int(elapsed).int(next_id).finish()
}
