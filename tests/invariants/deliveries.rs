//! Deliveries from the journal, one case after the other: what is tried when, and what becomes of it (catalogue, D-39 to
//! D-57).

use std::time::Duration;

use hooksieve::state::journal::{EntryId, Filter, Page, Replay, State};
use jiff::SignedDuration;
use tokio::time::sleep;

use crate::{
    history::Event,
    recorder::Fault,
    world::{Act, World, event, in_paused_time},
};

const QUEUED: &str = "journal.path = \"journal.db\"\nsources.acme.delivery.mode = \"queued\"\n";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn queued(acts: impl IntoIterator<Item = Act>, more: &str) -> World {
    World::new(acts, &format!("{QUEUED}{more}"))
}

/// When the attempts at an event began.
fn times(world: &World, event: &Event) -> Vec<Duration> {
    let sent = world.app.sent().into_iter().filter(|(_, attempt)| attempt.body == event.bytes);
    sent.map(|(time, _)| time).collect()
}

/// How long a pause was.
fn pause(pair: &[Duration]) -> Duration {
    pair[1].saturating_sub(pair[0])
}

/// The entries in a state, the newest first.
async fn entries(world: &World, state: State) -> Vec<EntryId> {
    let filter = Filter { state: Some(state), ..Filter::default() };
    let rows = world.journal.as_ref().unwrap().store().list(filter, Page { limit: 1_000, offset: 0 }).await;
    rows.unwrap().into_iter().map(|row| row.id).collect()
}

#[test]
fn d_39_a_batch_that_is_not_written_is_not_delivered() {
    in_paused_time(async {
        let mut world = queued([], "");
        world.faults.lock().unwrap().push_back(Fault::Fails);
        let batch: Vec<_> = (0..10).map(|id| event(id, 0)).collect();
        assert_eq!(world.post(&batch).await, 503);
        sleep(HOUR).await;
        assert_eq!(world.app.attempts(), 0);
        assert_eq!(world.post(&batch).await, 202, "the claims are given back");
        assert!(world.until_idle(HOUR).await);
        assert_eq!(world.app.attempts(), 10);
    });
}

#[test]
fn d_40_a_repeat_of_what_is_queued_is_a_duplicate() {
    in_paused_time(async {
        let mut world = queued([], "");
        world.app.rule(|_| Some(Act::Away));
        assert_eq!(world.post(&[event(1, 0)]).await, 202);
        for _ in 0..3 {
            assert_eq!(world.post(&[event(1, 0)]).await, 200);
        }
        // Not even a crash makes it new.
        world.crash(None).await;
        assert_eq!(world.post(&[event(1, 0), event(2, 0)]).await, 202);
        assert_eq!(world.journal_stats().unwrap().pending, 2);
    });
}

#[test]
fn d_42_an_event_is_tried_less_and_less_often() {
    in_paused_time(async {
        let mut world = queued([], "");
        world.app.rule(|_| Some(Act::Answer(500, None)));
        let events = [event(1, 0), event(2, 0)];
        assert_eq!(world.post(&events).await, 202);
        sleep(HOUR).await;
        let [first, second] = [0, 1].map(|index| times(&world, &events[index]));
        assert!((6..=40).contains(&first.len()), "{first:?}");
        for (failures, pair) in first.windows(2).enumerate() {
            let most = secs(5 << failures.min(10)).min(HOUR);
            assert!(pause(pair) <= most + secs(60), "after {failures} failures: {first:?}");
        }
        assert!(first.windows(2).skip(4).any(|pair| pause(pair) > secs(30)), "{first:?}");
        assert_ne!(first[1..], second[1..], "events that failed together do not come back together");
        let numbers: Vec<_> = world.app.sent().into_iter().map(|(_, attempt)| attempt.number).collect();
        assert!(numbers.contains(&1) && numbers.contains(&5), "{numbers:?}");
        // It is given up after a day, and stays.
        assert!(world.until_idle(2 * DAY).await);
        assert_eq!(world.journal_stats().unwrap().dead, 2);
        let last = *times(&world, &events[0]).last().unwrap();
        assert!(last + secs(3_700) > DAY && last < DAY + secs(120), "{last:?}");
    });
}

#[test]
fn d_43_the_application_says_when_to_come_again() {
    for (wish, at_least, at_most) in [(120, 120, 125), (99_999_999_999, 3_600, 3_605), (0, 0, 10)] {
        in_paused_time(async {
            let mut world = queued([Act::Answer(429, Some(wish))], "");
            assert_eq!(world.post(&[event(1, 0)]).await, 202);
            assert!(world.until_idle(DAY).await);
            let times = times(&world, &event(1, 0));
            assert_eq!(times.len(), 2);
            assert!((secs(at_least)..=secs(at_most)).contains(&pause(&times)), "{wish}: {times:?}");
        });
    }
}

