//! With a journal: events that are delivered in the background, by a process that may be killed at any time.

use std::{sync::OnceLock, time::Duration};

use proptest::prelude::*;
use tokio::time::sleep;

use crate::{
    history::{History, Step},
    schedule::{Move, act, cases, hammers, moves},
    world::{Act, World, event, in_paused_time},
};

const JOURNAL: &str = "journal.path = \"journal.db\"\n";
const WINDOW: Duration = Duration::from_hours(1);

const MODES: [&str; 5] = [
    "sources.acme.delivery.mode = \"queued\"",
    "sources.acme.delivery.mode = \"queued\"\nsources.acme.delivery.ordered = [\"json:/g\"]",
    "sources.acme.delivery.mode = \"queued\"\nsources.acme.delivery.batch = \"array\"",
    "sources.acme.delivery.mode = \"queued\"\nsources.acme.dedup.on_conflict = \"quarantine\"",
    "sources.acme.delivery.mode = \"queued\"\nsources.acme.delivery.attempts = 3",
];

/// While the sender waits, with a journal that remembers what was delivered.
const SYNC: [&str; 2] = ["", "sources.acme.dedup.on_conflict = \"quarantine\""];

/// The end of a schedule: the application and the journal are well again, and every sender repeats what it ever sent.
/// All of it must be taken at once (I3), and in the end all of it must have been delivered, or given up with a record.
async fn check(mut world: World, mode: &str, moves: &[Move]) -> Result<History, TestCaseError> {
    world.play(moves).await;
    world.finish().await;
    // Claims stay with an append that their sender did not wait for.
    sleep(Duration::from_secs(12)).await;
    prop_assert_eq!(world.claims.stats().in_flight, 0, "I3: somebody still holds a claim");
    world.app.acts.lock().unwrap().clear();
    world.faults.lock().unwrap().clear();
    for events in world.requests.clone().into_iter().filter(|events| !events.is_empty()) {
        let status = world.post(&events).await;
        prop_assert!(matches!(status, 200 | 202), "I3: {:?} is not taken any more: {}", events, status);
    }
    prop_assert!(world.until_idle(Duration::from_hours(48)).await, "I3: something is pending for ever");
    let history = History {
        lease: Duration::from_secs(if mode.contains("queued") { 14 } else { 10 }),
        window: WINDOW,
        is_queued: mode.contains("queued"),
        is_ordered: mode.contains("ordered"),
        is_over: true,
        steps: world.app.steps.lock().unwrap().clone(),
        index: OnceLock::new(),
    };
    let broken = history.violations();
    prop_assert!(broken.is_empty(), "{:#?}\n{:#?}", broken, history);
    conserved(&world, &history).await?;
    Ok(history)
}

/// What was accepted is delivered, dead or set aside, and nothing else is (I12, D-58).
async fn conserved(world: &World, history: &History) -> Result<(), TestCaseError> {
    let accepted = history.steps.iter().map(|(_, step)| match step {
        Step::Kept(kept) => kept.iter().filter(|kept| kept.is_new).count() as u64,
        _ => 0,
    });
    let totals = world.totals().await;
    let stands = totals.entries.iter().filter(|(_, state, _)| state.as_str() != "noted").map(|(_, _, count)| count);
    prop_assert_eq!(accepted.sum::<u64>(), stands.sum::<u64>(), "I12: {:?}", totals);
    Ok(())
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn d_36_d_58_whatever_dies_nothing_is_lost(
        moves in moves(hammers()),
        acts in prop::collection::vec(act(), 0..20),
        mode in 0..MODES.len(),
    ) {
        let mode = format!("{JOURNAL}{}", MODES[mode]);
        in_paused_time(async { check(World::new(acts, &mode), &mode, &moves).await })?;
    }

    #[test]
    fn d_09_i_06_a_waiting_sender_survives_a_crash(
        moves in moves(hammers()),
        acts in prop::collection::vec(act(), 0..20),
        mode in 0..SYNC.len(),
    ) {
        let mode = format!("{JOURNAL}{}", SYNC[mode]);
        in_paused_time(async { check(World::new(acts, &mode), &mode, &moves).await })?;
    }

    #[test]
    fn i_06_without_faults_a_queued_event_is_sent_once(
        moves in moves(Vec::new()),
        acts in prop::collection::vec((0..1_500u64).prop_map(Act::Take), 0..20),
        mode in 0..2usize,
    ) {
        let mode = format!("{JOURNAL}{}", MODES[mode]);
        let history = in_paused_time(async { check(World::new(acts, &mode), &mode, &moves).await })?;
        for id in 0..4 {
            let event = event(id, 0);
            let times = history.steps.iter().filter(|(_, step)| matches!(step, Step::Sent(it) if it.body == event.bytes));
            let accepted = history.steps.iter().filter(|(_, step)| match step {
                Step::Kept(kept) => kept.iter().any(|kept| kept.is_new && kept.body == event.bytes),
                _ => false,
            });
            prop_assert_eq!(times.count(), accepted.count());
        }
    }
}
