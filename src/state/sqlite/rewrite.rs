//! The way out of a failed sync: a new file.
//!
//! After a sync has failed, nobody knows what of the file is on the disk, and a second sync may succeed without having
//! written it (I11). What was committed before can still be read, so it is copied into a new file, that one is synced,
//! and takes the old one's place. The step that decides is the renaming to `.next`: before it the old file counts,
//! after it the new one does, and whoever opens the journal finishes what was begun (D-34).

use std::{fs, io, path::Path};

use rusqlite::Connection;

use super::place::Place;
use crate::fault;

/// Not complete, so it counts for nothing.
const BEGUN: &str = ".new";

/// Complete and synced: it takes the place of the journal.
const COMPLETE: &str = ".next";

impl Place {
    /// Copies all that `db` can read into a file that will take its place. Closing `db` and then
    /// [`Place::finish_rewrite`] is up to the caller.
    pub(super) fn rewrite(&self, db: &Connection) -> Result<(), RewriteError> {
        let (begun, complete) = (self.beside(BEGUN), self.beside(COMPLETE));
        remove(&begun)?;
        let file = Self::create(&begun)?;
        fault::point("rewrite.begun");
        db.execute("VACUUM INTO ?1", [begun.to_str().ok_or(RewriteError::Name)?])?;
        fault::point("rewrite.copied");
        file.sync_all()?;
        fault::point("rewrite.synced");
        fs::rename(&begun, &complete)?;
        self.sync_directory()?;
        fault::point("rewrite.complete");
        Ok(())
    }

    /// Ends a rewrite that was begun, if one was. What was written ahead of the old file goes first: SQLite would take it
    /// for the new one's.
    pub(super) fn finish_rewrite(&self) -> io::Result<()> {
        remove(&self.beside(BEGUN))?;
        let complete = self.beside(COMPLETE);
        if !fs::exists(&complete)? {
            return Ok(());
        }
        remove(&self.beside("-wal"))?;
        remove(&self.beside("-shm"))?;
        self.sync_directory()?;
        fault::point("rewrite.cleared");
        fs::rename(&complete, self.path())?;
        self.sync_directory()?;
        fault::point("rewrite.renamed");
        Ok(())
    }
}

/// Why there is no new file yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("its name is not UTF-8")]
    Name,
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
