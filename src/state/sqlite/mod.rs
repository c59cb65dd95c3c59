//! The journal in one SQLite file: nothing to install, and nothing to look after.
//!
//! One thread writes. It takes a call, and with it all that came while the commit before ran; they become one
//! transaction, one sync, and only then does anybody hear of it. So the more there is to do, the more is done at once.
//! Another thread looks things up, on a connection that cannot write.
//!
//! - `place`: the file is ours alone, and stays where it is. `connection`, `schema`: what is in it.
//! - `writer`: one commit after the other; `transaction` with `append`, `mark` and `upkeep`: what is in one.
//! - `lease`, `query`: what is read. `memory`, `evidence`: what is known without reading. `time`: the journal's own clock.
//! - `glance`, `inspect`: a look from outside. `rewrite`: the way out of a failed sync. `checkpoint`: how the file grows.
//! - `record`, `seal`, `names`, `tally`: rows, and how a damaged one is told. `scrub`, `wal`: looking for damage.
//!
//! <https://www.sqlite.org/wal.html> says what SQLite does; how it was found to behave is in `docs/journal.md`.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering::Relaxed, mpsc},
    thread::JoinHandle,
};

use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio::sync::oneshot;

mod append;
mod checkpoint;
mod command;
mod connection;
mod error;
mod evidence;
mod glance;
mod inspect;
mod lease;
mod mark;
mod memory;
mod names;
mod place;
mod query;
mod reader;
mod record;
mod rewrite;
mod schema;
mod scrub;
mod seal;
mod settings;
mod shared;
mod statements;
mod tally;
mod threads;
mod time;
mod transaction;
mod upkeep;
mod wal;
mod writer;

use self::{
    checkpoint::Checkpointer,
    command::{Command, Reply},
    reader::{Query, Reader},
    shared::Shared,
    threads::{Unread, closed, spawn, write},
    writer::Writer,
};
pub use self::{error::OpenError, glance::Glance, inspect::inspect, settings::Settings};
use crate::{
    clock::{Clock, Now},
    state::{
        journal::{
            Appended, Detail, EntryId, Filter, Group, JournalError, JournalFuture, JournalStats, JournalStore, Lane,
            Leases, Mark, Note, Page, Replay, Row, Settled, Totals,
        },
        key::{Digest, EventKey},
    },
};

/// Notes that wait for the writer, at most; more are dropped.
const NOTES_MAX: usize = 4_096;

/// Entries that wait for the writer, at most: where the disk cannot keep up, senders are told so in time (D-57).
const WAITING_MAX: usize = 4_096;

/// A journal in a file.
#[derive(Debug)]
pub struct SqliteJournal {
    shared: Arc<Shared>,
    engine: Engine,
}

/// Who does the work.
enum Engine {
    /// Threads.
    Threads { writer: Arc<mpsc::Sender<Command>>, reader: mpsc::Sender<Query>, threads: Vec<JoinHandle<()>> },
    /// Whoever calls, before the call returns.
    Inline(Box<Mutex<(Writer, Reader)>>),
}

impl SqliteJournal {
    /// Opens the journal, or makes a new one, and starts the threads that work on it.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let mut writer = Writer::open(settings, clock)?;
        let shared = Arc::clone(&writer.shared);
        let reader = Reader::new(Arc::clone(&shared));
        let (commands, inbox) = mpsc::channel();
        let (queries, questions) = mpsc::channel();
        let (checkpoints, asked) = mpsc::channel();
        let checkpointer = Checkpointer::new(Arc::clone(&shared));
        writer.checkpointer = Some(checkpoints);
        let threads = vec![
            spawn("journal-writer", move || write(writer, &inbox)),
            spawn("journal-reader", move || reader.serve(&questions)),
            spawn("journal-checkpoint", move || checkpointer.serve(&asked)),
        ];
        Ok(Self { shared, engine: Engine::Threads { writer: Arc::new(commands), reader: queries, threads } })
    }

    /// Opens the journal without threads: every call is done when it returns, and its future is ready. Dropping it is
    /// like a crash of the process. For tests, which own the time.
    pub fn inline(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let writer = Writer::open(settings, clock)?;
        let shared = Arc::clone(&writer.shared);
        let reader = Reader::new(Arc::clone(&shared));
        Ok(Self { shared, engine: Engine::Inline(Box::new(Mutex::new((writer, reader)))) })
    }

    /// Asks the writer for something that has an answer.
    fn ask<T: Send + 'static, C: FnOnce(Reply<T>) -> Command>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<T, JournalError>> + Send + 'static + use<T, C> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply));
        async move { answer.await.unwrap_or_else(|_| Err(closed())) }
    }

    fn tell(&self, command: Command) {
        match &self.engine {
            Engine::Threads { writer, .. } => {
                if let Err(mpsc::SendError(command)) = writer.send(command) {
                    self.shared.refuse(command, &closed());
                }
            }
            Engine::Inline(both) => {
                self.shared.taken(&command);
                both.lock().unwrap_or_else(PoisonError::into_inner).0.handle(vec![command]);
            }
        }
    }

    /// Looks something up.
    fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&rusqlite::Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> JournalFuture<T> {
        let (reply, answer) = oneshot::channel();
        let query: Query = Box::new(move |found| {
            let found = found
                .and_then(|(db, shared)| look(db, shared).map_err(|error| JournalError::Failed(error.to_string())));
            // Nobody may be waiting any more.
            let _ = reply.send(found);
        });
        match &self.engine {
            Engine::Threads { reader, .. } => drop(reader.send(query)),
            Engine::Inline(both) => both.lock().unwrap_or_else(PoisonError::into_inner).1.answer(query),
        }
        async move { answer.await.unwrap_or_else(|_| Err(closed())) }.boxed()
    }
}

