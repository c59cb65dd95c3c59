//! What is noted on the way, for the one record that every request leaves. Nothing reads it but the telemetry.

use std::{sync::Arc, time::Instant};

use http::Method;

use crate::{
    stages::{
        answer::Answer,
        authenticate::Authentic,
        check::Offence,
        receive::{Client, Head},
        schemes::{Looked, Strength},
        words::{Refusal, Verdict},
    },
    telemetry::{AccessRecord, Counts, Outcome, Reason, SourceMetrics, Timings},
};

/// The notes about one request.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) client: Client,
    pub(super) body_bytes: usize,
    pub(super) looked: Option<Looked>,
    pub(super) traceparent: Option<String>,
    pub(super) timings: Timings,
    pub(super) verdicts: Vec<Verdict>,
    /// What a source that only observes would have refused.
    pub(super) observed: Option<&'static str>,
    started: Instant,
    method: Option<Method>,
    path: Option<String>,
    proof: Option<(Arc<str>, Strength)>,
    outcome: Outcome,
    reason: Reason,
    offence: Option<Offence>,
}

impl Record {
    /// Without a head for a request of which not even that is at hand.
    pub(super) fn new(head: Option<&Head>, started: Instant) -> Self {
        Self {
            client: head.map_or(Client { address: None, known: false }, |head| head.client),
            body_bytes: 0,
            looked: None,
            traceparent: None,
            timings: Timings::default(),
            verdicts: Vec::new(),
            observed: None,
            started,
            method: head.map(|head| head.method.clone()),
            path: head.map(|head| head.path.clone()),
            proof: None,
            outcome: Outcome::Reject,
            reason: Reason::None,
            offence: None,
        }
    }

    /// Of a request that was refused as a whole.
    pub(super) fn refused(head: Option<&Head>, refusal: Refusal, now: Instant) -> Self {
        let mut record = Self::new(head, now);
        record.end(refusal.into(), Reason::Refusal(refusal));
        record
    }

    pub(super) fn authentic(&mut self, authentic: &Authentic, looked: Looked) {
        self.looked = Some(looked);
        self.proof = Some((authentic.key().clone(), authentic.strength()));
    }

    pub(super) fn end(&mut self, outcome: Outcome, reason: Reason) {
        (self.outcome, self.reason) = (outcome, reason);
    }

    pub(super) fn judged(&mut self, verdicts: Vec<Verdict>) {
        (self.outcome, self.reason) = Outcome::of(&verdicts);
        self.verdicts = verdicts;
    }

    /// Keeps what is wrong with the first event that is not as it should be.
    pub(super) fn offence(&mut self, offence: Option<Offence>) {
        self.offence = self.offence.take().or(offence);
    }

    /// The record as it is emitted; counts the events and the use of the secret on the way.
    pub(super) fn access(&self, metrics: &SourceMetrics, answer: &Answer, now: Instant) -> AccessRecord {
        let mut counts = Counts::default();
        for verdict in &self.verdicts {
            counts.add(*verdict);
            metrics.event(*verdict);
        }
        if let Some((key, _)) = &self.proof {
            metrics.verified(key);
        }
        let looked = self.looked;
        if let Some(age) = looked.and_then(|looked| looked.age_ms) {
            metrics.signed(age);
        }
        let violation = self.offence.as_ref().and_then(|offence| offence.violation.as_ref());
        AccessRecord {
            counts,
            body_bytes: self.body_bytes,
            key: self.proof.as_ref().map(|(key, _)| key.clone()),
            strength: self.proof.as_ref().map(|(_, strength)| strength.as_str()),
            trace_id: self.traceparent.as_deref().and_then(|text| text.get(3..35)).map(Arc::from),
            path: self.path.clone(),
            duration: now.saturating_duration_since(self.started),
            timings: self.timings,
            sig_len: looked.map(|looked| looked.credential_bytes),
            tokens: looked.map(|looked| looked.tokens),
            secrets_tried: looked.map(|looked| looked.secrets_tried),
            pointer: violation.map(|violation| violation.pointer.clone()),
            keyword: violation.map(|violation| violation.keyword.clone()),
            observed: self.observed.or_else(|| self.offence.as_ref().map(|offence| offence.cause.as_str())),
            ..AccessRecord::new(
                self.method.clone(),
                self.client.address,
                answer.status.as_u16(),
                self.outcome,
                self.reason,
            )
        }
    }
}
