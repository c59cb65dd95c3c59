//! Claims in memory.
//!
//! Keys in flight are in maps of our own: nothing may ever push them out, and there are only as many as there are
//! deliveries under way. Settled keys are in a cache that keeps to a number of entries and forgets the least recently
//! used one when it is full: with one window for all, that is the one nearest its end.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, notification::RemovalCause, policy::EvictionPolicy, sync::Cache};
use tokio::sync::watch;

use crate::{
    clock::Now,
    stages::words::Refusal,
    state::{
        StoreFuture, at_once,
        claims::{ClaimStats, ClaimStore, Claimed, Concluded, Evidence, Standing, Token, WINDOW_MAX, Waiting},
        journal,
        key::{Digest, EventKey},
    },
};

/// How many locks the keys in flight are spread over: a power of two well above the number of threads.
const SHARDS: usize = 64;

/// How much longer than its window the cache keeps a key by its own clock. The window is decided here, by comparing
/// instants; the cache's clock only frees memory, and must not be ahead of the `now` of a request that took its time.
const GRACE: Duration = Duration::from_mins(10);

/// A [`ClaimStore`] in the memory of this process.
pub struct MemoryClaims {
    shards: [Mutex<Shard>; SHARDS],
    settled: Cache<EventKey, Settled>,
    evicted: Arc<AtomicU64>,
    lease_expired: AtomicU64,
    fenced: AtomicU64,
    conflicts: AtomicU64,
    abandoned: AtomicU64,
}

/// The keys in flight that share a lock.
#[derive(Default)]
struct Shard {
    in_flight: HashMap<EventKey, Holder>,
    tokens: u64,
}

/// Who holds a key.
struct Holder {
    token: Token,
    digest: Digest,
    lease_until: Instant,
    /// Made when the first twin comes, which is seldom.
    twins: Option<watch::Sender<Option<Concluded>>>,
}

/// A delivered event.
#[derive(Clone)]
struct Settled {
    digest: Digest,
    until: Instant,
}

