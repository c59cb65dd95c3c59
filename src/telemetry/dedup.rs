//! The numbers of deduplication. Most of them are the store's own, which is asked for them at every scrape.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        gauge::ConstGauge,
    },
    registry::Registry,
};

use super::metrics::{self, help, stem};

pub(super) const ABANDONED: &str = "hooksieve_dedup_abandoned_total";
pub(super) const CONFLICTS: &str = "hooksieve_dedup_conflicts_total";
pub(super) const COMMIT_FAILED: &str = "hooksieve_dedup_commit_failed_total";
pub(super) const EVICTED: &str = "hooksieve_dedup_evicted_total";
pub(super) const FENCED: &str = "hooksieve_dedup_fenced_total";
pub(super) const IN_FLIGHT: &str = "hooksieve_dedup_in_flight";
pub(super) const LEASE_EXPIRED: &str = "hooksieve_dedup_lease_expired_total";
pub(super) const SETTLED: &str = "hooksieve_dedup_settled";

/// What is counted about deduplication: by us, and by the store.
#[derive(Debug)]
pub struct DedupMetrics {
    /// Delivered events whose key could not be kept.
    pub commit_failed: Counter,
    store: Store,
}

impl DedupMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let store = Store::default();
        registry.register_collector(Box::new(store.clone()));
        Self { commit_failed: metrics::register(registry, COMMIT_FAILED, Counter::default()), store }
    }

    /// Asks `counts` for the store's own numbers at every scrape. Only the first call has an effect.
    pub fn watch(&self, counts: impl Fn() -> DedupCounts + Send + Sync + 'static) {
        let _ = self.store.0.set(Box::new(counts));
    }
}

/// What the dedup store counts itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct DedupCounts {
    /// Keys claimed now.
    pub in_flight: u64,
    /// Settled keys in the store.
    pub settled: u64,
    /// Settled keys pushed out early.
    pub evicted: u64,
    /// Late settlements without effect.
    pub fenced: u64,
    /// Claims that outlived their lease.
    pub lease_expired: u64,
    /// Same identity, other bytes.
    pub conflicts: u64,
    /// Claims dropped without an end.
    pub abandoned: u64,
}

/// Whoever knows the dedup store's numbers, once there is somebody.
#[derive(Clone, Default)]
struct Store(Arc<OnceLock<Box<dyn Fn() -> DedupCounts + Send + Sync>>>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store(…)")
    }
}

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.get().map(|counts| counts()).unwrap_or_default();
        for (name, count) in [
            (EVICTED, counts.evicted),
            (FENCED, counts.fenced),
            (LEASE_EXPIRED, counts.lease_expired),
            (CONFLICTS, counts.conflicts),
            (ABANDONED, counts.abandoned),
        ] {
            let metric = encoder.encode_descriptor(stem(name), help(name), None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        for (name, count) in [(IN_FLIGHT, counts.in_flight), (SETTLED, counts.settled)] {
            let metric = encoder.encode_descriptor(name, help(name), None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(metric)?;
        }
        Ok(())
    }
}
