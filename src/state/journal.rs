//! The journal: events that were promised to their sender, set aside for the operator, or merely noted.
//!
//! An event that is *appended* is safe: when the future of [`JournalStore::append`] resolves, a sync that covers every
//! byte of the group has succeeded (I10), and all of the group is there or none of it is (I15b). What is only *noted*,
//! the log of deliveries that needed no promise, is written behind the answer, and a crash may cost it.
//!
//! Times that last are never wall-clock times: when an event is due again is measured on a clock that only runs while
//! the process does, so a clock that is set neither fires everything at once nor lets anything hang (D-52). Wall-clock
//! times are kept to be shown, and for the windows of settled identities, which go on while the process is down.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::{
    clock::Now,
    stages::{schemes::Strength, words::Verdict},
    state::key::{Digest, EventKey, OrderKey},
};

/// What the journal answers, when it is done.
pub type JournalFuture<T> = BoxFuture<'static, Result<T, JournalError>>;

/// An engine that keeps events. One process owns a journal at a time.
pub trait JournalStore: fmt::Debug + Send + Sync {
    /// Writes a group in one atomic step, and resolves once it would survive the loss of power. An event whose identity
    /// is settled with the group is not written again if it was settled before, or earlier in the group (D-40). On an error nothing of the group
    /// counts: it may be answered with a refusal, and must not be delivered.
    fn append(&self, group: Group, now: Now) -> JournalFuture<Vec<Appended>>;

    /// Notes events that need no promise, behind the answer. Never waits: where the writer cannot keep up, notes are
    /// dropped and counted.
    fn note(&self, notes: Vec<Note>, now: Now);

    /// Remembers, behind the answer, that an event was delivered: its claim then survives a restart. Not dropped while
    /// the journal works at all, and counted where it fails (`done` writes lost, I6).
    fn remember(&self, settled: Settled);

    /// Notes, behind it, what the sender of appended events was told.
    fn answered(&self, entries: Vec<EntryId>, status: u16);

    /// Takes up to `count` pending events that are due, oldest first but for a share that is kept for fresh ones (D-50).
    /// They stay taken until they are marked, or the process ends. Of events with one order key only the oldest
    /// undecided one is ever taken (I14).
    fn lease(&self, lane: Lane, count: usize, now: Now) -> JournalFuture<Leases>;

    /// Records what became of a leased event and lets go of it. Resolves once that is safe; after an error the event
    /// is still leased, so that the same mark can be tried again.
    fn mark(&self, entry: EntryId, mark: Mark, now: Now) -> JournalFuture<()>;

    /// Settled identities whose window is still open at `now`, the newest first, at most `max`.
    fn remembered(&self, max: usize, now: Now) -> JournalFuture<Vec<Settled>>;

    /// The bytes that an identity stands for while their event is to be delivered, however long ago its window ended
    /// (D-40). Answers at once.
    fn pending(&self, key: &EventKey) -> Option<Digest>;

    /// Whether an identity was settled, and its event was then found damaged: it was never delivered, and its sender may
    /// bring it again (I2). Answers at once.
    fn is_void(&self, key: &EventKey) -> bool;

    /// A page of the delivery log, the newest first.
    fn list(&self, filter: Filter, page: Page) -> JournalFuture<Vec<Row>>;

    /// One entry with everything that is kept of it.
    fn show(&self, entry: EntryId) -> JournalFuture<Option<Detail>>;

    /// Makes an entry pending again, on an operator's word: past deduplication, under its old identity, with a new
    /// budget of attempts, and with a line in the audit log (O-34, D-45). One that the application took already is left
    /// alone unless `again` is said, so that two operators who replay it at the same time deliver it once.
    fn replay(&self, entry: EntryId, again: bool, now: Now) -> JournalFuture<Replay>;

    /// Gives up an entry that is pending, dead or quarantined, on an operator's word: its body is deleted, the row stays
    /// with an audit line. Whether there was something to give up.
    fn discard(&self, entry: EntryId, now: Now) -> JournalFuture<bool>;

    /// How many entries each source has in each state, and what the file weighs.
    fn totals(&self) -> JournalFuture<Totals>;

    /// Counters and gauges for the telemetry; answers at once.
    fn stats(&self) -> JournalStats;

    /// Why the journal cannot take events now, in a few words for `/ready` and the log; `None` when it can.
    fn trouble(&self) -> Option<String>;
}

