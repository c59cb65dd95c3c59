//! A source as it runs: the settings of every stage, and what they make of one event.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{dispatch::Retry, plan::Plan};
use crate::{
    stages::{
        answer::{Answer, AnswerPolicy},
        authenticate::{Authentic, Authenticator, Rejection},
        check::{Checker, Policy},
        greet::{Denial, Greeter, Greeting, Welcome},
        receive::{Client, Received},
        recognize::{Pattern, Recognizer},
        schemes::{
            Looked,
            published::{Published, Wanted},
        },
        selector::{Facts, Selector},
        split::{Batch, Envelope},
        vouch::Voucher,
        words::Refusal,
    },
    state::{key::BucketKey, learned::Keepsake, limits::SourceLimit},
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
    /// Authentic events are kept in the journal until the source is switched on again.
    Hold,
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
    /// Whether events go into the journal and are delivered in the background, rather than while the sender waits.
    pub queued: bool,
    /// How a queued event is tried again.
    pub retry: Retry,
    /// Which events wait for each other: queued, those with the same values; else all of a request. Empty: none.
    pub order: Vec<Selector>,
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
    /// How many attempts may be under way at once.
    pub max_in_flight: usize,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.name)
    }
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

    /// Whether its events go into the journal before they go anywhere else.
    pub fn queues(&self) -> bool {
        self.delivery.queued || self.active == Active::Hold
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
    pub fn enter(&self, received: Box<Received>, now: Timestamp) -> Entry {
        self.enter_with(received, &Published::NONE, now)
    }

    /// The same, with what was fetched of what it [wants](Self::wants).
    pub fn enter_with(&self, received: Box<Received>, published: &Published, now: Timestamp) -> Entry {
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
}

impl Limit {
    /// How many events each bucket is charged for, in the order the buckets first occur.
    pub fn charges(plans: &[Plan]) -> Vec<(BucketKey, u32)> {
        let mut charges: Vec<(BucketKey, u32)> = Vec::new();
        for key in plans.iter().filter(|plan| plan.is_open()).filter_map(|plan| plan.parcel.bucket) {
            match charges.iter_mut().find(|(known, _)| *known == key) {
                Some((_, count)) => *count += 1,
                None => charges.push((key, 1)),
            }
        }
        charges
    }

    /// Absent values count as empty ones.
    pub(super) fn bucket(&self, facts: &Facts<'_>) -> BucketKey {
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
