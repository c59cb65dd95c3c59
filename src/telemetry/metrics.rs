//! The metrics: declared in one list, counted through handles that are looked up once.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric, Registry},
};

use super::{
    dedup::{ABANDONED, COMMIT_FAILED, CONFLICTS, DedupMetrics, EVICTED, FENCED, IN_FLIGHT, LEASE_EXPIRED, SETTLED},
    journal::{self, JournalMetrics, QueueMetrics},
    words::{Outcome, Reason},
};
use crate::stages::words::Verdict;

/// One metric, as `docs/telemetry.md` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// The name as it is scraped.
    pub name: &'static str,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

const fn declare(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Declared {
    Declared { name, kind, labels, help }
}

/// Every metric there is.
pub const DECLARED: &[Declared] = &[
    declare(REQUESTS, "counter", &["source", "outcome", "reason"], "Requests, by what became of them and why"),
    declare(EVENTS, "counter", &["source", "verdict", "reason"], "Events of authentic requests, by verdict and why"),
    declare(
        ATTEMPTS,
        "counter",
        &["upstream", "outcome"],
        "Delivery attempts: delivered, refused, ambiguous, not_sent or full",
    ),
    declare(
        FETCHES,
        "counter",
        &["outcome"],
        "Addresses of senders that were asked for keys or a confirmation: found, absent or unavailable",
    ),
    declare(
        SIGNED_AGE,
        "gauge",
        &["source"],
        "Seconds from the signed time of the last request that had one to its arrival; below 0 the sender's clock is ahead",
    ),
    declare(DURATION, "histogram", &["source"], "Seconds from a request's head to its answer"),
    declare(
        SECRETS,
        "counter",
        &["source", "secret"],
        "Requests that verified, by the name of the secret they verified with",
    ),
    declare(EVICTED, "counter", &[], "Settled keys that were pushed out of the dedup store before their window ended"),
    declare(FENCED, "counter", &[], "Late settlements that found their claim in other hands and changed nothing"),
    declare(LEASE_EXPIRED, "counter", &[], "Claims whose lease ran out before they were settled or given back"),
    declare(CONFLICTS, "counter", &[], "Events with the identity of another event but other bytes"),
    declare(ABANDONED, "counter", &[], "Claims that were dropped without an end: cancelled, panicked or not settled"),
    declare(IN_FLIGHT, "gauge", &[], "Events claimed now"),
    declare(SETTLED, "gauge", &[], "Settled keys in the dedup store, roughly"),
    declare(
        COMMIT_FAILED,
        "counter",
        &[],
        "Delivered events whose key could not be kept: a repeat may be delivered again",
    ),
    declare(journal::PENDING, "gauge", &[], "Events in the journal that are to be delivered"),
    declare(journal::OLDEST, "gauge", &[], "For how many seconds the oldest of them has been waiting"),
    declare(journal::DEAD, "gauge", &[], "Events in the journal that were given up: an operator decides"),
    declare(journal::QUARANTINED, "gauge", &[], "Events in the journal that were set aside: an operator decides"),
    declare(journal::BYTES, "gauge", &[], "Bytes of the journal on the disk"),
    declare(journal::TROUBLE, "gauge", &[], "1 while the journal cannot take events, and senders are answered 503"),
    declare(journal::COMMITS, "counter", &[], "Groups that the journal committed"),
    declare(journal::APPENDED, "counter", &[], "Events that the journal took"),
    declare(journal::FAILED, "counter", &[], "Requests that the journal did not take"),
    declare(journal::NOTES_DROPPED, "counter", &[], "Lines of the delivery log that were dropped under load"),
    declare(
        journal::REMEMBER_FAILED,
        "counter",
        &[],
        "Delivered events that the journal could not remember: after a restart a repeat may be delivered again",
    ),
    declare(journal::DAMAGED, "counter", &[], "Entries of the journal that were found damaged and are not delivered"),
    declare(QUEUE_DEAD, "counter", &["upstream"], "Queued events that were given up"),
    declare(QUEUE_IN_FLIGHT, "gauge", &["upstream"], "Attempts at queued events under way"),
    declare(
        QUEUE_BREAKER,
        "gauge",
        &["upstream"],
        "0 while queued events go out, 2 while none does because the upstream is not well, 1 while one tries",
    ),
    declare(PANICS, "counter", &[], "Panics: defects of the gateway"),
    declare(ADMIN_REFUSED, "counter", &[], "Requests to the admin listener that brought no token, or a wrong one"),
    declare(RELOAD_FAILED, "counter", &[], "Reloads that were refused; the configuration before them stays in force"),
    declare(CONNECTIONS, "gauge", &[], "Open connections of senders"),
    declare(BUILD, "info", &["version"], "The running version"),
];

const REQUESTS: &str = "hooksieve_requests_total";
const EVENTS: &str = "hooksieve_events_total";
const ATTEMPTS: &str = "hooksieve_upstream_attempts_total";
const FETCHES: &str = "hooksieve_fetches_total";
const SIGNED_AGE: &str = "hooksieve_signed_time_age_seconds";
const DURATION: &str = "hooksieve_request_duration_seconds";
const SECRETS: &str = "hooksieve_secret_used_total";
const QUEUE_DEAD: &str = "hooksieve_queue_dead_total";
const QUEUE_IN_FLIGHT: &str = "hooksieve_queue_in_flight";
const QUEUE_BREAKER: &str = "hooksieve_queue_breaker";
const PANICS: &str = "hooksieve_panics_total";
const ADMIN_REFUSED: &str = "hooksieve_admin_unauthenticated_total";
const RELOAD_FAILED: &str = "hooksieve_reload_failed_total";
const CONNECTIONS: &str = "hooksieve_connections";
const BUILD: &str = "hooksieve_build_info";

/// From a millisecond to beyond the longest answer deadline, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The name under which requests to unknown paths are counted.
pub const NO_SOURCE: &str = "none";

type Label = (&'static str, Cow<'static, str>);

/// All metrics of the process. They outlive reloads.
#[derive(Debug)]
pub struct Metrics {
    /// What is counted about deduplication.
    pub dedup: DedupMetrics,
    /// What the journal counts.
    pub journal: JournalMetrics,
    /// Panics.
    pub panics: Counter,
    /// Requests to the admin listener without the token that it demands.
    pub admin_refused: Counter,
    /// Refused reloads.
    pub reload_failed: Counter,
    /// Open connections of senders.
    pub connections: Gauge,
    registry: Registry,
    families: Families,
    sources: Mutex<HashMap<String, Arc<SourceMetrics>>>,
}

#[derive(Clone, Debug)]
struct Families {
    requests: Family<[Label; 3], Counter>,
    events: Family<[Label; 3], Counter>,
    attempts: Family<[Label; 2], Counter>,
    fetches: Family<[Label; 1], Counter>,
    signed_age: Family<[Label; 1], Gauge<f64, AtomicU64>>,
    duration: Family<[Label; 1], Histogram, fn() -> Histogram>,
    secrets: Family<[Label; 2], Counter>,
    dead: Family<[Label; 1], Counter>,
    in_flight: Family<[Label; 1], Gauge>,
    breaker: Family<[Label; 1], Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let families = Families {
            requests: register(&mut registry, REQUESTS, Family::default()),
            events: register(&mut registry, EVENTS, Family::default()),
            attempts: register(&mut registry, ATTEMPTS, Family::default()),
            fetches: register(&mut registry, FETCHES, Family::default()),
            signed_age: register(&mut registry, SIGNED_AGE, Family::default()),
            duration: register(&mut registry, DURATION, Family::new_with_constructor(|| Histogram::new(BUCKETS))),
            secrets: register(&mut registry, SECRETS, Family::default()),
            dead: register(&mut registry, QUEUE_DEAD, Family::default()),
            in_flight: register(&mut registry, QUEUE_IN_FLIGHT, Family::default()),
            breaker: register(&mut registry, QUEUE_BREAKER, Family::default()),
        };
        let journal = JournalMetrics::default();
        registry.register_collector(Box::new(journal.clone()));
        let dedup = DedupMetrics::register(&mut registry);
        let panics = register(&mut registry, PANICS, Counter::default());
        let admin_refused = register(&mut registry, ADMIN_REFUSED, Counter::default());
        let reload_failed = register(&mut registry, RELOAD_FAILED, Counter::default());
        let connections = register(&mut registry, CONNECTIONS, Gauge::default());
        registry.register(stem(BUILD), help(BUILD), Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            dedup,
            journal,
            panics,
            admin_refused,
            reload_failed,
            connections,
            registry,
            families,
            sources: Mutex::default(),
        }
    }

    /// The handles of a source. Asking again, for instance after a reload, gives the same ones.
    #[must_use]
    pub fn source(&self, name: &str) -> Arc<SourceMetrics> {
        let mut sources = self.sources.lock().expect("no panic while held");
        if let Some(source) = sources.get(name) {
            return source.clone();
        }
        let source = Arc::new(SourceMetrics::new(name, &self.families));
        sources.insert(name.to_owned(), source.clone());
        source
    }

    /// The handles for requests that no source has a path for.
    #[must_use]
    pub fn no_source(&self) -> Arc<SourceMetrics> {
        self.source(NO_SOURCE)
    }

    /// The handles of an upstream, to be kept beside it.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let count = |outcome: &'static str| {
            self.families.attempts.get_or_create_owned(&[label("upstream", name), ("outcome", outcome.into())])
        };
        UpstreamMetrics {
            delivered: count("delivered"),
            refused: count("refused"),
            ambiguous: count("ambiguous"),
            not_sent: count("not_sent"),
            full: count("full"),
        }
    }

    /// The handles for what is fetched from senders.
    #[must_use]
    pub fn fetches(&self) -> FetchMetrics {
        let count = |outcome: &'static str| self.families.fetches.get_or_create_owned(&[("outcome", outcome.into())]);
        FetchMetrics { found: count("found"), absent: count("absent"), unavailable: count("unavailable") }
    }

    /// The handles of an upstream's queue, to be kept beside it.
    #[must_use]
    pub fn queue(&self, upstream: &str) -> QueueMetrics {
        let labels = || [label("upstream", upstream)];
        QueueMetrics {
            dead: self.families.dead.get_or_create_owned(&labels()),
            in_flight: self.families.in_flight.get_or_create_owned(&labels()),
            breaker: self.families.breaker.get_or_create_owned(&labels()),
        }
    }

    /// Everything, in the text format of `OpenMetrics` 1.0, which Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        encode(&mut text, &self.registry).expect("a string takes everything that is written to it");
        text
    }
}

