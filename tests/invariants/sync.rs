//! While the sender waits: claims in memory, and no journal.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::sleep;

use crate::{
    history::{History, Step},
    schedule::{Move, act, cases, events, moves},
    world::{Act, World, event, in_paused_time},
};

const LEASE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_hours(1);

const MODES: [&str; 4] = [
    "",
    "sources.acme.delivery.concurrency = 1",
    "sources.acme.delivery.ordered = [\"json:/type\"]",
    "sources.acme.delivery.batch = \"array\"",
];

/// The end of a schedule: the application is well again, and every sender repeats what it ever sent. All of it must be
/// taken at once (I3), and nothing may be broken on the way.
async fn check(mut world: World, moves: &[Move]) -> Result<History, TestCaseError> {
    world.play(moves).await;
    world.finish().await;
    prop_assert_eq!(world.claims.stats().in_flight, 0, "I3: somebody still holds a claim");
    world.app.acts.lock().unwrap().clear();
    for events in world.requests.clone().into_iter().filter(|events| !events.is_empty()) {
        world.send(&events, false, Duration::ZERO);
        prop_assert_eq!(world.finish().await, vec![200], "I3: {:?} is not taken any more", events);
    }
    let history = History::sync(LEASE, WINDOW, world.app.steps.lock().unwrap().clone());
    let broken = history.violations();
    prop_assert!(broken.is_empty(), "{:#?}\n{:#?}", broken, history);
    Ok(history)
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn whatever_fails_nothing_is_lost_and_nothing_hidden(
        moves in moves(Vec::new()),
        acts in prop::collection::vec(act(), 0..20),
        mode in 0..MODES.len(),
    ) {
        in_paused_time(async { check(World::new(acts, MODES[mode]), &moves).await })?;
    }

    #[test]
    fn i_06_without_faults_every_event_is_sent_once(
        sends in prop::collection::vec((events(1), any::<bool>(), 0..1_500u64), 1..12),
        acts in prop::collection::vec((0..1_500u64).prop_map(Act::Take), 0..20),
        mode in 0..MODES.len(),
    ) {
        let moves: Vec<_> = sends
            .into_iter()
            .flat_map(|(events, twin, millis)| [Move::Send(events, twin), Move::Run(millis)])
            .collect();
        let history = in_paused_time(async { check(World::new(acts, MODES[mode]), &moves).await })?;
        let sent: Vec<_> = history.steps.iter().filter_map(|(_, step)| match step {
            Step::Sent(attempt) => Some(attempt.body.as_str()),
            _ => None,
        }).collect();
        for id in 0..4 {
            let times = sent.iter().filter(|body| body.contains(&event(id, 0).bytes)).count();
            prop_assert!(times <= 1, "event {} was sent {} times", id, times);
        }
    }
}

#[test]
fn d_15_who_comes_late_disturbs_nobody() {
    for late in [Act::Take(3_000), Act::Cut(3_000)] {
        in_paused_time(async {
            let mut world = World::new([late, Act::Take(0)], "");
            let events = [event(1, 0)];
            world.send(&events, false, Duration::ZERO);
            sleep(Duration::from_millis(1)).await;
            // The process stands still for longer than the lease; then the sender's retry is first.
            world.app.clock.advance(LEASE);
            world.send(&events, false, Duration::ZERO);
            let want = if matches!(late, Act::Take(_)) { 200 } else { 502 };
            assert_eq!(world.finish().await, [want, 200]);
            assert_eq!(world.claims.stats().fenced, 1);
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [200]);
            assert_eq!(world.app.attempts(), 2);
        });
    }
}

#[test]
fn i_03_a_panic_gives_back_what_it_held() {
    for mode in MODES {
        in_paused_time(async {
            let mut world = World::new([Act::Panic, Act::Panic], mode);
            let events = [event(1, 0), event(2, 0), event(1, 0)];
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [0]);
            assert_eq!(world.claims.stats().in_flight, 0, "{mode}");
            world.app.acts.lock().unwrap().clear();
            world.send(&events, false, Duration::ZERO);
            assert_eq!(world.finish().await, [200], "{mode}");
        });
    }
}

#[test]
fn d_11_twins_of_a_panic_take_over_and_twins_of_a_full_upstream_do_not() {
    for (act, want, attempts) in [(Act::Panic, [0, 200, 200], 2), (Act::Full, [503; 3], 1)] {
        in_paused_time(async {
            let mut world = World::new([act], "");
            for _ in 0..3 {
                world.send(&[event(1, 0)], false, Duration::ZERO);
            }
            let statuses = world.finish().await;
            assert_eq!((statuses, world.app.attempts()), (want.to_vec(), attempts));
        });
    }
}

#[test]
fn d_19_a_slow_body_takes_its_time_from_the_delivery() {
    in_paused_time(async {
        let mut world = World::new([], "");
        world.send(&[event(1, 0)], false, Duration::from_secs(8));
        assert_eq!(world.finish().await, [200]);
        assert_eq!(*world.app.withins.lock().unwrap(), [Duration::from_secs(1)]);
        // What is left is not worth an attempt, and the claim is given back.
        for reading in [8_999, 9_000] {
            world.send(&[event(2, 0)], false, Duration::from_millis(reading));
            assert_eq!(world.finish().await, [503]);
            assert_eq!(world.claims.stats().in_flight, 0);
        }
        world.send(&[event(2, 0)], false, Duration::ZERO);
        assert_eq!(world.finish().await, [200]);
    });
}

#[test]
fn an_event_after_its_window_is_a_new_one() {
    in_paused_time(async {
        let mut world = World::new([], "");
        for (pause, attempts) in [(0, 1), (3_599, 1), (1, 2)] {
            world.app.clock.advance(Duration::from_secs(pause));
            world.send(&[event(1, 0)], false, Duration::ZERO);
            assert_eq!((world.finish().await, world.app.attempts()), (vec![200], attempts));
        }
    });
}
