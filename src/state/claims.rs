//! Deduplication in two phases: an event is *claimed* before it is delivered and *settled* once it is.
//!
//! A claim is never evidence of a delivery (invariant I2). Whoever finds an event claimed waits for the outcome; a
//! claim that is given back, or dropped by a panic or a cancellation, leaves the door open for the sender's retry (I3),
//! and one that is held too long is taken over when its lease is up. The holder that comes late finds itself fenced:
//! its token no longer fits, and neither settling nor giving back has an effect (I5).
//!
//! Claim only after authentication succeeded: nobody else may touch this state (I16, R-19).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;

use crate::{
    clock::Now,
    stages::words::Refusal,
    state::{
        StoreError, StoreFuture,
        key::{Digest, EventKey},
    },
};

/// The shortest lease; shorter ones are extended to it, so that none is over before it began (D-14).
pub const LEASE_MIN: Duration = Duration::from_secs(10);

/// The longest lease; longer ones are cut to it. The configuration keeps `upstream.timeout` 5 s below (D-13).
pub const LEASE_MAX: Duration = Duration::from_mins(1);

/// The longest time for which a settled event is remembered; longer windows are cut to it.
pub const WINDOW_MAX: Duration = Duration::from_hours(7 * 24);

/// An engine that keeps claims. [`Claims`] is what the gateway talks to; this is what stands behind it.
///
/// For each key an engine goes through `absent → claimed(token, lease) → settled(window)`; a claim becomes absent by
/// being given back or when its lease is up, a settled event when its window is. Each step is atomic, and tokens of one
/// key never repeat. Leases and windows arrive within the bounds of this module.
pub trait ClaimStore: fmt::Debug + Send + Sync {
    /// Claims `key` if it is absent at `now`, and says what is known of it if not. `digest` is remembered with it.
    fn claim(&self, key: EventKey, digest: Digest, lease: Duration, now: Instant) -> StoreFuture<'_, Claimed<Token>>;

    /// Remembers until `now + window` that there is evidence of the event, if `token` still holds `key`. A lease that is
    /// up does no harm as long as nobody has taken over.
    fn settle(
        &self,
        key: EventKey,
        token: Token,
        evidence: Evidence,
        window: Duration,
        now: Now,
    ) -> StoreFuture<'_, Standing>;

    /// Makes `key` absent, if `token` still holds it, and tells those who wait why: `failure`, or `None` when the
    /// holder was cancelled or panicked. Never waits and never fails, because it is called from `Drop`: an engine that
    /// has to write elsewhere does so in the background, and the lease covers what is lost on the way.
    fn give_back(&self, key: EventKey, token: Token, failure: Option<Refusal>) -> Standing;

    /// Counters for the telemetry.
    fn stats(&self) -> ClaimStats;
}

/// Why a claim may be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The application answered 2xx.
    Delivered,
    /// The event is safe in the journal, and so is this identity of it.
    Journaled,
}

/// Distinguishes the holders of one key, so that a late one cannot disturb its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub u64);

/// What the store says of an event.
#[derive(Debug)]
pub enum Claimed<C = Claim> {
    /// It is new, and ours to deliver.
    Ours(C),
    /// The same bytes were delivered before, within the window.
    Settled,
    /// Other bytes with this identity were delivered before, or are being delivered: not a duplicate.
    Conflict,
    /// The same bytes are being delivered for another request; whether that succeeds is not known yet.
    InFlight(Waiting),
}

/// Whether a holder still held its claim when it ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It did, and what it asked for was done.
    Held,
    /// The lease was up and somebody had taken over; nothing was changed (D-15).
    Lost,
}

/// How a claim ended, as those who waited for it see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concluded {
    /// The event was delivered.
    Settled,
    /// The event was not delivered, for this reason. Nobody holds it now.
    Failed(Refusal),
    /// The holder was cancelled, panicked or outlived its lease. Claim again.
    Abandoned,
}

/// Counters of a store, since it was made, and two gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimStats {
    /// Gauge: keys that are claimed now.
    pub in_flight: u64,
    /// Gauge: settled keys in the store, roughly.
    pub settled: u64,
    /// Settled keys that were forgotten within their window because the store was full (`dedup_evicted`, R-20).
    pub evicted: u64,
    /// Claims that were taken over because their lease was up.
    pub lease_expired: u64,
    /// Attempts to settle or give back a claim that was no longer held.
    pub fenced: u64,
    /// Claims that met other bytes under the same identity (`dedup_conflict`, R-25).
    pub conflicts: u64,
    /// Claims that were dropped before they were settled or given back: cancellations, panics, failures to settle.
    pub abandoned: u64,
}

/// The claims of all sources. Clones share one store, and reloading the configuration keeps it.
#[derive(Clone, Debug)]
pub struct Claims(Arc<dyn ClaimStore>);

impl Claims {
    /// Puts an engine to use.
    #[must_use]
    pub fn new(store: Arc<dyn ClaimStore>) -> Self {
        Self(store)
    }

    /// Asks for an event. `lease` is how long the delivery may take before somebody else may try: the upstream's
    /// timeout and 5 s more (D-13). Fails only if the store does; what then happens is the source's `on_store_error`.
    pub async fn claim(
        &self,
        key: EventKey,
        digest: Digest,
        lease: Duration,
        now: Instant,
    ) -> Result<Claimed, StoreError> {
        Ok(match self.0.claim(key, digest, lease.clamp(LEASE_MIN, LEASE_MAX), now).await? {
            Claimed::Ours(token) => Claimed::Ours(Claim { store: Arc::clone(&self.0), key, token, open: true }),
            Claimed::Settled => Claimed::Settled,
            Claimed::Conflict => Claimed::Conflict,
            Claimed::InFlight(waiting) => Claimed::InFlight(waiting),
        })
    }

