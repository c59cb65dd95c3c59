//! A source as it runs: the settings of every stage, and what they make of one event.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    stages::{
        answer::{Answer, AnswerPolicy},
        authenticate::{Authentic, Authenticator, Rejection},
        check::{Checker, Offence, Policy},
        greet::{Denial, Greeter, Greeting, Welcome},
        receive::{Client, Received},
        recognize::{Pattern, Recognizer},
        schemes::{
            Looked,
            published::{Published, Wanted},
        },
        selector::{Facts, Selector},
        split::{Batch, Envelope, Event},
        vouch::Voucher,
        words::{Cause, Refusal, Verdict},
    },
    state::{
        key::{BucketKey, Digest, EventKey},
        learned::Keepsake,
        limits::SourceLimit,
    },
    upstream::Upstream,
};

/// Everything about one source.
#[derive(Debug)]
pub struct Source {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// Where its sender posts to, byte for byte.
    pub path: String,
    /// Largest body, in bytes.
    pub body_max: usize,
    /// For the whole answer.
    pub deadline: Duration,
    /// Client addresses that may send; empty means all.
    pub allow: Vec<IpNet>,
    /// Whether it is switched on.
    pub active: Active,
    /// Whether anything is refused but failed authentication.
    pub mode: Mode,
    /// Content types that are taken.
    pub media_types: MediaTypes,
    /// Who may send.
    pub authenticator: Authenticator,
    /// How tests of the sender are answered.
    pub greeter: Greeter,
    /// Where a secret is kept that its sender hands over, if it may.
    pub learned: Option<Keepsake>,
    /// The source's own limit.
    pub limit: Option<Limit>,
    /// How events are packed.
    pub envelope: Envelope,
    /// What events are, and which are wanted.
    pub recognizer: Recognizer,
    /// What happens to events that are not wanted.
    pub on_filtered: Policy,
    /// What events must look like.
    pub checker: Checker,
    /// How repeats are recognised.
    pub dedup: Dedup,
    /// Where events go.
    pub delivery: Delivery,
    /// What the sender is told.
    pub answers: AnswerPolicy,
    /// Headers that carry the sender's credentials.
    pub credentials: Vec<HeaderName>,
}

/// Whether a source is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// Authentic requests are acknowledged and dropped.
    Drop,
    /// Everything is answered 503, so that the sender keeps it.
    Refuse,
    /// As usual.
    Yes,
}

/// Whether checks decide or only count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They decide.
    Enforce,
    /// Only failed authentication is refused; everything else is counted and forwarded.
    Observe,
}

/// A source's own limit.
#[derive(Debug)]
pub struct Limit {
    /// The buckets.
    pub buckets: Arc<SourceLimit>,
    /// What tells buckets apart; empty means that there is one, charged one per request.
    pub by: Vec<Selector>,
}

/// Content types that are taken.
#[derive(Clone, Debug)]
pub enum MediaTypes {
    /// Every one, or none.
    Any,
    /// These, in lower case and without parameters; `*` stands for any run of characters.
    Only(Vec<String>),
}

/// How repeats are recognised.
#[derive(Clone, Copy, Debug)]
pub struct Dedup {
    /// Whether they are at all.
    pub enabled: bool,
    /// How long a delivered event is remembered.
    pub window: Duration,
    /// How long a delivery may hold its claim.
    pub lease: Duration,
    /// How long a twin waits for the one in flight.
    pub join_timeout: Duration,
    /// What stands in for a missing identity.
    pub on_missing: OnMissing,
    /// Whether events are forwarded unclaimed when the store fails.
    pub forward_on_store_error: bool,
    /// What happens to an event with the identity of another one.
    pub on_conflict: Policy,
}

/// What stands in for a missing identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// The SHA-256 of the event's bytes.
    Digest,
    /// Nothing: the event is forwarded whenever it comes.
    Forward,
    /// The event is rejected.
    Reject,
}

/// Where events go.
#[derive(Debug)]
pub struct Delivery {
    /// One request with all clean events of a batch, instead of one each.
    pub as_array: bool,
    /// Events of one batch in flight.
    pub concurrency: usize,
    /// Whether an event waits for the one before it.
    pub ordered: bool,
    /// By event type; the first that matches.
    pub routes: Vec<(Pattern, Arc<Target>)>,
    /// For all others.
    pub target: Arc<Target>,
    /// Whether a single event's 2xx answer goes back to the sender.
    pub relay: bool,
}

/// An upstream and how it wants its requests.
pub struct Target {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// The way there.
    pub upstream: Arc<dyn Upstream>,
    /// The headers it gets.
    pub voucher: Voucher,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.name)
    }
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
    /// Where it goes.
    pub target: Arc<Target>,
}

/// How a request gets in, or does not.
#[derive(Debug)]
pub enum Entry {
    /// Its sender is proved, and it is no handshake.
    Admitted(Authentic, Looked),
    /// It looks like a handshake and proves nothing, and its sender wants this answer then.
    Denied(Refusal, Answer),
    /// It is a handshake, and this answers it.
    Greeted(Welcome),
    /// It is refused; what was looked at, if anything was.
    Refused(Refusal, Option<Looked>),
}

