//! One request's way into the journal: claimed, appended, settled. All of it is in one group, so that all of it is
//! safe or none of it is (I15b), and nothing is promised before the journal says that it is (I1, I10).

use std::sync::Arc;

use super::{
    claim::{Held, Settler, give_back},
    deliver::{Delivery, Trip},
    plan::{Parcel, Plan},
};
use crate::{
    fault,
    stages::words::{Cause, Refusal, Verdict},
    state::{
        claims::{Claim, Evidence, WINDOW_MAX},
        journal::{Appended, Entry, Fault, Group, Kept, Settled},
        key::{Digest, EventKey},
    },
};

/// The events of a group, and which events of the request each entry stands for.
#[derive(Default)]
struct Bundle {
    group: Group,
    stands_for: Vec<(Verdict, Vec<usize>)>,
    claims: Vec<Claim>,
}

impl Trip<'_> {
    /// Takes the whole request into the journal, or nothing of it.
    pub(super) async fn queue(self, plans: &[&Plan]) -> Vec<Delivery> {
        let round = self.claim_all(plans).await;
        if let Some(refusal) = round.refusal {
            give_back(round.held.into_iter().filter_map(|(_, held)| held.claim), refusal);
            return plans.iter().map(|_| Verdict::Fail(refusal).into()).collect();
        }
        let mut ends: Vec<Delivery> = round.verdicts.into_iter().map(Delivery::from).collect();
        let mut bundle = Bundle::default();
        let (aside, mut new): (Vec<_>, Vec<_>) = round.held.into_iter().partition(|(_, held)| held.aside.is_some());
        for (index, mut held) in aside {
            let verdict = held.aside.map_or(Verdict::Queue, Verdict::Quarantine);
            self.pack(&mut bundle, plans[index], index, &mut held, verdict);
        }
        if self.source.delivery.as_array && !new.is_empty() {
            self.pack_array(&mut bundle, plans, &mut new);
        } else {
            for (index, mut held) in new {
                self.pack(&mut bundle, plans[index], index, &mut held, Verdict::Queue);
            }
        }
        self.keep(bundle, &mut ends).await;
        ends
    }

    /// Sets one event aside.
    pub(super) async fn set_aside(self, plan: &Plan, mut held: Held, cause: Cause) -> Delivery {
        let (mut bundle, mut ends) = (Bundle::default(), [Verdict::Duplicate.into()]);
        self.pack(&mut bundle, plan, 0, &mut held, Verdict::Quarantine(cause));
        self.keep(bundle, &mut ends).await;
        let [end] = ends;
        end
    }

    /// Appends, then settles what was claimed. Without the journal's word everything is given back.
    async fn keep(self, bundle: Bundle, ends: &mut [Delivery]) {
        let Bundle { group, stands_for, claims } = bundle;
        if group.entries.is_empty() {
            return;
        }
        match self.append(group, claims).await {
            Ok(appended) => {
                for ((verdict, places), appended) in stands_for.into_iter().zip(appended) {
                    for place in places {
                        ends[place] = match appended {
                            Appended::New(entry) => Delivery { entry: Some(entry), ..verdict.into() },
                            Appended::Duplicate => Verdict::Duplicate.into(),
                        };
                    }
                }
            }
            Err(refusal) => {
                let places = stands_for.iter().flat_map(|(_, places)| places);
                places.for_each(|place| ends[*place] = Verdict::Fail(refusal).into());
            }
        }
    }

    /// A disk that is too slow is one that does not answer: the sender is told before it stops waiting (D-57). The
    /// claims stay with the work until it is done, so that the sender's retry finds a duplicate or an open door.
    async fn append(self, group: Group, claims: Vec<Claim>) -> Result<Vec<Appended>, Refusal> {
        let Some(journal) = self.gateway.journal.clone() else { return Err(Refusal::Journal) };
        let now = self.gateway.clock.now();
        let patience = self.due.saturating_duration_since(now.steady);
        let settler = Settler::of(self);
        fault::point("gateway.before_append");
        let writer = journal.clone();
        let work = async move {
            let appended = writer.append(group, now).await;
            if appended.is_ok() {
                fault::point("gateway.after_append");
                settler.settle(claims, Evidence::Journaled, now).await;
            } else {
                give_back(claims, Refusal::Journal);
            }
            appended.map_err(|_| Refusal::Journal)
        };
        journal.within(patience, work).await.unwrap_or(Err(Refusal::Journal))
    }

    fn pack(self, bundle: &mut Bundle, plan: &Plan, place: usize, held: &mut Held, verdict: Verdict) {
        let parcel = &plan.parcel;
        if held.is_known {
            bundle.group.settled.push(self.settled(held.key, parcel.digest));
        }
        let fault = plan.fault().filter(|_| matches!(verdict, Verdict::Quarantine(_)));
        let kept = Some(self.kept(parcel, parcel.bytes.clone()));
        bundle.group.entries.push(Entry { fault, kept, ..self.entry(parcel, held.key, verdict) });
        bundle.stands_for.push((verdict, vec![place]));
        bundle.claims.extend(held.claim.take());
    }

    /// One entry for an array. Each event in it is settled by itself: it may come again alone, or in other company.
    fn pack_array(self, bundle: &mut Bundle, plans: &[&Plan], new: &mut [(usize, Held)]) {
        let (parcel, key, body) = self.joined(plans, new);
        let digest = Digest::of(&body);
        let known = new.iter().filter(|(_, held)| held.is_known);
        let mut settled: Vec<_> =
            known.map(|(index, held)| self.settled(held.key, plans[*index].parcel.digest)).collect();
        if settled.len() == new.len() {
            settled.push(self.settled(key, digest));
        }
        bundle.group.settled.extend(settled);
        let parcel = Parcel { digest, bytes: body.clone(), ..parcel };
        let kept = Some(self.kept(&parcel, body));
        bundle.group.entries.push(Entry { kept, ..self.entry(&parcel, key, Verdict::Queue) });
        bundle.stands_for.push((Verdict::Queue, new.iter().map(|(index, _)| *index).collect()));
        bundle.claims.extend(new.iter_mut().filter_map(|(_, held)| held.claim.take()));
    }

    fn settled(self, key: EventKey, digest: Digest) -> Settled {
        let window = self.source.dedup.window.min(WINDOW_MAX);
        Settled { key, digest, until: self.gateway.clock.now().wall + window }
    }

    /// The event as the journal knows it, without what it takes to deliver it.
    pub(super) fn entry(self, parcel: &Parcel, key: EventKey, verdict: Verdict) -> Entry {
        Entry {
            received_at: self.authentic.received().at,
            source: Arc::clone(&self.source.name),
            event_type: parcel.event_type.clone(),
            key,
            digest: parcel.digest,
            bytes: parcel.bytes.len(),
            verdict,
            fault: None,
            traceparent: self.traceparent.to_owned(),
            kept: None,
        }
    }

    /// What it takes to deliver an event later. Credentials are not among it (D-59).
    pub(super) fn kept(self, parcel: &Parcel, body: bytes::Bytes) -> Kept {
        let headers = &self.authentic.head().headers;
        Kept {
            body,
            content_type: self.content_type(parcel),
            headers: parcel.target.voucher.passing(headers, &self.source.credentials),
            strength: self.authentic.strength(),
            secret: Arc::clone(self.authentic.key()),
            batch: parcel.batch,
            upstream: Arc::clone(&parcel.target.name),
            order: parcel.order,
        }
    }
}

impl Plan {
    /// Where and which rule the event breaks, if it breaks one.
    pub(super) fn fault(&self) -> Option<Fault> {
        let violation = self.offence.as_ref()?.violation.as_ref()?;
        Some(Fault { pointer: violation.pointer.clone(), keyword: violation.keyword.clone() })
    }
}
