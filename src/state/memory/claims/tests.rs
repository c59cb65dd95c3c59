use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize},
    },
    thread,
};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    state::claims::{Claim, Claims, LEASE_MIN},
};

const LEASE: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_nanos(1);

/// A store with a clock that the test moves.
#[derive(Clone)]
struct Bench {
    store: Arc<MemoryClaims>,
    claims: Claims,
    clock: ManualClock,
}

impl Bench {
    fn new(capacity: u64) -> Self {
        let store = Arc::new(MemoryClaims::new(capacity));
        let claims = Claims::new(Arc::clone(&store) as Arc<dyn ClaimStore>);
        Self { store, claims, clock: ManualClock::at(Timestamp::UNIX_EPOCH) }
    }

    fn now(&self) -> Instant {
        self.clock.now().steady
    }

    fn claim_leased(&self, id: &str, body: &str, lease: Duration) -> Claimed {
        let claimed = self.claims.claim(event(id), Digest::of(body.as_bytes()), lease, self.now());
        claimed.now_or_never().expect("memory answers at once").unwrap()
    }

    fn claim(&self, id: &str) -> Claimed {
        self.claim_leased(id, "body", LEASE)
    }

    fn ours(&self, id: &str) -> Claim {
        match self.claim(id) {
            Claimed::Ours(claim) => claim,
            other => panic!("{id} is not new: {other:?}"),
        }
    }

    fn twin(&self, id: &str) -> Waiting {
        match self.claim(id) {
            Claimed::InFlight(waiting) => waiting,
            other => panic!("{id} is not in flight: {other:?}"),
        }
    }

    fn settle(&self, claim: Claim) -> Standing {
        claim
            .settle(Evidence::Delivered, WINDOW, self.clock.now())
            .now_or_never()
            .expect("memory answers at once")
            .unwrap()
    }
}

fn event(id: &str) -> EventKey {
    EventKey::new("source", [id.as_bytes()])
}

#[test]
fn r_10_d_09_a_settled_event_is_a_duplicate_within_its_window() {
    let bench = Bench::new(10);
    assert_eq!(bench.settle(bench.ours("1")), Standing::Held);
    assert!(matches!(bench.claim("1"), Claimed::Settled));
    assert!(matches!(bench.claim("2"), Claimed::Ours(_)));
    bench.clock.advance(WINDOW.saturating_sub(TICK));
    assert!(matches!(bench.claim("1"), Claimed::Settled));
    bench.clock.advance(TICK);
    assert!(matches!(bench.claim("1"), Claimed::Ours(_)));
}

#[test]
fn r_14_a_reload_keeps_the_claims() {
    let bench = Bench::new(10);
    bench.settle(bench.ours("1"));
    let after_reload = Bench { claims: bench.claims.clone(), ..bench };
    assert!(matches!(after_reload.claim("1"), Claimed::Settled));
}

#[test]
fn r_20_a_full_store_forgets_the_oldest_and_refuses_nobody() {
    let bench = Bench::new(100);
    let held = bench.ours("held");
    for n in 0..10_000 {
        let claim = bench.ours(&n.to_string());
        bench.settle(claim);
    }
    bench.store.settled.run_pending_tasks();
    let stats = bench.claims.stats();
    assert_eq!((stats.settled, stats.evicted, stats.in_flight), (100, 9_900, 1));
    assert!(matches!(bench.claim("9999"), Claimed::Settled), "the newest was forgotten");
    assert!(matches!(bench.claim("0"), Claimed::Ours(_)), "the oldest was kept");
    assert!(matches!(bench.claim("held"), Claimed::InFlight(_)), "one in flight was pushed out");
    assert_eq!(bench.settle(held), Standing::Held);
}

#[test]
fn r_20_an_event_settled_again_counts_as_no_eviction() {
    let bench = Bench::new(100);
    for _ in 0..10 {
        bench.settle(bench.ours("1"));
        bench.clock.advance(WINDOW);
    }
    bench.store.settled.run_pending_tasks();
    assert_eq!(bench.claims.stats(), ClaimStats { settled: 1, ..ClaimStats::default() });
}

#[test]
fn r_25_j_23_other_bytes_are_a_conflict() {
    let bench = Bench::new(10);
    let claim = bench.ours("1");
    assert!(matches!(bench.claim_leased("1", "other", LEASE), Claimed::Conflict), "while in flight");
    bench.settle(claim);
    assert!(matches!(bench.claim_leased("1", "other", LEASE), Claimed::Conflict), "once settled");
    assert!(matches!(bench.claim("1"), Claimed::Settled), "the first is settled all the same");
    assert_eq!(bench.claims.stats().conflicts, 2);
    bench.clock.advance(WINDOW);
    assert!(matches!(bench.claim_leased("1", "other", LEASE), Claimed::Ours(_)), "after the window");
}