/// What is to happen to one event.
#[derive(Clone, Debug)]
pub enum Plan {
    /// It is decided already; an offence says what is wrong with the event.
    Decided(Verdict, Option<Offence>),
    /// It is to be delivered; an offence was only observed.
    Deliver(Box<Parcel>, Option<Offence>),
}

impl Source {
    /// Goes on with the buckets of an earlier generation of the same source, if they are the same.
    pub fn inherit(&mut self, earlier: &Self) {
        if let (Some(limit), Some(known)) = (&mut self.limit, &earlier.limit)
            && limit.buckets.limit() == known.buckets.limit()
            && limit.by == known.by
        {
            limit.buckets = known.buckets.clone();
        }
    }

    /// The methods it takes, for `Allow`.
    pub fn methods(&self) -> String {
        let mut methods = vec!["POST"];
        for method in self.greeter.methods() {
            if !methods.contains(&method.as_str()) {
                methods.push(method.as_str());
            }
        }
        methods.join(", ")
    }

    /// The answer to a request that is refused as a whole.
    pub fn refuse(&self, refusal: Refusal, retry_after: Option<u64>) -> Answer {
        match refusal {
            Refusal::Method => Answer::method_not_allowed(&self.methods()),
            refusal => self.answers.refuse(refusal, retry_after),
        }
    }

    /// Whether it takes this method.
    pub fn takes(&self, method: &Method) -> bool {
        method == Method::POST || self.greeter.methods().any(|known| known == method)
    }

    /// Whether this client may send at all.
    pub fn admits(&self, client: &Client) -> bool {
        let inside = |address: &IpAddr| self.allow.iter().any(|net| net.contains(&address.to_canonical()));
        self.allow.is_empty() || client.address.as_ref().is_some_and(inside)
    }

    /// What has to be fetched before the request can be authenticated: nothing, where a handshake comes first.
    pub fn wants(&self, received: &Received, now: Timestamp) -> Vec<Wanted> {
        if self.authenticator.fetches() && self.greeter.before(received, now).is_none() {
            self.authenticator.wants(received)
        } else {
            Vec::new()
        }
    }

    /// Authenticates and greets. Some handshakes come before authentication, most after it, and one takes the place of
    /// a signature that is missing: a body made of the sender's test alone, where the operator allows that.
    pub fn enter(&self, received: Received, now: Timestamp) -> Entry {
        self.enter_with(received, &Published::default(), now)
    }

    /// The same, with what was fetched of what it [wants](Self::wants).
    pub fn enter_with(&self, received: Received, published: &Published, now: Timestamp) -> Entry {
        if let Some(greeting) = self.greeter.before(&received, now) {
            return self.entry(greeting);
        }
        match self.authenticator.admit_with(received, published, now) {
            Ok((authentic, looked)) => match self.greeter.after(&authentic) {
                Some(greeting) => self.entry(greeting),
                None => Entry::Admitted(authentic, looked),
            },
            Err(rejection) => {
                let Rejection { refusal, looked, received } = *rejection;
                let unsigned =
                    (refusal == Refusal::AuthMissing).then(|| self.greeter.unsigned(&received, &self.envelope));
                unsigned.flatten().map_or(Entry::Refused(refusal, Some(looked)), |greeting| self.entry(greeting))
            }
        }
    }

    fn entry(&self, greeting: Greeting) -> Entry {
        match greeting {
            Ok(answer) => Entry::Greeted(answer),
            Err(Denial { refusal, status: None }) => Entry::Refused(refusal, None),
            Err(Denial { refusal, status: Some(status) }) => {
                let allow = Answer::method_not_allowed(&self.methods());
                let answer = if status == allow.status { allow } else { self.refuse(refusal, None) };
                Entry::Denied(refusal, Answer { status, ..answer.quiet() })
            }
        }
    }

    /// The events of an authentic request.
    pub fn split(&self, authentic: &Authentic) -> Result<Batch, Refusal> {
        if !self.media_types.take(authentic.head().headers.get(CONTENT_TYPE)) {
            return Err(Refusal::MediaType);
        }
        self.envelope.read(authentic.received())
    }

