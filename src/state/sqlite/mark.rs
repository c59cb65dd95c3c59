//! What becomes of entries: by their deliveries, and by the operator's word.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;

use super::{
    evidence::Known,
    record::{self, Course},
    transaction::{End, Failure, Standing, Transaction},
};
use crate::{
    clock::Now,
    state::journal::{Entry, EntryId, Mark, Replay, Settled, State},
};

impl Transaction<'_> {
    /// See [`JournalStore::mark`](crate::state::journal::JournalStore::mark).
    pub(super) fn mark(&mut self, entry: EntryId, mark: &Mark, now: Now) -> Result<(), Failure> {
        let id = entry.0;
        self.draft.let_go.push(id);
        let Some(standing) = self.standing(id, now.wall)? else { return Ok(()) };
        let tried = match mark {
            Mark::Delivered(tried) | Mark::Retry(tried, _) => Some(tried),
            Mark::Dead(tried, _) => tried.as_ref(),
            Mark::Postponed(_) => None,
        };
        if let Some(tried) = tried {
            self.attempt(id, tried)?;
        }
        let (state, due, death) = self.outcome(&standing, mark);
        let made = i64::from(tried.is_some());
        let Course { since, attempts, in_a_row, .. } = standing.course;
        let course = Course { state, due, since, attempts: attempts + made, in_a_row: in_a_row + made };
        self.set_course(id, &standing, course, End { tried, death })?;
        if state == State::Delivered && !self.settings.keep_bodies {
            self.forget_body(id)?;
        }
        self.order_of(&standing, now)?;
        Ok(())
    }

    /// State, due time and cause of death after a mark. An operator may have given the entry up in the meantime: then
    /// it stays given up, unless the application took it after all.
    fn outcome<'m>(&self, standing: &Standing, mark: &'m Mark) -> (State, Option<i64>, Option<&'m str>) {
        let given_up = standing.course.state != State::Pending;
        match mark {
            Mark::Delivered(_) => (State::Delivered, None, None),
            Mark::Retry(..) | Mark::Dead(..) | Mark::Postponed(_) if given_up => (standing.course.state, None, None),
            Mark::Retry(_, after) | Mark::Postponed(after) => (State::Pending, Some(self.after(*after)), None),
            Mark::Dead(_, reason) => (State::Dead, None, Some(reason)),
        }
    }

    /// See [`JournalStore::replay`](crate::state::journal::JournalStore::replay).
    pub(super) fn replay(&mut self, entry: EntryId, again: bool, now: Now) -> Result<Replay, Failure> {
        let id = entry.0;
        let Some(standing) = self.standing(id, now.wall)? else { return Ok(Replay::Missing) };
        match standing.course.state {
            State::Pending => return Ok(Replay::Waiting),
            State::Delivered if !again => return Ok(Replay::Delivered),
            State::Dead | State::Delivered | State::Discarded | State::Noted | State::Quarantined => {}
        }
        // What is damaged is as good as not kept (I8).
        let event = match record::read(self.db, &self.memory.names, id)? {
            Some(Ok((_, event))) if event.kept.is_some() => event,
            _ => return Ok(Replay::NoBody),
        };
        // Of what is only noted, the bytes are kept of nothing but deliveries.
        if standing.course.state == State::Noted && !again {
            return Ok(Replay::Delivered);
        }
        let due = standing.order.is_none().then_some(self.elapsed);
        let attempts = standing.course.attempts;
        let course = Course { state: State::Pending, due, since: self.elapsed, attempts, in_a_row: 0 };
        self.set_course(id, &standing, course, End::default())?;
        let is_delivered = matches!(standing.course.state, State::Delivered | State::Noted);
        self.audit(id, now.wall, if is_delivered { "replayed after its delivery" } else { "replayed" })?;
        self.know_again(id, &event, now)?;
        self.order_of(&standing, now)?;
        Ok(Replay::Queued)
    }

    /// While an event is to be delivered once more, a repeat of it is a duplicate, also where its window is long over.
    fn know_again(&mut self, id: i64, event: &Entry, now: Now) -> rusqlite::Result<()> {
        let until = {
            let evidence = self.memory.evidence();
            let counts = |known: &Known| known.until > now.wall.as_microsecond() || evidence.is_pending(known.entry);
            match evidence.known(&event.key).filter(|known| counts(known)) {
                Some(known) if known.digest != event.digest || evidence.is_pending(known.entry) => return Ok(()),
                Some(known) => Timestamp::from_microsecond(known.until).unwrap_or(now.wall),
                None => now.wall,
            }
        };
        self.know(&Settled { key: event.key, digest: event.digest, until }, id)
    }

    /// See [`JournalStore::discard`](crate::state::journal::JournalStore::discard).
    pub(super) fn discard(&mut self, entry: EntryId, now: Now) -> Result<bool, Failure> {
        let id = entry.0;
        let Some(standing) = self.standing(id, now.wall)? else { return Ok(false) };
        match standing.course.state {
            State::Pending | State::Dead | State::Quarantined => {}
            State::Delivered | State::Discarded | State::Noted => return Ok(false),
        }
        let course = Course { state: State::Discarded, due: None, ..standing.course };
        self.set_course(id, &standing, course, End::default())?;
        self.forget_body(id)?;
        self.audit(id, now.wall, "given up")?;
        self.order_of(&standing, now)?;
        Ok(true)
    }

    /// See [`JournalStore::answered`](crate::state::journal::JournalStore::answered).
    pub(super) fn answered(&self, entries: &[EntryId], status: u16) -> rusqlite::Result<()> {
        let mut write = self.db.prepare_cached("UPDATE entry SET answer = ?2 WHERE id = ?1")?;
        for entry in entries {
            write.execute(params![entry.0, status])?;
        }
        Ok(())
    }

    /// A decision may let the next entry of the order be due.
    fn order_of(&mut self, standing: &Standing, now: Now) -> rusqlite::Result<()> {
        standing.order.as_ref().map_or(Ok(()), |order| self.advance(order, now.wall))
    }

    fn forget_body(&mut self, id: i64) -> rusqlite::Result<()> {
        self.statements.forget.run([id])
    }

    /// The time of the journal's clock after a while.
    fn after(&self, wait: Duration) -> i64 {
        self.elapsed.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }
}
