//! The journey of a captured request, step by step, as the running gateway would take it: with the real stages, and
//! without its memory.

use std::{collections::BTreeMap, sync::OnceLock};

use http::StatusCode;
use jiff::Timestamp;

use super::{
    happened,
    keys::Fetched,
    look,
    report::{Answered, Outcome, Step},
};
use crate::{
    config::compile::Sender,
    gateway::{
        plan::Fate,
        source::{Active, Entry, MediaTypes, Mode, Source},
    },
    server,
    stages::{
        authenticate::Authentic,
        json::{Document, Limits},
        receive::Received,
        schemes::Looked,
        selector::Facts,
        split::Batch,
        words::{Refusal, Verdict},
    },
};

/// How many events are described one by one.
const EVENTS_MAX: usize = 10;

/// What is walked.
pub(super) struct Walk<'a> {
    /// The source as it runs.
    pub(super) source: &'a Source,
    /// Its rules, seen from the sender's side.
    pub(super) sender: &'a Sender,
    /// The same source, which asks nobody for anything: for what later steps would say.
    pub(super) open: Option<&'a Source>,
    /// The request.
    pub(super) request: &'a Received,
    /// The keys at hand that the sender publishes.
    pub(super) fetched: &'a Fetched<'a>,
    /// Whether nothing else was needed to judge it.
    pub(super) is_judged: bool,
    /// The time.
    pub(super) now: Timestamp,
}

