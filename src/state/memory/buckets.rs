//! Buckets in memory: governor decides, a bounded cache keeps the states, and the caller says what time it is.

use std::{
    convert::Infallible,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::state::{
    key::BucketKey,
    limits::{BURST_MAX, Limit, Period, RetryAfter, Taken},
};

/// The least time that the cache keeps a quiet bucket by its own clock. A bucket may be forgotten once it is full
/// again, but when that is the case is for the caller's clock to say, so there is ample room between the two.
const QUIET: Duration = Duration::from_hours(1);

/// Buckets of one limit, at most as many as the cache holds.
pub(in crate::state) struct Buckets {
    taking: RateLimiter<BucketKey, States, Told, NoOpMiddleware<Nanos>>,
    looking: RateLimiter<BucketKey, Untouched, Told, NoOpMiddleware<Nanos>>,
    told: Told,
    states: States,
    burst: NonZeroU32,
}

impl Buckets {
    /// Full buckets, at most `capacity` of them. No later `now` is before this one.
    pub(in crate::state) fn new(limit: Limit, capacity: u64, now: Instant) -> Self {
        let burst = limit.burst.min(const { NonZeroU32::new(BURST_MAX).expect("the constant is not zero") });
        let quota = match limit.rate.per {
            Period::Second => Quota::per_second(limit.rate.count),
            Period::Minute => Quota::per_minute(limit.rate.count),
            Period::Hour => Quota::per_hour(limit.rate.count),
        };
        let quota = quota.allow_burst(burst);
        let states = States(
            Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(quota.burst_size_replenished_in().max(QUIET))
                .build(),
        );
        let told = Told { origin: now, nanos: Arc::default() };
        Self {
            taking: RateLimiter::new(quota, states.clone(), told.clone()),
            looking: RateLimiter::new(quota, Untouched(states.clone()), told.clone()),
            told,
            states,
            burst,
        }
    }

    /// Takes `n` from the bucket, all or nothing.
    pub(in crate::state) fn take(&self, key: &BucketKey, n: NonZeroU32, now: Instant) -> Taken {
        let never = Taken::Never { burst: self.burst };
        if n > self.burst {
            return never;
        }
        self.told.tell(now);
        match self.taking.check_key_n(key, n) {
            Ok(Ok(())) => Taken::Granted,
            Ok(Err(not_until)) => Taken::Later(self.wait(&not_until)),
            Err(_) => never,
        }
    }

    /// Whether one could be taken from the bucket now. Takes nothing and makes no bucket.
    pub(in crate::state) fn look(&self, key: &BucketKey, now: Instant) -> Result<(), RetryAfter> {
        self.told.tell(now);
        self.looking.check_key(key).map_err(|not_until| self.wait(&not_until))
    }

    /// How many buckets take up memory now.
    #[cfg(test)]
    pub(in crate::state) fn known(&self) -> u64 {
        self.states.0.iter().count() as u64
    }

    fn wait(&self, not_until: &NotUntil<Nanos>) -> RetryAfter {
        not_until.wait_time_from(self.told.now()).into()
    }
}

/// A clock that knows what it was told last, in nanoseconds since it was made. It never goes back, so threads that
/// tell it in another order than they looked at theirs do no harm.
#[derive(Clone)]
struct Told {
    origin: Instant,
    nanos: Arc<AtomicU64>,
}

impl Told {
    fn tell(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.origin).as_nanos();
        self.nanos.fetch_max(u64::try_from(nanos).expect("a process does not run for 584 years"), Relaxed);
    }
}

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.nanos.load(Relaxed).into()
    }
}

/// One state per key, in a cache that forgets the key that was quiet for longest when it is full.
#[derive(Clone)]
struct States(Cache<BucketKey, Arc<InMemoryState>>);

impl StateStore for States {
    type Key = BucketKey;

    fn measure_and_replace<T, F, E>(&self, key: &BucketKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.get_with_by_ref(key, Arc::default).measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// The same states, for governor to decide upon without writing down what it decided: it has no look-up of its own.
struct Untouched(States);

impl StateStore for Untouched {
    type Key = BucketKey;

    fn measure_and_replace<T, F, E>(&self, key: &BucketKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let decided = match self.0.0.get(key) {
            // A state is left as it is when the decision on it is an error, so that is how the decision gets out.
            Some(state) => {
                let Err(decided) =
                    state.measure_and_replace::<Infallible, _, _>(&NotKeyed::NonKey, |tat| Err(decide(tat)));
                decided
            }
            None => decide(None),
        };
        decided.map(|(outcome, _)| outcome)
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("burst", &self.burst)
            .field("known", &self.states.0.entry_count())
            .finish_non_exhaustive()
    }
}
