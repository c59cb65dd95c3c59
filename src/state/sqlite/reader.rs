//! The one who looks things up.

use std::sync::{Arc, mpsc};

use rusqlite::Connection;

use super::{connection, shared::Shared};
use crate::state::journal::JournalError;

/// A question: it is handed the connection, or why there is none, and answers whoever asked.
pub(super) type Query = Box<dyn FnOnce(Result<(&Connection, &Shared), JournalError>) + Send>;

/// A connection that cannot write, opened when it is first needed, and anew when the journal is in another file.
pub(super) struct Reader {
    shared: Arc<Shared>,
    open: Option<(u64, Connection)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: None }
    }

    /// Answers one question after the other, until nobody can ask any more.
    pub(super) fn serve(mut self, questions: &mpsc::Receiver<Query>) {
        while let Ok(query) = questions.recv() {
            self.answer(query);
        }
    }

    /// Answers a question.
    pub(super) fn answer(&mut self, query: Query) {
        let generation = self.shared.generation();
        if self.open.as_ref().is_none_or(|(of, _)| *of != generation) {
            self.open = match connection::reader(&self.shared.path) {
                Ok(db) => Some((generation, db)),
                Err(error) => return query(Err(JournalError::Failed(error.to_string()))),
            };
        }
        let (_, db) = self.open.as_ref().expect("it was just opened");
        query(Ok((db, &self.shared)));
    }
}
