//! Random schedules against the claims store, compared with a model that fits on a page. The fuzz target and the
//! property test run the same interpreter.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;

use crate::{
    clock::{Clock, ManualClock, Now},
    stages::words::Refusal,
    state::{
        claims::{Claim, ClaimStats, Claimed, Claims, Concluded, Evidence, LEASE_MAX, LEASE_MIN, Standing, WINDOW_MAX},
        key::{Digest, EventKey},
        memory::MemoryClaims,
    },
};

/// Few keys and few bodies, so that a short schedule has collisions of every kind.
const KEYS: usize = 3;
const LEASES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(20), Duration::MAX];
const WINDOWS: [Duration; 4] = [Duration::ZERO, Duration::from_mins(1), Duration::from_hours(24), Duration::MAX];

/// Runs the schedule that `data` spells, two bytes for each step. Panics where the store breaks an invariant.
pub fn claims(data: &[u8]) {
    let (steps, _) = data.as_chunks();
    run(steps.iter().copied().map(Step::decode));
}

/// One step of a schedule. A `holder` counts those who hold a claim, or believe they do, round and round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Claim { key: usize, body: u8, lease: Duration },
    Settle { holder: usize, window: Duration },
    GiveBack { holder: usize },
    Drop { holder: usize },
    Advance { by: Duration },
}

impl Step {
    pub(crate) fn decode([step, argument]: [u8; 2]) -> Self {
        let n = usize::from(argument);
        match step % 8 {
            0..=2 => Self::Claim { key: n % KEYS, body: u8::from(n % 12 < KEYS), lease: LEASES[n / 16 % 3] },
            3 => Self::Settle { holder: n / 4, window: WINDOWS[n % 4] },
            4 => Self::GiveBack { holder: n },
            5 => Self::Drop { holder: n },
            6 => Self::Advance { by: Duration::from_secs(n as u64 / 4) },
            _ => Self::Advance { by: Duration::from_mins(n as u64 * 40) },
        }
    }
}

/// Runs a schedule to its end, and then sees that nothing is left behind.
pub(crate) fn run(schedule: impl IntoIterator<Item = Step>) {
    let mut world = World::new();
    for step in schedule {
        world.step(step);
        world.check();
    }
    while !world.holders.is_empty() {
        world.step(Step::Drop { holder: 0 });
    }
    world.check();
    assert_eq!(world.claims.stats().in_flight, 0, "I3: something is left in flight");
}

/// What the model knows of one key. Time is what has passed since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    /// The claim that holds the key, by its number, even if its lease is up.
    held: Option<Held>,
    /// The last delivery that was recorded.
    evidence: Option<(u8, Duration)>,
    /// How often the key was given out, and how many of these were given back, taken over, or came after a window.
    given_out: u64,
    exceptions: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    body: u8,
    lease_until: Duration,
}

/// Somebody who was told that the event is his.
struct Holder {
    claim: Claim,
    number: u64,
    key: usize,
}

/// Somebody who was told to wait for a claim, and what he should have heard by now.
struct Twin {
    outcome: BoxFuture<'static, Concluded>,
    waits_for: u64,
    expected: Option<Concluded>,
}

/// The store, those who use it, and the model.
struct World {
    claims: Claims,
    origin: Instant,
    elapsed: Duration,
    holders: Vec<Holder>,
    twins: Vec<Twin>,
    keys: [Key; KEYS],
    stats: ClaimStats,
    numbers: u64,
}

impl World {
    fn new() -> Self {
        Self {
            claims: Claims::new(Arc::new(MemoryClaims::new(1_000))),
            origin: ManualClock::at(Timestamp::UNIX_EPOCH).now().steady,
            elapsed: Duration::ZERO,
            holders: Vec::new(),
            twins: Vec::new(),
            keys: Default::default(),
            stats: ClaimStats::default(),
            numbers: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Claim { key, body, lease } => self.claim(key, body, lease),
            Step::Settle { holder, window } => {
                let Some(holder) = self.leave(holder) else { return };
                let now = Now { wall: Timestamp::UNIX_EPOCH, steady: self.origin + self.elapsed };
                let settled = holder.claim.settle(Evidence::Delivered, window, now).now_or_never();
                let standing = settled.expect("memory answers at once").expect("memory does not fail");
                let held = self.end(holder.key, holder.number, standing, Concluded::Settled);
                if let Some(held) = held {
                    self.keys[holder.key].evidence = Some((held.body, self.elapsed + window.min(WINDOW_MAX)));
                }
            }
            Step::GiveBack { holder } => {
                let Some(holder) = self.leave(holder) else { return };
                let standing = holder.claim.give_back(Refusal::UpstreamError);
                let held = self.end(holder.key, holder.number, standing, Concluded::Failed(Refusal::UpstreamError));
                self.keys[holder.key].exceptions += u64::from(held.is_some());
            }
            Step::Drop { holder } => {
                let Some(holder) = self.leave(holder) else { return };
                drop(holder.claim);
                let held = self.keys[holder.key].held.filter(|held| held.number == holder.number);
                let standing = if held.is_some() { Standing::Held } else { Standing::Lost };
                self.end(holder.key, holder.number, standing, Concluded::Abandoned);
                self.keys[holder.key].exceptions += u64::from(held.is_some());
                self.stats.abandoned += u64::from(held.is_some());
            }
            Step::Advance { by } => self.elapsed += by,
        }
    }