    /// Counters for the telemetry.
    #[must_use]
    pub fn stats(&self) -> ClaimStats {
        self.0.stats()
    }
}

/// The right to deliver one event. Dropping it gives it back as abandoned.
#[derive(Debug)]
#[must_use = "a claim that is dropped is given back"]
pub struct Claim {
    store: Arc<dyn ClaimStore>,
    key: EventKey,
    token: Token,
    open: bool,
}

impl Claim {
    /// The event was delivered, or is safe in the journal: remember that for `window`, counted from `now`.
    ///
    /// If the store fails, the claim is given back: the event *was* delivered, so the sender still gets its 2xx, and a
    /// later retry may be delivered again (D-20).
    pub async fn settle(mut self, evidence: Evidence, window: Duration, now: Now) -> Result<Standing, StoreError> {
        let window = window.min(WINDOW_MAX);
        let standing = self.store.settle(self.key, self.token, evidence, window, now).await?;
        self.open = false;
        Ok(standing)
    }

    /// The event was not delivered. Those who wait for it get the same `failure`; the next claim is a new one.
    #[expect(clippy::must_use_candidate, reason = "a holder that failed has nothing to do with its standing")]
    pub fn give_back(mut self, failure: Refusal) -> Standing {
        self.open = false;
        self.store.give_back(self.key, self.token, Some(failure))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.open {
            self.store.give_back(self.key, self.token, None);
        }
    }
}

/// The place of a twin in the queue: somebody else is delivering the same event.
#[must_use = "the outcome of the claim in flight is not known yet"]
pub struct Waiting(BoxFuture<'static, Concluded>);

impl Waiting {
    /// Waits for `outcome`, which an engine makes. It ends as soon as the claim does, however that happens.
    pub fn new(outcome: impl Future<Output = Concluded> + Send + 'static) -> Self {
        Self(Box::pin(outcome))
    }

    /// How the claim ended. A holder that hangs is not hurried, so put a timeout around this (D-12).
    pub async fn outcome(self) -> Concluded {
        self.0.await
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::{FutureExt, future::Either};
    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::{Clock, ManualClock},
        state::at_once,
    };

    /// A store that fails to settle, and to claim too if it is `down`. It answers late, as an engine elsewhere would.
    #[derive(Debug, Default)]
    struct Failing {
        down: bool,
        given_back: Mutex<Vec<Option<Refusal>>>,
    }

    fn fails<'a, T>() -> StoreFuture<'a, T> {
        Either::Right(Box::pin(async { Err(StoreError("out of order".into())) }))
    }

    impl ClaimStore for Failing {
        fn claim(&self, _: EventKey, _: Digest, _: Duration, _: Instant) -> StoreFuture<'_, Claimed<Token>> {
            if self.down { fails() } else { at_once(Claimed::Ours(Token(1))) }
        }

        fn settle(&self, _: EventKey, _: Token, _: Evidence, _: Duration, _: Now) -> StoreFuture<'_, Standing> {
            fails()
        }

        fn give_back(&self, _: EventKey, _: Token, failure: Option<Refusal>) -> Standing {
            self.given_back.lock().unwrap().push(failure);
            Standing::Held
        }

        fn stats(&self) -> ClaimStats {
            ClaimStats::default()
        }
    }

    fn claim(store: &Arc<Failing>) -> Result<Claimed, StoreError> {
        let claims = Claims::new(Arc::clone(store) as Arc<dyn ClaimStore>);
        let key = EventKey::new("source", [b"1".as_slice()]);
        claims.claim(key, Digest::of(b"{}"), LEASE_MIN, now().steady).now_or_never().expect("it fails at once")
    }

    fn now() -> Now {
        ManualClock::at(Timestamp::UNIX_EPOCH).now()
    }

    #[test]
    fn d_20_an_event_that_cannot_be_settled_is_given_back() {
        let store = Arc::new(Failing::default());
        let Ok(Claimed::Ours(claim)) = claim(&store) else { panic!("not new") };
        let settled = claim.settle(Evidence::Delivered, WINDOW_MAX, now()).now_or_never().expect("it fails at once");
        assert_eq!(settled.unwrap_err().to_string(), "the state store cannot answer: out of order");
        assert_eq!(*store.given_back.lock().unwrap(), [None]);
    }

    #[test]
    fn d_21_a_store_that_is_down_is_neither_new_nor_seen() {
        let store = Arc::new(Failing { down: true, ..Failing::default() });
        assert!(claim(&store).is_err());
        assert!(store.given_back.lock().unwrap().is_empty());
    }

    #[test]
    fn a_claim_is_given_back_exactly_once() {
        let store = Arc::new(Failing::default());
        let Ok(Claimed::Ours(dropped)) = claim(&store) else { panic!("not new") };
        drop(dropped);
        let Ok(Claimed::Ours(failed)) = claim(&store) else { panic!("not new") };
        assert_eq!(failed.give_back(Refusal::Overload), Standing::Held);
        assert_eq!(*store.given_back.lock().unwrap(), [None, Some(Refusal::Overload)]);
    }
}