/// Why the journal did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// A bound of the operator's, or of the disk, is reached. What is in the journal stays.
    #[error("the journal is full: {0}")]
    Full(String),
    /// The disk failed, or the journal has been closed.
    #[error("the journal cannot be written: {0}")]
    Failed(String),
}

/// The number of an entry: they grow, and none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub i64);

/// What one request brings into the journal.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Events to be delivered or set aside.
    pub entries: Vec<Entry>,
    /// Identities that count as settled with the group. An entry for an array has one for each of its events: those that
    /// no entry of the group has itself are of the one that is queued.
    pub settled: Vec<Settled>,
}

/// What became of one entry of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the journal now.
    New(EntryId),
    /// Its identity was settled before, with the same bytes.
    Duplicate,
}

/// An identity with evidence: delivered, or safe in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The identity.
    pub key: EventKey,
    /// The bytes that had it.
    pub digest: Digest,
    /// Until when a repeat is a duplicate.
    pub until: Timestamp,
}

/// One event, or one array of events, and what is known of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When its request was received.
    pub received_at: Timestamp,
    /// The source's name.
    pub source: Arc<str>,
    /// The event's type, as sent.
    pub event_type: Option<String>,
    /// Its identity, from which `webhook-id` is made.
    pub key: EventKey,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: usize,
    /// [`Verdict::Queue`] for what is to be delivered, [`Verdict::Quarantine`] for what is set aside; anything else
    /// for what is only noted.
    pub verdict: Verdict,
    /// Where and which rule of its schema it breaks.
    pub fault: Option<Fault>,
    /// W3C trace context of its request.
    pub traceparent: String,
    /// What a delivery needs; `None` where nothing will ever be delivered.
    pub kept: Option<Kept>,
}

/// What is wrong with an event, without anything of what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer to the value.
    pub pointer: String,
    /// The keyword of the schema that it breaks.
    pub keyword: String,
}

/// What it takes to deliver an event later. Credentials are never among it (D-59).
#[derive(Clone, Debug)]
pub struct Kept {
    /// Exactly the bytes that were verified.
    pub body: Bytes,
    /// The content type to deliver it with.
    pub content_type: HeaderValue,
    /// The sender's headers that pass to the application.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the sender's credential bound.
    pub strength: Strength,
    /// The name of the secret that matched.
    pub secret: Arc<str>,
    /// Position and size of its batch, from one.
    pub batch: Option<(usize, usize)>,
    /// The name of the upstream it goes to.
    pub upstream: Arc<str>,
    /// What it must not overtake, if anything.
    pub order: Option<OrderKey>,
}

/// Something for the delivery log.
#[derive(Clone, Debug)]
pub struct Note {
    /// The event.
    pub entry: Entry,
    /// What the sender was told.
    pub answer: u16,
    /// The attempt that was made, if one was.
    pub attempt: Option<Tried>,
}

/// One attempt at an upstream, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// When it began.
    pub at: Timestamp,
    /// One for the first.
    pub number: u32,
    /// How it ended.
    pub class: Class,
    /// The status the application gave, if it gave one.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
    /// What went wrong, in the words of the log.
    pub error: Option<String>,
}

/// The four ways an attempt can end (catalogue, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Bytes may have reached the application, but no answer was read.
    Ambiguous,
    /// A 2xx head was read.
    Delivered,
    /// Not one byte was sent.
    NotSent,
    /// Another head was read.
    Refused,
}

impl Class {
    /// Every class.
    pub const ALL: &[Self] = &[Self::Ambiguous, Self::Delivered, Self::NotSent, Self::Refused];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Delivered => "delivered",
            Self::NotSent => "not_sent",
            Self::Refused => "refused",
        }
    }
}

/// Which pending events somebody wants to deliver.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The upstream they go to.
    pub upstream: Arc<str>,
    /// Sources whose events wait: on hold, or not in the configuration.
    pub except: Vec<Arc<str>>,
    /// Only events without a failed attempt since they were accepted or last replayed: the upstream's budget of
    /// repetitions is used up (O-15).
    pub fresh_only: bool,
}

/// Events to deliver now.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    /// The events.
    pub events: Vec<Leased>,
    /// How long until another one of the lane is due, where one is waiting for its time.
    pub next_due: Option<Duration>,
}

