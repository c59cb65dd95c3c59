//! Connections to the file, as all of them are set.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    OpenError,
    place::Place,
    schema::{self, Kind, VERSION},
};

/// How many pages of the file a connection keeps in memory, in KiB (negative: SQLite's way of saying so).
const CACHE_KIB: i64 = -16 * 1024;

/// How many statements are kept ready.
const STATEMENTS: usize = 64;

/// Opens the file that lies at `place`, and brings it to the version of this program.
pub(super) fn open(place: &mut Place) -> Result<Connection, OpenError> {
    let path = place.path().to_owned();
    let fail = |error: rusqlite::Error| OpenError::sqlite(&path, &error);
    let db = plain(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
    let version = match schema::kind(&db).map_err(fail)? {
        Kind::Ours { version } => version,
        Kind::Newer { version } => return Err(OpenError::Newer { path, version, known: VERSION }),
        Kind::Foreign => return Err(OpenError::NotOurs { path }),
    };
    // Only now is anything changed in the file.
    db.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    // The writer decides when (`checkpoint.rs`).
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(fail)?;
    schema::migrate(&db, version).map_err(fail)?;
    // Shows that it can be written to, and has the file for what is written ahead be there: its name is safe only with
    // the directory (D-33).
    db.execute("UPDATE clock SET elapsed = elapsed", []).map_err(fail)?;
    place.sync_directory().and_then(|()| place.opened()).map_err(|error| OpenError::io(&path, &error))?;
    Ok(db)
}

/// Opens the file to move into it what was written ahead.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let db = plain(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(db)
}

/// Opens the file to look into it.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    plain(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn plain(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Closing must not sync what a failed sync has left behind (I11).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Which index is used is said in the statements; without this, each new value has a statement prepared anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "cache_size", CACHE_KIB)?;
    Ok(db)
}
