//! The journal in one SQLite file: nothing to install, and nothing to look after.
//!
//! One thread writes. It takes a call, and with it all that came while the commit before ran; they become one
//! transaction, one sync, and only then does anybody hear of it. So the more there is to do, the more is done at once.
//! Another thread looks things up, on a connection that cannot write.
//!
//! - [`place`]: the file is ours alone, and stays where it is. [`connection`], [`schema`]: what is in it.
//! - [`writer`]: one commit after the other; [`transaction`] with [`append`], [`mark`]: what is in a commit.
//! - [`lease`], [`query`]: what is read. [`memory`]: what is known without reading.
//! - [`record`], [`seal`]: rows, and how a damaged one is found.
//! - [`rewrite`]: the way out of a failed sync.
//!
//! <https://www.sqlite.org/wal.html> says what SQLite does; how it was found to behave is in `docs/journal.md`.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::Ordering::Relaxed,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

mod append;
mod checkpoint;
mod command;
mod connection;
mod error;
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
mod shared;
mod tally;
mod transaction;
mod upkeep;
mod wal;
mod writer;

pub use self::error::OpenError;
use self::{
    checkpoint::Checkpointer,
    command::{Command, Reply},
    reader::{Query, Reader},
    shared::Shared,
    writer::Writer,
};
use crate::{
    clock::{Clock, Now},
    state::journal::{
        Appended, Detail, EntryId, Filter, Group, JournalError, JournalFuture, JournalStats, JournalStore, Lane,
        Leases, Mark, Note, Page, Replay, Row, Settled, Totals,
    },
};

/// Entries in one commit, at most, but for a single larger group.
const COMMIT_MAX: usize = 256;

/// Notes that wait for the writer, at most; more are dropped.
const NOTES_MAX: usize = 4_096;

/// Entries that wait for the writer, at most: where the disk cannot keep up, senders are told so in time (D-57).
const WAITING_MAX: usize = 4_096;

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// For how long what is done with is kept: delivered, given up, or only noted.
    pub retention: Duration,
    /// Whether the bodies of delivered events are kept as long, so that they can be replayed.
    pub keep_bodies: bool,
    /// Bytes of the file, at most. From nine tenths on, events are refused.
    pub max_size: u64,
    /// Entries that wait for the application or for an operator, at most. From nine tenths on, events are refused.
    pub max_entries: u64,
    /// Below so many hundredths of free space on the disk, events are refused.
    pub min_free_percent: u8,
    /// Settled identities, at most; beyond that the oldest are forgotten.
    pub max_settled: u64,
}

impl Settings {
    /// The defaults, for a file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            retention: Duration::from_hours(30 * 24),
            keep_bodies: false,
            max_size: 1 << 30,
            max_entries: 1_000_000,
            min_free_percent: 10,
            max_settled: 1_000_000,
        }
    }
}

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
    fn ask<T: Send + 'static>(&self, command: impl FnOnce(Reply<T>) -> Command) -> JournalFuture<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply));
        async move { answer.await.unwrap_or_else(|_| Err(closed())) }.boxed()
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
        self.ask(|reply| Command::append(group, now, reply))
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
        self.ask(|reply| Command::Mark { entry, mark, now, reply })
    }

    fn remembered(&self, max: usize, now: Now) -> JournalFuture<Vec<Settled>> {
        self.look(move |db, _| query::remembered(db, max, now.wall))
    }

    fn list(&self, filter: Filter, page: Page) -> JournalFuture<Vec<Row>> {
        self.look(move |db, _| query::list(db, &filter, page))
    }

    fn show(&self, entry: EntryId) -> JournalFuture<Option<Detail>> {
        self.look(move |db, _| query::show(db, entry))
    }

    fn replay(&self, entry: EntryId, now: Now) -> JournalFuture<Replay> {
        self.ask(|reply| Command::Replay { entry, now, reply })
    }

    fn discard(&self, entry: EntryId, now: Now) -> JournalFuture<bool> {
        self.ask(|reply| Command::Discard { entry, now, reply })
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

/// Leases on their way to whoever asked. If nobody reads them, because the future is dropped, they go back.
struct Unread {
    answer: oneshot::Receiver<Result<Leases, JournalError>>,
    writer: Weak<mpsc::Sender<Command>>,
}

impl Unread {
    async fn read(mut self) -> Result<Leases, JournalError> {
        (&mut self.answer).await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.answer.close();
        if let (Ok(Ok(leases)), Some(writer)) = (self.answer.try_recv(), self.writer.upgrade()) {
            let entries = leases.events.iter().map(|leased| leased.id.0).collect();
            // The writer ends when the journal does, and the leases with it.
            let _ = writer.send(Command::LetGo { entries });
        }
    }
}

/// The life of the writer's thread.
fn write(mut writer: Writer, inbox: &mpsc::Receiver<Command>) {
    loop {
        let mut commands = match inbox.recv_timeout(writer.patience()) {
            Ok(command) => vec![command],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return writer.close(),
        };
        let mut weight = commands.iter().map(Command::weight).sum::<usize>();
        while weight < COMMIT_MAX
            && let Ok(command) = inbox.try_recv()
        {
            weight += command.weight();
            commands.push(command);
        }
        for command in &commands {
            writer.shared.taken(command);
        }
        writer.handle(commands);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has room for a thread")
}

fn closed() -> JournalError {
    JournalError::Failed("it has been closed".into())
}

#[cfg(test)]
mod tests;