impl JournalStore for SqliteJournal {
    fn append(&self, group: Group, now: Now) -> JournalFuture<Vec<Appended>> {
        let entries = group.entries.len();
        if self.shared.waiting.fetch_add(entries, Relaxed) + entries > WAITING_MAX.max(entries) {
            self.shared.waiting.fetch_sub(entries, Relaxed);
            self.shared.append_failed();
            let reason = format!("its disk is too slow: {WAITING_MAX} events wait for it");
            return std::future::ready(Err(JournalError::Full(reason))).boxed();
        }
        self.ask(|reply| Command::append(group, now, reply)).map_ok(|(appended, _)| appended).boxed()
    }

    fn note(&self, notes: Vec<Note>, now: Now) {
        let count = notes.len();
        if self.shared.notes.fetch_add(count, Relaxed) + count > NOTES_MAX {
            self.shared.notes.fetch_sub(count, Relaxed);
            return self.shared.notes_dropped(count);
        }
        self.tell(Command::note(notes, now));
    }

    fn remember(&self, settled: Settled) {
        self.tell(Command::Remember { settled });
    }

    fn answered(&self, entries: Vec<EntryId>, status: u16) {
        self.tell(Command::Answered { entries, status });
    }

    fn lease(&self, lane: Lane, count: usize, now: Now) -> JournalFuture<Leases> {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Lease { lane, count, now, reply });
        let writer = match &self.engine {
            Engine::Threads { writer, .. } => Arc::downgrade(writer),
            Engine::Inline(_) => Weak::new(),
        };
        Unread { answer, writer }.read().boxed()
    }

    fn mark(&self, entry: EntryId, mark: Mark, now: Now) -> JournalFuture<()> {
        self.ask(|reply| Command::Mark { entry, mark, now, reply }).boxed()
    }

    fn remembered(&self, max: usize, now: Now) -> JournalFuture<Vec<Settled>> {
        self.look(move |db, _| query::remembered(db, max, now.wall))
    }

    fn pending(&self, key: &EventKey) -> Option<Digest> {
        self.shared.pending(key)
    }

    fn is_void(&self, key: &EventKey) -> bool {
        self.shared.is_void(key)
    }

    fn list(&self, filter: Filter, page: Page) -> JournalFuture<Vec<Row>> {
        self.look(move |db, _| query::list(db, &filter, page))
    }

    fn show(&self, entry: EntryId) -> JournalFuture<Option<Detail>> {
        self.look(move |db, _| query::show(db, entry))
    }

    fn replay(&self, entry: EntryId, again: bool, now: Now) -> JournalFuture<Replay> {
        self.ask(|reply| Command::Replay { entry, again, now, reply }).boxed()
    }

    fn discard(&self, entry: EntryId, now: Now) -> JournalFuture<bool> {
        self.ask(|reply| Command::Discard { entry, now, reply }).boxed()
    }

    fn totals(&self) -> JournalFuture<Totals> {
        self.look(|db, shared| query::totals(db, shared.stats().bytes))
    }

    fn stats(&self) -> JournalStats {
        self.shared.stats()
    }

    fn trouble(&self) -> Option<String> {
        self.shared.current_trouble()
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        let Engine::Threads { writer, reader, threads } = &mut self.engine else { return };
        // The threads end when nobody can ask them any more; what was asked for before is still done.
        *writer = Arc::new(mpsc::channel().0);
        *reader = mpsc::channel().0;
        for thread in threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Threads { .. } => "Threads",
            Self::Inline(_) => "Inline",
        })
    }
}

#[cfg(test)]
mod tests;
