//! One event's way out: claimed, delivered, settled. A claim is settled by a 2xx head and nothing else; on every other
//! way out it is given back, so that the sender's retry finds the door open.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header::CONTENT_TYPE};
use tokio::time::timeout;

use super::{
    Gateway,
    source::{Parcel, Source},
};
use crate::{
    stages::{
        authenticate::Authentic,
        vouch::Letter,
        words::{Cause, Refusal, Verdict},
    },
    state::{
        claims::{Claim, Claimed, Concluded, Evidence},
        key::EventKey,
    },
    upstream::{Attempt, Delivered, Outbound},
};

/// What became of one event, and what its sender might be told of it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) verdict: Verdict,
    /// The application's wish when to try again, in seconds.
    pub(super) retry_after: Option<u64>,
    /// The application's answer, where the source hands it on.
    pub(super) delivered: Option<Delivered>,
}

impl From<Verdict> for Delivery {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, retry_after: None, delivered: None }
    }
}

/// The events of one request on their way, and what they have in common.
#[derive(Clone, Copy)]
pub(super) struct Trip<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) source: &'a Source,
    pub(super) authentic: &'a Authentic,
    /// When the answer is due.
    pub(super) due: Instant,
    pub(super) traceparent: &'a str,
}

/// How the question for a claim ended.
enum Entry {
    /// The event is ours to deliver: under this identity, with this claim if the source deduplicates.
    Go(Option<EventKey>, Option<Claim>),
    /// It is decided already.
    Stop(Verdict),
}

