//! Moving what was written ahead into the file, so that the former does not grow without bound.
//!
//! The long part of it, a *passive* checkpoint, is done by a thread of its own, which lets the writer go on. It can
//! never catch up with a writer that is busy, so the writer does the short rest itself, between two commits, and then
//! begins anew at the start of what is written ahead (<https://www.sqlite.org/wal.html#ckpt>).

use std::sync::{Arc, PoisonError, mpsc};

use rusqlite::Connection;

use super::{connection, shared::Shared};
use crate::fault;

/// Does the long part, whenever the writer asks for it, and tells it when that is done.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    open: Option<(u64, Connection)>,
}

impl Checkpointer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: None }
    }

    /// Does one after the other, until nobody can ask any more.
    pub(super) fn serve(mut self, asked: &mpsc::Receiver<()>) {
        while asked.recv().is_ok() {
            let done = self.checkpoint();
            *self.shared.checkpointed.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }
    }

    fn checkpoint(&mut self) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        // While this is held, the journal does not get another file; and a file that failed is not synced again (I11).
        let _held = shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.current_trouble().is_some() {
            self.open = None;
            return Ok(());
        }
        let generation = shared.generation();
        if self.open.as_ref().is_none_or(|(of, _)| *of != generation) {
            self.open = None;
            self.open = Some((generation, connection::checkpointer(&shared.path)?));
        }
        let (_, db) = self.open.as_ref().expect("it was just opened");
        passive(db)
    }
}

/// Moves what can be moved without anybody waiting.
pub(super) fn passive(db: &Connection) -> rusqlite::Result<()> {
    fault::point("checkpoint.before");
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    fault::point("checkpoint.after");
    Ok(())
}
