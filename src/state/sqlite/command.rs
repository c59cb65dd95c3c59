//! What the writer is asked for.

use tokio::sync::oneshot;

use super::{
    evidence::NO_ENTRY,
    record::Record,
    transaction::{Failure, Transaction},
    upkeep::Upkeep,
};
use crate::{
    clock::Now,
    state::journal::{Appended, EntryId, Group, JournalError, Lane, Leases, Mark, Note, Replay, Settled, Tried},
};

/// Where an answer goes. Nobody may be waiting any more.
pub(super) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// One call of [`JournalStore`](crate::state::journal::JournalStore) that changes something, by its name there.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        records: Vec<Record>,
        settled: Vec<Settled>,
        now: Now,
        reply: Reply<Taken>,
    },
    Note {
        notes: Vec<(Record, u16, Option<Tried>)>,
        now: Now,
    },
    Remember {
        settled: Settled,
    },
    Answered {
        entries: Vec<EntryId>,
        status: u16,
    },
    Lease {
        lane: Lane,
        count: usize,
        now: Now,
        reply: Reply<Leases>,
    },
    Mark {
        entry: EntryId,
        mark: Mark,
        now: Now,
        reply: Reply<()>,
    },
    Replay {
        entry: EntryId,
        again: bool,
        now: Now,
        reply: Reply<Replay>,
    },
    Discard {
        entry: EntryId,
        now: Now,
        reply: Reply<bool>,
    },
    /// Leases that nobody looked at. Not a part of a commit.
    LetGo {
        entries: Vec<i64>,
    },
    /// An entry was found damaged.
    SetAside {
        entry: i64,
        now: Now,
    },
    /// The index of due events was found damaged.
    Reindex,
    /// What nobody asks for, a step at a time.
    Upkeep {
        at: Upkeep,
        now: Now,
    },
}

/// What became of records, and they themselves: whoever asked frees them, the writer has others to see to.
pub(super) type Taken = (Vec<Appended>, Vec<Record>);

/// What a call led to.
#[derive(Debug)]
pub(super) enum Outcome {
    Appended(Vec<Appended>),
    Replayed(Replay),
    Discarded(bool),
    Kept(Upkeep),
    Done,
}

impl Command {
    pub(super) fn append(group: Group, now: Now, reply: Reply<Taken>) -> Self {
        let records = group.entries.into_iter().map(Record::new).collect();
        Self::Append { records, settled: group.settled, now, reply }
    }

    pub(super) fn note(notes: Vec<Note>, now: Now) -> Self {
        let note = |note: Note| (Record::new(note.entry), note.answer, note.attempt);
        Self::Note { notes: notes.into_iter().map(note).collect(), now }
    }

    /// How much of a commit it fills.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Append { records, .. } => records.len().max(1),
            Self::Note { notes, .. } => notes.len().max(1),
            Self::Remember { .. }
            | Self::Answered { .. }
            | Self::Lease { .. }
            | Self::Mark { .. }
            | Self::Replay { .. }
            | Self::Discard { .. }
            | Self::SetAside { .. }
            | Self::LetGo { .. }
            | Self::Reindex
            | Self::Upkeep { .. } => 1,
        }
    }

    /// Whether somebody waits for it who can do nothing else meanwhile.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Append { .. } | Self::Lease { .. } | Self::Replay { .. } | Self::Discard { .. } => true,
            Self::Note { .. }
            | Self::Remember { .. }
            | Self::Answered { .. }
            | Self::Mark { .. }
            | Self::SetAside { .. }
            | Self::LetGo { .. }
            | Self::Reindex
            | Self::Upkeep { .. } => false,
        }
    }

    /// When it was called, where that matters.
    pub(super) fn now(&self) -> Option<Now> {
        match self {
            Self::Append { now, .. }
            | Self::Note { now, .. }
            | Self::Lease { now, .. }
            | Self::Mark { now, .. }
            | Self::Replay { now, .. }
            | Self::Discard { now, .. }
            | Self::SetAside { now, .. }
            | Self::Upkeep { now, .. } => Some(*now),
            Self::Remember { .. } | Self::Answered { .. } | Self::LetGo { .. } | Self::Reindex => None,
        }
    }

    /// Tells whoever asked that it is done, and safe.
    pub(super) fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Append { records, reply, .. }, Outcome::Appended(appended)) => {
                drop(reply.send(Ok((appended, records))));
            }
            (Self::Mark { reply, .. }, Outcome::Done) => drop(reply.send(Ok(()))),
            (Self::Replay { reply, .. }, Outcome::Replayed(replay)) => drop(reply.send(Ok(replay))),
            (Self::Discard { reply, .. }, Outcome::Discarded(discarded)) => drop(reply.send(Ok(discarded))),
            (command, _) => drop(command),
        }
    }
}

impl Transaction<'_> {
    /// Does what was asked for, as a part of this commit.
    pub(super) fn apply(&mut self, command: &Command, now: Now) -> Result<Outcome, Failure> {
        match command {
            Command::Append { records, settled, .. } => self.append(records, settled, now).map(Outcome::Appended),
            Command::Note { notes, .. } => self.note(notes).map(|()| Outcome::Done),
            Command::Remember { settled } => Ok(self.settle(settled, NO_ENTRY, now).map(|()| Outcome::Done)?),
            Command::Answered { entries, status } => Ok(self.answered(entries, *status).map(|()| Outcome::Done)?),
            Command::Reindex => Ok(self.reindex().map(|()| Outcome::Done)?),
            Command::Upkeep { at, .. } => Ok(self.upkeep(*at, now).map(Outcome::Kept)?),
            // These change nothing in the file, and are not brought here.
            Command::Lease { .. } | Command::LetGo { .. } => Ok(Outcome::Done),
            Command::Mark { entry, mark, .. } => self.mark(*entry, mark, now).map(|()| Outcome::Done),
            Command::Replay { entry, again, .. } => self.replay(*entry, *again, now).map(Outcome::Replayed),
            Command::Discard { entry, .. } => self.discard(*entry, now).map(Outcome::Discarded),
            Command::SetAside { entry, .. } => {
                self.draft.let_go.push(*entry);
                Ok(self.set_aside(*entry, now.wall).map(|()| Outcome::Done)?)
            }
        }
    }
}
