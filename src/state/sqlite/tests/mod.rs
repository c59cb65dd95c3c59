use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::ManualClock,
    stages::{
        schemes::Strength,
        words::{Cause, Verdict},
    },
    state::{
        journal::{Class, Entry, Fault, Kept, Leased, State, Tried},
        key::{Digest, EventKey, OrderKey},
    },
};

mod claims;
mod damage;
mod failures;
mod glance;
mod life;
mod opening;
mod upkeep;

const WINDOW: Duration = Duration::from_hours(24);

/// A journal in a directory of its own, in a time that the test moves.
struct Bench {
    directory: TempDir,
    clock: ManualClock,
    settings: Settings,
    journal: Option<SqliteJournal>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        // Nothing here depends on a disk, and syncs are many.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut settings = Settings::new(directory.path().join("journal.db"));
        // The machine that runs the tests may have a full disk of its own.
        settings.min_free_percent = 0;
        change(&mut settings);
        let clock = ManualClock::at("2026-11-26T08:00:00Z".parse().unwrap());
        let mut bench = Self { directory, clock, settings, journal: None };
        bench.reopen();
        bench
    }

    /// As after `kill -9`: nothing is tidied up.
    fn reopen(&mut self) {
        self.journal = None;
        self.journal = Some(self.try_open().unwrap());
    }

    fn try_open(&self) -> Result<SqliteJournal, OpenError> {
        SqliteJournal::inline(self.settings.clone(), Arc::new(self.clock.clone()))
    }

    fn journal(&self) -> &SqliteJournal {
        self.journal.as_ref().unwrap()
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn wait(&self, wait: Duration) {
        self.clock.advance(wait);
    }

    fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, JournalError> {
        let settled = entries.iter().map(|entry| self.settled(entry)).collect();
        done(self.journal().append(Group { entries, settled }, self.now()))
    }

    fn settled(&self, entry: &Entry) -> Settled {
        Settled { key: entry.key, digest: entry.digest, until: self.now().wall + WINDOW }
    }

    /// Appends one event, and its number.
    fn queue(&self, id: &str) -> EntryId {
        match self.append(vec![self.event(id)]).unwrap()[..] {
            [Appended::New(id)] => id,
            _ => panic!("{id} is not new"),
        }
    }

    fn event(&self, id: &str) -> Entry {
        event("shop", id, self.now().wall)
    }

    fn lease(&self, count: usize) -> Vec<Leased> {
        self.leases(count).events
    }

    fn leases(&self, count: usize) -> Leases {
        done(self.journal().lease(lane(), count, self.now())).unwrap()
    }

    fn mark(&self, id: EntryId, mark: Mark) -> Result<(), JournalError> {
        done(self.journal().mark(id, mark, self.now()))
    }

    fn tried(&self, number: u32, class: Class, status: Option<u16>) -> Tried {
        let error = status.is_none().then(|| "no answer".to_owned());
        Tried { at: self.now().wall, number, class, status, took: Duration::from_micros(1_234), error }
    }

    fn deliver(&self, leased: &Leased) {
        self.mark(leased.id, Mark::Delivered(self.tried(leased.attempts + 1, Class::Delivered, Some(200)))).unwrap();
    }

    fn retry(&self, leased: &Leased, after: Duration) {
        self.mark(leased.id, Mark::Retry(self.tried(leased.attempts + 1, Class::Refused, Some(500)), after)).unwrap();
    }

    fn list(&self, filter: Filter) -> Vec<Row> {
        done(self.journal().list(filter, Page::default())).unwrap()
    }

    fn show(&self, id: EntryId) -> Detail {
        done(self.journal().show(id)).unwrap().unwrap()
    }

    fn state(&self, id: EntryId) -> State {
        self.show(id).row.state
    }

    /// A file beside the journal.
    fn file(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("journal.db{suffix}"))
    }
}

/// What an inline journal answers, it answers at once.
fn done<T>(future: JournalFuture<T>) -> Result<T, JournalError> {
    future.now_or_never().expect("it is done when the call returns")
}

fn lane() -> Lane {
    Lane { upstream: "app".into(), except: Vec::new(), fresh_only: false }
}

fn body(id: &str) -> Bytes {
    format!(r#"{{"id":"{id}","number":12345678901234567890}}"#).into()
}

fn event(source: &str, id: &str, at: Timestamp) -> Entry {
    let body = body(id);
    let header = |name: &'static str, value: &'static [u8]| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    Entry {
        received_at: at,
        source: source.into(),
        event_type: Some("order.created".into()),
        key: EventKey::new(source, [id.as_bytes()]),
        digest: Digest::of(&body),
        bytes: body.len(),
        verdict: Verdict::Queue,
        fault: None,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        kept: Some(Kept {
            body,
            content_type: HeaderValue::from_static("application/json; charset=utf-8"),
            headers: vec![header("user-agent", b"shop: 1"), header("x-odd", b"\xe4 ")],
            strength: Strength::Verified,
            secret: "2026-11".into(),
            batch: Some((2, 5)),
            upstream: "app".into(),
            order: None,
        }),
    }
}

fn ordered(mut entry: Entry, order: &str) -> Entry {
    let key = OrderKey::new(&entry.source, [order.as_bytes()]);
    entry.kept.as_mut().unwrap().order = Some(key);
    entry
}

fn quarantined(mut entry: Entry) -> Entry {
    entry.verdict = Verdict::Quarantine(Cause::Schema);
    entry.fault = Some(Fault { pointer: "/number".into(), keyword: "maximum".into() });
    entry
}
