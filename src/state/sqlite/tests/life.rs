//! What becomes of entries, as long as nothing breaks.

use super::*;

#[test]
fn an_event_comes_back_as_it_went_in() {
    let mut bench = Bench::new();
    let entry = bench.event("1");
    bench.append(vec![entry.clone()]).unwrap();
    for _ in 0..2 {
        let [leased] = &bench.lease(9)[..] else { panic!("not one event") };
        assert_eq!(format!("{:?}", leased.entry), format!("{entry:?}"));
        assert_eq!((leased.attempts, leased.attempts_in_a_row, leased.age), (0, 0, Duration::ZERO));
        assert!(bench.lease(9).is_empty(), "it is leased already");
        bench.reopen();
    }
}

#[test]
fn a_delivery_ends_it() {
    let bench = Bench::new();
    let id = bench.queue("1");
    bench.journal().answered(vec![id], 202);
    bench.wait(Duration::from_secs(3));
    let leased = bench.lease(1).remove(0);
    assert_eq!(leased.age, Duration::from_secs(3));
    bench.retry(&leased, Duration::from_secs(5));
    assert!(bench.lease(1).is_empty());
    assert_eq!(bench.leases(1).next_due, Some(Duration::from_secs(5)));
    bench.wait(Duration::from_secs(5));
    let leased = bench.lease(1).remove(0);
    assert_eq!((leased.attempts, leased.attempts_in_a_row), (1, 1));
    bench.deliver(&leased);
    bench.wait(WINDOW);
    assert!(bench.lease(1).is_empty());
    let Detail { row, attempts, body, .. } = bench.show(id);
    assert_eq!((row.state, row.attempts, row.last_status, row.answer), (State::Delivered, 2, Some(200), Some(202)));
    assert_eq!(
        attempts.iter().map(|tried| (tried.number, tried.status)).collect::<Vec<_>>(),
        [(1, Some(500)), (2, Some(200))]
    );
    assert_eq!(body, None, "a delivered event needs no body");
    assert_eq!(bench.journal().stats().pending, 0);
}

#[test]
fn d_40_a_repeat_is_not_written_again() {
    let mut bench = Bench::new();
    bench.queue("1");
    let again = |bench: &Bench| bench.append(vec![bench.event("1")]).unwrap();
    assert_eq!(again(&bench), [Appended::Duplicate]);
    bench.reopen();
    assert_eq!(again(&bench), [Appended::Duplicate]);
    let twice = bench.append(vec![bench.event("2"), bench.event("2")]).unwrap();
    assert!(matches!(twice[..], [Appended::New(_), Appended::Duplicate]));
    bench.deliver(&bench.lease(1)[0]);
    assert_eq!(again(&bench), [Appended::Duplicate]);
    let mut other = bench.event("1");
    other.digest = Digest::of(b"other bytes");
    assert!(matches!(bench.append(vec![other]).unwrap()[..], [Appended::New(_)]));
    bench.wait(WINDOW);
    assert!(matches!(again(&bench)[..], [Appended::New(_)]), "the window is over");
}

#[test]
fn i_14_of_one_order_only_the_oldest_is_out() {
    let mut bench = Bench::new();
    let entries = [("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")];
    for (id, order) in entries {
        bench.append(vec![ordered(bench.event(id), order)]).unwrap();
    }
    let ids = |leased: &[Leased]| leased.iter().map(|leased| leased.id.0).collect::<Vec<_>>();
    let out = bench.lease(9);
    assert_eq!(ids(&out), [1, 3]);
    bench.retry(&out[0], Duration::from_mins(1));
    assert!(bench.lease(9).is_empty(), "2 and 4 wait for 1");
    bench.reopen();
    assert_eq!(ids(&bench.lease(9)), [3]);
    bench.wait(Duration::from_mins(1));
    let out = bench.lease(9);
    assert_eq!(ids(&out), [1]);
    bench.mark(out[0].id, Mark::Dead(None, "gave up".into())).unwrap();
    let out = bench.lease(9);
    assert_eq!(ids(&out), [2]);
    assert_eq!(done(bench.journal().replay(EntryId(1), false, bench.now())).unwrap(), Replay::Queued);
    assert!(bench.lease(9).is_empty(), "2 is under way");
    bench.retry(&out[0], Duration::from_secs(1));
    assert_eq!(ids(&bench.lease(9)), [1], "now it is the oldest");
    bench.wait(Duration::from_secs(9));
    assert!(bench.lease(9).is_empty());
    assert!(done(bench.journal().discard(EntryId(1), bench.now())).unwrap());
    assert_eq!(ids(&bench.lease(9)), [2]);
}