impl Walk<'_> {
    /// All steps, and the answer, of a request that was entered so.
    pub(super) fn steps(&self, entry: Entry) -> (Vec<Step>, Answered) {
        let mut path = Path { steps: Vec::new(), refusal: None, greeted: None };
        path.add(self.route());
        path.add(self.admit());
        path.add(self.receive());
        path.add(self.authenticate(&entry));
        let denied = match &entry {
            Entry::Denied(refusal, answer) => Some((*refusal, answer.status)),
            Entry::Admitted(..) | Entry::Greeted(_) | Entry::Refused(..) => None,
        };
        let admitted = match entry {
            Entry::Admitted(authentic, _) => Some(authentic),
            Entry::Greeted(welcome) => {
                path.greet(welcome.answer.status);
                None
            }
            Entry::Denied(..) | Entry::Refused(_, None) => None,
            Entry::Refused(_, Some(_)) => self.let_in(&mut path),
        };
        let verdicts = admitted.map_or_else(Vec::new, |authentic| {
            path.add(Step::passed("greet", ["it is no handshake".to_owned()]));
            self.judge(&authentic, &mut path)
        });
        let status = match (path.refusal, path.greeted) {
            (Some(refusal), _) => match denied.filter(|(why, _)| *why == refusal) {
                Some((_, status)) => status,
                None => self.source.refuse(refusal, None).status,
            },
            (None, Some(status)) => status,
            (None, None) => self.source.answers.conclude(&verdicts, None).status,
        };
        let accepted = self.is_judged && status.is_success();
        (path.steps, Answered { status: status.as_u16(), accepted })
    }

    fn route(&self) -> Step {
        let head = &self.request.head;
        let asked = format!("{} {}", head.method, head.path);
        if head.path != self.source.path {
            let wanted =
                format!("the source has the path {}; every byte counts, a slash at the end too", self.source.path);
            return Step::refused("route", Refusal::NoRoute, [asked, wanted]);
        }
        if self.source.active == Active::Refuse {
            return Step::refused("route", Refusal::Inactive, [asked]);
        }
        if !self.source.takes(&head.method) {
            return Step::refused("route", Refusal::Method, [asked, format!("it takes {}", self.source.methods())]);
        }
        Step::passed("route", [asked])
    }

    fn admit(&self) -> Step {
        let (networks, client) = (self.source.allow.len(), &self.request.head.client);
        if networks == 0 {
            return Step::passed("admit", ["the source has no list of addresses".to_owned()]);
        }
        let listed = format!("networks on the source's list: {networks}");
        let Some(address) = client.address else {
            let unsaid = "not judged: a capture does not say where it came from; `--client ADDRESS` does".to_owned();
            return Step { outcome: Outcome::Unknown, ..Step::passed("admit", [listed, unsaid]) };
        };
        if self.source.admits(client) {
            Step::passed("admit", [listed, format!("{address} is in one of them")])
        } else {
            Step::refused("admit", Refusal::Address, [listed, format!("{address} is in none of them")])
        }
    }

    fn receive(&self) -> Step {
        let (bytes, most) = (self.request.body.len(), self.source.body_max);
        let note =
            format!("{} headers, {bytes} bytes of body, and {most} are the most", self.request.head.headers.len());
        if !server::is_plain(&self.request.head.headers) {
            let compressed = "`content-encoding`: compressed bodies are not taken".to_owned();
            return Step::refused("receive", Refusal::MediaType, [note, compressed]);
        }
        if bytes > most { Step::refused("receive", Refusal::TooLarge, [note]) } else { Step::passed("receive", [note]) }
    }

    fn authenticate(&self, entry: &Entry) -> Step {
        if let Entry::Denied(refusal, _) | Entry::Refused(refusal, None) = entry {
            return Step::refused("greet", *refusal, ["it is a handshake, and is not as it should be".to_owned()]);
        }
        let mut notes =
            look::rules(&self.sender.rules, self.request, &self.source.greeter.public_url, self.fetched, self.now);
        match self.source.authenticator.admit_with(self.request.clone().into(), &self.fetched.published, self.now) {
            Ok((authentic, _)) => {
                let (key, strength) = (authentic.key(), authentic.strength().as_str());
                notes.push(format!("proved with the secret {key:?}; of the body is bound: {strength}"));
                Step::passed("authenticate", notes)
            }
            Err(_) if matches!(entry, Entry::Greeted(_)) => {
                Step::passed("authenticate", ["not asked for: this handshake is answered without it".to_owned()])
            }
            Err(_) if !self.is_judged => Step { outcome: Outcome::Unknown, ..Step::passed("authenticate", notes) },
            Err(rejection) => {
                let Looked { tokens, secrets_tried, .. } = rejection.looked;
                notes.push(format!("signatures or tokens in it: {tokens}; compared with secrets: {secrets_tried}"));
                Step::refused("authenticate", rejection.refusal, notes)
            }
        }
    }

    /// The request as a source without authentication would take it.
    fn let_in(&self, path: &mut Path) -> Option<Authentic> {
        match self.open?.enter(self.request.clone().into(), self.now) {
            Entry::Admitted(authentic, _) => Some(authentic),
            Entry::Greeted(welcome) => {
                path.greet(welcome.answer.status);
                None
            }
            Entry::Denied(refusal, _) | Entry::Refused(refusal, _) => {
                path.add(Step::refused("greet", refusal, []));
                None
            }
        }
    }

    /// What becomes of the events of a request that is let in.
    fn judge(&self, authentic: &Authentic, path: &mut Path) -> Vec<Verdict> {
        if self.source.active == Active::Drop {
            path.add(Step::passed(
                "limit",
                ["the source is switched off: everything is acknowledged and dropped".to_owned()],
            ));
            return Vec::new();
        }
        if self.request.head.method != http::Method::POST {
            path.add(Step::refused("split", Refusal::Method, ["events come with POST alone".to_owned()]));
            return Vec::new();
        }
        let limit = match &self.source.limit {
            None => Step::passed("limit", ["the source has no limit".to_owned()]),
            Some(_) => unknown("limit", "how much of the source's limit is used up"),
        };
        path.add(limit);
        let batch = match self.source.split(authentic) {
            Ok(batch) => batch,
            Err(refusal) if self.source.mode == Mode::Observe => {
                let note = format!("{}, which is only observed: the body is forwarded as one event", refusal.as_str());
                path.add(Step::passed("split", [note]));
                return vec![Verdict::Forward];
            }
            Err(refusal) => {
                path.add(Step::refused("split", refusal, self.unsplittable(refusal)));
                return Vec::new();
            }
        };
        let kind = if batch.was_array() { "of an array" } else { "alone" };
        path.add(Step::passed("split", [format!("events: {}, {kind}", batch.len())]));
        path.add(self.recognize(&batch));
        self.check(authentic, &batch, path)
    }

    /// What makes a body no batch of events.
    fn unsplittable(&self, refusal: Refusal) -> Vec<String> {
        if let (Refusal::MediaType, MediaTypes::Only(types)) = (refusal, &self.source.media_types) {
            return vec![format!("`content-type` must be one of {}", types.join(", "))];
        }
        let split = self.source.envelope.split.iter();
        let split = split.map(|path| format!("an array of events should be at a place like `{}`", path.example()));
        match Document::parse(self.request.body.clone(), &Limits::default()) {
            Err(malformed) => vec![format!("seen at byte {} of the body", malformed.offset)],
            Ok(_) => split.collect(),
        }
    }

    fn recognize(&self, batch: &Batch) -> Step {
        let recognizer = &self.source.recognizer;
        let (mut types, mut without_identity, mut times) = (BTreeMap::<String, usize>::new(), 0, Vec::new());
        for event in batch.events() {
            let unparsed = OnceLock::new();
            let facts = Facts { event: Some(event.value()), ..Facts::of(self.request, "", &unparsed) };
            let name =
                recognizer.event_type(&facts).map_or_else(|| "no type".to_owned(), |known| format!("{:?}", known.sent));
            *types.entry(name).or_default() += 1;
            without_identity += usize::from(recognizer.identity(&facts).is_none());
            times.extend(recognizer.time.as_ref().map(|selector| happened::time(selector, &facts)));
        }
        let mut notes: Vec<_> =
            types.iter().take(EVENTS_MAX).map(|(name, count)| format!("type: {name}, events: {count}")).collect();
        let list = |parts: &Vec<_>| parts.iter().map(|part| format!("`{part:?}`")).collect::<Vec<_>>().join(", ");
        let names = recognizer.identity.iter().map(list).collect::<Vec<_>>().join(", or ");
        notes.push(if recognizer.identity.is_empty() {
            "identity: the bytes of the event".to_owned()
        } else {
            format!("identity: {names}; events without it: {without_identity}")
        });
        notes.extend(recognizer.time.as_ref().map(|selector| happened::note(selector, &times, self.now)));
        Step::passed("recognize", notes)
    }

    fn check(&self, authentic: &Authentic, batch: &Batch, path: &mut Path) -> Vec<Verdict> {
        let size = batch.was_array().then_some(batch.len());
        let (mut verdicts, mut notes, mut targets) = (Vec::new(), Vec::new(), BTreeMap::<String, usize>::new());
        let mut offences = 0;
        for event in batch.events() {
            let plan = self.source.plan(authentic, event, size).0;
            let verdict = self.source.hoped_for(&plan);
            if plan.fate == Fate::Deliver {
                *targets.entry(plan.parcel.target.name.to_string()).or_default() += 1;
            }
            if let Some(offence) = plan.offence {
                offences += 1;
                let rule = offence.violation.map(|violation| format!(": {violation}")).unwrap_or_default();
                notes.push(format!(
                    "event {}: {}{rule}; verdict: {}",
                    event.index() + 1,
                    offence.cause.as_str(),
                    verdict.as_str()
                ));
            }
            verdicts.push(verdict);
        }
        notes.truncate(EVENTS_MAX);
        notes.push(format!("events with something wrong: {offences}"));
        path.add(Step::passed("check", notes));
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Reject(_))) {
            // One event that is rejected takes the whole request with it.
            path.steps.last_mut().expect("it was added").outcome = Outcome::Refused;
            return verdicts;
        }
        if !targets.is_empty() {
            path.add(unknown("claim", "whether an event was here before"));
            let notes = targets.iter().map(|(name, count)| format!("to the upstream {name}, events: {count}"));
            path.add(Step::passed("deliver", notes));
        }
        verdicts
    }
}

/// The steps so far, what refused the request, if anything did, and what it is answered as a handshake.
struct Path {
    steps: Vec<Step>,
    refusal: Option<Refusal>,
    greeted: Option<StatusCode>,
}

impl Path {
    fn add(&mut self, mut step: Step) {
        step.hypothetical = self.steps.iter().any(|step| step.outcome == Outcome::Refused);
        if self.refusal.is_none() && step.outcome == Outcome::Refused {
            self.refusal = Refusal::ALL.iter().copied().find(|refusal| Some(refusal.as_str()) == step.reason);
        }
        self.steps.push(step);
    }

    fn greet(&mut self, status: StatusCode) {
        let step = Step::passed("greet", ["it is a handshake, and is answered here".to_owned()]);
        self.add(Step { outcome: Outcome::Answered, ..step });
        self.greeted = Some(status);
    }
}

fn unknown(step: &'static str, what: &str) -> Step {
    Step { outcome: Outcome::Unknown, ..Step::passed(step, [format!("{what} is known to the running gateway alone")]) }
}
