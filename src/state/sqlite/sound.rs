//! Whether what was found at the start fits together. A row has a checksum; an index has none, so an entry that a changed
//! bit hides from its index would wait for ever, and nobody would know (D-31). What can be made anew is made anew.

use rusqlite::{Connection, ErrorCode};

use super::schema;

/// No entry is due so much later than the journal's clock stands, in milliseconds: a week.
const FAR: i64 = 7 * 24 * 3_600_000;

/// Whether there are entries of a source, or for an upstream, that has no name.
const NAMELESS: &str = "SELECT EXISTS (SELECT * FROM tally WHERE entries <> 0 \
                        AND (source NOT IN (SELECT id FROM name) OR upstream NOT IN (SELECT id FROM name UNION SELECT 0)))";

/// Checks a journal that has just been opened. How many faults were found, and mended; an error for those that cannot be.
pub(super) fn mend(db: &Connection) -> rusqlite::Result<u64> {
    if !schema::is_intact(db)? {
        return Err(corrupt("its tables are not those that were made"));
    }
    if db.query_row(NAMELESS, [], |row| row.get(0))? {
        return Err(corrupt("the name of a source or of an upstream is lost"));
    }
    let fault = match is_sound(db) {
        Ok(true) => return Ok(0),
        Ok(false) => "what is due and what is counted as pending differ".to_owned(),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => error.to_string(),
        Err(error) => return Err(error),
    };
    tracing::error!(fault, "the journal is damaged; its indexes and counts are made anew");
    db.execute_batch(
        "BEGIN IMMEDIATE; REINDEX; DELETE FROM tally; \
         INSERT INTO tally SELECT source, ifnull(upstream, 0), state, count(*) FROM entry GROUP BY 1, 2, 3; COMMIT;",
    )
    .inspect_err(|_| {
        // If this fails, too, the journal is not opened anyway.
        let _ = db.execute_batch("ROLLBACK");
    })?;
    Ok(1)
}

/// Whether those who look for what is due find as many entries as were counted. Indexes and counts lie on different pages
/// of the file; the indexes are read in the way in which they are used, because a wrong entry hides what comes after it.
fn is_sound(db: &Connection) -> rusqlite::Result<bool> {
    let lane = "SELECT count(*) FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL \
                AND upstream = t.upstream AND source = t.source AND due <= (SELECT bound FROM far) AND (in_a_row > 0) =";
    let sound = format!(
        "WITH far (bound) AS MATERIALIZED (SELECT {FAR} + max(elapsed, \
             ifnull((SELECT since FROM entry ORDER BY id DESC LIMIT 1), 0)) FROM clock), \
         waiting (source, upstream, entries) AS MATERIALIZED ( \
             SELECT source, upstream, count(*) FROM entry INDEXED BY entry_order \
             WHERE state = 'pending' AND order_key IS NOT NULL AND due IS NULL GROUP BY 1, 2), \
         counted AS (SELECT * FROM tally WHERE state = 'pending') \
         SELECT (SELECT total(entries) FROM counted) = (SELECT total(entries) FROM waiting) + \
             (SELECT count(*) FROM entry INDEXED BY entry_due WHERE state = 'pending' AND due IS NOT NULL) \
         AND NOT EXISTS (SELECT * FROM counted t WHERE entries <> ({lane} 0) + ({lane} 1) + ifnull( \
             (SELECT entries FROM waiting w WHERE w.source = t.source AND w.upstream = t.upstream), 0))"
    );
    db.query_row(&sound, [], |row| row.get(0))
}

fn corrupt(what: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(what.to_owned()))
}