#[test]
fn d_02_d_03_a_failed_delivery_leaves_the_door_open() {
    let bench = Bench::new(10);
    for refusal in [Refusal::UpstreamError, Refusal::UpstreamTimeout] {
        let claim = bench.ours("1");
        let twin = bench.twin("1");
        assert_eq!(claim.give_back(refusal), Standing::Held);
        assert_eq!(twin.outcome().now_or_never(), Some(Concluded::Failed(refusal)));
    }
    assert_eq!(bench.settle(bench.ours("1")), Standing::Held);
    assert_eq!(bench.claims.stats().abandoned, 0);
}

#[test]
fn d_07_a_lease_that_is_up_lets_the_next_one_take_over() {
    let bench = Bench::new(10);
    let hung = bench.ours("1");
    let twin = bench.twin("1");
    bench.clock.advance(LEASE.saturating_sub(TICK));
    let mut late_twin = Box::pin(bench.twin("1").outcome());
    bench.clock.advance(TICK);
    assert_eq!((&mut late_twin).now_or_never(), None, "nobody has taken over yet");
    let successor = bench.ours("1");
    assert_eq!(twin.outcome().now_or_never(), Some(Concluded::Abandoned));
    assert_eq!(late_twin.now_or_never(), Some(Concluded::Abandoned));
    assert_eq!(bench.claims.stats().lease_expired, 1);
    drop((hung, successor));
}

#[test]
fn d_08_late_evidence_counts_if_nobody_has_taken_over() {
    let bench = Bench::new(10);
    let late = bench.ours("1");
    bench.clock.advance(LEASE * 2);
    assert_eq!(bench.settle(late), Standing::Held);
    assert!(matches!(bench.claim("1"), Claimed::Settled));
}

#[test]
fn d_14_no_lease_is_over_before_it_began() {
    let bench = Bench::new(10);
    let Claimed::Ours(_claim) = bench.claim_leased("1", "body", Duration::ZERO) else { panic!("not new") };
    bench.clock.advance(LEASE_MIN.saturating_sub(TICK));
    let _twin = bench.twin("1");
    bench.clock.advance(TICK);
    let _successor = bench.ours("1");
    let Claimed::Ours(_endless) = bench.claim_leased("2", "body", Duration::MAX) else { panic!("not new") };
    bench.clock.advance(Duration::from_mins(1));
    let _successor = bench.ours("2");
}

#[test]
fn d_15_a_late_finisher_is_fenced() {
    let bench = Bench::new(10);
    let takeover = || {
        let late = bench.ours("1");
        bench.clock.advance(LEASE);
        (late, bench.ours("1"))
    };
    let (late, successor) = takeover();
    assert_eq!(late.give_back(Refusal::UpstreamError), Standing::Lost);
    let twin = bench.twin("1");
    assert_eq!(bench.settle(successor), Standing::Held);
    assert_eq!(twin.outcome().now_or_never(), Some(Concluded::Settled));

    bench.clock.advance(WINDOW);
    let (late, successor) = takeover();
    assert_eq!(bench.settle(late), Standing::Lost);
    assert_eq!(successor.give_back(Refusal::UpstreamError), Standing::Held);

    let (late, successor) = takeover();
    bench.settle(successor);
    drop(late);
    assert!(matches!(bench.claim("1"), Claimed::Settled), "a late one released what another had settled");
    let stats = bench.claims.stats();
    assert_eq!((stats.fenced, stats.lease_expired, stats.abandoned), (3, 3, 0));
}

#[test]
fn i_03_a_panic_gives_the_claim_back() {
    let bench = Bench::new(10);
    let claim = bench.ours("1");
    let twin = bench.twin("1");
    let panicked = thread::spawn(move || {
        let _claim = claim;
        panic!("the delivery went wrong");
    });
    assert!(panicked.join().is_err());
    assert_eq!(twin.outcome().now_or_never(), Some(Concluded::Abandoned));
    assert_eq!(bench.claims.stats().abandoned, 1);
    assert_eq!(bench.settle(bench.ours("1")), Standing::Held);
}

#[test]
fn i_03_a_poisoned_lock_makes_no_event_unanswerable() {
    let bench = Bench::new(10);
    let claim = bench.ours("1");
    let store = Arc::clone(&bench.store);
    let panicked = thread::spawn(move || {
        let _lock = store.shard(&event("1"));
        panic!("while the lock was held");
    });
    assert!(panicked.join().is_err());
    assert_eq!(claim.give_back(Refusal::Internal), Standing::Held);
    assert_eq!(bench.settle(bench.ours("1")), Standing::Held);
    assert_eq!(bench.claims.stats().in_flight, 0);
}

