//! One event's way out while its sender waits: claimed, delivered, settled. A claim is settled by a 2xx head or by the
//! journal and by nothing else; on every other way out it is given back, so that the sender's retry finds the door open.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header::CONTENT_TYPE};

use super::{
    Gateway,
    claim::{Entry, Held, Settler, give_back},
    plan::{Parcel, Plan},
    source::Source,
};
use crate::{
    clock::Now,
    fault,
    stages::{
        authenticate::Authentic,
        vouch::Letter,
        words::{Refusal, Verdict},
    },
    state::{
        claims::{Claim, Evidence},
        journal::{EntryId, Tried},
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
    /// The identity it went under, if it went anywhere.
    pub(super) key: Option<EventKey>,
    /// The attempt that was made, if one was.
    pub(super) tried: Option<Tried>,
    /// Where it is in the journal, if it is there.
    pub(super) entry: Option<EntryId>,
}

impl From<Verdict> for Delivery {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, retry_after: None, delivered: None, key: None, tried: None, entry: None }
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

impl Trip<'_> {
    /// Delivers, queues or sets aside, as the source says; the ends come back in the order of the events.
    pub(super) async fn run(self, plans: Vec<&Plan>) -> Vec<Delivery> {
        if plans.is_empty() {
            Vec::new()
        } else if self.source.queues() {
            self.queue(&plans).await
        } else if self.source.delivery.as_array {
            self.together(&plans).await
        } else if self.source.delivery.order.is_empty() {
            let concurrency = self.source.delivery.concurrency.max(1);
            let deliveries: Vec<_> = plans.into_iter().map(|plan| self.one(plan)).collect();
            stream::iter(deliveries).buffered(concurrency).collect().await
        } else {
            self.in_order(plans).await
        }
    }

    /// An event that fails stops those after it (D-17).
    async fn in_order(self, plans: Vec<&Plan>) -> Vec<Delivery> {
        let mut outcomes: Vec<Delivery> = Vec::with_capacity(plans.len());
        for plan in plans {
            match outcomes.last().map(|outcome| outcome.verdict) {
                Some(failed @ Verdict::Fail(_)) => outcomes.push(failed.into()),
                _ => outcomes.push(self.one(plan).await),
            }
        }
        outcomes
    }

    async fn one(self, plan: &Plan) -> Delivery {
        let held = match self.claim(plan).await {
            Entry::Stop(verdict) => return verdict.into(),
            Entry::Go(held) => held,
        };
        if let Some(cause) = held.aside {
            return self.set_aside(plan, held, cause).await;
        }
        let outcome = self.attempt(&plan.parcel, held.key, &plan.parcel.bytes).await;
        self.conclude(held.claim.into_iter().collect(), outcome.verdict).await;
        outcome
    }

    /// Delivers all events that are new as one array of their bytes: all of them, or none. What is to be set aside is
    /// set aside first.
    async fn together(self, plans: &[&Plan]) -> Vec<Delivery> {
        let round = self.claim_all(plans).await;
        let mut ends: Vec<Delivery> = round.verdicts.into_iter().map(Delivery::from).collect();
        if let Some(refusal) = round.refusal {
            give_back(round.held.into_iter().filter_map(|(_, held)| held.claim), refusal);
            return plans.iter().map(|_| Verdict::Fail(refusal).into()).collect();
        }
        let mut new = Vec::new();
        for (index, held) in round.held {
            match held.aside {
                Some(cause) => ends[index] = self.set_aside(plans[index], held, cause).await,
                None => new.push((index, held)),
            }
        }
        if new.is_empty() {
            return ends;
        }
        let (parcel, key, body) = self.joined(plans, &new);
        let outcome = self.attempt(&parcel, key, &body).await;
        let claims = new.iter_mut().filter_map(|(_, held)| held.claim.take()).collect();
        self.conclude(claims, outcome.verdict).await;
        if let Verdict::Fail(refusal) = outcome.verdict {
            return plans.iter().map(|_| Verdict::Fail(refusal).into()).collect();
        }
        for (index, _) in new {
            ends[index] = Delivery { key: Some(key), tried: outcome.tried.clone(), ..outcome.verdict.into() };
        }
        ends
    }

    /// The new events as one: what it is for the application, its identity, and `[a,b]` from the bytes of a and b.
    pub(super) fn joined(self, plans: &[&Plan], new: &[(usize, Held)]) -> (Parcel, EventKey, Bytes) {
        let parcels: Vec<_> = new.iter().map(|(index, _)| &plans[*index].parcel).collect();
        let parts = new.iter().zip(&parcels).flat_map(|((_, held), it)| [held.key.as_bytes(), it.digest.as_bytes()]);
        let key = EventKey::new(&self.source.name, parts.map(<[u8; 32]>::as_slice));
        let parcel = Parcel { event_type: None, batch: None, is_whole_body: false, ..parcels[0].clone() };
        (parcel, key, array(&parcels))
    }

    /// One attempt at the upstream.
    async fn attempt(self, parcel: &Parcel, key: EventKey, body: &Bytes) -> Delivery {
        let Gateway { clock, attempts, .. } = self.gateway;
        let now = clock.now();
        let within = self.due.saturating_duration_since(now.steady);
        if within < MEANINGFUL {
            return Verdict::Fail(Refusal::Overload).into();
        }
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
            passing: &parcel.target.voucher.passing(&self.authentic.head().headers, &self.source.credentials),
        };
        let headers = parcel.target.voucher.headers(&letter, body, now.wall);
        let outbound = Outbound { headers, body: body.clone(), within, relay: self.source.delivery.relay };
        fault::point("gateway.before_send");
        let attempt = parcel.target.upstream.deliver(outbound).await;
        fault::point("gateway.after_send");
        let tried = self.gateway.journal.is_some().then(|| self.tried(&attempt, earlier.count + 1, now)).flatten();
        let outcome = Delivery { key: Some(key), tried, ..outcome(attempt, now) };
        attempts.note(&key, &earlier, matches!(outcome.verdict, Verdict::Forward));
        outcome
    }

    fn tried(self, attempt: &Attempt, number: u32, began: Now) -> Option<Tried> {
        let took = self.gateway.since(began.steady);
        super::ledger::tried(attempt, number, began.wall, took)
    }

    async fn conclude(self, claims: Vec<Claim>, verdict: Verdict) {
        match verdict {
            Verdict::Forward => Settler::of(self).settle(claims, Evidence::Delivered, self.gateway.clock.now()).await,
            Verdict::Fail(refusal) => give_back(claims, refusal),
            Verdict::Drop(_)
            | Verdict::Duplicate
            | Verdict::Handshake
            | Verdict::Quarantine(_)
            | Verdict::Queue
            | Verdict::Reject(_) => drop(claims),
        }
    }

    /// The sender's content type for a body passed on whole; JSON for a part of it.
    pub(super) fn content_type(self, parcel: &Parcel) -> HeaderValue {
        let sent = self.authentic.head().headers.get(CONTENT_TYPE).filter(|_| parcel.is_whole_body);
        sent.cloned().unwrap_or_else(|| HeaderValue::from_static("application/json"))
    }
}

/// What an attempt means for the sender, who waits.
fn outcome(attempt: Attempt, now: Now) -> Delivery {
    let failed = |refusal, retry_after| Delivery { retry_after, ..Verdict::Fail(refusal).into() };
    match attempt {
        Attempt::Delivered(delivered) => Delivery { delivered: Some(delivered), ..Verdict::Forward.into() },
        Attempt::Refused { retry_after, .. } => {
            failed(Refusal::UpstreamError, retry_after.map(|wish| wish.wait(now.wall).as_secs()))
        }
        Attempt::Ambiguous { timeout: true, .. } => failed(Refusal::UpstreamTimeout, None),
        Attempt::Ambiguous { timeout: false, .. } | Attempt::NotSent { .. } => failed(Refusal::UpstreamError, None),
        Attempt::Full => failed(Refusal::Overload, None),
    }
}

/// Less time than this is not worth an attempt that might be cut off in the middle.
const MEANINGFUL: Duration = Duration::from_millis(5);

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
