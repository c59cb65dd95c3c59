//! Bytes that are missing, left over, or not what was written.

use std::fs;

use rusqlite::Connection;

use super::*;

#[test]
fn d_30_a_torn_tail_at_every_byte() {
    let mut bench = Bench::new();
    for id in ["1", "2", "3"] {
        bench.queue(id);
    }
    bench.journal = None;
    let whole = fs::read(bench.file("-wal")).unwrap();
    // The first is in the file by now. SQLite's checksums are per page, so steps that meet every kind of boundary say as
    // much as every byte.
    let mut most = 1;
    for cut in (0..whole.len()).step_by(509).chain([whole.len() - 1, whole.len()]) {
        let torn = Bench::new_from(&bench, |wal| wal.truncate(cut), &whole);
        let count = torn.lease(9).len();
        assert!(count >= most, "cut at {cut}: {count} left");
        most = count;
    }
    assert_eq!(most, 3);
}

#[test]
fn d_32_zeros_and_old_records_at_the_end() {
    let mut bench = Bench::new();
    for id in ["1", "2", "3"] {
        bench.queue(id);
    }
    bench.journal = None;
    let whole = fs::read(bench.file("-wal")).unwrap();
    let zeros = Bench::new_from(&bench, |wal| wal.extend([0; 8192]), &whole);
    assert_eq!(zeros.lease(9).len(), 3);
    // Frames of an earlier round, behind those of this one: the salt in their heads tells them apart.
    let stale = Bench::new_from(
        &bench,
        |wal| {
            let mut old = wal[32..].to_vec();
            old.chunks_mut(4096 + 24).for_each(|frame| frame[8] ^= 1);
            wal.extend(old);
        },
        &whole,
    );
    assert_eq!(stale.lease(9).len(), 3);
}

impl Bench {
    /// A copy of a journal that crashed, with other bytes written ahead.
    fn new_from(of: &Self, change: impl FnOnce(&mut Vec<u8>), wal: &[u8]) -> Self {
        let mut bench = Self::new();
        bench.journal = None;
        bench.clock = of.clock.clone();
        fs::copy(of.file(""), bench.file("")).unwrap();
        let mut wal = wal.to_vec();
        change(&mut wal);
        fs::write(bench.file("-wal"), wal).unwrap();
        fs::remove_file(bench.file("-shm")).unwrap();
        bench.reopen();
        bench
    }
}

#[test]
fn d_31_a_flipped_bit_affects_only_its_own_event() {
    let mut bench = Bench::new();
    for id in ["first", "middle", "last"] {
        bench.queue(id);
    }
    // Closed tidily, everything is in one file.
    bench.journal = None;
    drop(SqliteJournal::open(bench.settings.clone(), Arc::new(bench.clock.clone())).unwrap());
    let file = fs::read(bench.file("")).unwrap();
    let middle = bench.event("middle");
    let kept = middle.kept.as_ref().unwrap();
    // In its body, its headers, its key, its trace context, its type: everything that makes a delivery.
    for (what, in_second) in [
        (&kept.body[..], false),
        (b"shop: 1".as_slice(), true),
        (middle.key.as_bytes().as_slice(), false),
        (middle.digest.as_bytes().as_slice(), false),
    ] {
        let places: Vec<_> = file.windows(what.len()).enumerate().filter(|(_, bytes)| *bytes == what).collect();
        // Overwritten pages keep old copies; the live ones are found by what they do.
        for (place, _) in places.into_iter().skip(usize::from(in_second)).take(3) {
            for bit in [0, 3, 7] {
                check_flip(&bench, &file, place + what.len() / 2, bit);
            }
        }
    }
}