/// Counts for one source.
pub struct SourceMetrics {
    name: Arc<str>,
    families: Families,
    requests: Table,
    events: Table,
    duration: Histogram,
    last_secret: ArcSwapOption<Arc<str>>,
}

impl fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceMetrics").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SourceMetrics {
    fn new(name: &str, families: &Families) -> Self {
        Self {
            name: name.into(),
            families: families.clone(),
            requests: Table::default(),
            events: Table::default(),
            duration: families.duration.get_or_create_owned(&[label("source", name)]),
            last_secret: ArcSwapOption::empty(),
        }
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts one event of an authentic request.
    pub fn event(&self, verdict: Verdict) {
        let (outcome, reason) = (Outcome::from(verdict), Reason::from(verdict));
        self.events.count(outcome, reason, |labels| {
            let [outcome, reason] = labels;
            let labels = [label("source", &self.name), ("verdict", outcome), ("reason", reason)];
            self.families.events.get_or_create_owned(&labels)
        });
    }

    /// Events so far, by verdict; a verdict that no event had is left out.
    pub fn events(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counts = Outcome::ALL.iter().map(|outcome| (*outcome, self.events.total(*outcome)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Says how long before its arrival a request was signed, in milliseconds.
    pub fn signed(&self, age_ms: i64) {
        #[expect(clippy::cast_precision_loss, reason = "what is lost is far below a second")]
        let age = age_ms as f64 / 1_000.0;
        self.families.signed_age.get_or_create_owned(&[label("source", &self.name)]).set(age);
    }

    /// Counts a request that verified with the secret of this name.
    pub fn verified(&self, secret: &Arc<str>) {
        self.families.secrets.get_or_create_owned(&[label("source", &self.name), label("secret", secret)]).inc();
        if self.last_secret.load().as_deref() != Some(secret) {
            self.last_secret.store(Some(Arc::new(secret.clone())));
        }
    }

    /// The name of the secret that the last request verified with.
    #[must_use]
    pub fn last_secret(&self) -> Option<Arc<str>> {
        self.last_secret.load().as_deref().cloned()
    }

    /// Counts one request.
    pub(super) fn request(&self, outcome: Outcome, reason: Reason, duration: Duration) {
        self.requests.count(outcome, reason, |labels| {
            let [outcome, reason] = labels;
            let labels = [label("source", &self.name), ("outcome", outcome), ("reason", reason)];
            self.families.requests.get_or_create_owned(&labels)
        });
        self.duration.observe(duration.as_secs_f64());
    }
}

/// Counts for what is fetched from senders: one for each way it can end.
#[derive(Clone, Debug)]
pub struct FetchMetrics {
    /// A 2xx was read, with all of its body.
    pub found: Counter,
    /// The server says that there is no such thing.
    pub absent: Counter,
    /// The server cannot be asked, or does not say.
    pub unavailable: Counter,
}

/// Counts for one upstream: one for each way an attempt can end.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    /// A 2xx head was read.
    pub delivered: Counter,
    /// Another head was read.
    pub refused: Counter,
    /// It may have arrived.
    pub ambiguous: Counter,
    /// It did not arrive.
    pub not_sent: Counter,
    /// It was not tried.
    pub full: Counter,
}

/// A handle for each outcome and reason. Most pairs never happen, and a pair that never happened is not exported.
struct Table(Box<[OnceLock<Counter>]>);

impl Default for Table {
    fn default() -> Self {
        Self((0..Outcome::ALL.len() * Reason::COUNT).map(|_| OnceLock::new()).collect())
    }
}

impl Table {
    fn count(&self, outcome: Outcome, reason: Reason, create: impl FnOnce([Cow<'static, str>; 2]) -> Counter) {
        let cell = &self.0[outcome as usize * Reason::COUNT + reason.index()];
        cell.get_or_init(|| create([outcome.as_str().into(), reason.as_str().into()])).inc();
    }

    /// All there are with this outcome.
    fn total(&self, outcome: Outcome) -> u64 {
        let cells = self.0.iter().skip(outcome as usize * Reason::COUNT).take(Reason::COUNT);
        cells.filter_map(OnceLock::get).map(Counter::get).sum()
    }
}

fn label(key: &'static str, value: &str) -> Label {
    (key, value.to_owned().into())
}

pub(super) fn register<M: Metric + Clone>(registry: &mut Registry, name: &'static str, metric: M) -> M {
    registry.register(stem(name), help(name), metric.clone());
    metric
}

/// What the metric counts. The encoder adds the full stop.
pub(super) fn help(name: &str) -> &'static str {
    DECLARED.iter().find(|declared| declared.name == name).expect("every metric is declared").help
}

/// The name without the suffix that the encoder adds.
pub(super) fn stem(name: &'static str) -> &'static str {
    name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stages::words::{Cause, Refusal},
        telemetry::DedupCounts,
    };

    #[test]
    fn what_is_scraped_is_what_is_declared() {
        let metrics = Metrics::new();
        let source = metrics.source("acme");
        source.request(Outcome::Forward, Reason::None, Duration::from_millis(3));
        source.event(Verdict::Forward);
        source.verified(&"2026-11".into());
        source.signed(250);
        metrics.upstream("app").full.inc();
        metrics.fetches().found.inc();
        metrics.queue("app").dead.inc();
        let text = metrics.render();
        let mut scraped: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut declared: Vec<_> = DECLARED.iter().map(|it| format!("{} {}", stem(it.name), it.kind)).collect();
        scraped.sort_unstable();
        declared.sort_unstable();
        assert_eq!(scraped, declared);
        for it in DECLARED {
            let series: Vec<_> = text.lines().filter(|line| line.starts_with(it.name)).collect();
            assert!(!series.is_empty(), "{}", it.name);
            for label in it.labels {
                assert!(series.iter().all(|line| line.contains(&format!("{label}=\""))), "{series:?}");
            }
        }
    }

    #[test]
    fn counts_survive_a_reload() {
        let metrics = Metrics::new();
        metrics.dedup.watch(|| DedupCounts { conflicts: 7, in_flight: 3, ..DedupCounts::default() });
        metrics.dedup.commit_failed.inc();
        for _ in 0..2 {
            let source = metrics.source("acme");
            source.request(Refusal::AuthMismatch.into(), Reason::Refusal(Refusal::AuthMismatch), Duration::ZERO);
            source.event(Verdict::Drop(Cause::Tenant));
            metrics.upstream("app").not_sent.inc();
        }
        let text = metrics.render();
        for line in [
            r#"hooksieve_requests_total{source="acme",outcome="reject",reason="auth_mismatch"} 2"#,
            r#"hooksieve_events_total{source="acme",verdict="drop",reason="tenant"} 2"#,
            r#"hooksieve_upstream_attempts_total{upstream="app",outcome="not_sent"} 2"#,
            r#"hooksieve_request_duration_seconds_count{source="acme"} 2"#,
            "hooksieve_dedup_conflicts_total 7",
            "hooksieve_dedup_in_flight 3",
            "hooksieve_dedup_commit_failed_total 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }
}