#[test]
fn d_44_a_refusal_for_good() {
    let check = |status, more, attempts| {
        in_paused_time(async {
            let mut world = queued([], more);
            world.app.rule(move |_| Some(Act::Answer(status, None)));
            assert_eq!(world.post(&[event(1, 0)]).await, 202);
            assert!(world.until_idle(2 * DAY).await);
            assert_eq!(world.app.attempts(), attempts, "{status} {more}");
            let [dead] = entries(&world, State::Dead).await[..] else { panic!("it is dead") };
            let detail = world.journal.as_ref().unwrap().store().show(dead).await.unwrap().unwrap();
            assert_eq!(detail.row.last_status, Some(status));
            assert_eq!(detail.attempts.len(), attempts);
            assert!(detail.row.reason.unwrap().contains(&format!("status {status}")));
            assert!(detail.body.is_some(), "it can be replayed");
        });
    };
    check(410, "", 1);
    check(422, "sources.acme.delivery.give_up_on = [400, 422]", 1);
    for status in [400, 404, 422, 500] {
        check(status, "sources.acme.delivery.attempts = 3", 3);
    }
}

#[test]
fn d_45_a_dead_letter_is_replayed_once() {
    in_paused_time(async {
        let mut world = queued([Act::Answer(410, None)], "");
        assert_eq!(world.post(&[event(1, 0)]).await, 202);
        assert!(world.until_idle(HOUR).await);
        let [dead] = entries(&world, State::Dead).await[..] else { panic!("it is dead") };
        let (journal, now) = (world.journal.clone().unwrap(), hooksieve::clock::Clock::now(&world.app.clock));
        let both = tokio::join!(journal.replay(dead, false, now), journal.replay(dead, false, now));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (Replay::Queued, Replay::Waiting));
        assert!(world.until_idle(HOUR).await);
        let sent = world.app.sent();
        let [(_, first), (_, second)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((&first.webhook_id, &first.received_at), (&second.webhook_id, &second.received_at));
        assert_eq!((first.number, second.number), (1, 2), "attempts are counted from the first on");
    });
}

#[test]
fn d_46_d_47_a_full_journal_refuses_and_forgets_nothing() {
    in_paused_time(async {
        let mut world = World::bounded([], QUEUED, |settings| settings.max_entries = 10);
        world.app.rule(|_| Some(Act::Answer(410, None)));
        let mut taken = 0;
        for id in 0..20 {
            match world.post(&[event(id, 0)]).await {
                202 => taken += 1,
                status => assert_eq!(status, 503),
            }
        }
        assert!(world.until_idle(HOUR).await);
        assert!((9..=10).contains(&taken), "{taken}");
        assert_eq!(world.journal_stats().unwrap().dead, taken, "nothing that was accepted is gone");
        // It takes events again when an operator has made room.
        let journal = world.journal.clone().unwrap();
        for dead in entries(&world, State::Dead).await {
            let now = hooksieve::clock::Clock::now(&world.app.clock);
            assert!(journal.store().discard(dead, now).await.unwrap());
        }
        assert_eq!(world.post(&[event(19, 0)]).await, 202);
    });
}

#[test]
fn d_48_a_poisoned_event_holds_up_nobody() {
    in_paused_time(async {
        let mut world = queued([], "sources.acme.delivery.attempts = 4");
        world.app.rule(|body| body.contains("evt_7").then_some(Act::Answer(500, None)));
        let batch: Vec<_> = (0..20).map(|id| event(id, 0)).collect();
        assert_eq!(world.post(&batch).await, 202);
        sleep(secs(1)).await;
        assert_eq!(world.journal_stats().unwrap().pending, 1, "all others are delivered");
        assert!(world.until_idle(HOUR).await);
        assert_eq!(world.journal_stats().unwrap().dead, 1);
    });
}

#[test]
fn d_49_an_ordered_key_waits_and_others_do_not() {
    in_paused_time(async {
        let mut world = queued([], "sources.acme.delivery.ordered = [\"json:/g\"]\n");
        world.app.rule(|body| body.contains("evt_1\"").then_some(Act::Answer(500, None)));
        // Events 1, 3, 5 are of one group, 2 and 4 of another.
        for id in 1..=5 {
            assert_eq!(world.post(&[event(id, 0)]).await, 202);
        }
        sleep(secs(60)).await;
        assert_eq!([2, 4].map(|id| times(&world, &event(id, 0)).len()), [1, 1]);
        assert_eq!([3, 5].map(|id| times(&world, &event(id, 0)).len()), [0, 0]);
        world.app.rule(|_| None);
        assert!(world.until_idle(HOUR).await);
        let [first, third, fifth] = [1, 3, 5].map(|id| *times(&world, &event(id, 0)).last().unwrap());
        assert!(first <= third && third <= fifth);
    });
}

