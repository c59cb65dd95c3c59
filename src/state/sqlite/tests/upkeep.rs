//! What the journal forgets, and what it never does.

use super::*;

impl Bench {
    /// Lets the journal look after itself, by what is called anyway.
    fn upkeep(&self, steps: usize) {
        for _ in 0..steps {
            self.wait(Duration::from_secs(1));
            self.lease(0);
        }
    }
}

#[test]
fn d_35_d_46_what_waits_is_never_deleted() {
    let bench = Bench::with(|settings| settings.retention = Duration::from_hours(1));
    let ids: Vec<_> = (0..4).map(|number| bench.queue(&number.to_string())).collect();
    let aside = bench.append(vec![quarantined(bench.event("q"))]).unwrap();
    let out = bench.lease(3);
    bench.deliver(&out[0]);
    bench.mark(out[1].id, Mark::Dead(None, "gave up".into())).unwrap();
    assert!(done(bench.journal().discard(out[2].id, bench.now())).unwrap());
    let mut note = bench.event("noted");
    (note.verdict, note.kept) = (Verdict::Duplicate, None);
    bench.journal().note(vec![Note { entry: note, answer: 200, attempt: None }], bench.now());
    bench.upkeep(3);
    assert_eq!(bench.list(Filter::default()).len(), 6);
    bench.wait(Duration::from_hours(1));
    bench.upkeep(3);
    let left: Vec<_> = bench.list(Filter::default()).into_iter().map(|row| row.id).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&ids[1]) && left.contains(&ids[3]));
    assert!(matches!(aside[..], [Appended::New(id)] if left.contains(&id)));
    let totals = done(bench.journal().totals()).unwrap();
    assert_eq!(totals.entries.iter().map(|(_, _, count)| count).sum::<u64>(), 3);
}

#[test]
fn no_number_is_used_twice() {
    let mut bench = Bench::with(|settings| settings.retention = Duration::from_hours(1));
    let id = bench.queue("1");
    bench.deliver(&bench.lease(1)[0]);
    bench.wait(Duration::from_hours(2));
    bench.upkeep(2);
    assert_eq!(bench.list(Filter::default()).len(), 0);
    bench.reopen();
    assert!(bench.queue("2") > id);
}

#[test]
fn d_52_a_clock_that_was_set_back_keeps_nothing_for_ever() {
    let mut bench = Bench::with(|settings| settings.retention = Duration::from_hours(1));
    bench.queue("1");
    bench.deliver(&bench.lease(1)[0]);
    bench.clock = ManualClock::at("2020-01-01T00:00:00Z".parse().unwrap());
    bench.reopen();
    bench.upkeep(2);
    assert_eq!(bench.list(Filter::default()).len(), 1);
    bench.wait(Duration::from_hours(1));
    bench.upkeep(2);
    assert_eq!(bench.list(Filter::default()).len(), 0);
}

#[test]
fn d_52_due_times_do_not_follow_civil_time() {
    let mut bench = Bench::new();
    for id in ["1", "2"] {
        bench.queue(id);
    }
    let out = bench.lease(2);
    bench.retry(&out[0], Duration::from_mins(5));
    bench.retry(&out[1], Duration::from_mins(6));
    for set in ["2026-11-27T08:00:00Z", "2026-11-25T08:00:00Z"] {
        bench.clock = ManualClock::at(set.parse().unwrap());
        bench.reopen();
        assert_eq!(bench.leases(2).next_due, Some(Duration::from_mins(5)));
        assert!(bench.lease(2).is_empty());
    }
    bench.wait(Duration::from_mins(5));
    assert_eq!(bench.lease(2).iter().map(|leased| leased.id).collect::<Vec<_>>(), [out[0].id]);
}

#[test]
fn d_52_time_goes_on_while_nothing_is_written() {
    let mut bench = Bench::new();
    bench.queue("1");
    bench.retry(&bench.lease(1)[0], Duration::from_mins(5));
    for _ in 0..4 {
        bench.wait(Duration::from_mins(1));
        bench.upkeep(1);
    }
    assert_eq!(bench.journal().stats().oldest_pending, Duration::from_secs(244));
    bench.reopen();
    assert!(bench.leases(1).next_due.unwrap() <= Duration::from_mins(1));
}

