//! States that a loss of power leaves, made from traces of the real engine: what was said to be safe is there after all
//! of them, and nothing else but what was written (I10).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
    time::Duration,
};

use fastrand::Rng;
use hooksieve::{
    clock::{Clock as _, ManualClock, Now},
    stages::words::Verdict,
    state::{
        journal::{Appended, Class, Filter, JournalStore as _, Mark, Page, State, Tried},
        sqlite::SqliteJournal,
    },
};

use crate::{
    disk::{Disk, Syncs},
    seeds,
    strace::{self, Call},
    work::{self, Said, clock, done, group, id_of, key, lane},
};

/// How often power is lost, in all.
const STATES: u64 = 240;

/// How many events are delivered after it.
const MARKS: usize = 8;

/// What one run of a workload did: runs of the program, one after the other on the same directory.
struct Recording {
    name: &'static str,
    directory: tempfile::TempDir,
    runs: Vec<Vec<Call>>,
}

/// Workloads, and the faults they meet. The programs of one share a journal.
const WORKLOADS: &[(&str, &[(u64, &str)])] = &[
    ("nothing but work", &[(150, ""), (40, "")]),
    ("a failed sync", &[(120, "journal.commit:20:fail,journal.commit:35:fail"), (20, "")]),
    ("killed before a commit", &[(100, "journal.before_commit:25"), (40, "")]),
    ("killed in a rewrite, begun", &[(120, "journal.commit:20:fail,rewrite.begun"), (30, "")]),
    ("killed in a rewrite, copied", &[(120, "journal.commit:20:fail,rewrite.copied"), (30, "")]),
    ("killed in a rewrite, complete", &[(120, "journal.commit:20:fail,rewrite.complete"), (30, "")]),
    ("killed in a rewrite, cleared", &[(120, "journal.commit:20:fail,rewrite.cleared"), (30, "")]),
    ("killed in a rewrite, renamed", &[(120, "journal.commit:20:fail,rewrite.renamed"), (30, "")]),
];

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| WORKLOADS.iter().map(record).collect());

fn record((name, programs): &(&'static str, &[(u64, &str)])) -> Recording {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    let runs = programs.iter().enumerate().map(|(index, (steps, fault))| {
        let trace = tempfile::NamedTempFile::new().unwrap();
        let mut program = work::command(strace::record(trace.path()), &file, index as u64 + 7, *steps, fault);
        let output = program.output().unwrap();
        let expected = output.status.success() || fault.split(',').any(|it| !it.is_empty() && !it.ends_with(":fail"));
        assert!(expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
        strace::read(trace.path())
    });
    let runs = runs.collect();
    Recording { name, directory, runs }
}

#[test]
fn d_33_d_34_d_37_d_39_i_10_whatever_a_loss_of_power_leaves() {
    if !strace::is_here() {
        return seeds::not_run("strace is not installed, or may not trace");
    }
    seeds::each(STATES, |seed| {
        let (what, outcome) = lose_power(seed, Syncs::All);
        assert_eq!(outcome, Ok(()), "{what}");
    });
}

/// A program that did not sync its files would be found out, and one that did not sync its directory.
#[test]
fn the_checker_can_fail() {
    if !strace::is_here() {
        return seeds::not_run("strace is not installed, or may not trace");
    }
    for syncs in [Syncs::Files, Syncs::Directories] {
        assert!((0..100).any(|seed| lose_power(seed, syncs).1.is_err()), "{syncs:?}");
    }
}

/// Loses power somewhere in a recording. What was tried, and what came of it.
fn lose_power(seed: u64, syncs: Syncs) -> (String, Result<(), String>) {
    let mut rng = Rng::with_seed(seed);
    let recording = &RECORDINGS[rng.usize(..RECORDINGS.len())];
    let length: usize = recording.runs.iter().map(Vec::len).sum();
    let calls = rng.usize(..=length);
    let mut disk = Disk::new(recording.directory.path(), syncs);
    let mut expected = Expected::default();
    let mut left = calls;
    for run in &recording.runs {
        for call in &run[..left.min(run.len())] {
            disk.play(call);
            expected.hear(call);
        }
        left = left.saturating_sub(run.len());
        if left == 0 {
            break;
        }
        disk.exited();
    }
    let directory = tempfile::tempdir_in(fast()).unwrap();
    disk.crash(&mut rng, directory.path());
    let outcome = expected.check(&directory.path().join("journal.db"));
    (format!("{}, power lost after {calls} calls", recording.name), outcome)
}

/// Where a sync costs nothing, if there is such a place: what is lost here is lost before.
pub(crate) fn fast() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

/// What may be found.
#[derive(Default)]
struct Expected {
    /// For each event that was begun with, how it may stand; `None` is not at all.
    events: BTreeMap<u64, BTreeSet<Option<State>>>,
    groups: Vec<Vec<u64>>,
    begun: Option<(State, Vec<u64>)>,
}