    /// What is to happen to one event: its own test, its type, its filters, its schema, its identity, in this order.
    pub fn plan(&self, authentic: &Authentic, event: Event<'_>, size: Option<usize>) -> (Plan, Option<Answer>) {
        if let Some(Ok(welcome)) = self.greeter.event(authentic, event.value()) {
            return (Plan::Decided(Verdict::Handshake, None), Some(welcome.answer));
        }
        let received = authentic.received();
        let document = authentic.document();
        let facts = Facts { event: Some(event.value()), root: Some(event.root()), ..Facts::of(received, "", document) };
        let event_type = self.recognizer.event_type(&facts);
        let names = event_type.as_ref().map(|known| (known.name.as_ref(), known.sent.as_ref()));
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
                Some(verdict) => return (Plan::Decided(verdict, Some(offence)), None),
                None => observed = observed.or(Some(offence)),
            }
        }
        let plan = self.parcel(&facts, names.map(|(_, sent)| sent), event, size);
        (plan.map_or_else(|verdict| Plan::Decided(verdict, None), |parcel| Plan::Deliver(parcel, observed)), None)
    }

    fn parcel(
        &self,
        facts: &Facts<'_>,
        event_type: Option<&str>,
        event: Event<'_>,
        size: Option<usize>,
    ) -> Result<Box<Parcel>, Verdict> {
        // In an array there is JSON, also where it came in a form.
        let bytes = if self.delivery.as_array { event.value().bytes() } else { event.bytes() };
        let digest = Digest::of(&bytes);
        let key = match (self.recognizer.identity(facts), self.dedup.on_missing) {
            (Some(parts), _) => Some(EventKey::new(&self.name, parts.iter().map(Vec::as_slice))),
            (None, OnMissing::Digest) => Some(EventKey::of_bytes(&self.name, &digest)),
            (None, OnMissing::Reject) if self.mode == Mode::Enforce => {
                return Err(Verdict::Reject(Cause::IdentityMissing));
            }
            (None, OnMissing::Forward | OnMissing::Reject) => None,
        };
        let target = self.target(event_type);
        let batch = size.map(|size| (event.index() + 1, size));
        let event_type = event_type.map(str::to_owned);
        let is_whole_body = event.is_whole_body() && !self.delivery.as_array;
        let buckets = self.limit.as_ref().filter(|limit| !limit.by.is_empty());
        let bucket = buckets.map(|limit| limit.bucket(&Facts { event_type: event_type.as_deref(), ..facts.clone() }));
        Ok(Box::new(Parcel { key, digest, event_type, bytes, batch, is_whole_body, bucket, target }))
    }

    /// An identity for an event whose repeats cannot be told: no other event has it.
    pub fn unique_key(&self, traceparent: &str, parcel: &Parcel) -> EventKey {
        let position = parcel.batch.map_or(0, |(position, _)| position).to_be_bytes();
        EventKey::new(&self.name, [traceparent.as_bytes(), &position])
    }

    /// The whole body as one event of unknown kind: for sources that only observe.
    pub fn opaque(&self, authentic: &Authentic) -> Plan {
        let (bytes, digest) = (authentic.body().clone(), Digest::of(authentic.body()));
        let key = Some(EventKey::of_bytes(&self.name, &digest));
        let target = self.target(None);
        let buckets = self.limit.as_ref().filter(|limit| !limit.by.is_empty());
        let bucket = buckets.map(|limit| limit.bucket(&Facts::of(authentic.received(), "", authentic.document())));
        let parcel = Parcel { key, digest, event_type: None, bytes, batch: None, is_whole_body: true, bucket, target };
        Plan::Deliver(Box::new(parcel), None)
    }

    fn target(&self, event_type: Option<&str>) -> Arc<Target> {
        let routed = event_type.and_then(|name| self.delivery.routes.iter().find(|(pattern, _)| pattern.matches(name)));
        routed.map_or_else(|| self.delivery.target.clone(), |(_, target)| target.clone())
    }
}

impl Plan {
    /// The event on its way out, if it is.
    pub fn parcel(&self) -> Option<&Parcel> {
        match self {
            Self::Decided(..) => None,
            Self::Deliver(parcel, _) => Some(parcel),
        }
    }

    /// Whether the event takes its whole request with it.
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Decided(Verdict::Reject(_), _))
    }
}

impl Limit {
    /// How many events each bucket is charged for, in the order the buckets first occur.
    pub fn charges(plans: &[Plan]) -> Vec<(BucketKey, u32)> {
        let mut charges: Vec<(BucketKey, u32)> = Vec::new();
        for key in plans.iter().filter_map(Plan::parcel).filter_map(|parcel| parcel.bucket) {
            match charges.iter_mut().find(|(known, _)| *known == key) {
                Some((_, count)) => *count += 1,
                None => charges.push((key, 1)),
            }
        }
        charges
    }

    /// Absent values count as empty ones.
    fn bucket(&self, facts: &Facts<'_>) -> BucketKey {
        let values: Vec<_> = self.by.iter().map(|by| by.find(facts).ok().flatten().unwrap_or_default()).collect();
        BucketKey::new(values.iter().map(AsRef::as_ref))
    }
}

impl MediaTypes {
    /// Whether a request with this `Content-Type` is taken.
    pub fn take(&self, sent: Option<&HeaderValue>) -> bool {
        let Self::Only(types) = self else { return true };
        let Some(sent) = sent.and_then(|value| value.to_str().ok()) else { return false };
        let essence = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        types.iter().any(|known| Pattern::new(known.as_str()).matches(&essence))
    }
}