/// An event that is ours to deliver until it is marked.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Its number.
    pub id: EntryId,
    /// The event, with what its delivery needs.
    pub entry: Entry,
    /// Attempts that were made since it was first received; the next one is this and one.
    pub attempts: u32,
    /// Attempts since it was accepted or last replayed: what the backoff grows by.
    pub attempts_in_a_row: u32,
    /// For how long it has been tried, without the time that the process was down.
    pub age: Duration,
}

/// What became of a leased event.
#[derive(Clone, Debug)]
pub enum Mark {
    /// The application took it.
    Delivered(Tried),
    /// It failed, and is due again after so long.
    Retry(Tried, Duration),
    /// It failed, and nothing more will be tried. The reason is one for the operator.
    Dead(Option<Tried>, String),
    /// No attempt was made; it is due again after so long.
    Postponed(Duration),
}

/// What is in the journal under one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Nothing more will be tried; an operator decides.
    Dead,
    /// The application took it.
    Delivered,
    /// An operator gave it up.
    Discarded,
    /// It never was to be delivered from here: a line of the log.
    Noted,
    /// It is to be delivered.
    Pending,
    /// It was set aside; an operator decides.
    Quarantined,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Dead, Self::Delivered, Self::Discarded, Self::Noted, Self::Pending, Self::Quarantined];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Discarded => "discarded",
            Self::Noted => "noted",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Which entries a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this source.
    pub source: Option<String>,
    /// Of this event type, exactly.
    pub event_type: Option<String>,
    /// With this verdict's word.
    pub verdict: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With this `webhook-id`.
    pub webhook_id: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many entries at most.
    pub limit: usize,
    /// How many of the newest are skipped.
    pub offset: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 50, offset: 0 }
    }
}

/// One line of the delivery log.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: EntryId,
    /// When its request was received.
    pub received_at: Timestamp,
    /// The source's name.
    pub source: String,
    /// The event's type.
    pub event_type: Option<String>,
    /// The identity, as the application sees it.
    pub webhook_id: String,
    /// The word of its verdict.
    pub verdict: String,
    /// The reason of its verdict, or of its death.
    pub reason: Option<String>,
    /// Where it stands.
    pub state: State,
    /// What the sender was told.
    pub answer: Option<u16>,
    /// The upstream it goes to.
    pub upstream: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// The status of the last attempt.
    pub last_status: Option<u16>,
    /// Bytes of the event.
    pub bytes: usize,
}

/// One entry, whole.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The line of the log.
    pub row: Row,
    /// The SHA-256 of its bytes, in hex.
    pub digest: String,
    /// Which rule it breaks.
    pub fault: Option<Fault>,
    /// W3C trace context of its request.
    pub traceparent: String,
    /// The attempts that were made, in their order.
    pub attempts: Vec<Tried>,
    /// What operators did to it, in order.
    pub audit: Vec<(Timestamp, String)>,
    /// The bytes, where they are kept.
    pub body: Option<Bytes>,
    /// Their content type.
    pub content_type: Option<String>,
}

/// What a replay led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The application took it already; nothing was changed.
    Delivered,
    /// There is no such entry.
    Missing,
    /// Its body is not kept, so there is nothing to send.
    NoBody,
    /// It is pending.
    Queued,
    /// It was pending already; nothing was changed.
    Waiting,
}

/// How full a journal is.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Entries by source and state, in the order of the sources' names.
    pub entries: Vec<(String, State, u64)>,
    /// Settled identities.
    pub settled: u64,
    /// Pending events by upstream, in the order of their names: one that is not in the configuration has events that
    /// nobody delivers.
    pub pending: Vec<(String, u64)>,
    /// Bytes of the file and of what is written beside it.
    pub bytes: u64,
}

/// Counters of a journal since it was opened, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Gauge: events to be delivered.
    pub pending: u64,
    /// Gauge: for how long the oldest of them has been waiting, without the time that the process was down.
    pub oldest_pending: Duration,
    /// Gauge: events that nothing more will be tried for.
    pub dead: u64,
    /// Gauge: events that were set aside.
    pub quarantined: u64,
    /// Gauge: bytes of the file and of what is written beside it.
    pub bytes: u64,
    /// Groups that were committed.
    pub commits: u64,
    /// Events that were appended.
    pub appended: u64,
    /// Appends that were refused or failed.
    pub failed: u64,
    /// Notes that were dropped because the writer could not keep up.
    pub notes_dropped: u64,
    /// Settled identities that could not be written.
    pub remember_failed: u64,
    /// Entries that were found damaged, and are never delivered (D-31).
    pub damaged: u64,
}