impl Trip<'_> {
    /// Delivers events one by one, some at a time, and answers in their order.
    pub(super) async fn each(self, parcels: Vec<Parcel>) -> Vec<Delivery> {
        if self.source.delivery.ordered {
            return self.in_order(parcels).await;
        }
        let concurrency = self.source.delivery.concurrency.max(1);
        stream::iter(parcels).map(|parcel| self.one(parcel)).buffered(concurrency).collect().await
    }

    /// An event that fails stops those after it (D-17).
    async fn in_order(self, parcels: Vec<Parcel>) -> Vec<Delivery> {
        let mut outcomes: Vec<Delivery> = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            match outcomes.last().map(|outcome| outcome.verdict) {
                Some(failed @ Verdict::Fail(_)) => outcomes.push(failed.into()),
                _ => outcomes.push(self.one(parcel).await),
            }
        }
        outcomes
    }

    async fn one(self, parcel: Parcel) -> Delivery {
        match self.claim(&parcel).await {
            Entry::Stop(verdict) => verdict.into(),
            Entry::Go(key, claim) => {
                let outcome = self.attempt(&parcel, key, &parcel.bytes).await;
                self.conclude(claim.into_iter().collect(), outcome.verdict).await;
                outcome
            }
        }
    }

    /// Delivers all events that are new as one array of their bytes: all of them, or none.
    pub(super) async fn together(self, parcels: Vec<Parcel>) -> Vec<Delivery> {
        let mut verdicts = vec![Verdict::Duplicate; parcels.len()];
        let (claims, verdict) = match self.claim_all(&parcels, &mut verdicts).await {
            (claims, Err(refusal)) => (claims, Verdict::Fail(refusal)),
            (_, Ok(new)) if new.is_empty() => return verdicts.into_iter().map(Delivery::from).collect(),
            (claims, Ok(new)) => {
                for index in &new {
                    verdicts[*index] = Verdict::Forward;
                }
                let new: Vec<_> = new.into_iter().map(|index| &parcels[index]).collect();
                let parcel = Parcel { event_type: None, batch: None, is_whole_body: false, ..new[0].clone() };
                let verdict = self.attempt(&parcel, Some(self.joint_key(&new)), &array(&new)).await.verdict;
                (claims, verdict)
            }
        };
        self.conclude(claims, verdict).await;
        if let Verdict::Fail(_) = verdict {
            verdicts.fill(verdict);
        }
        verdicts.into_iter().map(Delivery::from).collect()
    }

    /// Claims all events of an array. Returns which of them are new, in the order of the batch; the verdicts of the
    /// others are noted, and those of twins within the batch are left as they are.
    ///
    /// Claims are taken in the order of their keys, so that two batches with the same events never wait for each
    /// other, and a twin is next to its leader, whom it must not wait for. They are all taken within [`CLAIMING`],
    /// so that the lease of the first does not end while the array is under way.
    async fn claim_all(
        self,
        parcels: &[Parcel],
        verdicts: &mut [Verdict],
    ) -> (Vec<Claim>, Result<Vec<usize>, Refusal>) {
        let hurried = Self { due: self.due.min(self.gateway.clock.now().steady + CLAIMING), ..self };
        let name = |index: usize| parcels[index].key.map(|key| (*key.as_bytes(), *parcels[index].digest.as_bytes()));
        let mut order: Vec<usize> = (0..parcels.len()).collect();
        order.sort_by_key(|index| name(*index));
        let (mut claims, mut new, mut leader) = (Vec::new(), Vec::new(), None);
        for index in order {
            let known = name(index).filter(|_| self.source.dedup.enabled);
            if known.is_some() && known == leader {
                continue;
            }
            leader = known;
            match hurried.claim(&parcels[index]).await {
                Entry::Stop(Verdict::Fail(refusal)) => return (claims, Err(refusal)),
                Entry::Stop(verdict) => verdicts[index] = verdict,
                Entry::Go(_, claim) => {
                    claims.extend(claim);
                    new.push(index);
                }
            }
        }
        new.sort_unstable();
        (claims, Ok(new))
    }

    /// The identity of an array: that of its events and their bytes, in their order.
    fn joint_key(self, parcels: &[&Parcel]) -> EventKey {
        let own = |parcel: &&Parcel| parcel.key.unwrap_or_else(|| self.source.unique_key(self.traceparent, parcel));
        let keys: Vec<_> = parcels.iter().map(own).collect();
        let parts = keys.iter().zip(parcels).flat_map(|(key, parcel)| [key.as_bytes(), parcel.digest.as_bytes()]);
        EventKey::new(&self.source.name, parts.map(<[u8; 32]>::as_slice))
    }

    /// Asks for the event until it is ours, or somebody else's outcome decides it. A twin shares the outcome of the
    /// one in flight: nobody gets a 2xx for what is not delivered, and a failing upstream is not asked again by every
    /// copy (D-10, D-11).
    async fn claim(self, parcel: &Parcel) -> Entry {
        let dedup = &self.source.dedup;
        let Some(mut key) = parcel.key.filter(|_| dedup.enabled) else { return Entry::Go(parcel.key, None) };
        loop {
            let now = self.gateway.clock.now().steady;
            match self.gateway.claims.claim(key, parcel.digest, dedup.lease, now).await {
                Err(_) if dedup.forward_on_store_error => return Entry::Go(Some(key), None),
                Err(_) => return Entry::Stop(Verdict::Fail(Refusal::StateStore)),
                Ok(Claimed::Ours(claim)) => return Entry::Go(Some(key), Some(claim)),
                Ok(Claimed::Settled) => return Entry::Stop(Verdict::Duplicate),
                Ok(Claimed::Conflict) => match dedup.on_conflict.verdict(Cause::Conflict) {
                    Some(verdict) => return Entry::Stop(verdict),
                    None => key = key.with_digest(&parcel.digest),
                },
                Ok(Claimed::InFlight(waiting)) => {
                    let patience = dedup.join_timeout.min(self.due.saturating_duration_since(now));
                    match timeout(patience, waiting.outcome()).await {
                        Err(_) => return Entry::Stop(Verdict::Fail(Refusal::InFlight)),
                        Ok(Concluded::Failed(refusal)) => return Entry::Stop(Verdict::Fail(refusal)),
                        Ok(Concluded::Settled | Concluded::Abandoned) => {}
                    }
                }
            }
        }
    }

    /// One attempt at the upstream.
    async fn attempt(self, parcel: &Parcel, key: Option<EventKey>, body: &Bytes) -> Delivery {
        let Gateway { clock, attempts, .. } = self.gateway;
        let now = clock.now();
        let within = self.due.saturating_duration_since(now.steady);
        if within < MEANINGFUL {
            return Verdict::Fail(Refusal::Overload).into();
        }
        let key = key.unwrap_or_else(|| self.source.unique_key(self.traceparent, parcel));
        let earlier = attempts.earlier(&key, self.authentic.received().at);
        let letter = Letter {
            id: &key.webhook_id(),
            source: &self.source.name,
            event_type: parcel.event_type.as_deref(),
            strength: self.authentic.strength(),
            key: self.authentic.key(),
            attempt: earlier.count + 1,
            received_at: earlier.first_received,
            batch: parcel.batch,
            traceparent: self.traceparent,
            content_type: &self.content_type(parcel),
            sent: &self.authentic.head().headers,
            credentials: &self.source.credentials,
        };
        let headers = parcel.target.voucher.headers(&letter, body, now.wall);
        let outbound = Outbound { headers, body: body.clone(), within, relay: self.source.delivery.relay };
        let attempt = parcel.target.upstream.deliver(outbound).await;
        let failed = |refusal, retry_after| Delivery { retry_after, ..Verdict::Fail(refusal).into() };
        let outcome = match attempt {
            Attempt::Delivered(delivered) => Delivery { delivered: Some(delivered), ..Verdict::Forward.into() },
            Attempt::Refused { retry_after, .. } => failed(Refusal::UpstreamError, retry_after),
            Attempt::Ambiguous { timeout: true, .. } => failed(Refusal::UpstreamTimeout, None),
            Attempt::Ambiguous { timeout: false, .. } | Attempt::NotSent { .. } => failed(Refusal::UpstreamError, None),
            Attempt::Full => failed(Refusal::Overload, None),
        };
        attempts.note(&key, &earlier, matches!(outcome.verdict, Verdict::Forward));
        outcome
    }

    /// Settles the claims of what was delivered and gives back the others. A store that fails now changes nothing for
    /// the sender: the event *is* delivered (D-20).
    async fn conclude(self, claims: Vec<Claim>, verdict: Verdict) {
        for claim in claims {
            match verdict {
                Verdict::Forward => {
                    let now = self.gateway.clock.now();
                    if claim.settle(Evidence::Delivered, self.source.dedup.window, now).await.is_err() {
                        self.gateway.telemetry.metrics.dedup.commit_failed.inc();
                    }
                }
                Verdict::Fail(refusal) => {
                    claim.give_back(refusal);
                }
                Verdict::Drop(_)
                | Verdict::Duplicate
                | Verdict::Handshake
                | Verdict::Quarantine(_)
                | Verdict::Queue
                | Verdict::Reject(_) => drop(claim),
            }
        }
    }

    /// The sender's content type for a body passed on whole; JSON for a part of it.
    fn content_type(self, parcel: &Parcel) -> HeaderValue {
        let sent = self.authentic.head().headers.get(CONTENT_TYPE).filter(|_| parcel.is_whole_body);
        sent.cloned().unwrap_or_else(|| HeaderValue::from_static("application/json"))
    }
}

/// Less time than this is not worth an attempt that might be cut off in the middle.
const MEANINGFUL: Duration = Duration::from_millis(5);

/// How long an array may wait for its claims. A lease is the upstream's timeout and 5 s more (D-13).
const CLAIMING: Duration = Duration::from_secs(4);

/// `[a,b]` from the bytes of a and b.
fn array(parcels: &[&Parcel]) -> Bytes {
    let length: usize = parcels.iter().map(|parcel| parcel.bytes.len() + 1).sum();
    let mut body = BytesMut::with_capacity(length + 1);
    body.put_u8(b'[');
    for (index, parcel) in parcels.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&parcel.bytes);
    }
    body.put_u8(b']');
    body.freeze()
}
