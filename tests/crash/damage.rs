//! Files that were cut off, or in which bits have changed.

use std::{fs, ops::Range, path::PathBuf, time::Duration};

use fastrand::Rng;
use hooksieve::{
    clock::{Clock as _, ManualClock},
    stages::words::Verdict,
    state::{journal::JournalStore as _, sqlite::SqliteJournal},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    seeds,
    states::fast,
    work::{body, clock, done, group, id_of, lane, open},
};

/// A journal as a killed process left it, and where in what was written ahead each of its commits ends.
struct Sample {
    file: Vec<u8>,
    ahead: Vec<u8>,
    ends: Vec<usize>,
}

/// One event per commit, numbered from 0.
fn sample(events: u64) -> Sample {
    let directory = tempfile::tempdir_in(fast()).unwrap();
    let clock = clock();
    let path = directory.path().join("journal.db");
    let journal = open(&path, &clock).unwrap();
    let ahead = directory.path().join("journal.db-wal");
    let mut ends = Vec::new();
    for id in 0..events {
        done(journal.append(group(&[id], Verdict::Queue, clock.now()), clock.now())).unwrap();
        ends.push(fs::read(&ahead).unwrap().len());
    }
    drop(journal);
    Sample { file: fs::read(&path).unwrap(), ahead: fs::read(&ahead).unwrap(), ends }
}

/// A directory in which files are damaged and opened, again and again.
struct Ward {
    directory: TempDir,
    clock: ManualClock,
}

impl Ward {
    fn new() -> Self {
        Self { directory: tempfile::tempdir_in(fast()).unwrap(), clock: clock() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, file: &[u8], ahead: Option<&[u8]>) -> Result<SqliteJournal, String> {
        for name in ["journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(self.file(name));
        }
        fs::write(self.file("journal.db"), file).unwrap();
        if let Some(ahead) = ahead {
            fs::write(self.file("journal.db-wal"), ahead).unwrap();
        }
        open(&self.file("journal.db"), &self.clock).map_err(|error| error.to_string())
    }

    /// The events that are due, now or within eight days.
    fn due(&self, journal: &SqliteJournal) -> Result<Vec<u64>, String> {
        let mut due = Vec::new();
        for wait in [Duration::ZERO, Duration::from_hours(8 * 24)] {
            self.clock.advance(wait);
            let leases = done(journal.lease(lane(), 1_000, self.clock.now())).map_err(|error| error.to_string())?;
            due.extend(leases.events.iter().map(|leased| id_of(&leased.entry)));
        }
        Ok(due)
    }
}

#[test]
fn d_30_cut_off_anywhere_in_the_last_two_commits() {
    let Sample { file, ahead, ends } = sample(6);
    let ward = Ward::new();
    // Every byte, where somebody has the time. Else all of the heads of what was written, and some of the rest.
    let is_tried =
        |at: &usize| seeds::number("HOOKSIEVE_EVERY_BYTE").is_some() || at % 4120 < 60 || at.is_multiple_of(61);
    let mut tried = 0;
    for at in (ends[3]..=ends[5]).filter(is_tried) {
        let whole = ends.iter().filter(|end| **end <= at).count() as u64;
        let journal = ward.open(&file, Some(&ahead[..at])).unwrap();
        assert_eq!(ward.due(&journal).unwrap(), (0..whole).collect::<Vec<_>>(), "cut off at {at} of {}", ahead.len());
        tried += 1;
    }
    println!("{tried} cuts");
}

#[test]
fn d_32_what_lies_behind_the_end_is_not_read() {
    let Sample { file, ahead, ends } = sample(6);
    let ward = Ward::new();
    let check = |tail: &[u8], what: &str| {
        let bytes = [&ahead[..ends[3]], tail].concat();
        let journal = ward.open(&file, Some(&bytes)).unwrap();
        assert_eq!(ward.due(&journal).unwrap(), [0, 1, 2, 3], "{what}");
    };
    check(&[0; 4096], "zeros");
    check(&[0; 4120 * 3], "a few whole frames of zeros");
    check(&[0xff; 5000], "ones");
    check(&ahead[ends[0]..ends[2]], "frames that were there before");
    // Of another time: as after the file was begun anew, and written over in part.
    check(&sample(6).ahead[ends[3]..], "frames of another journal");
}

/// What becomes of a journal with a changed bit: nothing wrong is ever delivered, and what is missing is reported.
#[test]
fn d_31_a_changed_bit_in_the_file() {
    let sample = sample(8);
    let ward = Ward::new();
    // All of it in the file, and nothing beside it.
    drop(ward.open(&sample.file, Some(&sample.ahead)).unwrap());
    let db = Connection::open(ward.file("journal.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let file = fs::read(ward.file("journal.db")).unwrap();
    let own = body(4);
    let start = file.windows(own.len()).position(|window| window == own).unwrap();
    let mut rng = Rng::with_seed(1);
    let within: Vec<_> = (start..start + own.len()).map(|at| (at, 1 << rng.u8(..8), true)).collect();
    // How many rows a page of events has, and where: a row that is not found has no checksum that could be wrong.
    let heads: Vec<_> = heads(&file).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit, false))).collect();
    // Elsewhere, where there is something.
    let used: Vec<_> = (0..file.len()).filter(|at| file[*at] != 0).collect();
    let count = seeds::number("HOOKSIEVE_SEEDS").unwrap_or(400);
    let anywhere: Vec<_> = (0..count).map(|_| (used[rng.usize(..used.len())], 1 << rng.u8(..8), false)).collect();
    let (mut refused, mut silent) = (0, Vec::new());
    for (at, bit, is_of_one) in within.into_iter().chain(heads).chain(anywhere) {
        let mut damaged = file.clone();
        damaged[at] ^= bit;
        match look(&ward, &damaged) {
            Found::Refused(why) => {
                assert!(!is_of_one, "one event is damaged, at {at}, and no other can be read: {why}");
                refused += 1;
            }
            Found::Due(due) if is_of_one => assert_eq!(due, [0, 1, 2, 3, 5, 6, 7], "bit {bit} at {at}"),
            Found::Due(_) => {}
            Found::Silent(due) => silent.push((at, bit, due)),
        }
    }
    println!("{refused} refused, {} silent: {silent:?}", silent.len());
    assert!(silent.is_empty());
}

/// The head of the page with the rows of all events, and its list of them
/// (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
fn heads(file: &[u8]) -> Range<usize> {
    let trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let row = file.windows(trace.len()).position(|window| window == trace).unwrap();
    let page = row / 4096 * 4096;
    assert_eq!(file[page..page + 5], [13, 0, 0, 0, 8], "a leaf with eight rows");
    page..page + 8 + 2 * 8
}

enum Found {
    /// The journal cannot be opened or read, and says so.
    Refused(String),
    /// Something is missing or wrong, and counted.
    Due(Vec<u64>),
    /// Something is missing, and nobody is told.
    Silent(Vec<u64>),
}

fn look(ward: &Ward, file: &[u8]) -> Found {
    let journal = match ward.open(file, None) {
        Ok(journal) => journal,
        Err(why) => return Found::Refused(why),
    };
    let mut due = match ward.due(&journal) {
        Ok(due) => due,
        Err(why) => return Found::Refused(why),
    };
    due.sort_unstable();
    // Events for an upstream that nobody knows are listed as such.
    let lost = || done(journal.totals()).unwrap().pending.iter().any(|(upstream, _)| upstream != "app");
    if due.len() == 8 || journal.stats().damaged > 0 || journal.trouble().is_some() || lost() {
        return Found::Due(due);
    }
    Found::Silent(due)
}
