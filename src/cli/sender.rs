//! A source's sender, played: whole requests, signed as the configuration says, and how they can be broken.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, header::USER_AGENT};
use jiff::Timestamp;

use super::sample::{self, Sample};
use crate::{
    clock::Clock,
    config::compile::{Compiled, Sender},
    gateway::{
        plan::Fate,
        source::{Entry, MediaTypes, Source},
    },
    stages::{
        answer::Answer,
        authenticate::Rule,
        json::{Document, Kind, Limits, Value},
        receive::{Client, Head, Received},
        schemes::{
            Scheme,
            jose::{Jose, Payload},
            sign::{Pen, Signer, TOKEN_LIFE, Unsignable},
        },
        selector::Facts,
        split::Batch,
        words::{Refusal, Verdict},
    },
    state::key::EventKey,
};

/// Said where a private key is missing.
const KEY_HELP: &str = "`hooksieve send SOURCE --make-key FILE` makes a throw-away pair and prints what to configure; then \
                        say `--key FILE`";

/// Changes that are tried until one breaks the schema.
const CHANGES_MAX: usize = 2_000;

/// Plays the sender of one source.
pub(super) struct StandIn<'a> {
    pub(super) source: &'a Source,
    sender: &'a Sender,
    clock: &'a dyn Clock,
    signer: Option<&'a dyn Signer>,
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Draft(Received);

/// What the gateway should answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Some 2xx.
    Success,
    /// A 2xx that says it is a duplicate, where the source says such things.
    Duplicate,
    /// Exactly this.
    Status(StatusCode),
}

impl<'a> StandIn<'a> {
    /// Of a source of the configuration; `None` when there is none of this name.
    pub(super) fn of(compiled: &'a Compiled, name: &str, clock: &'a dyn Clock) -> Option<Self> {
        let source = compiled.sources.iter().find(|source| &*source.name == name)?;
        Some(Self { source, sender: compiled.senders.get(name)?, clock, signer: None })
    }