impl Expected {
    fn hear(&mut self, call: &Call) {
        if call.name == "write" && call.number(0) == 1 {
            let text = String::from_utf8_lossy(call.bytes(1));
            text.lines().filter_map(Said::parse).for_each(|said| self.said(said));
        }
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Begin(state, ids) => {
                for id in &ids {
                    let ways = self.events.entry(*id).or_insert_with(|| BTreeSet::from([None]));
                    ways.insert(Some(state));
                }
                if self.events[&ids[0]].contains(&None) {
                    self.groups.push(ids.clone());
                }
                self.begun = Some((state, ids));
            }
            Said::Done => {
                let (state, ids) = self.begun.take().unwrap();
                self.events.extend(ids.into_iter().map(|id| (id, BTreeSet::from([Some(state)]))));
            }
            // Nobody was told that it is safe; it may be there all the same.
            Said::Failed => self.begun = None,
        }
    }

    /// Opens the journal, and looks whether it is what it may be; then delivers some of what is pending.
    fn check(&self, file: &Path) -> Result<(), String> {
        let clock = clock();
        let open = || work::open(file, &clock).map_err(|error| error.to_string());
        let journal = open()?;
        let found = self.states(&journal)?;
        for (id, ways) in &self.events {
            let way = found.get(id).copied();
            ensure(ways.contains(&way), || format!("{id} is {way:?}, and may be {ways:?}"))?;
        }
        for group in &self.groups {
            let there = group.iter().filter(|id| found.contains_key(id)).count();
            ensure(there == 0 || there == group.len(), || format!("half of a group (I15b): {there} of {group:?}"))?;
        }
        ensure(journal.stats().damaged == 0, || "something is damaged".to_owned())?;
        let delivered = deliver(&journal, &clock);
        let pending = found.iter().filter(|(_, state)| **state == State::Pending).map(|(id, _)| *id);
        ensure(pending.eq(delivered.keys().copied()), || "other events are due than are pending".to_owned())?;
        self.repeat(&journal, &found, clock.now())?;
        drop(journal);
        let again = self.states(&open()?)?;
        let marked = delivered.iter().filter(|(_, marked)| **marked);
        ensure(marked.clone().all(|(id, _)| again[id] == State::Delivered), || "a mark is lost".to_owned())
    }

    /// Every event that is in a journal, and how it stands.
    fn states(&self, journal: &SqliteJournal) -> Result<BTreeMap<u64, State>, String> {
        let ids: BTreeMap<_, _> = self.events.keys().map(|id| (key(*id).webhook_id(), *id)).collect();
        let page = Page { limit: 1_000_000, offset: 0 };
        let filter = Filter { source: Some("shop".into()), ..Filter::default() };
        let rows = done(journal.list(filter, page)).map_err(|error| error.to_string())?;
        let mut states = BTreeMap::new();
        for row in rows {
            let id = ids.get(&row.webhook_id).ok_or("something is there that was never written (I8)")?;
            ensure(states.insert(*id, row.state).is_none(), || format!("{id} is there twice"))?;
        }
        Ok(states)
    }

    /// The senders repeat everything: a duplicate if, and only if, it is there (I2).
    fn repeat(&self, journal: &SqliteJournal, found: &BTreeMap<u64, State>, now: Now) -> Result<(), String> {
        let ids: Vec<_> = self.events.keys().copied().collect();
        let appended = done(journal.append(group(&ids, Verdict::Queue, now), now)).unwrap();
        let is_right = |(id, appended): (&u64, &Appended)| (*appended == Appended::Duplicate) == found.contains_key(id);
        ensure(ids.iter().zip(&appended).all(is_right), || format!("{ids:?}: {appended:?}"))
    }
}

/// Takes all that is pending, each once, and delivers some of it, which is marked.
fn deliver(journal: &SqliteJournal, clock: &ManualClock) -> BTreeMap<u64, bool> {
    let mut delivered = BTreeMap::new();
    loop {
        let now = clock.now();
        let leases = done(journal.lease(lane(), 64, now)).unwrap();
        for leased in &leases.events {
            let is_marked = delivered.len() < MARKS;
            assert!(delivered.insert(id_of(&leased.entry), is_marked).is_none(), "leased twice");
            if is_marked {
                let number = leased.attempts + 1;
                let took = Duration::from_millis(1);
                let tried =
                    Tried { at: now.wall, number, class: Class::Delivered, status: Some(200), took, error: None };
                done(journal.mark(leased.id, Mark::Delivered(tried), now)).unwrap();
            }
        }
        match leases.next_due {
            Some(wait) => clock.advance(wait),
            None if leases.events.is_empty() => return delivered,
            None => {}
        }
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