#[test]
fn settled_identities_are_forgotten_when_their_window_is_over() {
    let bench = Bench::with(|settings| settings.max_settled = 6);
    let settled = |bench: &Bench| done(bench.journal().totals()).unwrap().settled;
    let settle = |number: i32| {
        bench.queue(&number.to_string());
        bench.deliver(&bench.lease(1)[0]);
    };
    (0..4).for_each(settle);
    bench.wait(Duration::from_hours(12));
    (4..6).for_each(settle);
    bench.upkeep(2);
    assert_eq!(settled(&bench), 6);
    bench.wait(Duration::from_hours(12));
    bench.upkeep(2);
    assert_eq!(settled(&bench), 2);
    (6..12).for_each(settle);
    bench.upkeep(2);
    assert_eq!(settled(&bench), 6, "the oldest two had to go");
    let remembered = done(bench.journal().remembered(99, bench.now())).unwrap();
    assert_eq!(remembered[0].key, bench.event("11").key, "the newest first");
    assert_eq!(remembered.len(), 6);
}

#[test]
fn d_28_d_47_a_full_journal_refuses_and_loses_nothing() {
    let bench = Bench::with(|settings| settings.max_entries = 10);
    for number in 0..9 {
        bench.queue(&number.to_string());
    }
    let refused = bench.append(vec![bench.event("more")]);
    assert!(matches!(&refused, Err(JournalError::Full(reason)) if reason.contains("10 are the limit")), "{refused:?}");
    let (stats, trouble) = (bench.journal().stats(), bench.journal().trouble());
    assert_eq!((stats.pending, stats.failed, trouble), (9, 1, None));
    let out = bench.lease(99);
    assert_eq!(out.len(), 9);
    bench.deliver(&out[0]);
    bench.queue("more");
}

#[test]
fn d_28_the_bound_in_bytes() {
    let bench = Bench::with(|settings| settings.max_size = 400_000);
    let mut count = 0;
    let mut big = |bench: &Bench| {
        let mut entry = bench.event(&format!("{count}"));
        entry.kept.as_mut().unwrap().body = vec![b'x'; 10_000].into();
        count += 1;
        bench.append(vec![entry])
    };
    while big(&bench).is_ok() {}
    let full = bench.journal().stats().pending;
    assert!((15..36).contains(&full), "{full}");
    for leased in bench.lease(99) {
        bench.deliver(&leased);
    }
    bench.upkeep(1);
    assert!(big(&bench).is_ok(), "room was made");
}

#[test]
fn the_log_makes_room_for_events() {
    let bench = Bench::with(|settings| settings.max_size = 400_000);
    for tens in 0..20 {
        let note = |number: i32| {
            let mut entry = bench.event(&format!("{tens} {number}"));
            (entry.verdict, entry.kept) = (Verdict::Duplicate, None);
            Note { entry, answer: 200, attempt: None }
        };
        bench.journal().note((0..100).map(note).collect(), bench.now());
        bench.upkeep(1);
    }
    bench.upkeep(9);
    bench.queue("1");
    let rows = done(bench.journal().list(Filter::default(), Page { limit: 9_999, offset: 0 })).unwrap();
    assert!((100..1_990).contains(&rows.len()), "{}", rows.len());
}

#[test]
fn it_hurries_only_through_what_was_there_at_the_start() {
    let mut bench = Bench::new();
    let busy = |bench: &Bench, round: usize| {
        // More than a step looks at.
        let entries = (0..100).map(|number| bench.event(&format!("{round}/{number}"))).collect();
        bench.append(entries).unwrap();
        bench.upkeep(1);
        let Engine::Inline(both) = &bench.journal().engine else { panic!("a bench has no threads") };
        both.lock().unwrap().0.patience() < Duration::from_secs(1)
    };
    busy(&bench, 0);
    busy(&bench, 1);
    bench.reopen();
    let hurried = (2..20).map(|round| busy(&bench, round)).filter(|hurries| *hurries).count();
    assert!((1..=4).contains(&hurried), "{hurried} of 18 steps were hurried; 200 entries take four");
}