    /// The same with a private key, for schemes that take one.
    pub(super) fn with_key(self, signer: &'a dyn Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// A fresh event of this type, or of any.
    pub(super) fn sample(&self, event_type: Option<&str>) -> Result<Draft, String> {
        let of_preset = self.sender.provider.as_deref().and_then(|preset| Sample::of_preset(preset, event_type));
        let is_own = of_preset.is_some();
        let sample = of_preset.map_or_else(|| Sample::least(self.source, &self.sender.rules, event_type), Ok)?;
        let mut draft = self.text(&sample.body)?;
        for (name, value) in &sample.headers {
            let value = sample::fill(value, draft.0.at)?;
            let value =
                HeaderValue::from_str(&value).map_err(|_| format!("{value:?} cannot be the header `{name}`"))?;
            draft.0.head.headers.insert(name, value);
        }
        if !is_own && self.offends(&self.sign(&draft)?).is_some() {
            let looked = sample::names(&self.source.recognizer.types);
            let problem = format!("the source wants more of an event than its type ({looked}) and its identity");
            return Err(problem + "\n  help: `--body FILE` sends a body of yours");
        }
        Ok(draft)
    }

    /// A request with this body, in which `${now}`, `${uuid}` and `${hex}` are replaced.
    pub(super) fn text(&self, body: &str) -> Result<Draft, String> {
        let body = sample::fill(body, self.clock.now().wall)?;
        Ok(self.bytes(body))
    }

    /// A request with exactly this body.
    pub(super) fn bytes(&self, body: impl Into<Bytes>) -> Draft {
        let content_type = match &self.source.media_types {
            MediaTypes::Any => None,
            MediaTypes::Only(types) => types.iter().find(|name| !name.contains('*')),
        };
        let content_type = content_type.and_then(|name| HeaderValue::from_str(name).ok());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/json")));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hooksieve/", env!("CARGO_PKG_VERSION"))));
        let client = Client { address: None, known: false };
        let head = Head { method: Method::POST, path: self.sender.path.clone(), query: None, headers, client };
        Draft(Received { head, body: body.into(), at: self.clock.now().wall })
    }

    /// The request, signed.
    pub(super) fn sign(&self, draft: &Draft) -> Result<Received, String> {
        self.sign_as(draft, false)
    }

    /// The request with a signature or token that looks right and is wrong.
    pub(super) fn forge(&self, draft: &Draft) -> Result<Received, String> {
        self.sign_as(draft, true)
    }

    /// The request, signed so long ago that it is stale.
    pub(super) fn stale(&self, draft: &Draft) -> Result<Received, String> {
        let age = |rule: &Rule| match (&rule.scheme, rule.scheme.window()) {
            (_, Some(window)) => Some(window.past),
            // A token says by itself until when it is good.
            (Scheme::Jose(Jose { payload: Payload::Claims(_), .. }), None) => Some(TOKEN_LIFE),
            _ => None,
        };
        let age = self.sender.rules.iter().filter_map(|(rule, _)| age(rule)).max();
        let age = age.ok_or("the source checks no signed time that could be set back")?;
        let at: Timestamp = draft.0.at - age - std::time::Duration::from_mins(2);
        let stale = self.sign(&Draft(Received { at, ..draft.0.clone() }))?;
        match self.source.enter(stale.clone().into(), self.clock.now().wall) {
            Entry::Refused(Refusal::TimestampStale, _) => Ok(stale),
            Entry::Admitted(..) | Entry::Denied(..) | Entry::Greeted(_) | Entry::Refused(..) => {
                Err("the time that is signed is in the body, which is sent as it is".to_owned())
            }
        }
    }

    /// The request with an end too early, signed all the same; where the signature lies in the JSON, signed before.
    pub(super) fn cut(&self, draft: &Draft) -> Result<Received, String> {
        let cut = |request: &Received| {
            let kept = request.body.trim_ascii_end().len().saturating_sub(1);
            Received { body: request.body.slice(..kept), ..request.clone() }
        };
        self.sign(&Draft(cut(&draft.0))).or_else(|_| Ok(cut(&self.sign(draft)?)))
    }

    /// The request with one value changed so that an event breaks its schema, signed all the same.
    pub(super) fn misshapen(&self, draft: &Draft) -> Result<Received, String> {
        let body = &draft.0.body;
        let document = Document::parse(body.clone(), &Limits::default()).map_err(|_| "the body is not JSON")?;
        let event_type = self.event_type(&draft.0, document.root());
        let mut places = Vec::new();
        collect(document.root(), &mut |value| {
            let is_type = value.as_str().is_some_and(|text| Some(text.as_ref()) == event_type.as_deref());
            if !is_type {
                places.push((matches!(value.kind(), Kind::Array | Kind::Object), value.range()));
            }
        });
        // A single value before a whole object: the less is changed, the more there is to see.
        places.sort_by_key(|(is_container, _)| *is_container);
        let changes = places.iter().flat_map(|(_, range)| ["null", "0", "\"\"", "[]", "{}"].map(|with| (range, with)));
        for (range, with) in changes.take(CHANGES_MAX) {
            let body = splice(body, range, with);
            let signed = self.sign(&Draft(Received { body, ..draft.0.clone() }))?;
            if self.offends(&signed).is_some_and(|(is_schema, _)| is_schema) {
                return Ok(signed);
            }
        }
        let help = "\n  help: `--body FILE` sends a body of yours";
        Err(format!("no schema of the source refuses anything that can be made of this body{help}"))
    }

    /// What the source would answer: found out here, with its own settings, as far as that goes without its memory.
    pub(super) fn expected(&self, request: &Received) -> Expected {
        let answered = |answer: Answer| Expected::Status(answer.status);
        let (authentic, _) = match self.source.enter(request.clone().into(), self.clock.now().wall) {
            Entry::Admitted(authentic, looked) => (authentic, looked),
            Entry::Denied(_, answer) => return answered(answer),
            Entry::Greeted(welcome) => return answered(welcome.answer),
            Entry::Refused(refusal, _) => return answered(self.source.answers.refuse(refusal, None)),
        };
        if let Err(refusal) = self.source.split(&authentic)
            && self.source.mode == crate::gateway::source::Mode::Enforce
        {
            return answered(self.source.answers.refuse(refusal, None));
        }
        match self.offends(request) {
            Some((_, Some(verdict))) => answered(self.source.answers.conclude(&[verdict], None)),
            Some((_, None)) | None => Expected::Success,
        }
    }

    /// What the source would answer when it has delivered the very same before: it may not tell repeats.
    pub(super) fn repeated(&self, request: &Received) -> Expected {
        let Entry::Admitted(authentic, _) = self.source.enter(request.clone().into(), self.clock.now().wall) else {
            return Expected::Success;
        };
        let batch = self.source.split(&authentic);
        let has_key = |batch: &Batch| {
            let mut plans = batch.events().map(|event| self.source.plan(&authentic, event, None).0);
            plans.any(|plan| plan.is_open() && plan.parcel.key.is_some())
        };
        let is_told = self.source.dedup.enabled && batch.is_ok_and(|batch| has_key(&batch));
        if is_told { Expected::Duplicate } else { Expected::Success }
    }

    /// Whether an event of the request is not as it should be: whether it breaks a schema, and what then becomes of it.
    fn offends(&self, request: &Received) -> Option<(bool, Option<Verdict>)> {
        let Entry::Admitted(authentic, _) = self.source.enter(request.clone().into(), self.clock.now().wall) else {
            return None;
        };
        let batch = self.source.split(&authentic).ok()?;
        batch.events().find_map(|event| {
            let plan = self.source.plan(&authentic, event, None).0;
            let verdict = match plan.fate {
                Fate::Decided(verdict) => Some(verdict),
                Fate::SetAside(cause) => Some(Verdict::Quarantine(cause)),
                Fate::Deliver => None,
            };
            plan.offence.map(|offence| (offence.violation.is_some(), verdict))
        })
    }

    /// What the application knows the events of a request as; nothing, where that is not known before it arrives.
    pub(super) fn identities(&self, request: &Received) -> Vec<String> {
        let Entry::Admitted(authentic, _) = self.source.enter(request.clone().into(), self.clock.now().wall) else {
            return Vec::new();
        };
        let Ok(batch) = self.source.split(&authentic) else { return Vec::new() };
        let identity = |event| self.source.plan(&authentic, event, None).0.parcel.key;
        let keys: Option<Vec<_>> = batch.events().map(identity).collect();
        let keys = keys.filter(|_| !self.source.delivery.as_array).unwrap_or_default();
        keys.iter().map(EventKey::webhook_id).collect()
    }

    fn event_type(&self, request: &Received, event: Value<'_>) -> Option<String> {
        let unparsed = std::sync::OnceLock::new();
        let first = event.elements().next().unwrap_or(event);
        let facts = Facts { event: Some(first), ..Facts::of(request, "", &unparsed) };
        self.source.recognizer.event_type(&facts).map(|known| known.sent.into_owned())
    }

    fn sign_as(&self, draft: &Draft, forge: bool) -> Result<Received, String> {
        let id = format!("msg_{}", sample::random()?);
        let pen = Pen { public_url: &self.source.greeter.public_url, id: &id, forge, signer: self.signer };
        pen.sign(&self.sender.rules, draft.0.clone()).map_err(|unsignable| match unsignable {
            Unsignable::PublicKey => format!("{unsignable}\n  help: {}", KEY_HELP.replace("SOURCE", &self.source.name)),
            unsignable => unsignable.to_string(),
        })
    }
}

