//! What is to happen to one event, before anybody is asked for it.

use std::sync::Arc;

use bytes::Bytes;

use super::source::{Mode, OnMissing, Source, Target};
use crate::{
    stages::{
        answer::Answer,
        authenticate::Authentic,
        check::{Offence, Policy},
        selector::Facts,
        split::Event,
        words::{Cause, Verdict},
    },
    state::key::{BucketKey, Digest, EventKey, OrderKey},
};

/// An event, and what is to happen to it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The event.
    pub parcel: Parcel,
    /// What is to happen to it.
    pub fate: Fate,
    /// What is wrong with it, whether or not anything comes of that.
    pub offence: Option<Offence>,
}

/// What is to happen to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is decided already.
    Decided(Verdict),
    /// It is to be delivered.
    Deliver,
    /// It is to be set aside in the journal, for this reason.
    SetAside(Cause),
}

/// An event on its way out.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Its identity; `None` when repeats of it cannot be told.
    pub key: Option<EventKey>,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Its type, as sent.
    pub event_type: Option<String>,
    /// Exactly the bytes that were verified.
    pub bytes: Bytes,
    /// Position and size of its batch, from one.
    pub batch: Option<(usize, usize)>,
    /// Whether the event is all there is in the body.
    pub is_whole_body: bool,
    /// The bucket that it is charged to, where the source's limit is divided.
    pub bucket: Option<BucketKey>,
    /// What it must not overtake on its way from the journal.
    pub order: Option<OrderKey>,
    /// Where it goes.
    pub target: Arc<Target>,
}

impl Source {
    /// What is to happen to one event: its own test, its type, its filters, its schema, its identity, in this order.
    pub fn plan(&self, authentic: &Authentic, event: Event<'_>, size: Option<usize>) -> (Plan, Option<Answer>) {
        let received = authentic.received();
        let document = authentic.document();
        let facts = Facts { event: Some(event.value()), root: Some(event.root()), ..Facts::of(received, "", document) };
        let event_type = self.recognizer.event_type(&facts);
        let names = event_type.as_ref().map(|known| (known.name.as_ref(), known.sent.as_ref()));
        let mut parcel = self.parcel(&facts, names.map(|(_, sent)| sent), event, size);
        if let Some(Ok(welcome)) = self.greeter.event(authentic, event.value()) {
            let fate = Fate::Decided(Verdict::Handshake);
            return (Plan { parcel, fate, offence: None }, Some(welcome.answer));
        }
        let known = self.recognizer.knows(event_type.as_ref());
        let unwanted = || {
            let cause = self.recognizer.unwanted(event_type.as_ref(), event.value())?;
            Some((self.on_filtered, Offence { cause, violation: None }))
        };
        let broken = || {
            let offence = self.checker.check(names, known, event).err()?;
            Some((self.checker.policy(offence.cause), offence))
        };
        // An event without a type is malformed rather than unwanted, so its schema is asked first.
        let finders: [&dyn Fn() -> Option<(Policy, Offence)>; 2] =
            if event_type.is_some() { [&unwanted, &broken] } else { [&broken, &unwanted] };
        let mut observed = None;
        for (policy, offence) in finders.iter().filter_map(|find| find()) {
            match policy.verdict(offence.cause).filter(|_| self.mode == Mode::Enforce) {
                Some(Verdict::Quarantine(cause)) => {
                    parcel.key = parcel.key.or_else(|| Some(EventKey::of_bytes(&self.name, &parcel.digest)));
                    return (Plan { parcel, fate: Fate::SetAside(cause), offence: Some(offence) }, None);
                }
                Some(verdict) => return (Plan { parcel, fate: Fate::Decided(verdict), offence: Some(offence) }, None),
                None => observed = observed.or(Some(offence)),
            }
        }
        let is_nameless =
            parcel.key.is_none() && self.dedup.on_missing == OnMissing::Reject && self.mode == Mode::Enforce;
        let rejected = Fate::Decided(Verdict::Reject(Cause::IdentityMissing));
        let fate = if is_nameless { rejected } else { Fate::Deliver };
        (Plan { parcel, fate, offence: observed.filter(|_| !is_nameless) }, None)
    }

