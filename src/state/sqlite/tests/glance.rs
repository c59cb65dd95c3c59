//! What commands see of a journal.

use std::fs;

use rusqlite::Connection;

use super::*;

fn states(glance: &Glance) -> Vec<(i64, State)> {
    let rows = glance.list(&Filter::default(), Page::default()).unwrap();
    rows.iter().map(|row| (row.id.0, row.state)).collect()
}

#[test]
fn a_look_is_of_one_moment_and_disturbs_nobody() {
    let mut bench = Bench::new();
    let first = bench.queue("1");
    let glance = Glance::open(&bench.settings.path).unwrap();
    assert_eq!(states(&glance), [(1, State::Pending)]);
    bench.queue("2");
    let leased = bench.lease(1).remove(0);
    bench.deliver(&leased);
    assert_eq!(states(&glance), [(1, State::Pending)], "it is of the moment of the first question");
    assert_eq!(glance.show(first).unwrap().unwrap().body, Some(body("1")));
    assert_eq!(states(&Glance::open(&bench.settings.path).unwrap()), [(2, State::Pending), (1, State::Delivered)]);
    let totals = glance.totals().unwrap();
    assert_eq!(totals.entries, [("shop".to_owned(), State::Pending, 1)]);
    assert!(totals.bytes > 0);
    bench.journal = None;
    let after = Glance::open(&bench.settings.path).unwrap();
    assert_eq!(states(&after), [(2, State::Pending), (1, State::Delivered)], "nobody has it open");
    bench.reopen();
    assert_eq!(bench.state(EntryId(2)), State::Pending);
}

#[test]
fn what_is_no_journal_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |name: &str, want: &str| {
        let path = directory.path().join(name);
        let before = fs::read(&path).ok();
        let said = Glance::open(&path).unwrap_err().to_string();
        assert!(said.contains(want), "{name}: {said}");
        assert_eq!(fs::read(&path).ok(), before);
    };
    let database = |name: &str, sql: &str| {
        Connection::open(directory.path().join(name)).unwrap().execute_batch(sql).unwrap();
    };
    refused("none.db", "No such file");
    database("other.db", "CREATE TABLE t (a)");
    refused("other.db", "another program");
    database("newer.db", "PRAGMA application_id = 0x686f6f6b; PRAGMA user_version = 99; CREATE TABLE t (a)");
    refused("newer.db", "a newer hooksieve");
    fs::write(directory.path().join("text.db"), [b'x'; 4096]).unwrap();
    refused("text.db", "is damaged");
    fs::write(directory.path().join("empty.db"), b"").unwrap();
    refused("empty.db", "never finished");
    std::os::unix::fs::symlink("other.db", directory.path().join("link.db")).unwrap();
    refused("link.db", "is a symbolic link");
    refused("", "is not a regular file");
}

#[test]
fn d_45_what_was_delivered_is_delivered_again_only_when_told_so() {
    let bench = Bench::with(|settings| settings.keep_bodies = true);
    let id = bench.queue("1");
    bench.deliver(&bench.lease(1).remove(0));
    let replay = |again| done(bench.journal().replay(id, again, bench.now())).unwrap();
    assert_eq!((replay(false), replay(true), replay(true)), (Replay::Delivered, Replay::Queued, Replay::Waiting));
    bench.deliver(&bench.lease(1).remove(0));
    assert_eq!(replay(false), Replay::Delivered);
    assert_eq!(bench.show(id).audit, [(bench.now().wall, "replayed after its delivery".to_owned())]);
    let mut noted = bench.event("2");
    noted.verdict = Verdict::Forward;
    bench.journal().note(vec![Note { entry: noted, answer: 200, attempt: None }], bench.now());
    let replay = |again| done(bench.journal().replay(EntryId(2), again, bench.now())).unwrap();
    assert_eq!((replay(false), replay(true)), (Replay::Delivered, Replay::Queued));
}
