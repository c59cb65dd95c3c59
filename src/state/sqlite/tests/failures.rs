//! Disks that fail, files that go away, and what is in the journal afterwards.

use std::{fs, os::unix::fs::MetadataExt as _};

use super::*;
use crate::fault;

impl Bench {
    fn inode(&self) -> u64 {
        fs::metadata(self.file("")).unwrap().ino()
    }

    /// The pending identities, as a process finds them that opens the journal now.
    fn recovered(&mut self) -> Vec<EventKey> {
        self.reopen();
        self.lease(999).into_iter().map(|leased| leased.entry.key).collect()
    }

    fn keys(&self, ids: &[&str]) -> Vec<EventKey> {
        ids.iter().map(|id| self.event(id).key).collect()
    }
}

#[test]
fn i_11_d_26_d_27_after_a_failed_sync_there_is_a_new_file() {
    let mut bench = Bench::new();
    bench.queue("1");
    let out = bench.lease(1);
    let old = bench.inode();
    fault::arm("journal.commit");
    let failed = bench.append(vec![bench.event("lost"), bench.event("lost too")]);
    assert!(matches!(failed, Err(JournalError::Failed(_))), "{failed:?}");
    assert!(bench.journal().trouble().is_some());
    let refused = bench.append(vec![bench.event("early")]);
    assert!(matches!(refused, Err(JournalError::Failed(_))), "nothing more is written into that file");
    assert!(done(bench.journal().lease(lane(), 1, bench.now())).is_err(), "what cannot be marked is not sent");
    assert!(bench.mark(out[0].id, Mark::Postponed(Duration::ZERO)).is_err());
    assert_eq!(bench.inode(), old);
    bench.wait(Duration::from_secs(1));
    bench.queue("2");
    assert_ne!(bench.inode(), old);
    assert_eq!(bench.journal().trouble(), None);
    assert_eq!(bench.lease(9).len(), 1, "1 is leased still");
    bench.mark(out[0].id, Mark::Postponed(Duration::ZERO)).unwrap();
    assert_eq!(bench.list(Filter::default()).len(), 2, "the reader looks into the new file");
    let expected = bench.keys(&["1", "2"]);
    assert_eq!(bench.recovered(), expected);
    let mode = fs::metadata(bench.file("")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn d_26_tries_are_further_and_further_apart() {
    let bench = Bench::new();
    bench.queue("1");
    fault::arm("journal.commit");
    bench.append(vec![bench.event("lost")]).unwrap_err();
    let mut tries = Vec::new();
    for second in 0..200 {
        fault::arm("journal.rewrite");
        done(bench.journal().lease(lane(), 0, bench.now())).unwrap_err();
        if !fault::trips("journal.rewrite") {
            tries.push(second);
        }
        bench.wait(Duration::from_secs(1));
    }
    assert_eq!(tries, [1, 3, 7, 15, 31, 63, 123, 183]);
    bench.wait(Duration::from_mins(1));
    bench.queue("2");
}

#[test]
fn d_39_a_group_is_there_or_it_is_not() {
    let mut bench = Bench::new();
    let group = |bench: &Bench, prefix: &str| {
        bench.append((0..10).map(|number| bench.event(&format!("{prefix}{number}"))).collect())
    };
    group(&bench, "a").unwrap();
    fault::arm("journal.commit");
    group(&bench, "b").unwrap_err();
    fault::arm("journal.full");
    bench.wait(Duration::from_secs(1));
    assert!(matches!(group(&bench, "c"), Err(JournalError::Full(_))));
    assert_eq!(bench.journal().trouble(), None, "a full disk is no broken one");
    let expected: Vec<_> = (0..10).map(|number| bench.event(&format!("a{number}")).key).collect();
    assert_eq!(bench.recovered(), expected);
    assert_eq!(done(bench.journal().totals()).unwrap().settled, 10);
    group(&bench, "c").unwrap();
}

#[test]
fn d_34_a_rewrite_that_was_interrupted() {
    let name = |suffix: &str| format!("journal.db{suffix}");
    let copy = |from: &Bench, to: &Bench, what: &str, as_what: &str| {
        fs::copy(from.file(what), to.directory.path().join(name(as_what))).unwrap();
    };
    // The old file with what was written ahead of it, and the new one, as a rewrite leaves them at each step.
    let mut old = Bench::new();
    old.queue("1");
    let mut new = Bench::new();
    new.queue("1");
    new.queue("2");
    new.journal = None;
    SqliteJournal::open(new.settings.clone(), Arc::new(new.clock.clone())).unwrap();
    old.journal = None;
    for (old_there, ahead_there, new_is, expected) in [
        (true, true, Some(".new"), &["1"][..]),
        (true, true, Some(".next"), &["1", "2"]),
        (true, false, Some(".next"), &["1", "2"]),
        (false, false, Some(""), &["1", "2"]),
        (true, true, None, &["1"]),
    ] {
        let mut bench = Bench::new();
        bench.journal = None;
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(bench.file(suffix)).unwrap();
        }
        if old_there {
            copy(&old, &bench, "", "");
        }
        if ahead_there {
            copy(&old, &bench, "-wal", "-wal");
            copy(&old, &bench, "-shm", "-shm");
        }
        if let Some(suffix) = new_is {
            copy(&new, &bench, "", suffix);
        }
        let expected = bench.keys(expected);
        assert_eq!(bench.recovered(), expected, "{new_is:?}");
        assert!(!bench.file(".new").exists() && !bench.file(".next").exists());
    }
}

#[test]
fn d_55_a_directory_that_goes_away_and_comes_back() {
    let mut bench = Bench::new();
    bench.queue("1");
    let (path, away) = (bench.directory.path().to_owned(), bench.directory.path().with_extension("away"));
    fs::rename(&path, &away).unwrap();
    let failed = bench.append(vec![bench.event("2")]);
    assert!(matches!(failed, Err(JournalError::Failed(_))), "{failed:?}");
    bench.wait(Duration::from_secs(1));
    assert!(bench.append(vec![bench.event("3")]).is_err());
    // Somebody makes a new one. What was promised is still in the hands of the process, and goes there.
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    bench.wait(Duration::from_secs(2));
    bench.queue("4");
    let recovered = bench.recovered();
    assert_eq!(recovered[0], bench.event("1").key);
    assert_eq!(recovered.last(), Some(&bench.event("4").key));
    fs::remove_dir_all(away).unwrap();
}

#[test]
fn d_55_a_file_that_was_removed() {
    for suffix in ["", "-wal"] {
        let mut bench = Bench::new();
        bench.queue("1");
        fs::remove_file(bench.file(suffix)).unwrap();
        bench.append(vec![bench.event("2")]).unwrap_err();
        bench.wait(Duration::from_secs(1));
        bench.queue("3");
        let recovered = bench.recovered();
        assert!(recovered.contains(&bench.event("1").key) && recovered.contains(&bench.event("3").key), "{suffix}");
    }
}

#[test]
fn d_59_nothing_but_what_is_listed_is_written() {
    let bench = Bench::new();
    bench.queue("1");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = fs::metadata(bench.file(suffix)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    let mut names: Vec<_> =
        fs::read_dir(bench.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["journal.db", "journal.db-shm", "journal.db-wal", "journal.db.lock"]);
}
