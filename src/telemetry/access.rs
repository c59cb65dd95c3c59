//! The access record: one line for each request, whatever became of it.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use http::Method;

use super::{
    metrics::{Metrics, SourceMetrics},
    printable,
    words::{Counts, Outcome, Reason},
};
use crate::stages::words::Refusal;

/// The target of the records, for whoever filters them.
pub const TRACE_TARGET: &str = "hooksieve::access";

/// Refused requests that are logged per second and reason. All of them are counted in the metrics.
const REFUSED_PER_SECOND: u32 = 100;

/// What is known about one request when it is answered. Take [`AccessRecord::new`] and fill in what was found out.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// The method as sent; `None` when not even the head could be read.
    pub method: Option<Method>,
    /// The status that was answered.
    pub status: u16,
    /// What became of the request.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// What became of its events.
    pub counts: Counts,
    /// What the source would have refused it for, if it did not only observe.
    pub observed: Option<&'static str>,
    /// Where the first event that does not conform breaks its schema, as a JSON pointer (RFC 6901).
    pub pointer: Option<String>,
    /// By which keyword of the schema.
    pub keyword: Option<String>,
    /// The bytes of the body.
    pub body_bytes: usize,
    /// The name of the secret that verified it.
    pub key: Option<Arc<str>>,
    /// How much the credential proves: `verified`, `partial`, `token` or `none`.
    pub strength: Option<&'static str>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The trace it belongs to.
    pub trace_id: Option<Arc<str>>,
    /// The path, where no source has it. A source's own path is not logged: for some senders it is the secret.
    pub path: Option<String>,
    /// From the head to the answer.
    pub duration: Duration,
    /// The parts of that time.
    pub timings: Timings,
    /// The length of the signature as sent, in bytes.
    pub sig_len: Option<usize>,
    /// The signatures that were looked at.
    pub tokens: Option<usize>,
    /// The secrets that were tried.
    pub secrets_tried: Option<usize>,
}

/// How long the steps of the journey took, as far as it went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Verifying the credentials.
    pub authenticate: Option<Duration>,
    /// Reading the body and cutting it into events.
    pub split: Option<Duration>,
    /// Checking all events against their schemas.
    pub check: Option<Duration>,
    /// Claiming all identities.
    pub claim: Option<Duration>,
    /// Delivering all events.
    pub deliver: Option<Duration>,
}

impl AccessRecord {
    /// A record of a request that ended like this; what else is known can be filled in.
    #[must_use]
    pub fn new(
        method: impl Into<Option<Method>>,
        client: Option<IpAddr>,
        status: u16,
        outcome: Outcome,
        reason: Reason,
    ) -> Self {
        Self {
            method: method.into(),
            status,
            outcome,
            reason,
            counts: Counts::default(),
            observed: None,
            pointer: None,
            keyword: None,
            body_bytes: 0,
            key: None,
            strength: None,
            client,
            trace_id: None,
            path: None,
            duration: Duration::ZERO,
            timings: Timings::default(),
            sig_len: None,
            tokens: None,
            secrets_tried: None,
        }
    }

    fn emit(&self, source: &str, suppressed: Option<u64>) {
        let reason = (self.reason != Reason::None).then(|| self.reason.as_str());
        let events = Some(self.counts.total()).filter(|total| *total > 0);
        tracing::info!(
            target: TRACE_TARGET,
            source,
            method = text(self.method.as_ref().map(Method::as_str)).as_deref(),
            status = self.status,
            outcome = self.outcome.as_str(),
            reason,
            path = text(self.path.as_deref()).as_deref(),
            events,
            forward = self.counts.of(Outcome::Forward),
            queue = self.counts.of(Outcome::Queue),
            duplicate = self.counts.of(Outcome::Duplicate),
            drop = self.counts.of(Outcome::Drop),
            handshake = self.counts.of(Outcome::Handshake),
            quarantine = self.counts.of(Outcome::Quarantine),
            reject = self.counts.of(Outcome::Reject),
            fail = self.counts.of(Outcome::Fail),
            observed = self.observed,
            pointer = text(self.pointer.as_deref()).as_deref(),
            keyword = text(self.keyword.as_deref()).as_deref(),
            body_bytes = self.body_bytes,
            key = text(self.key.as_deref()).as_deref(),
            strength = self.strength,
            client = self.client.map(tracing::field::display),
            trace_id = text(self.trace_id.as_deref()).as_deref(),
            duration_us = micros(self.duration),
            authenticate_us = self.timings.authenticate.map(micros),
            split_us = self.timings.split.map(micros),
            check_us = self.timings.check.map(micros),
            claim_us = self.timings.claim.map(micros),
            deliver_us = self.timings.deliver.map(micros),
            sig_len = self.sig_len,
            tokens = self.tokens,
            secrets_tried = self.secrets_tried,
            suppressed,
            "request"
        );
    }
}

fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(printable)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The fields of a record and what they mean, as `docs/telemetry.md` shows them.
pub const FIELDS: &[(&str, &str)] = &[
    ("message", "Always `request`."),
    ("source", "The source's name; `none` when no source has the path."),
    ("method", "The method as sent."),
    ("status", "The status that was answered."),
    ("outcome", "What became of the request."),
    ("reason", "Why, where there is something to explain. Of several events, the first one's that has a reason."),
    ("path", "The path, only when no source has it. Never the query."),
    ("events", "How many events the request carried."),
    ("forward", "Events delivered."),
    ("queue", "Events kept in the journal for delivery."),
    ("duplicate", "Events delivered or kept before."),
    ("drop", "Events not wanted, by rule."),
    ("handshake", "Tests and verifications of the sender, answered here."),
    ("quarantine", "Events set aside."),
    ("reject", "Events that do not conform, of a source that rejects them."),
    ("fail", "Events not delivered."),
    ("observed", "What a source in mode `observe` would have refused the request for."),
    ("pointer", "Where the first event that does not conform breaks its schema: a JSON pointer, never the value."),
    ("keyword", "By which keyword of the schema."),
    ("body_bytes", "The length of the body in bytes."),
    ("key", "The name of the secret that verified the request."),
    ("strength", "How much the credential proves: `verified`, `partial`, `token` or `none`."),
    ("client", "The client's address, as far as proxies are trusted."),
    ("trace_id", "The trace the request belongs to."),
    ("duration_us", "Microseconds from the head to the answer."),
    ("authenticate_us", "Microseconds for verifying the credentials."),
    ("split_us", "Microseconds for reading the body and cutting it into events."),
    ("check_us", "Microseconds for checking the events against their schemas."),
    ("claim_us", "Microseconds for claiming the identities."),
    ("deliver_us", "Microseconds for delivering."),
    ("sig_len", "The length of the signature as sent, in bytes."),
    ("tokens", "How many signatures were looked at."),
    ("secrets_tried", "How many secrets were tried."),
    ("suppressed", "How many records with the same reason were left out of the log before this one."),
];

/// The metrics, and the log of requests that goes with them.
#[derive(Debug)]
pub struct Telemetry {
    /// All metrics.
    pub metrics: Arc<Metrics>,
    floods: Box<[Mutex<Flood>]>,
    unlimited: Once,
}

impl Telemetry {
    /// Records into `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let floods = Refusal::ALL.iter().map(|_| Mutex::default()).collect();
        Self { metrics, floods, unlimited: Once::new() }
    }

    /// A client that failed has no budget of failures, because nobody said who it is. Said once.
    pub fn unlimited_client(&self, peer: IpAddr) {
        self.unlimited.call_once(|| {
            tracing::warn!(
                %peer,
                help = "if it is a proxy, list it in `server.trusted_proxies`; if it is a client, write `server.client_limit.apply_to_private = true`",
                "failed requests of a private peer are not limited: one attacker behind it would silence everybody"
            );
        });
    }

    /// Records one request: once, when it is answered. Counts it, and logs it unless it is one of very many that were
    /// refused for the same reason in the same second.
    pub fn request(&self, source: &SourceMetrics, record: &AccessRecord, now: Instant) {
        source.request(record.outcome, record.reason, record.duration);
        match (record.outcome, record.reason) {
            (Outcome::Reject | Outcome::Fail, Reason::Refusal(refusal)) => {
                let mut flood = self.floods[refusal as usize].lock().expect("no panic while held");
                let Some(suppressed) = flood.admit(now) else { return };
                drop(flood);
                record.emit(source.name(), Some(suppressed).filter(|count| *count > 0));
            }
            _ => record.emit(source.name(), None),
        }
    }
}

/// The records of one reason in the present second.
#[derive(Debug, Default)]
struct Flood {
    since: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

impl Flood {
    /// Whether one more may be logged, and how many were not since the last one that was.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.logged = 0;
        }
        if self.logged == REFUSED_PER_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn l_11_a_flood_is_sampled_and_says_so() {
        let mut flood = Flood::default();
        let start = SystemClock.now().steady;
        let admitted: Vec<_> = (0..250).filter_map(|_| flood.admit(start)).collect();
        assert_eq!(admitted, [0; 100]);
        let later = start + Duration::from_secs(1);
        assert_eq!(flood.admit(later), Some(150));
        assert_eq!(flood.admit(later), Some(0));
    }
}
