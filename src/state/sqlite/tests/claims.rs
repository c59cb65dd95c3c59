//! Claims over restarts.

use super::*;
use crate::{
    stages::words::Refusal,
    state::{
        claims::{Claim, Claimed, Claims, Evidence, LEASE_MIN, Standing, WINDOW_MAX},
        durable::DurableClaims,
    },
};

/// A gateway's claims, which begin anew with each life of its journal.
struct Life {
    bench: Bench,
    claims: Claims,
}

impl Life {
    fn new() -> Self {
        Self::begin(Bench::new())
    }

    fn begin(mut bench: Bench) -> Self {
        let journal = Arc::new(bench.journal.take().unwrap());
        let store = done(DurableClaims::load(journal, 1_000, bench.now()).boxed()).unwrap();
        Self { claims: Claims::new(Arc::new(store)), bench }
    }

    /// As after `kill -9`.
    fn again(self) -> Self {
        let Self { mut bench, claims } = self;
        drop(claims);
        bench.reopen();
        Self::begin(bench)
    }

    fn claim(&self, id: &str, body: &str) -> Claimed {
        let event = EventKey::new("shop", [id.as_bytes()]);
        let claim = self.claims.claim(event, Digest::of(body.as_bytes()), LEASE_MIN, self.bench.now().steady);
        claim.now_or_never().expect("memory answers at once").unwrap()
    }

    fn ours(&self, id: &str) -> Claim {
        match self.claim(id, "body") {
            Claimed::Ours(claim) => claim,
            other => panic!("{id} is not new: {other:?}"),
        }
    }

    fn deliver(&self, id: &str, window: Duration) {
        let settled = self.ours(id).settle(Evidence::Delivered, window, self.bench.now());
        settled.now_or_never().expect("memory answers at once").unwrap();
    }
}

#[test]
fn i_01_i_02_after_a_crash_evidence_decides() {
    let life = Life::new();
    life.deliver("delivered", WINDOW);
    let in_flight = life.ours("in flight");
    assert_eq!(life.ours("failed").give_back(Refusal::UpstreamError), Standing::Held);
    drop(in_flight);
    let life = life.again();
    assert!(matches!(life.claim("delivered", "body"), Claimed::Settled));
    assert!(matches!(life.claim("delivered", "other"), Claimed::Conflict));
    assert!(matches!(life.claim("in flight", "body"), Claimed::Ours(_)));
    assert!(matches!(life.claim("failed", "body"), Claimed::Ours(_)));
}

#[test]
fn d_41_evidence_of_what_was_queued() {
    let mut bench = Bench::new();
    bench.queue("1");
    bench.reopen();
    let life = Life::begin(bench);
    let text = String::from_utf8(body("1").to_vec()).unwrap();
    assert!(matches!(life.claim("1", &text), Claimed::Settled));
}

#[test]
fn d_40_a_repeat_of_what_waits_is_a_duplicate_however_late() {
    let mut bench = Bench::new();
    bench.queue("1");
    bench.wait(WINDOW * 3);
    for _ in 0..2 {
        // Also after the upkeep has looked for what it may forget, and after a restart.
        bench.wait(Duration::from_secs(2));
        bench.lease(0);
        assert_eq!(bench.append(vec![bench.event("1")]).unwrap(), [Appended::Duplicate]);
        bench.reopen();
    }
    let life = Life::begin(bench);
    let text = String::from_utf8(body("1").to_vec()).unwrap();
    assert!(matches!(life.claim("1", &text), Claimed::Settled));
    assert!(matches!(life.claim("1", "other"), Claimed::Conflict));
    let Life { mut bench, claims } = life;
    drop(claims);
    bench.reopen();
    bench.deliver(&bench.lease(1)[0]);
    assert_eq!(bench.journal().pending(&bench.event("1").key), None);
    let life = Life::begin(bench);
    assert!(matches!(life.claim("1", &text), Claimed::Ours(_)), "its window is over");
}

#[test]
fn d_40_while_it_waits_once_more() {
    let bench = Bench::new();
    let id = bench.queue("1");
    bench.mark(bench.lease(1)[0].id, Mark::Dead(None, "gave up".into())).unwrap();
    bench.wait(WINDOW * 2);
    bench.lease(0);
    assert_eq!(bench.journal().pending(&bench.event("1").key), None, "nothing is done about it");
    assert_eq!(done(bench.journal().replay(id, false, bench.now())).unwrap(), Replay::Queued);
    assert_eq!(bench.append(vec![bench.event("1")]).unwrap(), [Appended::Duplicate]);
    assert!(done(bench.journal().discard(id, bench.now())).unwrap());
    assert!(matches!(bench.append(vec![bench.event("1")]).unwrap()[..], [Appended::New(_)]));
}