/// Whatever the bit is part of, what is delivered is whole, and at most one event is missing.
fn check_flip(of: &Bench, file: &[u8], place: usize, bit: u8) {
    let mut bench = Bench::new();
    bench.journal = None;
    let mut flipped = file.to_vec();
    flipped[place] ^= 1 << bit;
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(bench.file(suffix)).unwrap();
    }
    fs::write(bench.file(""), flipped).unwrap();
    bench.clock = of.clock.clone();
    bench.reopen();
    let leased = bench.lease(9);
    for leased in &leased {
        let known = ["first", "middle", "last"].map(|id| format!("{:?}", of.event(id)));
        assert!(known.contains(&format!("{:?}", leased.entry)), "byte {place}: {leased:?}");
    }
    let damaged = bench.journal().stats().damaged;
    assert_eq!(leased.len() as u64 + damaged, 3, "byte {place}, bit {bit}");
    if damaged == 1 {
        let aside = bench.list(Filter { state: Some(State::Quarantined), ..Filter::default() });
        assert_eq!(aside.iter().map(|row| row.reason.as_deref()).collect::<Vec<_>>(), [Some("corrupt")]);
        assert_eq!(done(bench.journal().replay(aside[0].id, false, bench.now())).unwrap(), Replay::NoBody);
        assert!(bench.lease(9).is_empty());
    }
}

/// The frames of what is written ahead, without those of an earlier round.
fn frames(wal: &[u8]) -> usize {
    wal[32..].chunks_exact(4096 + 24).take_while(|frame| frame[8..16] == wal[16..24]).count()
}

#[test]
fn d_31_a_flipped_bit_in_what_is_written_ahead_is_put_right() {
    let mut bench = Bench::new();
    let mut lengths = Vec::new();
    for id in ["1", "2", "3", "4", "5"] {
        bench.queue(id);
        lengths.push(frames(&fs::read(bench.file("-wal")).unwrap()));
    }
    bench.journal = None;
    let whole = fs::read(bench.file("-wal")).unwrap();
    let (all, last) = (lengths[4], lengths[3]);
    let flip = |frame: usize, offset: usize, bit: usize| {
        let place = 32 + frame * (4096 + 24) + offset;
        Bench::new_from(&bench, |wal| wal[place] ^= 1 << bit, &whole)
    };
    for frame in 0..last {
        // The number of the page, the size after a commit, salt, checksum, and the page.
        for offset in [3, 7, 8 + frame % 8, 16 + frame % 8, 24, 24 + 97 * (frame + 1) % 4096, 24 + 4095] {
            // The checksum says little about where the highest bit of a word was.
            let bit = if frame % 2 == 0 { 7 } else { (frame + offset) % 8 };
            let mended = flip(frame, offset, bit);
            let found = mended.lease(9).len();
            assert_eq!((found, mended.journal().stats().damaged), (5, 0), "frame {frame}, byte {offset}, bit {bit}");
            assert!(mended.file("-wal.damaged").exists(), "it is kept as it was found");
        }
    }
    // A bad frame of the last transaction may just as well be torn.
    for frame in last..all {
        assert_eq!(flip(frame, 100, frame % 8).lease(9).len(), 4, "frame {frame}");
    }
    assert_eq!(Bench::new_from(&bench, |_| (), &whole).lease(9).len(), 5);
}

#[test]
fn d_31_more_than_a_bit_in_what_is_written_ahead() {
    let mut bench = Bench::new();
    for id in ["1", "2", "3", "4", "5"] {
        bench.queue(id);
    }
    bench.journal = None;
    let whole = fs::read(bench.file("-wal")).unwrap();
    let body = body("3");
    let place = whole.windows(body.len()).position(|bytes| *bytes == body).unwrap();
    let burnt = Bench::new_from(&bench, |wal| wal[place..place + 9].fill(0), &whole);
    let found: Vec<_> = burnt.lease(9).into_iter().map(|leased| leased.entry.key).collect();
    let missing = bench.event("3").key;
    assert!(found.len() >= 4 && !found.iter().take(found.len() - 4).any(|key| *key == missing), "{found:?}");
    assert_eq!(found.len() as u64 + burnt.journal().stats().damaged, 5);
}

/// Changes a journal of three events behind its back, and what is still delivered, whole, and what is reported.
fn check_change(sql: &str, delivered: usize, damaged: u64) {
    let mut bench = Bench::new();
    for id in ["1", "2", "3"] {
        bench.queue(id);
    }
    bench.journal = None;
    let db = Connection::open(bench.file("")).unwrap();
    db.execute_batch(&format!("PRAGMA writable_schema = ON; {sql}")).unwrap();
    drop(db);
    bench.reopen();
    for _ in 0..3 {
        bench.wait(Duration::from_secs(1));
        done(bench.journal().lease(Lane { upstream: "nobody".into(), ..lane() }, 9, bench.now())).unwrap();
    }
    let mut leased = bench.lease(9);
    // The first call may have found that the index is wrong.
    leased.extend(bench.lease(9));
    for leased in &leased {
        let known = ["1", "2", "3"].map(|id| format!("{:?}", of_any_time(bench.event(id), leased)));
        assert!(known.contains(&format!("{:?}", leased.entry)), "{sql}: {leased:?}");
    }
    assert_eq!((leased.len(), bench.journal().stats().damaged), (delivered, damaged), "{sql}");
    assert_eq!(bench.list(Filter::default()).len(), 3, "{sql}");
}

