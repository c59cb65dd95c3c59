//! The one who writes: takes calls as they come, many to a commit, and answers them after it.

mod recovery;

use std::{
    mem,
    sync::{Arc, PoisonError, mpsc},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use self::recovery::{RETRY_FIRST, Trouble, is_busy, is_full};
use super::{
    OpenError, Settings, checkpoint,
    command::{Command, Outcome},
    connection,
    lease::{Lessor, Unfit},
    memory::{Draft, Memory},
    place::Place,
    shared::Shared,
    statements::Statements,
    time::{JournalTime, millis},
    transaction::{Failure, Transaction},
    upkeep::Upkeep,
};
use crate::{
    clock::{Clock, Now},
    fault,
    state::journal::{JournalError, Lane, Leases, State},
};

/// How often the writer looks after things without being called.
const TICK: Duration = Duration::from_secs(1);

/// The same, while there is much to look after.
const BUSY_TICK: Duration = Duration::from_millis(20);

/// How long what nobody waits for is put off, at most.
const LEISURE_MAX: Duration = Duration::from_millis(10);

/// A checkpoint begins when about so much was written ahead.
const CHECKPOINT_AT: u64 = 16 << 20;

/// What a commit writes ahead besides what it is for, roughly.
const COMMIT_BYTES: u64 = 16 << 10;

/// A journal that is open, and its connection.
pub(super) struct Writer {
    pub(super) place: Place,
    /// `None` between one file and the next.
    pub(super) db: Option<Connection>,
    pub(super) settings: Settings,
    pub(super) memory: Memory,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    time: JournalTime,
    trouble: Option<Trouble>,
    /// How long to wait after the next failure. It shrinks only when a commit succeeded.
    pause: Duration,
    upkeep: Upkeep,
    upkeep_at: Instant,
    /// Who does the long part of a checkpoint; nobody where there are no threads.
    pub(super) checkpointer: Option<mpsc::Sender<()>>,
    /// When a commit is due that nobody waits for.
    due: Instant,
    /// Bytes that were written ahead since the last checkpoint began, roughly; `None` while one is under way.
    ahead: Option<u64>,
}

/// What a transaction leads to.
type Transacted = (Vec<Result<Outcome, JournalError>>, Draft, i64);

impl Writer {
    /// Opens the journal.
    pub(super) fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let mut place = Place::take(&settings.path)?;
        let db = connection::open(&mut place)?;
        let memory = Memory::load(&db).map_err(|error| OpenError::sqlite(place.path(), &error))?;
        let steady = clock.now().steady;
        let time = JournalTime::resume(memory.elapsed, steady);
        let shared = Arc::new(Shared::new(place.path(), Arc::clone(&memory.evidence)));
        let mut writer = Self {
            place,
            db: Some(db),
            settings,
            upkeep: Upkeep::opened(memory.next_id),
            memory,
            shared,
            clock,
            time,
            trouble: None,
            pause: RETRY_FIRST,
            upkeep_at: steady,
            checkpointer: None,
            due: steady,
            // Whoever had it open before may have left something.
            ahead: Some(CHECKPOINT_AT),
        };
        let bytes = writer.place.weigh().map_err(|error| OpenError::io(writer.place.path(), &error))?;
        writer.publish(bytes);
        Ok(writer)
    }

    /// Does what was asked for, and answers.
    pub(super) fn handle(&mut self, commands: Vec<Command>) {
        let now = self.clock.now();
        self.recover_if_due(now);
        let (leases, writes): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|one| matches!(one, Command::Lease { .. } | Command::LetGo { .. }));
        // They change nothing in the file, so they need not wait for those that do.
        for command in leases {
            match command {
                Command::Lease { lane, count, now, reply } => {
                    if let Err(Ok(unread)) = reply.send(self.lease(&lane, count, now)) {
                        // Whoever asked is gone: the events go back at once.
                        unread.events.iter().for_each(|leased| self.memory.let_go(leased.id.0));
                    }
                }
                Command::LetGo { entries } => entries.into_iter().for_each(|id| self.memory.let_go(id)),
                _ => {}
            }
        }
        if !writes.is_empty() {
            self.write(writes);
        }
        if now.steady >= self.upkeep_at {
            self.upkeep_at = now.steady + TICK;
            self.write(vec![Command::Upkeep { at: self.upkeep, now }]);
        }
        let checkpointed = self.shared.checkpointed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = checkpointed {
            self.finish_checkpoint(done);
        }
    }

    /// How long the writer may wait for a call, at most.
    pub(super) fn patience(&self) -> Duration {
        if self.upkeep.more { BUSY_TICK } else { TICK }
    }

    /// How long what nobody waits for may still wait for company.
    pub(super) fn leisure(&self) -> Duration {
        self.due.saturating_duration_since(self.clock.now().steady)
    }

    fn write(&mut self, commands: Vec<Command>) {
        if let Err(error) = self.ready() {
            return commands.into_iter().for_each(|command| self.shared.refuse(command, &error));
        }
        fault::point("journal.before_append");
        let begun = self.clock.now().steady;
        match self.transact(&commands) {
            Ok((outcomes, draft, elapsed)) => {
                fault::point("journal.after_commit");
                let ended = self.clock.now().steady;
                self.due = ended + leisure_after(ended.saturating_duration_since(begun));
                self.committed(draft, elapsed);
                for (command, outcome) in commands.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Outcome::Kept(at)) => self.kept_up(at),
                        Ok(outcome) => command.answer(outcome),
                        Err(error) => self.shared.refuse(command, &error),
                    }
                }
            }
            Err(error) => commands.into_iter().for_each(|command| self.shared.refuse(command, &error)),
        }
    }

    /// All calls in one transaction: after it, all of them are safe, or none of them counts.
    fn transact(&mut self, commands: &[Command]) -> Result<Transacted, JournalError> {
        let done = self.attempt(commands);
        match done {
            Ok(transacted) => {
                // What was committed into a file that nobody finds any more is not safe (D-55).
                match self.place.weigh() {
                    Ok(bytes) => self.shared.weighs(bytes),
                    Err(error) => return Err(self.fail(error.to_string())),
                }
                Ok(transacted)
            }
            Err(error) => {
                if let Some(db) = self.db.as_ref().filter(|db| !db.is_autocommit()) {
                    // If this fails, too, the connection is of no use, and the next step finds that out.
                    let _ = db.execute_batch("ROLLBACK");
                }
                Err(self.judge(&error))
            }
        }
    }

    fn attempt(&self, commands: &[Command]) -> rusqlite::Result<Transacted> {
        let db = self.db.as_ref().expect("there is a file, or trouble");
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut transaction = Transaction {
            db,
            statements: Statements::of(db),
            memory: &self.memory,
            settings: &self.settings,
            draft: self.memory.draft(),
            elapsed: self.memory.elapsed,
            used: used(db)?,
            full: self.full_disk(),
        };
        let mut outcomes = Vec::with_capacity(commands.len());
        for command in commands {
            let now = command.now().unwrap_or_else(|| self.clock.now());
            transaction.elapsed = transaction.elapsed.max(self.time.at(now.steady));
            outcomes.push(match transaction.apply(command, now) {
                Ok(outcome) => Ok(outcome),
                Err(Failure::Refused(error)) => Err(error),
                Err(Failure::Sqlite(error)) => return Err(error),
            });
        }
        transaction.finish(self.clock.now().wall)?;
        let Transaction { draft, elapsed, .. } = transaction;
        fault::point("journal.before_commit");
        if fault::trips("journal.commit") {
            return Err(failure(rusqlite::ffi::SQLITE_IOERR_FSYNC));
        }
        if fault::trips("journal.full") {
            return Err(failure(rusqlite::ffi::SQLITE_FULL));
        }
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok((outcomes, draft, elapsed))
    }

    fn committed(&mut self, draft: Draft, elapsed: i64) {
        self.pause = RETRY_FIRST;
        self.ahead = self.ahead.map(|ahead| ahead + draft.written + COMMIT_BYTES);
        self.checkpoint_if_due();
        let damaged = draft.damaged.len() as u64;
        self.shared.committed(draft.appended, damaged + draft.unreadable);
        self.memory.missing = self.memory.missing.saturating_sub(damaged);
        self.memory.adopt(draft, elapsed);
        self.publish_counts();
    }

    fn lease(&mut self, lane: &Lane, count: usize, now: Now) -> Result<Leases, JournalError> {
        self.ready()?;
        let elapsed = self.time.at(now.steady).max(self.memory.elapsed);
        let db = self.db.as_ref().expect("there is a file, or trouble");
        let found = Lessor { db, memory: &mut self.memory, elapsed }.lease(lane, count);
        let (leases, unfit) = found.map_err(|error| self.judge(&error))?;
        self.set_aside(&unfit, now);
        Ok(leases)
    }

    /// Entries that cannot be delivered do not stop others.
    fn set_aside(&mut self, unfit: &Unfit, now: Now) {
        // What is not where the index says may be where it does not say; but the same is not looked for twice.
        let (lost, known): (Vec<_>, Vec<_>) = unfit.lost.iter().partition(|id| self.memory.suspect.insert(**id));
        for id in known.into_iter().chain(&unfit.unreadable) {
            tracing::error!(entry = id, "an entry of the journal cannot be read; it is not delivered");
            self.memory.leased.insert(*id);
            self.shared.damaged(1);
        }
        if !lost.is_empty() {
            self.write(vec![Command::Reindex]);
        }
        let commands: Vec<_> = unfit.damaged.iter().map(|id| Command::SetAside { entry: *id, now }).collect();
        if !commands.is_empty() {
            // Until it is written down, they count as leased.
            self.memory.leased.extend(&unfit.damaged);
            self.write(commands);
        }
    }

    /// A step of the upkeep was made.
    fn kept_up(&mut self, at: Upkeep) {
        self.upkeep = at;
        if at.is_through() && self.memory.missing > 0 {
            let missing = mem::take(&mut self.memory.missing);
            tracing::error!(missing, "entries that wait were counted in the journal, and are not in it any more");
            self.shared.damaged(missing);
        }
        let now = self.clock.now().steady;
        if at.more {
            self.upkeep_at = now + BUSY_TICK;
        }
        let age = at.oldest_since().map(|since| millis(self.time.at(now) - since));
        self.shared.oldest_pending(age.unwrap_or_default());
    }

    /// Begins a checkpoint, if much was written ahead.
    fn checkpoint_if_due(&mut self) {
        if self.ahead.is_none_or(|ahead| ahead < CHECKPOINT_AT) {
            return;
        }
        self.ahead = None;
        match &self.checkpointer {
            // It ends after the writer does.
            Some(checkpointer) => drop(checkpointer.send(())),
            None => self.finish_checkpoint(Ok(())),
        }
    }

    /// The short part of a checkpoint: what came while the long one ran.
    fn finish_checkpoint(&mut self, done: rusqlite::Result<()>) {
        self.ahead = Some(0);
        if self.trouble.is_some() {
            return;
        }
        let rest = done.and_then(|()| self.db.as_ref().map_or(Ok(()), checkpoint::passive));
        match rest {
            // What was written ahead stays where it is, and is as safe as before.
            Err(error) if is_busy(&error) || is_full(&error) => {}
            Err(error) => drop(self.fail(error.to_string())),
            Ok(()) => {}
        }
    }

    /// Nothing more will come: what was written ahead goes into the file, so that there is one file to copy.
    pub(super) fn close(self) {
        let _held = self.shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if self.trouble.is_none()
            && let Some(db) = &self.db
            && let Err(error) = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            tracing::warn!(%error, "the journal could not be tidied up; nothing is lost");
        }
    }

    fn publish(&mut self, bytes: u64) {
        self.shared.weighs(bytes);
        self.publish_counts();
    }

    fn publish_counts(&self) {
        self.shared.counts([State::Pending, State::Dead, State::Quarantined].map(|state| self.memory.total(state)));
    }

    /// Whether the disk is nearly full: what others do not find, they blame on us. On a large disk there is room as long
    /// as the journal could grow to its full size once more.
    fn full_disk(&self) -> Option<&'static str> {
        let disk = rustix::fs::statvfs(self.place.directory()).ok()?;
        let share = (disk.f_blocks / 100 * u64::from(self.settings.min_free_percent)).saturating_mul(disk.f_frsize);
        let nearly = disk.f_bavail.saturating_mul(disk.f_frsize) < share.min(self.settings.max_size);
        nearly.then_some("its disk is nearly full")
    }
}

/// For how long after a commit none begins that nobody waits for: as long as that one took. Where commits take long,
/// whoever comes next would else wait for one that has little in it.
pub(super) fn leisure_after(commit: Duration) -> Duration {
    commit.min(LEISURE_MAX)
}

/// Bytes of the file that are in use.
fn used(db: &Connection) -> rusqlite::Result<u64> {
    let number = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(u64::try_from(pages).unwrap_or(0) * u64::from(PAGE))
}

/// The size of a page, SQLite's own choice.
const PAGE: u32 = 4096;

/// What SQLite says when a step fails that a test lets fail.
fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
}