#[test]
fn d_45_a_replay_begins_anew() {
    let bench = Bench::new();
    let id = bench.queue("1");
    let leased = bench.lease(1).remove(0);
    let tried = bench.tried(1, Class::NotSent, None);
    bench.mark(id, Mark::Dead(Some(tried.clone()), "refused for 24 hours".into())).unwrap();
    let row = bench.show(id).row;
    assert_eq!((row.state, row.reason.as_deref()), (State::Dead, Some("refused for 24 hours")));
    bench.wait(Duration::from_mins(1));
    let replay = || done(bench.journal().replay(id, false, bench.now())).unwrap();
    assert_eq!((replay(), replay()), (Replay::Queued, Replay::Waiting));
    let again = bench.lease(1).remove(0);
    assert_eq!((again.attempts, again.attempts_in_a_row, again.age), (1, 0, Duration::ZERO));
    assert_eq!(again.entry.key, leased.entry.key);
    bench.deliver(&again);
    assert_eq!(replay(), Replay::Delivered, "a second operator who comes late delivers nothing twice");
    assert_eq!(done(bench.journal().replay(id, true, bench.now())).unwrap(), Replay::NoBody);
    assert_eq!(bench.show(id).audit, [(bench.now().wall, "replayed".to_owned())]);
    assert_eq!(bench.show(id).attempts[0], tried);
    assert_eq!(done(bench.journal().replay(EntryId(99), false, bench.now())).unwrap(), Replay::Missing);
}

#[test]
fn what_is_set_aside_waits_for_the_operator() {
    let bench = Bench::new();
    let [Appended::New(id)] = bench.append(vec![quarantined(bench.event("1"))]).unwrap()[..] else { panic!("not new") };
    assert!(bench.lease(1).is_empty());
    let Detail { row, fault, body, content_type, .. } = bench.show(id);
    assert_eq!((row.state, row.reason.as_deref(), &*row.verdict), (State::Quarantined, Some("schema"), "quarantine"));
    assert_eq!(fault, Some(Fault { pointer: "/number".into(), keyword: "maximum".into() }));
    assert_eq!(body, Some(super::body("1")));
    assert_eq!(content_type.as_deref(), Some("application/json; charset=utf-8"));
    assert_eq!(done(bench.journal().replay(id, false, bench.now())).unwrap(), Replay::Queued);
    assert_eq!(bench.lease(1)[0].entry.verdict, Verdict::Quarantine(Cause::Schema));
    let discard = || done(bench.journal().discard(id, bench.now())).unwrap();
    assert_eq!((discard(), discard()), (true, false));
    assert_eq!((bench.state(id), bench.show(id).body), (State::Discarded, None));
}

#[test]
fn notes_are_lines_of_the_log() {
    let bench = Bench::new();
    let mut entry = bench.event("1");
    (entry.verdict, entry.kept) = (Verdict::Forward, None);
    let attempt = Some(bench.tried(3, Class::Delivered, Some(201)));
    bench.journal().note(vec![Note { entry, answer: 200, attempt: attempt.clone() }], bench.now());
    let row = bench.list(Filter::default()).remove(0);
    assert_eq!((row.state, row.answer, row.attempts, row.last_status), (State::Noted, Some(200), 3, Some(201)));
    assert_eq!(row.bytes, body("1").len());
    assert_eq!(bench.show(row.id).attempts, attempt.into_iter().collect::<Vec<_>>());
    assert!(bench.lease(1).is_empty());
}