#[test]
fn d_31_an_event_that_is_gone_is_reported() {
    let check = |kind: fn(Entry) -> Entry, damaged: u64| {
        let mut bench = Bench::new();
        for id in ["1", "2", "3"] {
            bench.append(vec![kind(bench.event(id))]).unwrap();
        }
        bench.journal = None;
        let db = Connection::open(bench.file("")).unwrap();
        db.execute_batch("DELETE FROM entry WHERE id = 2").unwrap();
        drop(db);
        for damaged in [damaged, 0] {
            bench.reopen();
            bench.wait(Duration::from_secs(1));
            bench.lease(0);
            assert_eq!(bench.journal().stats().damaged, damaged, "once");
        }
    };
    check(|event| event, 1);
    check(quarantined, 1);
    check(|event| ordered(event, "a"), 1);
}

#[test]
fn d_31_i_14_what_is_damaged_holds_up_nobody() {
    let mut bench = Bench::new();
    for id in ["1", "2"] {
        bench.append(vec![ordered(bench.event(id), "a")]).unwrap();
    }
    bench.journal = None;
    let db = Connection::open(bench.file("")).unwrap();
    db.execute_batch("UPDATE entry SET key = randomblob(32) WHERE id = 1").unwrap();
    drop(db);
    bench.reopen();
    bench.wait(Duration::from_secs(1));
    bench.lease(0);
    assert_eq!(bench.lease(9).iter().map(|leased| leased.id).collect::<Vec<_>>(), [EntryId(2)]);
}

fn of_any_time(entry: Entry, like: &Leased) -> Entry {
    Entry { received_at: like.entry.received_at, ..entry }
}

#[test]
fn d_31_rows_that_do_not_say_what_was_written() {
    for change in [
        "UPDATE entry SET state = 'delivered' WHERE id = 2",
        "UPDATE entry SET state = 'pendinh' WHERE id = 2",
        "UPDATE entry SET due = due + 1000000 WHERE id = 2",
        "UPDATE entry SET due = NULL WHERE id = 2",
        "UPDATE entry SET attempts = 7 WHERE id = 2",
        "UPDATE entry SET since = 'x' WHERE id = 2",
        "UPDATE entry SET key = randomblob(32) WHERE id = 2",
        "UPDATE entry SET key = 7 WHERE id = 2",
        "UPDATE entry SET source = 2 WHERE id = 2",
        "UPDATE entry SET upstream = 1 WHERE id = 2",
        "UPDATE entry SET upstream = 99 WHERE id = 2",
        "UPDATE entry SET received_at = received_at + 1 WHERE id = 2",
        "UPDATE entry SET order_key = randomblob(32) WHERE id = 2",
        "UPDATE entry SET fixed = fixed + 1 WHERE id = 2",
        "UPDATE kept SET body = randomblob(10) WHERE entry = 2",
        "UPDATE kept SET headers = x'ff' WHERE entry = 2",
        "UPDATE kept SET strength = 'verifiee' WHERE entry = 2",
        "UPDATE kept SET position = 3 WHERE entry = 2",
        "UPDATE kept SET entry = 7 WHERE entry = 2",
    ] {
        check_change(change, 2, 1);
    }
    for harmless in [
        "UPDATE name SET text = 'shoq' WHERE id = 1",
        "UPDATE name SET again = 'aqp' WHERE id = 2",
        "UPDATE tally SET entries = 0",
        "UPDATE tally SET state = 'dead'",
        "UPDATE tally SET upstream = 7",
        "UPDATE settled SET until = 0, digest = x''",
        "UPDATE clock SET elapsed = elapsed + 1000000000000",
        "UPDATE clock SET next_id = 1, elapsed = 0",
    ] {
        check_change(harmless, 3, 0);
    }
}
