//! Bringing events into the journal.

use rusqlite::params;
use smallvec::SmallVec;

use super::{
    evidence::NO_ENTRY,
    memory::Slot,
    record::{Course, Record, count},
    transaction::{Failure, Transaction},
};
use crate::{
    clock::Now,
    stages::words::Verdict,
    state::{
        journal::{Appended, Entry, EntryId, JournalError, Settled, State, Tried},
        key::{Digest, EventKey, KeyMap, OrderKey},
    },
};

/// What a row costs besides its body, roughly: its part of the tables and indexes.
const ROW_BYTES: usize = 700;

impl Transaction<'_> {
    /// See [`JournalStore::append`](crate::state::journal::JournalStore::append).
    pub(super) fn append(
        &mut self,
        records: &[Record],
        settled: &[Settled],
        now: Now,
    ) -> Result<Vec<Appended>, Failure> {
        let bytes = records.iter().map(weight).sum();
        if let Some(reason) = self.no_room(records.len(), bytes) {
            return Err(Failure::Refused(JournalError::Full(reason)));
        }
        let repeats: SmallVec<[bool; 1]> =
            records.iter().map(|Record { entry, .. }| self.is_covered(&entry.key, &entry.digest, now)).collect();
        let is_new = |(record, repeat): (&Record, &bool)| matches!(record.entry.verdict, Verdict::Queue) && !repeat;
        let mut members = Members::of(records, settled);
        if records.iter().zip(&repeats).any(is_new) && self.waits_in_part(&members, settled) {
            let reason = "events of this array were taken meanwhile, in other company".into();
            return Err(Failure::Refused(JournalError::Failed(reason)));
        }
        let mut appended = Vec::with_capacity(records.len());
        for (record, repeat) in records.iter().zip(repeats) {
            if members.is_duplicate(&record.entry, repeat) {
                appended.push(Appended::Duplicate);
            } else {
                let id = self.insert(record, None)?;
                members.enter(&record.entry, id);
                appended.push(Appended::New(EntryId(id)));
            }
        }
        for settled in settled {
            self.settle(settled, members.owner(&settled.key), now)?;
        }
        self.draft.bytes += bytes as u64;
        self.draft.written += bytes as u64;
        self.draft.appended += appended.iter().filter(|one| matches!(one, Appended::New(_))).count() as u64;
        Ok(appended)
    }

    /// See [`JournalStore::note`](crate::state::journal::JournalStore::note).
    pub(super) fn note(&mut self, notes: &[(Record, u16, Option<Tried>)]) -> Result<(), Failure> {
        for (record, answer, tried) in notes {
            let id = self.insert(record, Some((*answer, tried.as_ref())))?;
            if let Some(tried) = tried {
                self.attempt(id, tried)?;
            }
        }
        Ok(())
    }

    /// Writes that an identity of an entry has evidence, unless that is known already.
    pub(super) fn settle(&mut self, settled: &Settled, entry: i64, now: Now) -> rusqlite::Result<()> {
        if self.is_covered(&settled.key, &settled.digest, now) {
            return Ok(());
        }
        self.know(settled, entry)
    }

    /// Writes that an identity of an entry has evidence.
    pub(super) fn know(&mut self, settled: &Settled, entry: i64) -> rusqlite::Result<()> {
        self.statements.settled.run(params![
            settled.key.as_bytes(),
            settled.digest.as_bytes(),
            settled.until.as_microsecond(),
            (entry != NO_ENTRY).then_some(entry)
        ])?;
        self.draft.settle(settled, entry);
        Ok(())
    }

    /// Whether events within an array are to be delivered already: a claim that outlived its lease was taken over while
    /// the journal still wrote. An array is not taken in part, so its sender comes again, and the claims know then.
    fn waits_in_part(&self, members: &Members, settled: &[Settled]) -> bool {
        let is_inside = |one: &&Settled| !members.has(&one.key);
        let evidence = self.memory.evidence();
        let waits = |one: &Settled| {
            let drafted =
                self.draft.settled.get(&one.key).filter(|known| known.entry != NO_ENTRY).map(|known| known.digest);
            drafted.or_else(|| evidence.pending(&one.key)) == Some(one.digest)
        };
        settled.iter().filter(is_inside).any(waits)
    }

    /// Whether there is evidence of these bytes: their window is not over, or their event is still to be delivered.
    fn is_covered(&self, key: &EventKey, digest: &Digest, now: Now) -> bool {
        let evidence = self.memory.evidence();
        let known = self.draft.settled.get(key).or_else(|| evidence.known(key));
        known.is_some_and(|known| known.covers(digest, now.wall, evidence.is_pending(known.entry)))
    }

    /// Writes a row, and what is kept with it; `noted` is what the sender was told, for what is only noted.
    fn insert(&mut self, record: &Record, noted: Option<(u16, Option<&Tried>)>) -> Result<i64, Failure> {
        let entry = &record.entry;
        let id = self.draft.next_id;
        let source = self.name(&entry.source)?;
        let upstream = entry.kept.as_ref().map(|kept| self.name(&kept.upstream)).transpose()?;
        let order = entry.kept.as_ref().and_then(|kept| kept.order);
        let state = if noted.is_some() { State::Noted } else { first_state(record)? };
        let waits = state == State::Pending && order.is_some_and(|order| self.undecided(&order).unwrap_or(true));
        let attempts = i64::from(noted.and_then(|(_, tried)| tried).map_or(0, |tried| tried.number));
        let due = (state == State::Pending && !waits).then_some(self.elapsed);
        let course = Course { state, due, since: self.elapsed, attempts, in_a_row: 0 };
        self.statements.entry.run(params![
            id,
            entry.received_at.as_microsecond(),
            source,
            entry.event_type,
            entry.key.as_bytes(),
            entry.digest.as_bytes(),
            count(entry.bytes),
            entry.verdict.as_str(),
            entry.verdict.reason(),
            entry.fault.as_ref().map(|fault| &fault.pointer),
            entry.fault.as_ref().map(|fault| &fault.keyword),
            entry.traceparent,
            upstream,
            order.as_ref().map(OrderKey::as_bytes),
            record.fixed,
            state.as_str(),
            course.due,
            course.since,
            course.attempts,
            course.in_a_row,
            course.seal(id, record.fixed),
            noted.and_then(|(_, tried)| tried).and_then(|tried| tried.status),
            noted.map(|(answer, _)| answer),
        ])?;
        self.keep(id, record)?;
        if state == State::Pending {
            self.draft.pending.push((id, true));
        }
        self.draft.next_id += 1;
        self.draft.count(Slot { source, upstream: upstream.unwrap_or(0), state }, 1);
        Ok(id)
    }

    /// Keeps what the delivery of an entry needs.
    fn keep(&mut self, id: i64, record: &Record) -> rusqlite::Result<()> {
        let Some(kept) = &record.entry.kept else { return Ok(()) };
        self.statements.kept.run(params![
            id,
            kept.content_type.as_bytes(),
            record.headers,
            kept.strength.as_str(),
            kept.secret,
            kept.batch.map(|(position, _)| count(position)),
            kept.batch.map(|(_, total)| count(total)),
            &kept.body[..],
            record.kept_seal
        ])
    }

    /// Whether an earlier entry of the order is still to be decided.
    fn undecided(&self, order: &OrderKey) -> rusqlite::Result<bool> {
        let mut find =
            self.db.prepare_cached("SELECT 1 FROM entry WHERE order_key = ?1 AND state = 'pending' LIMIT 1")?;
        find.exists([order.as_bytes()])
    }
}