#[test]
fn a_list_is_filtered_and_newest_first() {
    let bench = Bench::new();
    for number in 0..6 {
        let mut entry = event(if number % 2 == 0 { "shop" } else { "bank" }, &number.to_string(), bench.now().wall);
        entry.event_type = (number < 4).then(|| format!("type.{}", number / 2));
        bench.append(vec![if number == 5 { quarantined(entry) } else { entry }]).unwrap();
        bench.wait(Duration::from_secs(1));
    }
    let check = |filter: Filter, expected: &[i64]| {
        let found: Vec<_> = bench.list(filter.clone()).into_iter().map(|row| row.id.0).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    let start = bench.now().wall - Duration::from_secs(6);
    let text = |text: &str| Some(text.to_owned());
    check(Filter::default(), &[6, 5, 4, 3, 2, 1]);
    check(Filter { source: text("shop"), ..Filter::default() }, &[5, 3, 1]);
    check(Filter { event_type: text("type.1"), ..Filter::default() }, &[4, 3]);
    check(Filter { event_type: text("type.1"), source: text("bank"), ..Filter::default() }, &[4]);
    check(Filter { verdict: text("quarantine"), ..Filter::default() }, &[6]);
    check(Filter { state: Some(State::Pending), ..Filter::default() }, &[5, 4, 3, 2, 1]);
    check(Filter { state: Some(State::Quarantined), ..Filter::default() }, &[6]);
    check(
        Filter { webhook_id: Some(EventKey::new("shop", [b"2".as_slice()]).webhook_id()), ..Filter::default() },
        &[3],
    );
    check(Filter { webhook_id: text("evt_"), ..Filter::default() }, &[]);
    check(Filter { since: Some(start + Duration::from_secs(4)), ..Filter::default() }, &[6, 5]);
    check(Filter { until: Some(start + Duration::from_secs(2)), ..Filter::default() }, &[2, 1]);
    check(Filter { source: text("nobody"), ..Filter::default() }, &[]);
    let page = Page { limit: 2, offset: 3 };
    let found = done(bench.journal().list(Filter::default(), page)).unwrap();
    assert_eq!(found.iter().map(|row| row.id.0).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn a_list_needs_no_sorting() {
    let bench = Bench::new();
    let db = rusqlite::Connection::open(bench.file("")).unwrap();
    let text = || Some("x".to_owned());
    let time = Some(bench.now().wall);
    for (filter, index) in [
        (Filter::default(), "entry_received"),
        (Filter { source: text(), ..Filter::default() }, "entry_received"),
        (Filter { event_type: text(), ..Filter::default() }, "entry_received"),
        (Filter { state: Some(State::Dead), ..Filter::default() }, "entry_waiting"),
        (Filter { since: time, until: time, ..Filter::default() }, "entry_received"),
        (Filter { source: text(), since: time, ..Filter::default() }, "entry_received"),
        (Filter { verdict: text(), ..Filter::default() }, "entry_received"),
    ] {
        let (sql, values) = query::select(&filter, Page::default()).unwrap();
        let values: Vec<(&str, &dyn rusqlite::ToSql)> =
            values.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> =
            explain.query_map(values.as_slice(), |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
    }
}

#[test]
fn d_58_numbers_agree_with_what_is_there() {
    let mut bench = Bench::new();
    for number in 0..8 {
        bench.queue(&number.to_string());
    }
    bench.append(vec![quarantined(bench.event("q"))]).unwrap();
    let out = bench.lease(5);
    out[..3].iter().for_each(|leased| bench.deliver(leased));
    bench.mark(out[3].id, Mark::Dead(None, "gave up".into())).unwrap();
    let expected = [("dead", 1), ("delivered", 3), ("pending", 4), ("quarantined", 1)];
    for _ in 0..2 {
        let totals = done(bench.journal().totals()).unwrap();
        let found: Vec<_> = totals.entries.iter().map(|(_, state, count)| (state.as_str(), *count)).collect();
        assert_eq!(found, expected);
        assert_eq!((totals.pending, totals.settled), (vec![("app".to_owned(), 4)], 9));
        let stats = bench.journal().stats();
        assert_eq!((stats.pending, stats.dead, stats.quarantined), (4, 1, 1));
        assert!(stats.bytes > 0);
        bench.reopen();
    }
}

#[test]
fn d_50_fresh_events_are_not_starved() {
    let bench = Bench::new();
    let old: Vec<_> = (0..40).map(|number| bench.queue(&format!("old {number}"))).collect();
    bench.wait(Duration::from_mins(10));
    let new = bench.queue("new");
    let ids: Vec<_> = bench.lease(8).iter().map(|leased| leased.id).collect();
    assert_eq!(ids[..6], old[..6]);
    assert!(ids.contains(&new), "{ids:?}");
    // One by one, too.
    let newest = bench.queue("newest");
    assert!((0..4).any(|_| bench.lease(1)[0].id == newest));
}

#[test]
fn o_15_fresh_events_alone() {
    let bench = Bench::new();
    bench.queue("1");
    let first = bench.lease(1).remove(0);
    bench.retry(&first, Duration::ZERO);
    let second = bench.queue("2");
    let fresh = Lane { fresh_only: true, ..lane() };
    let leases = done(bench.journal().lease(fresh, 9, bench.now())).unwrap();
    assert_eq!(leases.events.iter().map(|leased| leased.id).collect::<Vec<_>>(), [second]);
    assert_eq!(bench.lease(9)[0].id, first.id);
}

#[test]
fn sources_on_hold_are_left_alone() {
    let bench = Bench::new();
    bench.queue("1");
    bench.append(vec![event("bank", "2", bench.now().wall)]).unwrap();
    let except = Lane { except: vec!["shop".into(), "unknown".into()], ..lane() };
    let leases = done(bench.journal().lease(except, 9, bench.now())).unwrap();
    assert_eq!(leases.events.iter().map(|leased| leased.id.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn threads_do_the_same() {
    let bench = Bench::new();
    let settings = Settings::new(bench.file(".threads"));
    let clock: Arc<dyn Clock> = Arc::new(bench.clock.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let settings = Settings { min_free_percent: 0, ..settings };
    let journal = Arc::new(SqliteJournal::open(settings.clone(), clock.clone()).unwrap());
    let now = bench.now();
    runtime.block_on(async {
        let append = |number: i32| {
            let entries = vec![event("shop", &number.to_string(), now.wall)];
            runtime.spawn({
                let journal = Arc::clone(&journal);
                async move { journal.append(Group { entries, settled: Vec::new() }, now).await.unwrap() }
            })
        };
        let tasks: Vec<_> = (0..300).map(append).collect();
        for task in tasks {
            assert!(matches!(task.await.unwrap()[..], [Appended::New(_)]));
        }
        let leases = journal.lease(lane(), 1_000, now).await.unwrap();
        assert_eq!(leases.events.len(), 300);
        let rows = journal.list(Filter::default(), Page { limit: 1_000, offset: 0 }).await.unwrap();
        assert_eq!(rows.len(), 300);
    });
    let stats = journal.stats();
    assert_eq!((stats.appended, stats.pending), (300, 300));
    assert!(stats.commits < 300, "{} commits", stats.commits);
    drop(journal);
    let journal = SqliteJournal::open(settings, clock).unwrap();
    // Whoever asks and goes away, before the answer or after it, keeps nothing.
    drop(journal.lease(lane(), 100, now));
    let unread = journal.lease(lane(), 100, now);
    runtime.block_on(journal.show(EntryId(1))).unwrap();
    runtime.block_on(journal.lease(lane(), 0, now)).unwrap();
    drop(unread);
    assert_eq!(runtime.block_on(journal.lease(lane(), 1_000, now)).unwrap().events.len(), 300);
}

#[test]
fn d_57_a_slow_disk_is_told_in_time() {
    let bench = Bench::new();
    let settings = Settings { path: bench.file(".slow"), ..bench.settings.clone() };
    let journal = SqliteJournal::open(settings, Arc::new(bench.clock.clone())).unwrap();
    // Whoever holds this holds the writer up, as a disk would that takes seconds for a sync.
    let slow = rusqlite::Connection::open(bench.file(".slow")).unwrap();
    slow.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append = |number: i32| {
        let entries = vec![event("shop", &number.to_string(), bench.now().wall)];
        journal.append(Group { entries, settled: Vec::new() }, bench.now())
    };
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for number in 0..5_000 {
        let mut appended = append(number);
        match (&mut appended).now_or_never() {
            Some(Err(JournalError::Full(reason))) => {
                assert!(reason.contains("too slow"), "{reason}");
                refused += 1;
            }
            Some(other) => panic!("it cannot be done yet: {other:?}"),
            None => waiting.push(appended),
        }
    }
    assert!((500..=904).contains(&refused), "{refused} were refused");
    slow.execute_batch("ROLLBACK").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for appended in waiting {
        assert!(matches!(runtime.block_on(appended).unwrap()[..], [Appended::New(_)]));
    }
    assert_eq!(journal.stats().failed, refused);
}

#[test]
fn a_lease_does_not_wait_for_a_commit() {
    let bench = Bench::new();
    let first = bench.queue("1");
    let entry = bench.event("2");
    let group = Group { settled: vec![bench.settled(&entry)], entries: vec![entry] };
    let ((kept, mut safe), (reply, mut leased)) = (oneshot::channel(), oneshot::channel());
    let lease = Command::Lease { lane: lane(), count: 2, now: bench.now(), reply };
    let Engine::Inline(both) = &bench.journal().engine else { panic!("a bench has no threads") };
    both.lock().unwrap().0.handle(vec![Command::append(group, bench.now(), kept), lease]);
    assert!(safe.try_recv().unwrap().is_ok());
    let leased: Vec<_> = leased.try_recv().unwrap().unwrap().events.iter().map(|leased| leased.id).collect();
    assert_eq!(leased, [first], "what was not safe yet is not handed out");
    assert_eq!(bench.lease(2).len(), 1, "but the next time");
}

#[test]
fn what_nobody_waits_for_is_put_off_for_a_while_and_no_longer() {
    let millis = Duration::from_millis;
    assert_eq!(writer::leisure_after(millis(3)), millis(3));
    assert_eq!(writer::leisure_after(millis(30_000)), millis(10));
}
