//! What the writer does when its file fails: nothing more is written to that one, and everything goes into a new one (I11).

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::ErrorCode;

use super::Writer;
use crate::{
    clock::Now,
    fault,
    state::{
        journal::JournalError,
        sqlite::{OpenError, connection, memory::Memory, upkeep::Upkeep},
    },
};

/// After a failure, the first try to get a new file is made after this time, and each one after twice the time before.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two tries.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Why nothing can be written.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: String,
    pub(super) retry_at: Instant,
}

impl Writer {
    /// The journal can be written to.
    pub(super) fn ready(&self) -> Result<(), JournalError> {
        match &self.trouble {
            Some(trouble) => Err(JournalError::Failed(trouble.reason.clone())),
            None => Ok(()),
        }
    }

    /// What an error means; where pages are damaged, with what to do about it.
    pub(super) fn judge(&mut self, error: &rusqlite::Error) -> JournalError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => self.fail(OpenError::sqlite(self.place.path(), error).to_string()),
            _ => self.classify(error),
        }
    }

    /// What an error of SQLite means for those who wait, and for the file.
    fn classify(&mut self, error: &rusqlite::Error) -> JournalError {
        if is_full(error) {
            // Nothing of the transaction is in the file, and no sync has failed.
            return JournalError::Full("no space is left on its disk".into());
        }
        if is_busy(error) {
            return JournalError::Failed("another program is writing to it".into());
        }
        self.fail(error.to_string())
    }

    /// The file is not to be trusted: nothing is written to it any more (I11).
    pub(super) fn fail(&mut self, reason: String) -> JournalError {
        let now = self.clock.now().steady;
        tracing::error!(reason, retry_in = ?self.pause, "the journal cannot be written");
        let pause = if fault::trips("journal.pause") { Duration::ZERO } else { self.pause };
        self.trouble = Some(Trouble { reason: reason.clone(), retry_at: now + pause });
        self.pause = (self.pause * 2).min(RETRY_MAX);
        self.shared.trouble(Some(reason.clone()));
        JournalError::Failed(reason)
    }

    /// Tries to get a file that can be trusted, if it is time to.
    pub(super) fn recover_if_due(&mut self, now: Now) {
        if self.trouble.as_ref().is_none_or(|trouble| now.steady < trouble.retry_at) {
            return;
        }
        match self.recover() {
            Ok(()) => {
                tracing::info!("the journal can be written again, in a new file");
                self.trouble = None;
                self.shared.trouble(None);
            }
            Err(reason) => {
                self.fail(reason);
            }
        }
    }

    fn recover(&mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let _held = shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        self.place.retake().map_err(|error| error.to_string())?;
        if fault::trips("journal.rewrite") {
            return Err("the disk still fails".into());
        }
        if let Some(db) = &self.db {
            self.place.rewrite(db).map_err(|error| error.to_string())?;
        }
        // From here on, the new file is the journal.
        self.db = None;
        self.place.finish_rewrite().map_err(|error| error.to_string())?;
        let db = connection::open(&mut self.place).map_err(|error| error.to_string())?;
        let memory = Memory::load(&db).map_err(|error| error.to_string())?;
        self.memory.replace(memory);
        self.upkeep = Upkeep::opened(self.memory.next_id);
        self.db = Some(db);
        self.shared.replaced();
        let bytes = self.place.weigh().map_err(|error| error.to_string())?;
        self.publish(bytes);
        Ok(())
    }
}

pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