#[tokio::test]
async fn d_06_a_cancelled_delivery_gives_the_claim_back() {
    let bench = Bench::new(10);
    let claim = bench.ours("1");
    let twin = bench.twin("1");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _claim = claim;
        std::future::pending::<()>().await;
    });
    tasks.shutdown().await;
    assert_eq!(twin.outcome().await, Concluded::Abandoned);
    assert!(matches!(bench.claim("1"), Claimed::Ours(_)));
}

/// A hundred tasks on several threads want the same event, and all have asked before the leader ends.
async fn check_hundred_at_once(end: impl AsyncFn(Claim, Now), concluded: Concluded) {
    let bench = Bench::new(10);
    let asked = Arc::new(tokio::sync::Barrier::new(100));
    let mut twins = JoinSet::new();
    let mut leaders = JoinSet::new();
    for _ in 0..100 {
        let (bench, asked) = (bench.clone(), Arc::clone(&asked));
        leaders.spawn(async move {
            let claimed = bench.claim("1");
            asked.wait().await;
            claimed
        });
    }
    let mut claims = Vec::new();
    while let Some(claimed) = leaders.join_next().await {
        match claimed.unwrap() {
            Claimed::Ours(claim) => claims.push(claim),
            Claimed::InFlight(waiting) => drop(twins.spawn(waiting.outcome())),
            other => panic!("neither leader nor twin: {other:?}"),
        }
    }
    assert_eq!((claims.len(), twins.len()), (1, 99));
    end(claims.remove(0), bench.clock.now()).await;
    assert_eq!(twins.join_all().await, vec![concluded; 99]);
    assert_eq!(bench.claims.stats().in_flight, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d_10_a_hundred_at_once_have_one_leader() {
    let settle = async |claim: Claim, now| {
        assert_eq!(claim.settle(Evidence::Delivered, WINDOW, now).await.unwrap(), Standing::Held);
    };
    check_hundred_at_once(settle, Concluded::Settled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d_11_no_follower_of_a_failed_leader_hears_of_success() {
    let fail = async |claim: Claim, _| assert_eq!(claim.give_back(Refusal::UpstreamError), Standing::Held);
    check_hundred_at_once(fail, Concluded::Failed(Refusal::UpstreamError)).await;
    check_hundred_at_once(async |claim, _| drop(claim), Concluded::Abandoned).await;
}

#[test]
fn d_12_a_twin_of_a_hung_leader_hears_nothing() {
    let bench = Bench::new(10);
    let claim = bench.ours("1");
    let mut outcome = Box::pin(bench.twin("1").outcome());
    bench.clock.advance(LEASE * 2);
    assert_eq!((&mut outcome).now_or_never(), None);
    drop(claim);
    assert_eq!(outcome.now_or_never(), Some(Concluded::Abandoned));
}

/// I4 and I2 under contention: a hundred threads want the same events again and again, and most leaders fail.
#[test]
fn d_10_d_11_stress() {
    const THREADS: usize = 100;
    const ROUNDS: usize = 40;
    let bench = Bench::new(1_000);
    let start = Barrier::new(THREADS);
    let leading: [AtomicBool; ROUNDS] = [const { AtomicBool::new(false) }; ROUNDS];
    let delivered: [AtomicUsize; ROUNDS] = [const { AtomicUsize::new(0) }; ROUNDS];
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bench, start, leading, delivered) = (&bench, &start, &leading, &delivered);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let mut attempts = thread;
                    loop {
                        match bench.claim(&round.to_string()) {
                            Claimed::Ours(claim) => {
                                assert!(!leading[round].swap(true, Relaxed), "I4: two leaders");
                                attempts += 1;
                                thread::yield_now();
                                leading[round].store(false, Relaxed);
                                match attempts % 4 {
                                    0 => {
                                        delivered[round].fetch_add(1, Relaxed);
                                        assert_eq!(bench.settle(claim), Standing::Held);
                                    }
                                    1 => drop(claim),
                                    _ => assert_eq!(claim.give_back(Refusal::UpstreamError), Standing::Held),
                                }
                            }
                            Claimed::InFlight(_) => thread::yield_now(),
                            Claimed::Settled => {
                                assert_eq!(delivered[round].load(Relaxed), 1, "I2: a duplicate of nothing");
                                break;
                            }
                            Claimed::Conflict => panic!("all bytes are the same"),
                        }
                    }
                }
            });
        }
    });
    assert!(delivered.iter().all(|count| count.load(Relaxed) == 1), "I6: delivered more than once");
    let stats = bench.claims.stats();
    assert_eq!((stats.in_flight, stats.fenced, stats.lease_expired, stats.conflicts), (0, 0, 0, 0));
}
