//! How many entries there are, in the file: counted up and down with every commit, because counting anew takes long.
//! A row that says something else than what was written has it counted anew, so that no lane is taken for empty.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{memory::Slot, record, seal::Seal};
use crate::state::journal::State;

/// Entries by source, upstream and state.
pub(super) type Tally = BTreeMap<Slot, i64>;

/// Reads it. `None` if it is damaged.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Option<Tally>> {
    let mut tally = Tally::new();
    let mut select = db.prepare("SELECT source, upstream, state, entries, seal FROM tally")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let read = || -> Result<(Slot, i64, i64), record::Damaged> {
            let state = record::state(row.get_ref(2)?.as_str().map_err(|_| record::Damaged)?);
            let slot = Slot { source: row.get(0)?, upstream: row.get(1)?, state: state.ok_or(record::Damaged)? };
            Ok((slot, row.get(3)?, row.get(4)?))
        };
        match read() {
            Ok((slot, entries, sealed)) if seal(slot, entries) == sealed => tally.insert(slot, entries),
            _ => return Ok(None),
        };
    }
    Ok(Some(tally))
}

/// Writes one number.
pub(super) fn store(db: &Connection, slot: Slot, entries: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO tally VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        slot.source,
        slot.upstream,
        slot.state.as_str(),
        entries,
        seal(slot, entries)
    ])?;
    Ok(())
}

/// Counts anew, within a transaction.
pub(super) fn recount(db: &Connection) -> rusqlite::Result<Tally> {
    let mut tally = Tally::new();
    let mut select = db.prepare("SELECT source, ifnull(upstream, 0), state, count(*) FROM entry GROUP BY 1, 2, 3")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // What is damaged is set aside when it is found, and counted anew once more.
        if let (Ok(source), Ok(upstream), Ok(Some(state))) =
            (row.get(0), row.get(1), row.get_ref(2)?.as_str().map(record::state))
        {
            tally.insert(Slot { source, upstream, state }, row.get(3)?);
        }
    }
    db.execute("DELETE FROM tally", [])?;
    for (slot, entries) in &tally {
        store(db, *slot, *entries)?;
    }
    Ok(tally)
}

/// How many entries wait for the application or for an operator, by the count, and are in none of the indexes that have
/// them all: whatever took them, somebody has to hear of it (D-31). `pending` is how many wait for the application.
pub(super) fn missing(db: &Connection, tally: &Tally, pending: i64) -> rusqlite::Result<u64> {
    let counted = |state| tally.iter().filter(|(slot, _)| slot.state == state).map(|(_, entries)| entries).sum::<i64>();
    let mut missing = (counted(State::Pending) - pending).max(0);
    for state in [State::Dead, State::Quarantined] {
        let mut count = db.prepare(&format!(
            "SELECT count(*) FROM entry INDEXED BY entry_waiting WHERE state = '{}' AND state IN ('dead', 'quarantined')",
            state.as_str()
        ))?;
        let found: i64 = count.query_row([], |row| row.get(0))?;
        missing += (counted(state) - found).max(0);
    }
    Ok(u64::try_from(missing).unwrap_or(0))
}

fn seal(slot: Slot, entries: i64) -> i64 {
    Seal::of("tally").int(slot.source).int(slot.upstream).text(slot.state.as_str()).int(entries).finish()
}
