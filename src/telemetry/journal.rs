//! The numbers of the journal, which is asked for them at every scrape, and of the queues that are filled from it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        gauge::{ConstGauge, Gauge},
    },
};

use super::metrics::{help, stem};

pub(super) const APPENDED: &str = "hooksieve_journal_appended_total";
pub(super) const BYTES: &str = "hooksieve_journal_bytes";
pub(super) const COMMITS: &str = "hooksieve_journal_commits_total";
pub(super) const DAMAGED: &str = "hooksieve_journal_damaged_total";
pub(super) const DEAD: &str = "hooksieve_journal_dead";
pub(super) const FAILED: &str = "hooksieve_journal_failed_total";
pub(super) const NOTES_DROPPED: &str = "hooksieve_journal_notes_dropped_total";
pub(super) const OLDEST: &str = "hooksieve_journal_oldest_pending_seconds";
pub(super) const PENDING: &str = "hooksieve_journal_pending";
pub(super) const QUARANTINED: &str = "hooksieve_journal_quarantined";
pub(super) const REMEMBER_FAILED: &str = "hooksieve_journal_remember_failed_total";
pub(super) const TROUBLE: &str = "hooksieve_journal_trouble";

/// What a journal counts itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalCounts {
    /// Events to be delivered.
    pub pending: u64,
    /// For how long the oldest of them has been waiting.
    pub oldest_pending: Duration,
    /// Events that were given up.
    pub dead: u64,
    /// Events that were set aside.
    pub quarantined: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Groups that were committed.
    pub commits: u64,
    /// Events that were appended.
    pub appended: u64,
    /// Appends that failed.
    pub failed: u64,
    /// Lines of the delivery log that were dropped.
    pub notes_dropped: u64,
    /// Settled identities that were not written.
    pub remember_failed: u64,
    /// Entries that were found damaged.
    pub damaged: u64,
    /// Whether it cannot take events now.
    pub troubled: bool,
}

/// Whoever knows the journal's numbers, once there is somebody.
#[derive(Clone, Default)]
pub struct JournalMetrics(Arc<OnceLock<Box<dyn Fn() -> JournalCounts + Send + Sync>>>);

impl JournalMetrics {
    /// Asks `counts` for the journal's own numbers at every scrape. Only the first call has an effect.
    pub fn watch(&self, counts: impl Fn() -> JournalCounts + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(counts));
    }
}

impl fmt::Debug for JournalMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalMetrics(…)")
    }
}

impl Collector for JournalMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.get().map(|counts| counts()).unwrap_or_default();
        for (name, count) in [
            (COMMITS, counts.commits),
            (APPENDED, counts.appended),
            (FAILED, counts.failed),
            (NOTES_DROPPED, counts.notes_dropped),
            (REMEMBER_FAILED, counts.remember_failed),
            (DAMAGED, counts.damaged),
        ] {
            let metric = encoder.encode_descriptor(stem(name), help(name), None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        for (name, count) in [
            (PENDING, counts.pending),
            (OLDEST, counts.oldest_pending.as_secs()),
            (DEAD, counts.dead),
            (QUARANTINED, counts.quarantined),
            (BYTES, counts.bytes),
            (TROUBLE, counts.troubled.into()),
        ] {
            let metric = encoder.encode_descriptor(name, help(name), None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(metric)?;
        }
        Ok(())
    }
}

/// The numbers of one upstream's queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Events that were given up.
    pub dead: Counter,
    /// Attempts under way.
    pub in_flight: Gauge,
    /// 0 when events flow, 1 while one of them tries whether they can, 2 while none goes out.
    pub breaker: Gauge,
}
