//! A journal that fails when it is told to, and that tells the history what is safe in it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use hooksieve::{
    clock::Now,
    stages::words::Verdict,
    state::{
        journal::{
            Appended, Detail, Entry, EntryId, Filter, Group, JournalError, JournalFuture, JournalStats, JournalStore,
            Lane, Leases, Mark, Note, Page, Replay, Row, Settled, Totals,
        },
        key::{Digest, EventKey},
    },
};

use super::{
    history::{Kept, Step},
    world::App,
};

/// What becomes of an append.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing special.
    None,
    /// Nothing is written.
    Fails,
    /// It is written at once, and the answer comes so many milliseconds later.
    Late(u64),
}

/// A journal of which everything is known.
pub(crate) struct Recorder {
    inner: Box<dyn JournalStore>,
    app: Arc<App>,
    bodies: Arc<Mutex<HashMap<EntryId, String>>>,
    /// What becomes of the next appends.
    pub(crate) faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Identities of what is written, and not said to be.
    late: Arc<Mutex<HashSet<EventKey>>>,
    /// How many of the next marks fail.
    pub(crate) failing_marks: Mutex<usize>,
}

impl Recorder {
    pub(crate) fn new(inner: Box<dyn JournalStore>, app: Arc<App>, faults: Arc<Mutex<VecDeque<Fault>>>) -> Self {
        Self { inner, app, bodies: Arc::default(), faults, late: Arc::default(), failing_marks: Mutex::new(0) }
    }

    fn keep(&self, group: &Group, appended: &[Appended], is_late: bool) {
        let bodies: Vec<_> = group.entries.iter().map(body).collect();
        for (body, appended) in bodies.iter().zip(appended) {
            if let Appended::New(entry) = appended {
                self.bodies.lock().unwrap().insert(*entry, body.clone());
            }
        }
        let kept = |((body, appended), entry): ((&String, &Appended), &Entry)| Kept {
            body: body.clone(),
            is_aside: matches!(entry.verdict, Verdict::Quarantine(_)),
            is_new: matches!(appended, Appended::New(_)),
            is_late,
        };
        self.app.note(Step::Kept(bodies.iter().zip(appended).zip(&group.entries).map(kept).collect()));
    }
}

fn body(entry: &Entry) -> String {
    let kept = entry.kept.as_ref().expect("what is appended has bytes");
    String::from_utf8(kept.body.to_vec()).expect("JSON")
}

impl JournalStore for Recorder {
    fn append(&self, group: Group, now: Now) -> JournalFuture<Vec<Appended>> {
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
        if matches!(fault, Fault::Fails) {
            return std::future::ready(Err(JournalError::Failed("as it was told to".into()))).boxed();
        }
        let appended = self.inner.append(group.clone(), now).now_or_never().expect("an inline engine is done at once");
        if let Ok(appended) = &appended {
            self.keep(&group, appended, matches!(fault, Fault::Late(_)));
        }
        let (late, keys) =
            (Arc::clone(&self.late), group.settled.iter().map(|settled| settled.key).collect::<Vec<_>>());
        if matches!(fault, Fault::Late(_)) {
            late.lock().unwrap().extend(&keys);
        }
        async move {
            if let Fault::Late(millis) = fault {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                let mut late = late.lock().unwrap();
                late.retain(|key| !keys.contains(key));
            }
            appended
        }
        .boxed()
    }

    fn mark(&self, entry: EntryId, mark: Mark, now: Now) -> JournalFuture<()> {
        let mut failing = self.failing_marks.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return std::future::ready(Err(JournalError::Failed("as it was told to".into()))).boxed();
        }
        if let Mark::Dead(..) = mark {
            let body = self.bodies.lock().unwrap().get(&entry).cloned();
            self.app.note(Step::Died(body.unwrap_or_default()));
        }
        let is_decided = matches!(mark, Mark::Dead(..) | Mark::Delivered(_));
        let marked = self.inner.mark(entry, mark, now).now_or_never().expect("an inline engine is done at once");
        if is_decided && marked.is_ok() {
            let body = self.bodies.lock().unwrap().get(&entry).cloned();
            self.app.note(Step::Decided(body.unwrap_or_default()));
        }
        std::future::ready(marked).boxed()
    }

    fn lease(&self, lane: Lane, count: usize, now: Now) -> JournalFuture<Leases> {
        let leases = self.inner.lease(lane, count, now).now_or_never().expect("an inline engine is done at once");
        if let Ok(leases) = &leases {
            let mut bodies = self.bodies.lock().unwrap();
            for leased in &leases.events {
                bodies.insert(leased.id, body(&leased.entry));
            }
        }
        std::future::ready(leases).boxed()
    }

    fn note(&self, notes: Vec<Note>, now: Now) {
        self.inner.note(notes, now);
    }

    fn remember(&self, settled: Settled) {
        self.inner.remember(settled);
    }

    fn answered(&self, entries: Vec<EntryId>, status: u16) {
        self.inner.answered(entries, status);
    }

    fn remembered(&self, max: usize, now: Now) -> JournalFuture<Vec<Settled>> {
        self.inner.remembered(max, now)
    }

    fn pending(&self, key: &EventKey) -> Option<Digest> {
        self.inner.pending(key).filter(|_| !self.late.lock().unwrap().contains(key))
    }

    fn is_void(&self, key: &EventKey) -> bool {
        self.inner.is_void(key)
    }

    fn list(&self, filter: Filter, page: Page) -> JournalFuture<Vec<Row>> {
        self.inner.list(filter, page)
    }

    fn show(&self, entry: EntryId) -> JournalFuture<Option<Detail>> {
        self.inner.show(entry)
    }

    fn replay(&self, entry: EntryId, again: bool, now: Now) -> JournalFuture<Replay> {
        self.inner.replay(entry, again, now)
    }

    fn discard(&self, entry: EntryId, now: Now) -> JournalFuture<bool> {
        self.inner.discard(entry, now)
    }

    fn totals(&self) -> JournalFuture<Totals> {
        self.inner.totals()
    }

    fn stats(&self) -> JournalStats {
        self.inner.stats()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}
