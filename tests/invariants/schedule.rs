//! Random schedules of senders, failures and time.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use proptest::{prelude::*, strategy::Union, test_runner::RngSeed};
use tokio::time::sleep;

use crate::{
    recorder::Fault,
    world::{Act, World, event},
};

/// What a sender does, or time, or somebody with a hammer.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    /// Sends events, and an identical twin of the request at the same time if so wished.
    Send(Vec<(u8, u8)>, bool),
    /// Sends events with one among them that is rejected.
    Spoilt(Vec<(u8, u8)>),
    /// Sends somebody else's events without the token.
    Forge(Vec<(u8, u8)>),
    /// Time passes while everything that runs stands still: a paused process, a window that ends.
    Pause(u64),
    /// Everything that runs goes on for so many milliseconds.
    Run(u64),
    /// Everything that is answered is answered.
    Finish,
    /// This becomes of one of the next appends.
    Fault(Fault),
    /// The next marks fail.
    FailMarks(usize),
    /// The process is killed, and started again.
    Crash,
    /// The process is told to end, and started again.
    Restart,
}

impl World {
    pub(crate) async fn play(&mut self, moves: &[Move]) {
        let events = |named: &[(u8, u8)]| named.iter().map(|(id, version)| event(*id, *version)).collect::<Vec<_>>();
        for step in moves {
            match step {
                Move::Send(named, twin) => {
                    for _ in 0..=usize::from(*twin) {
                        self.send(&events(named), false, Duration::ZERO);
                    }
                }
                Move::Spoilt(named) => self.send(&events(named), true, Duration::ZERO),
                Move::Forge(named) => self.forge(&events(named)),
                Move::Pause(seconds) => self.app.clock.advance(Duration::from_secs(*seconds)),
                Move::Run(millis) => sleep(Duration::from_millis(*millis)).await,
                Move::Finish => drop(self.finish().await),
                Move::Fault(fault) => self.faults.lock().unwrap().push_back(*fault),
                Move::FailMarks(count) => {
                    if let Some(recorder) = &self.recorder {
                        *recorder.failing_marks.lock().unwrap() += count;
                    }
                }
                Move::Crash => self.crash(None).await,
                Move::Restart => self.restart(None).await,
            }
        }
    }
}

pub(crate) fn events(versions: u8) -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..4u8, 0..versions), 1..5)
}

type Weighed = (u32, BoxedStrategy<Move>);

/// Schedules of senders and time, and of `more`.
pub(crate) fn moves(more: Vec<Weighed>) -> impl Strategy<Value = Vec<Move>> {
    let mut steps = vec![
        (8, (events(1), any::<bool>()).prop_map(|(events, twin)| Move::Send(events, twin)).boxed()),
        (2, (events(2), any::<bool>()).prop_map(|(events, twin)| Move::Send(events, twin)).boxed()),
        (1, events(2).prop_map(Move::Spoilt).boxed()),
        (1, events(2).prop_map(Move::Forge).boxed()),
        (1, prop::sample::select(vec![1, 8, 11, 3_601]).prop_map(Move::Pause).boxed()),
        (4, (0..6_000u64).prop_map(Move::Run).boxed()),
        (2, Just(Move::Finish).boxed()),
    ];
    steps.extend(more);
    prop::collection::vec(Union::new_weighted(steps), 1..16)
}

/// What happens to a process with a journal, and to the journal.
pub(crate) fn hammers() -> Vec<Weighed> {
    vec![
        (2, Just(Move::Crash).boxed()),
        (1, Just(Move::Restart).boxed()),
        (1, Just(Move::Fault(Fault::Fails)).boxed()),
        (1, (0..12_000u64).prop_map(|millis| Move::Fault(Fault::Late(millis))).boxed()),
        (1, (1..4usize).prop_map(Move::FailMarks).boxed()),
        (1, (6_000..4_000_000u64).prop_map(Move::Run).boxed()),
    ]
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    let after = || prop_oneof![Just(0), 0..2_500u64, Just(6_000)];
    prop_oneof![
        4 => after().prop_map(Act::Take),
        2 => after().prop_map(Act::Refuse),
        2 => after().prop_map(Act::Cut),
        1 => Just(Act::Away),
        1 => Just(Act::Full),
    ]
}

/// So many times the usual number of schedules, which is 256; `PROPTEST_CASES` in the environment sets that. A failure
/// prints its seed, and the schedule as small as it can be made.
pub(crate) fn cases(times: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    let seed = match usual.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one("schedules"),
    };
    println!("PROPTEST_RNG_SEED={seed} makes the same schedules again");
    let rng_seed = RngSeed::Fixed(seed);
    ProptestConfig { cases: times * usual.cases, max_shrink_iters: 2_000, failure_persistence: None, rng_seed, ..usual }
}