impl MemoryClaims {
    /// A store that remembers at most `capacity` settled keys, and at least one: about 430 bytes each.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evicted);
        let settled = Cache::builder()
            .max_capacity(capacity.max(1))
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilForgotten)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Relaxed);
                }
            })
            .build();
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            settled,
            evicted,
            lease_expired: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        }
    }

    /// Takes in what was settled before a restart, the oldest first. Windows go on by civil time while a process is
    /// down; a clock that was set back does not make one longer than it may be.
    pub fn restore(&self, settled: impl IntoIterator<Item = journal::Settled>, now: Now) {
        for journal::Settled { key, digest, until } in settled {
            let left = Duration::try_from(until.duration_since(now.wall)).unwrap_or_default();
            self.settled.insert(key, Settled { digest, until: now.steady + left.min(WINDOW_MAX) });
        }
    }

    /// The end of the second phase. `evidence` learns which bytes were settled, before anybody else does.
    pub(in crate::state) fn conclude(
        &self,
        key: EventKey,
        token: Token,
        window: Duration,
        now: Now,
        evidence: impl FnOnce(Digest),
    ) -> Standing {
        self.end(key, token, Concluded::Settled, |holder| {
            self.settled.insert(key, Settled { digest: holder.digest, until: now.steady + window });
            evidence(holder.digest);
        })
    }

    /// The first phase, in one step under the lock of the key: there is no moment between looking and claiming.
    fn take(&self, key: EventKey, digest: Digest, lease: Duration, now: Instant) -> Claimed<Token> {
        let mut shard = self.shard(&key);
        if let Some(holder) = shard.in_flight.get_mut(&key)
            && now < holder.lease_until
        {
            return if holder.digest == digest { Claimed::InFlight(holder.join()) } else { self.conflict() };
        }
        if let Some(settled) = self.settled.get(&key)
            && now < settled.until
        {
            return self.met(settled.digest, digest);
        }
        shard.tokens += 1;
        let token = Token(shard.tokens);
        let late = shard.in_flight.insert(key, Holder { token, digest, lease_until: now + lease, twins: None });
        drop(shard);
        if late.is_some() {
            // With the late holder goes its channel, and that is how its twins hear that it was abandoned.
            self.lease_expired.fetch_add(1, Relaxed);
        }
        Claimed::Ours(token)
    }

    /// The second phase: ends the claim if `token` still holds `key`. What `before` does, it does under the same lock,
    /// so nobody finds the key absent between the evidence and the end of the claim.
    fn end(&self, key: EventKey, token: Token, concluded: Concluded, before: impl FnOnce(&Holder)) -> Standing {
        let mut shard = self.shard(&key);
        match shard.in_flight.entry(key) {
            Entry::Occupied(holder) if holder.get().token == token => {
                before(holder.get());
                let holder = holder.remove();
                drop(shard);
                holder.conclude(concluded);
                Standing::Held
            }
            Entry::Occupied(_) | Entry::Vacant(_) => {
                self.fenced.fetch_add(1, Relaxed);
                Standing::Lost
            }
        }
    }

    /// There is no evidence of an event any more.
    pub(in crate::state) fn forget(&self, key: &EventKey) {
        self.settled.invalidate(key);
    }

    /// An event comes of which there is evidence: the same bytes, or others.
    pub(in crate::state) fn met(&self, known: Digest, digest: Digest) -> Claimed<Token> {
        if known == digest { Claimed::Settled } else { self.conflict() }
    }

    fn conflict(&self) -> Claimed<Token> {
        self.conflicts.fetch_add(1, Relaxed);
        Claimed::Conflict
    }

    fn shard(&self, key: &EventKey) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        // Claims are given back while a panic unwinds, so a poisoned lock must not panic again. Every change under it
        // is a single insertion or removal, so there is no half-done state to fear.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimStore for MemoryClaims {
    fn claim(&self, key: EventKey, digest: Digest, lease: Duration, now: Instant) -> StoreFuture<'_, Claimed<Token>> {
        at_once(self.take(key, digest, lease, now))
    }

    fn settle(
        &self,
        key: EventKey,
        token: Token,
        _: Evidence,
        window: Duration,
        now: Now,
    ) -> StoreFuture<'_, Standing> {
        at_once(self.conclude(key, token, window, now, |_| ()))
    }

    fn give_back(&self, key: EventKey, token: Token, failure: Option<Refusal>) -> Standing {
        let concluded = failure.map_or(Concluded::Abandoned, Concluded::Failed);
        let standing = self.end(key, token, concluded, |_| ());
        if standing == Standing::Held && failure.is_none() {
            self.abandoned.fetch_add(1, Relaxed);
        }
        standing
    }

    fn stats(&self) -> ClaimStats {
        let in_flight = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).in_flight.len();
        ClaimStats {
            in_flight: self.shards.iter().map(in_flight).sum::<usize>() as u64,
            settled: self.settled.entry_count(),
            evicted: self.evicted.load(Relaxed),
            lease_expired: self.lease_expired.load(Relaxed),
            fenced: self.fenced.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }
}

impl Holder {
    /// A place for one more that waits. The wait ends with the holder, even if it is dropped without a word.
    fn join(&mut self) -> Waiting {
        let twins = self.twins.get_or_insert_with(|| watch::Sender::new(None));
        let mut outcome = twins.subscribe();
        Waiting::new(async move {
            let concluded = outcome.wait_for(Option::is_some).await.ok().and_then(|concluded| *concluded);
            concluded.unwrap_or(Concluded::Abandoned)
        })
    }

    fn conclude(self, concluded: Concluded) {
        if let Some(twins) = self.twins {
            twins.send_replace(Some(concluded));
        }
    }
}

/// When the cache may forget a settled key: some time after its window.
struct UntilForgotten;

impl UntilForgotten {
    fn after(settled: &Settled, now: Instant) -> Duration {
        settled.until.saturating_duration_since(now) + GRACE
    }
}

impl Expiry<EventKey, Settled> for UntilForgotten {
    fn expire_after_create(&self, _: &EventKey, settled: &Settled, now: Instant) -> Option<Duration> {
        Some(Self::after(settled, now))
    }

    fn expire_after_update(
        &self,
        _: &EventKey,
        settled: &Settled,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::after(settled, now))
    }
}

impl fmt::Debug for MemoryClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryClaims").field(&self.stats()).finish()
    }
}

#[cfg(test)]
mod tests;