#[test]
fn d_40_an_event_in_an_array_that_waits() {
    let bench = Bench::new();
    let (array, inside) = (bench.event("array"), bench.event("inside"));
    let settled = [&inside, &array].map(|event| bench.settled(event)).to_vec();
    done(bench.journal().append(Group { entries: vec![array], settled }, bench.now())).unwrap();
    bench.wait(WINDOW * 2);
    bench.lease(0);
    assert_eq!(bench.journal().pending(&inside.key), Some(inside.digest));
    bench.deliver(&bench.lease(1)[0]);
    assert_eq!(bench.journal().pending(&inside.key), None);
}

#[test]
fn d_40_an_array_is_not_taken_in_part() {
    let bench = Bench::new();
    let inside = ["a", "b"].map(|id| bench.event(id));
    let append = |array: &str, count: usize| {
        let array = bench.event(array);
        let settled = inside[..count].iter().chain([&array]).map(|event| bench.settled(event)).collect();
        done(bench.journal().append(Group { entries: vec![array], settled }, bench.now()))
    };
    append("alone", 1).unwrap();
    assert_eq!(append("alone", 1).unwrap(), [Appended::Duplicate]);
    assert!(append("in company", 2).is_err(), "one of them is there already");
    assert_eq!(bench.journal().pending(&inside[1].key), None, "and nothing of the rest");
    bench.deliver(&bench.lease(1)[0]);
    assert!(matches!(append("in company", 2).unwrap()[..], [Appended::New(_)]));
}

#[test]
fn d_40_r_20_there_may_be_more_that_waits_than_is_remembered() {
    let bench = Bench::with(|settings| settings.max_settled = 2);
    for id in ["1", "2", "3", "4"] {
        bench.queue(id);
    }
    let known = |bench: &Bench| {
        bench.wait(Duration::from_secs(2));
        bench.lease(0);
        ["1", "2", "3", "4"].map(|id| bench.append(vec![bench.event(id)]).unwrap() == [Appended::Duplicate])
    };
    assert_eq!(known(&bench), [true; 4]);
    for leased in bench.lease(3) {
        bench.deliver(&leased);
    }
    // Two are forgotten before their time; those that waited longest were settled first.
    assert_eq!(known(&bench).into_iter().filter(|known| *known).count(), 2);
}

#[test]
fn i_02_d_31_what_is_damaged_may_be_sent_again() {
    let mut bench = Bench::new();
    bench.queue("1");
    bench.journal = None;
    let db = rusqlite::Connection::open(bench.file("")).unwrap();
    db.execute_batch("UPDATE kept SET body = randomblob(10)").unwrap();
    drop(db);
    bench.reopen();
    let journal = Arc::new(bench.journal.take().unwrap());
    let store = done(DurableClaims::load(journal.clone(), 1_000, bench.now()).boxed()).unwrap();
    let life = Life { claims: Claims::new(Arc::new(store)), bench };
    let text = String::from_utf8(body("1").to_vec()).unwrap();
    assert!(matches!(life.claim("1", &text), Claimed::Settled), "nobody has looked yet");
    life.bench.wait(Duration::from_secs(1));
    done(journal.lease(lane(), 1, life.bench.now())).unwrap();
    assert_eq!(journal.stats().damaged, 1);
    let Claimed::Ours(claim) = life.claim("1", &text) else { panic!("dedup hides an event that nobody got") };
    let entry = life.bench.event("1");
    let settled = vec![life.bench.settled(&entry)];
    let appended = done(journal.append(Group { entries: vec![entry], settled }, life.bench.now())).unwrap();
    assert!(matches!(appended[..], [Appended::New(_)]));
    claim.settle(Evidence::Journaled, WINDOW, life.bench.now()).now_or_never().unwrap().unwrap();
    assert!(matches!(life.claim("1", &text), Claimed::Settled));
}

#[test]
fn windows_go_on_while_the_process_is_down() {
    let life = Life::new();
    life.deliver("1", WINDOW);
    life.bench.wait(Duration::from_hours(23));
    let life = life.again();
    assert!(matches!(life.claim("1", "body"), Claimed::Settled));
    life.bench.wait(Duration::from_hours(1));
    assert!(matches!(life.claim("1", "body"), Claimed::Ours(_)));
    let life = life.again();
    assert!(matches!(life.claim("1", "body"), Claimed::Ours(_)));
}

#[test]
fn d_52_a_clock_that_was_set_back_makes_no_window_longer_than_the_longest() {
    let mut life = Life::new();
    life.deliver("1", WINDOW);
    life.bench.clock = ManualClock::at("2020-01-01T00:00:00Z".parse().unwrap());
    let life = life.again();
    life.bench.wait(WINDOW_MAX / 2);
    assert!(matches!(life.claim("1", "body"), Claimed::Settled));
    life.bench.wait(WINDOW_MAX / 2);
    assert!(matches!(life.claim("1", "body"), Claimed::Ours(_)));
}
