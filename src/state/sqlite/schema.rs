//! What is in the file, and how it came to be so: one migration per version, in order.

use rusqlite::Connection;

/// "hook", in the header of every journal (<https://www.sqlite.org/pragma.html#pragma_application_id>).
pub(super) const APPLICATION: i64 = 0x686f_6f6b;

/// Each brings a file from the version of its position to the next. A migration that was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// The version that this program reads and writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// What a file is, before anything was changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An empty file, or one of this version or an older one.
    Ours {
        /// Its version; 0 for an empty one.
        version: usize,
    },
    /// Written by a newer program.
    Newer {
        /// Its version.
        version: usize,
    },
    /// A database of something else.
    Foreign,
}

/// Looks at the header of a file.
pub(super) fn kind(db: &Connection) -> rusqlite::Result<Kind> {
    let header = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = header("application_id")?;
    // A negative version is none of ours, and newer than any.
    let version = usize::try_from(header("user_version")?).unwrap_or(usize::MAX);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version) {
        (0, 0) if tables == 0 => Kind::Ours { version: 0 },
        (APPLICATION, version) if version > VERSION => Kind::Newer { version },
        (APPLICATION, version) => Kind::Ours { version },
        _ => Kind::Foreign,
    })
}

/// Brings a file of `version` to [`VERSION`], each step in a transaction of its own.
pub(super) fn migrate(db: &Connection, version: usize) -> rusqlite::Result<()> {
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let reached = step + 1;
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {reached}; COMMIT;"
        ))?;
    }
    Ok(())
}