    fn parcel(&self, facts: &Facts<'_>, event_type: Option<&str>, event: Event<'_>, size: Option<usize>) -> Parcel {
        // In an array there is JSON, also where it came in a form.
        let bytes = if self.delivery.as_array { event.value().bytes() } else { event.bytes() };
        let digest = Digest::of(&bytes);
        let key = match (self.recognizer.identity(facts), self.dedup.on_missing) {
            (Some(parts), _) => Some(EventKey::new(&self.name, parts.iter().map(Vec::as_slice))),
            (None, OnMissing::Digest) => Some(EventKey::of_bytes(&self.name, &digest)),
            (None, OnMissing::Forward | OnMissing::Reject) => None,
        };
        Parcel {
            key,
            digest,
            event_type: event_type.map(str::to_owned),
            batch: size.map(|size| (event.index() + 1, size)),
            is_whole_body: event.is_whole_body() && !self.delivery.as_array,
            bucket: self.bucket(&Facts { event_type, ..*facts }),
            order: self.order(facts),
            target: self.target(event_type),
            bytes,
        }
    }

    /// Absent values count as empty ones. In sync mode the events of one request wait for each other, whatever they say.
    fn order(&self, facts: &Facts<'_>) -> Option<OrderKey> {
        let order = &self.delivery.order;
        if order.is_empty() || !self.queues() {
            return None;
        }
        let values: Vec<_> = order.iter().map(|by| by.find(facts).ok().flatten().unwrap_or_default()).collect();
        Some(OrderKey::new(&self.name, values.iter().map(AsRef::as_ref)))
    }

    /// The bucket that an event is charged to, where the source's limit is divided.
    fn bucket(&self, facts: &Facts<'_>) -> Option<BucketKey> {
        self.limit.as_ref().filter(|limit| !limit.by.is_empty()).map(|limit| limit.bucket(facts))
    }

    /// An identity for an event whose repeats cannot be told: no other event has it.
    pub fn unique_key(&self, traceparent: &str, parcel: &Parcel) -> EventKey {
        let position = parcel.batch.map_or(0, |(position, _)| position).to_be_bytes();
        EventKey::new(&self.name, [traceparent.as_bytes(), &position])
    }

    /// The verdict of an event for which everything that is tried succeeds.
    pub fn hoped_for(&self, plan: &Plan) -> Verdict {
        match plan.fate {
            Fate::Decided(verdict) => verdict,
            Fate::Deliver if self.queues() => Verdict::Queue,
            Fate::Deliver => Verdict::Forward,
            Fate::SetAside(cause) => Verdict::Quarantine(cause),
        }
    }

    /// The whole body as one event of unknown kind: for sources that only observe.
    pub fn opaque(&self, authentic: &Authentic) -> Plan {
        let (bytes, digest) = (authentic.body().clone(), Digest::of(authentic.body()));
        let key = Some(EventKey::of_bytes(&self.name, &digest));
        let bucket = self.bucket(&Facts::of(authentic.received(), "", authentic.document()));
        let parcel = Parcel {
            key,
            digest,
            event_type: None,
            bytes,
            batch: None,
            is_whole_body: true,
            bucket,
            order: None,
            target: self.target(None),
        };
        Plan { parcel, fate: Fate::Deliver, offence: None }
    }

    fn target(&self, event_type: Option<&str>) -> Arc<Target> {
        let routed = event_type.and_then(|name| self.delivery.routes.iter().find(|(pattern, _)| pattern.matches(name)));
        routed.map_or_else(|| self.delivery.target.clone(), |(_, target)| target.clone())
    }
}

impl Plan {
    /// Whether something is still to be done for the event.
    pub fn is_open(&self) -> bool {
        match self.fate {
            Fate::Decided(_) => false,
            Fate::Deliver | Fate::SetAside(_) => true,
        }
    }

    /// Whether the event takes its whole request with it.
    pub fn is_rejected(&self) -> bool {
        matches!(self.fate, Fate::Decided(Verdict::Reject(_)))
    }
}