    fn claim(&mut self, index: usize, body: u8, lease: Duration) {
        let name = [b'0' + u8::try_from(index).expect("few keys")];
        let event = EventKey::new("source", [name.as_slice()]);
        let now = self.origin + self.elapsed;
        let claimed = self.claims.claim(event, Digest::of(&[body]), lease, now).now_or_never();
        let claimed = claimed.expect("memory answers at once").expect("memory does not fail");

        let key = &mut self.keys[index];
        let evidence = key.evidence.filter(|(_, until)| self.elapsed < *until);
        let live = key.held.filter(|held| self.elapsed < held.lease_until);
        match claimed {
            Claimed::Settled => {
                assert_eq!(evidence.map(|(body, _)| body), Some(body), "I2: no such event was delivered");
            }
            Claimed::Conflict => {
                let known = evidence.map(|(body, _)| body).or(live.map(|held| held.body));
                assert!(known.is_some_and(|known| known != body), "R-25: a conflict with nothing: {key:?}");
                self.stats.conflicts += 1;
            }
            Claimed::InFlight(waiting) => {
                assert!(evidence.is_none(), "I19: a delivered event has to wait");
                let live = live.expect("I3: waits for nobody");
                assert_eq!(live.body, body, "R-25: waits for the outcome of other bytes");
                let outcome = waiting.outcome().boxed();
                self.twins.push(Twin { outcome, waits_for: live.number, expected: None });
            }
            Claimed::Ours(claim) => {
                assert!(evidence.is_none(), "I19: a delivered event is new again");
                assert!(live.is_none(), "I4: two leaders");
                self.numbers += 1;
                let number = self.numbers;
                let lease_until = self.elapsed + lease.clamp(LEASE_MIN, LEASE_MAX);
                let late = key.held.replace(Held { number, body, lease_until });
                key.given_out += 1;
                // Taking over, and coming back after a window, are exceptions that a counter or the window explains.
                key.exceptions += u64::from(late.is_some()) + u64::from(key.evidence.take().is_some());
                assert!(key.given_out <= 1 + key.exceptions, "I6: one claim too many: {key:?}");
                self.holders.push(Holder { claim, number, key: index });
                if let Some(late) = late {
                    self.stats.lease_expired += 1;
                    self.conclude(late.number, Concluded::Abandoned);
                }
            }
        }
    }

    /// The model's side of settling and giving back. Says what was held, if it still was.
    fn end(&mut self, key: usize, number: u64, standing: Standing, concluded: Concluded) -> Option<Held> {
        let held = self.keys[key].held.take_if(|held| held.number == number);
        assert_eq!(standing == Standing::Held, held.is_some(), "I5: the token decides");
        match held {
            Some(_) => self.conclude(number, concluded),
            None => self.stats.fenced += 1,
        }
        held
    }

    fn conclude(&mut self, number: u64, concluded: Concluded) {
        for twin in self.twins.iter_mut().filter(|twin| twin.waits_for == number) {
            twin.expected = Some(concluded);
        }
    }

    fn leave(&mut self, holder: usize) -> Option<Holder> {
        let index = holder.checked_rem(self.holders.len())?;
        Some(self.holders.remove(index))
    }

    /// Every twin has heard what it should have, and no more; the counters count.
    fn check(&mut self) {
        self.twins.retain_mut(|twin| {
            assert_eq!((&mut twin.outcome).now_or_never(), twin.expected, "D-11: a twin heard something else");
            twin.expected.is_none()
        });
        let in_flight = self.keys.iter().filter(|key| key.held.is_some()).count() as u64;
        let settled = self.claims.stats().settled;
        assert_eq!(self.claims.stats(), ClaimStats { in_flight, settled, ..self.stats });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// I2 to I6 and I19, over schedules of up to 200 steps.
        #[test]
        fn i_02_to_i_06_and_i_19_hold(schedule in prop::collection::vec(any::<[u8; 2]>().prop_map(Step::decode), 0..200)) {
            run(schedule);
        }
    }

    #[test]
    fn the_fuzz_target_takes_any_bytes() {
        for data in [&b""[..], b"\0", b"\0\0\x03\0\0\0", &[0xff; 99]] {
            claims(data);
        }
    }
}