impl Draft {
    /// The request without any credential.
    pub(super) fn unsigned(self) -> Received {
        self.0
    }
}

impl Expected {
    /// Whether this answer is as it should be. `is_told`: whether the source's answers say what became of events.
    pub(super) fn is_met(self, status: StatusCode, body: &[u8], is_told: bool) -> bool {
        let duplicate = format!("{:?}", Verdict::Duplicate.as_str());
        match self {
            Self::Success => status.is_success(),
            Self::Duplicate => {
                let says = body.windows(duplicate.len()).any(|window| window == duplicate.as_bytes());
                status.is_success() && (says || !is_told)
            }
            Self::Status(expected) => status == expected,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("a 2xx"),
            Self::Duplicate => f.write_str("a 2xx that says duplicate"),
            Self::Status(status) => write!(f, "{}", status.as_u16()),
        }
    }
}

/// What a request without a right credential is answered with.
pub(super) fn unauthenticated(source: &Source) -> Expected {
    Expected::Status(source.answers.refuse(Refusal::AuthMismatch, None).status)
}

/// Every value inside a value, itself last.
fn collect<'a>(value: Value<'a>, take: &mut impl FnMut(Value<'a>)) {
    value.elements().for_each(|element| collect(element, take));
    value.members().for_each(|(_, member)| collect(member, take));
    take(value);
}

fn splice(body: &[u8], range: &Range<usize>, with: &str) -> Bytes {
    [&body[..range.start], with.as_bytes(), &body[range.end..]].concat().into()
}

#[cfg(test)]
mod tests;