/// The identities of a group's own entries.
struct Members {
    by_key: KeyMap<Member>,
    /// The last entry that is to be delivered.
    queued: Option<i64>,
}

#[derive(Default)]
struct Member {
    /// What its source does not deduplicate comes without a settled identity, and as often as it is sent.
    is_guarded: bool,
    /// Which bytes are in the journal under it now.
    entered: SmallVec<[(Digest, i64); 1]>,
}

impl Members {
    fn of(records: &[Record], settled: &[Settled]) -> Self {
        let mut by_key: KeyMap<Member> = records.iter().map(|record| (record.entry.key, Member::default())).collect();
        for settled in settled {
            by_key.entry(settled.key).and_modify(|member| member.is_guarded = true);
        }
        Self { by_key, queued: None }
    }

    fn has(&self, key: &EventKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Whether an entry repeats one of the same group, or, as is known, an earlier one.
    fn is_duplicate(&self, entry: &Entry, is_repeat: bool) -> bool {
        self.by_key.get(&entry.key).is_some_and(|member| {
            member.is_guarded && (is_repeat || member.entered.iter().any(|(digest, _)| *digest == entry.digest))
        })
    }

    fn enter(&mut self, entry: &Entry, id: i64) {
        self.by_key.entry(entry.key).or_default().entered.push((entry.digest, id));
        if matches!(entry.verdict, Verdict::Queue) {
            self.queued = Some(id);
        }
    }

    /// The entry that an identity is of, or in which it is.
    fn owner(&self, key: &EventKey) -> i64 {
        let own = self.by_key.get(key).and_then(|member| member.entered.last()).map(|(_, id)| *id);
        own.or(self.queued).unwrap_or(NO_ENTRY)
    }
}

/// Where an appended entry begins.
fn first_state(record: &Record) -> Result<State, Failure> {
    match record.entry.verdict {
        Verdict::Queue if record.entry.kept.is_some() => Ok(State::Pending),
        // It would be acknowledged, and never delivered.
        Verdict::Queue => Err(Failure::Refused(JournalError::Failed("an event came without its bytes".into()))),
        Verdict::Quarantine(_) => Ok(State::Quarantined),
        Verdict::Forward
        | Verdict::Duplicate
        | Verdict::Drop(_)
        | Verdict::Handshake
        | Verdict::Reject(_)
        | Verdict::Fail(_) => Ok(State::Noted),
    }
}

fn weight(record: &Record) -> usize {
    ROW_BYTES + record.headers.len() + record.entry.kept.as_ref().map_or(0, |kept| kept.body.len())
}
