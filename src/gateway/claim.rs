//! Before an event goes anywhere: is it ours to deliver?

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    deliver::Trip,
    plan::{Fate, Plan},
    source::Mode,
};
use crate::{
    clock::Now,
    stages::{
        check::Policy,
        words::{Cause, Refusal, Verdict},
    },
    state::{
        claims::{Claim, Claimed, Concluded, Evidence},
        key::EventKey,
    },
    telemetry::Telemetry,
};

/// An event that is ours to deliver, or to set aside.
#[derive(Debug)]
pub(super) struct Held {
    /// Its identity.
    pub(super) key: EventKey,
    /// The right to it, if the source deduplicates and the store answered.
    pub(super) claim: Option<Claim>,
    /// Whether repeats of it are to be recognised.
    pub(super) is_known: bool,
    /// Why it is to be set aside, if it is.
    pub(super) aside: Option<Cause>,
}

/// How the question for a claim ended.
pub(super) enum Entry {
    /// The event is ours.
    Go(Held),
    /// It is decided already.
    Stop(Verdict),
}

/// How the question for all claims of a request ended.
pub(super) struct Round {
    /// A verdict for each event: what is decided, and `duplicate` for twins within the request. Those that are held
    /// have no verdict yet.
    pub(super) verdicts: Vec<Verdict>,
    /// What is ours, with its place, in the order of the request.
    pub(super) held: Vec<(usize, Held)>,
    /// Why nothing of it may go on, if that is so.
    pub(super) refusal: Option<Refusal>,
}

impl Trip<'_> {
    /// Asks for the event until it is ours, or somebody else's outcome decides it. A twin shares the outcome of the
    /// one in flight: nobody gets a 2xx for what is not delivered, and a failing upstream is not asked again by every
    /// copy (D-10, D-11).
    pub(super) async fn claim(self, plan: &Plan) -> Entry {
        let (dedup, parcel) = (&self.source.dedup, &plan.parcel);
        let mut aside = match plan.fate {
            Fate::SetAside(cause) => Some(cause),
            Fate::Decided(_) | Fate::Deliver => None,
        };
        let go = |key, claim, is_known, aside| Entry::Go(Held { key, claim, is_known, aside });
        let Some(mut key) = parcel.key else {
            return go(self.source.unique_key(self.traceparent, parcel), None, false, aside);
        };
        if !dedup.enabled {
            return go(key, None, false, aside);
        }
        loop {
            let now = self.gateway.clock.now().steady;
            match self.gateway.claims.claim(key, parcel.digest, dedup.lease, now).await {
                Err(_) if dedup.forward_on_store_error => return go(key, None, true, aside),
                Err(_) => return Entry::Stop(Verdict::Fail(Refusal::StateStore)),
                Ok(Claimed::Ours(claim)) => return go(key, Some(claim), true, aside),
                Ok(Claimed::Settled) => return Entry::Stop(Verdict::Duplicate),
                Ok(Claimed::Conflict) => {
                    key = key.with_digest(&parcel.digest);
                    match dedup.on_conflict {
                        _ if self.source.mode == Mode::Observe => {}
                        Policy::Forward => {}
                        Policy::Quarantine => aside = Some(Cause::Conflict),
                        Policy::Drop => return Entry::Stop(Verdict::Drop(Cause::Conflict)),
                        Policy::Reject => return Entry::Stop(Verdict::Reject(Cause::Conflict)),
                    }
                }
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

    /// Claims all events that are to stay together.
    ///
    /// Claims are taken in the order of their keys, so that two batches with the same events never wait for each
    /// other, and a twin is next to its leader, whom it must not wait for. They are all taken within [`CLAIMING`],
    /// so that the lease of the first does not end while the events are under way.
    pub(super) async fn claim_all(self, plans: &[&Plan]) -> Round {
        let hurried = Self { due: self.due.min(self.gateway.clock.now().steady + CLAIMING), ..self };
        let name = |index: usize| {
            let parcel = &plans[index].parcel;
            parcel.key.map(|key| (*key.as_bytes(), *parcel.digest.as_bytes()))
        };
        let mut order: Vec<usize> = (0..plans.len()).collect();
        order.sort_by_key(|index| name(*index));
        let mut round = Round { verdicts: vec![Verdict::Duplicate; plans.len()], held: Vec::new(), refusal: None };
        let mut leader = None;
        for index in order {
            let known = name(index).filter(|_| self.source.dedup.enabled);
            if known.is_some() && known == leader {
                continue;
            }
            leader = known;
            match hurried.claim(plans[index]).await {
                Entry::Stop(Verdict::Fail(refusal)) => {
                    round.refusal = Some(refusal);
                    return round;
                }
                Entry::Stop(verdict) => round.verdicts[index] = verdict,
                Entry::Go(held) => round.held.push((index, held)),
            }
        }
        round.held.sort_unstable_by_key(|(index, _)| *index);
        round
    }
}

/// What it takes to settle claims, also when the request that made them has been answered.
pub(super) struct Settler {
    window: Duration,
    telemetry: Arc<Telemetry>,
}

impl Settler {
    pub(super) fn of(trip: Trip<'_>) -> Self {
        Self { window: trip.source.dedup.window, telemetry: trip.gateway.telemetry.clone() }
    }

    /// Settles claims, their windows counted from `now`: the journal and this memory agree on it. A store that fails
    /// changes nothing for the sender: there *is* evidence of the event (D-20).
    pub(super) async fn settle(&self, claims: Vec<Claim>, evidence: Evidence, now: Now) {
        for claim in claims {
            if claim.settle(evidence, self.window, now).await.is_err() {
                self.telemetry.metrics.dedup.commit_failed.inc();
            }
        }
    }
}

/// Gives claims back: the sender's retry finds the door open.
pub(super) fn give_back(claims: impl IntoIterator<Item = Claim>, refusal: Refusal) {
    for claim in claims {
        claim.give_back(refusal);
    }
}

/// How long a request may wait for its claims. A lease is the upstream's timeout and 5 s more (D-13).
const CLAIMING: Duration = Duration::from_secs(4);