#[test]
fn d_50_a_queue_drains_slowly_at_first_and_fresh_events_do_not_wait() {
    in_paused_time(async {
        let mut world = queued([], "upstreams.app.max_in_flight = 40\n");
        world.app.rule(|_| Some(Act::Away));
        let body = |number: u32| Event { id: number.to_string(), group: 0, bytes: format!("{{\"id\":{number}}}") };
        for start in (0..2_000).step_by(100) {
            assert_eq!(world.post(&(start..start + 100).map(body).collect::<Vec<_>>()).await, 202);
        }
        sleep(HOUR).await;
        assert_eq!(world.journal_stats().unwrap().pending, 2_000);
        let in_vain = world.app.attempts();
        assert!(in_vain < 400, "an upstream that is away is left alone: {in_vain}");
        // It is back, and takes a tenth of a second for each.
        world.app.rule(|_| Some(Act::Take(100)));
        world.app.peak();
        while world.app.attempts() == in_vain {
            sleep(secs(1)).await;
        }
        sleep(secs(5)).await;
        assert!(world.app.peak() <= 8, "a slow start: {}", world.app.peak());
        assert_eq!(world.post(&[event(1, 0)]).await, 202);
        sleep(secs(5)).await;
        assert_eq!(times(&world, &event(1, 0)).len(), 1, "a fresh event overtakes the queue");
        assert!(world.journal_stats().unwrap().pending > 1_000, "which is still long");
        assert!(world.until_idle(2 * HOUR).await);
        let peak = world.app.peak();
        assert!((20..=30).contains(&peak), "three quarters of `max_in_flight`: {peak}");
    });
}

#[test]
fn d_51_what_is_delivered_before_the_end_stays_delivered() {
    in_paused_time(async {
        let mut world = queued([], "");
        world.app.rule(|body| (body.contains("\"g\":1")).then_some(Act::Take(4_000)));
        let batch: Vec<_> = (0..8).map(|id| event(id, 0)).collect();
        assert_eq!(world.post(&batch).await, 202);
        sleep(secs(1)).await;
        assert_eq!(world.journal_stats().unwrap().pending, 4);
        // Those under way are finished, and so are their marks, though the journal does not take them at first.
        *world.recorder.as_ref().unwrap().failing_marks.lock().unwrap() = 3;
        world.restart(None).await;
        assert_eq!(world.journal_stats().unwrap().pending, 0);
        sleep(HOUR).await;
        assert_eq!(world.app.attempts(), 8);
    });
}

#[test]
fn d_52_a_clock_that_is_set_changes_no_pause() {
    for by in [86_400, -86_400] {
        in_paused_time(async {
            let mut world = queued([Act::Answer(503, Some(600))], "");
            assert_eq!(world.post(&[event(1, 0)]).await, 202);
            sleep(secs(60)).await;
            world.app.clock.set_wall(SignedDuration::from_secs(by));
            sleep(secs(530)).await;
            assert_eq!(world.app.attempts(), 1, "{by}: not at once");
            sleep(secs(20)).await;
            assert_eq!(world.app.attempts(), 2, "{by}: and not never");
        });
    }
}

#[test]
fn d_57_a_disk_that_is_too_slow_is_no_promise() {
    in_paused_time(async {
        let mut world = queued([], "");
        world.faults.lock().unwrap().push_back(Fault::Late(12_000));
        let before = world.app.clock.passed();
        assert_eq!(world.post(&[event(1, 0)]).await, 503);
        assert_eq!(pause(&[before, world.app.clock.passed()]), secs(9), "within the deadline");
        assert_eq!(world.post(&[event(1, 0)]).await, 503, "nobody knows yet");
        sleep(secs(5)).await;
        assert_eq!(world.post(&[event(1, 0)]).await, 200, "the disk had it, in the end");
        assert!(world.until_idle(HOUR).await);
        assert_eq!(world.app.attempts(), 1);
    });
}

#[test]
fn a_source_on_hold_keeps_its_events_for_later() {
    in_paused_time(async {
        let journal = "journal.path = \"journal.db\"\n";
        let mut world = World::new([], &format!("{journal}sources.acme.active = \"hold\""));
        assert_eq!(world.post(&[event(1, 0), event(2, 0)]).await, 202);
        assert_eq!(world.post(&[event(1, 0)]).await, 200, "a duplicate");
        sleep(HOUR / 2).await;
        assert_eq!(world.app.attempts(), 0);
        // Switched on again, in sync mode as it was before.
        world.restart(Some(journal)).await;
        assert!(world.until_idle(HOUR / 4).await);
        assert_eq!(world.app.attempts(), 2);
        assert_eq!(world.post(&[event(1, 0)]).await, 200, "still a duplicate");
        assert_eq!(world.app.attempts(), 2);
    });
}

#[test]
fn a_defect_in_a_delivery_costs_the_others_nothing() {
    in_paused_time(async {
        let mut world = queued([Act::Panic], "");
        assert_eq!(world.post(&[event(1, 0)]).await, 202);
        sleep(secs(60)).await;
        assert_eq!(world.post(&[event(2, 0)]).await, 202);
        assert!(world.until_idle(HOUR).await);
        assert_eq!([1, 2].map(|id| times(&world, &event(id, 0)).len()), [2, 1]);
    });
}
