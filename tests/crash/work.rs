//! A program that uses the journal as a gateway does, and says what it was told is safe: this test, run again by itself.
//!
//! One line per step on standard output, before it (`begin`) and after it (`done`, or `failed`), so that the trace of a
//! run has them among everything else it asked of the system.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::FutureExt as _;
use hooksieve::{
    clock::{Clock as _, ManualClock, Now},
    stages::{
        schemes::Strength,
        words::{Cause, Verdict},
    },
    state::{
        journal::{
            Appended, Class, Entry, EntryId, Group, JournalError, JournalFuture, JournalStore as _, Kept, Lane, Leased,
            Mark, Note, Settled, State, Tried,
        },
        key::{Digest, EventKey},
        sqlite::{OpenError, Settings, SqliteJournal},
    },
};
use http::HeaderValue;

/// How long an identity counts.
const WINDOW: Duration = Duration::from_hours(24);

/// What the workload says before and after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// These events are about to be brought into this state, together.
    Begin(State, Vec<u64>),
    /// That is safe.
    Done,
    /// That did not succeed.
    Failed,
}

impl Said {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("@ ")?.split_whitespace();
        match words.next()? {
            "begin" => {
                let word = words.next()?;
                let state = *State::ALL.iter().find(|state| state.as_str() == word)?;
                Some(Self::Begin(state, words.map(|id| id.parse().unwrap()).collect()))
            }
            "done" => Some(Self::Done),
            _ => Some(Self::Failed),
        }
    }

    fn say(&self) {
        let line = match self {
            Self::Begin(state, ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                format!("@ begin {} {}\n", state.as_str(), ids.join(" "))
            }
            Self::Done => "@ done\n".to_owned(),
            Self::Failed => "@ failed\n".to_owned(),
        };
        // Not by `println`, which the test's harness would keep to itself.
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

/// Lets `command`, which ends where a program and its arguments go on, run the workload.
pub(crate) fn command(mut command: Command, file: &Path, seed: u64, steps: u64, fault: &str) -> Command {
    command
        .arg(env::current_exe().unwrap())
        .args(["--exact", "work::workload", "--nocapture", "--test-threads=1"])
        .env("HOOKSIEVE_WORKLOAD", file)
        .env("HOOKSIEVE_WORKLOAD_SEED", seed.to_string())
        .env("HOOKSIEVE_WORKLOAD_STEPS", steps.to_string())
        .env("HOOKSIEVE_FAULT", fault);
    command
}

/// Does nothing, unless it is run by [`command`].
#[test]
fn workload() {
    let Some(file) = env::var_os("HOOKSIEVE_WORKLOAD").map(PathBuf::from) else { return };
    let number = |name| crate::seeds::number(name).unwrap();
    let mut work = Work::new(&file, number("HOOKSIEVE_WORKLOAD_SEED"));
    for _ in 0..number("HOOKSIEVE_WORKLOAD_STEPS") {
        work.step();
    }
}

/// How a journal of these tests is kept.
pub(crate) fn settings(file: &Path) -> Settings {
    // The machine that runs the tests may have a full disk of its own.
    Settings { min_free_percent: 0, ..Settings::new(file) }
}

/// Opens a journal of these tests. Where another test has just forked, its child has the lock, too, until it is another
/// program.
pub(crate) fn open(file: &Path, clock: &ManualClock) -> Result<SqliteJournal, OpenError> {
    loop {
        match SqliteJournal::inline(settings(file), Arc::new(clock.clone())) {
            Err(OpenError::Locked { .. }) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// A clock for a journal of these tests.
pub(crate) fn clock() -> ManualClock {
    ManualClock::at("2026-11-26T08:00:00Z".parse().unwrap())
}

struct Work {
    journal: SqliteJournal,
    clock: ManualClock,
    rng: Rng,
    next: u64,
    leased: Vec<Leased>,
    dead: Vec<EntryId>,
    /// A group that was refused, and is sent again.
    refused: Option<Vec<u64>>,
}

impl Work {
    fn new(file: &Path, seed: u64) -> Self {
        let clock = clock();
        let journal = open(file, &clock).unwrap();
        let mut rng = Rng::with_seed(seed);
        // Every run has identities of its own.
        let next = u64::from(rng.u32(..)) << 20;
        Self { journal, clock, rng, next, leased: Vec::new(), dead: Vec::new(), refused: None }
    }

    fn step(&mut self) {
        match self.rng.u8(..16) {
            0..=6 => self.append(),
            7..=8 => self.lease(),
            9..=11 => self.mark(),
            12 => self.replay_or_drop(),
            13 => self.note(),
            // Long enough for a new try after a failure, too.
            14 => self.clock.advance(Duration::from_secs(2)),
            _ => self.clock.advance(Duration::from_millis(self.rng.u64(..50))),
        }
    }

    fn append(&mut self) {
        let ids = self.refused.take().unwrap_or_else(|| {
            self.next += 6;
            (self.next..self.next + self.rng.u64(1..=6)).collect()
        });
        let is_repeat = self.rng.u8(..8) == 0;
        let set_aside = self.rng.u8(..8) == 0;
        let state = if set_aside { State::Quarantined } else { State::Pending };
        let verdict = if set_aside { Verdict::Quarantine(Cause::Schema) } else { Verdict::Queue };
        let group = group(&ids, verdict, self.clock.now());
        Said::Begin(state, ids.clone()).say();
        let appended = done(self.journal.append(group.clone(), self.clock.now()));
        say(&appended);
        let Ok(appended) = appended else { return self.refused = Some(ids) };
        assert!(appended.iter().all(|it| matches!(it, Appended::New(_))));
        if is_repeat {
            let again = done(self.journal.append(group, self.clock.now())).ok();
            assert!(again.is_none_or(|again| again.iter().all(|it| *it == Appended::Duplicate)));
        }
    }

    fn lease(&mut self) {
        let count = self.rng.usize(1..8);
        if let Ok(leases) = done(self.journal.lease(lane(), count, self.clock.now())) {
            self.leased.extend(leases.events);
        }
    }

    fn mark(&mut self) {
        let Some(leased) = self.leased.pop() else { return };
        let now = self.clock.now();
        let number = leased.attempts + 1;
        let tried =
            |class, status| Tried { at: now.wall, number, class, status, took: Duration::from_millis(3), error: None };
        let failed = tried(Class::Refused, Some(500));
        let (state, mark) = match self.rng.u8(..6) {
            0 => (State::Dead, Mark::Dead(Some(failed), "gave up".into())),
            1 => (State::Pending, Mark::Retry(failed, Duration::from_secs(self.rng.u64(..5)))),
            _ => (State::Delivered, Mark::Delivered(tried(Class::Delivered, Some(200)))),
        };
        Said::Begin(state, vec![id_of(&leased.entry)]).say();
        let marked = done(self.journal.mark(leased.id, mark, now));
        say(&marked);
        if marked.is_ok() && state == State::Dead {
            self.dead.push(leased.id);
        }
        if marked.is_err() {
            self.leased.push(leased);
        }
    }

    fn replay_or_drop(&mut self) {
        let Some(id) = self.dead.pop() else { return };
        let now = self.clock.now();
        let Ok(Some(detail)) = done(self.journal.show(id)) else { return };
        let event = id_in(&detail.body.unwrap());
        if self.rng.bool() {
            Said::Begin(State::Pending, vec![event]).say();
            say(&done(self.journal.replay(id, true, now)));
        } else {
            Said::Begin(State::Discarded, vec![event]).say();
            say(&done(self.journal.discard(id, now)));
        }
    }

    /// What needs no promise: it may be lost, and must not disturb what was promised.
    fn note(&mut self) {
        let id = self.next + 5;
        let now = self.clock.now();
        let mut entry = entry(id, Verdict::Forward, now);
        (entry.kept, entry.source) = (None, "noted".into());
        self.journal.note(vec![Note { entry, answer: 200, attempt: None }], now);
        self.journal.remember(settled(EventKey::new("noted", [id.to_string().as_bytes()]), Digest::of(b""), now));
    }
}

fn say<T>(result: &Result<T, JournalError>) {
    if result.is_ok() { Said::Done.say() } else { Said::Failed.say() }
}

/// What an inline journal answers, it answers at once.
pub(crate) fn done<T>(future: JournalFuture<T>) -> Result<T, JournalError> {
    // Within a task, even that would count as something to wait for.
    tokio::task::unconstrained(future).now_or_never().expect("it is done when the call returns")
}

pub(crate) fn lane() -> Lane {
    Lane { upstream: "app".into(), except: Vec::new(), fresh_only: false }
}

/// What one request brings into the journal.
pub(crate) fn group(ids: &[u64], verdict: Verdict, now: Now) -> Group {
    let entries: Vec<_> = ids.iter().map(|id| entry(*id, verdict, now)).collect();
    let settled = entries.iter().map(|entry| settled(entry.key, entry.digest, now)).collect();
    Group { entries, settled }
}

fn settled(key: EventKey, digest: Digest, now: Now) -> Settled {
    Settled { key, digest, until: now.wall + WINDOW }
}

fn entry(id: u64, verdict: Verdict, now: Now) -> Entry {
    let body = body(id);
    Entry {
        received_at: now.wall,
        source: "shop".into(),
        event_type: Some("order.created".into()),
        key: key(id),
        digest: Digest::of(&body),
        bytes: body.len(),
        verdict,
        fault: None,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        kept: Some(Kept {
            body,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            strength: Strength::Verified,
            secret: "2026-11".into(),
            batch: None,
            upstream: "app".into(),
            order: None,
        }),
    }
}

/// The identity of an event.
pub(crate) fn key(id: u64) -> EventKey {
    EventKey::new("shop", [id.to_string().as_bytes()])
}

/// The bytes of an event: mostly short, some on many pages.
pub(crate) fn body(id: u64) -> Bytes {
    let mut rng = Rng::with_seed(id);
    let length = match rng.u8(..16) {
        0 => rng.usize(..40_000),
        1..=3 => rng.usize(..5_000),
        _ => rng.usize(..300),
    };
    let text: String = (0..length).map(|_| rng.alphanumeric()).collect();
    format!(r#"{{"id":{id},"text":"{text}"}}"#).into()
}

fn id_in(body: &[u8]) -> u64 {
    let text = std::str::from_utf8(body).unwrap();
    text.strip_prefix(r#"{"id":"#).unwrap().split(',').next().unwrap().parse().unwrap()
}

/// The event that a leased entry is, which must be whole.
#[track_caller]
pub(crate) fn id_of(entry: &Entry) -> u64 {
    let kept = entry.kept.as_ref().unwrap();
    let id = id_in(&kept.body);
    assert_eq!(kept.body, body(id), "other bytes than were written (I7, I8)");
    assert_eq!((entry.key, entry.digest), (key(id), Digest::of(&kept.body)), "another identity (I9)");
    id
}
