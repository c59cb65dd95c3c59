//! A look into a journal that another process may have open.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    OpenError, connection, query,
    schema::{self, Kind, VERSION},
};
use crate::state::journal::{Detail, EntryId, Filter, JournalError, Page, Row, Totals};

/// A journal as it was at one moment, for commands. Nothing is written, no lock of ours is taken, and whoever has the
/// journal goes on.
#[derive(Debug)]
pub struct Glance {
    db: Connection,
    path: PathBuf,
}

impl Glance {
    /// Opens the file at `path`; it must be there, and of this version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let path = canonical(path)?;
        // Whoever may not read it is told so by the system, and in its own words.
        File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let fail = |error: rusqlite::Error| OpenError::sqlite(&path, &error);
        let db = connection::reader(&path).map_err(fail)?;
        match schema::kind(&db).map_err(fail)? {
            Kind::Ours { version: VERSION } => {}
            Kind::Newer { version } => return Err(OpenError::Newer { path, version, known: VERSION }),
            Kind::Ours { .. } => {
                let error = "it is of an older version, or was never finished".to_owned();
                return Err(OpenError::System {
                    path,
                    error,
                    remedy: "start the gateway with it, which brings it up to date",
                });
            }
            Kind::Foreign => return Err(OpenError::NotOurs { path }),
        }
        // All that is asked for is of the moment of the first question.
        db.execute_batch("BEGIN").map_err(fail)?;
        Ok(Self { db, path })
    }

    /// See [`JournalStore::list`](crate::state::journal::JournalStore::list).
    pub fn list(&self, filter: &Filter, page: Page) -> Result<Vec<Row>, JournalError> {
        query::list(&self.db, filter, page).map_err(|error| self.failed(&error))
    }

    /// See [`JournalStore::show`](crate::state::journal::JournalStore::show).
    pub fn show(&self, entry: EntryId) -> Result<Option<Detail>, JournalError> {
        query::show(&self.db, entry).map_err(|error| self.failed(&error))
    }

    /// See [`JournalStore::totals`](crate::state::journal::JournalStore::totals).
    pub fn totals(&self) -> Result<Totals, JournalError> {
        let weight = |suffix: &str| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            fs::metadata(name).map_or(0, |found| found.len())
        };
        query::totals(&self.db, weight("") + weight("-wal")).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> JournalError {
        JournalError::Failed(OpenError::sqlite(&self.path, error).to_string())
    }
}

/// The path with the links of its directories followed: SQLite follows none.
fn canonical(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().ok_or_else(|| OpenError::NoFile { path: path.to_owned() })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().map_err(|error| unreadable(directory, &error))?;
    let path = directory.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => {
            Err(OpenError::Link { target: fs::read_link(&path).unwrap_or_default(), path })
        }
        Ok(found) if found.is_file() => Ok(path),
        Ok(_) => Err(OpenError::NotFile { path }),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> OpenError {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return OpenError::io(path, error);
    }
    let remedy = "only the user that the gateway runs as may read it: do this as that user, or as root";
    OpenError::System { path: path.to_owned(), error: error.to_string(), remedy }
}
