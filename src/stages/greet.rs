//! Handshakes: how a sender tests that the endpoint lives. Answered here, never forwarded, never remembered.
//!
//! A rule is data: method, conditions, who may ask, what is answered. Whatever is echoed or signed passes a guard first,
//! so that an answer can neither carry a script nor be a signature over a forged event.

use std::{
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use regex::bytes::Regex;

use crate::{
    secret::Secret,
    stages::{
        address::Destination,
        answer::Answer,
        authenticate::Authentic,
        json::{Document, Limits, Value},
        receive::Received,
        schemes::{Named, published::Errand, token::Fingerprint},
        selector::{Ambiguous, Facts, Selector},
        split::Envelope,
        template::{Condition, Template},
        words::Refusal,
    },
};

/// How long a secret may be that a sender hands over, in bytes.
const LEARNED_BYTES: RangeInclusive<usize> = 16..=512;

/// One handshake rule.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The method it comes with.
    pub method: Method,
    /// Whether a whole request is the handshake, or single events are.
    pub scope: Scope,
    /// All must hold.
    pub when: Vec<Condition>,
    /// Who may ask.
    pub auth: Asker,
    /// What must hold as well.
    pub require: Vec<Condition>,
    /// What values that are sent back, or signed, must look like.
    pub guards: Vec<Guard>,
    /// The status of a refusal, where the sender wants another than the source's.
    pub otherwise: Option<StatusCode>,
    /// What is done before it is answered.
    pub chore: Option<ChoreRule>,
    /// What is answered.
    pub reply: Reply,
}

/// What a rule has done before it answers, where the operator switched that on.
#[derive(Clone, Debug)]
pub enum ChoreRule {
    /// A secret that lies there is kept.
    Learn(Selector),
    /// An address of the sender's is visited, which tells it that the endpoint is wanted.
    Visit(Destination),
}

/// What has to be done before a handshake is answered.
#[derive(Clone, Debug)]
pub enum Chore {
    /// This secret must be kept, if none is: before the answer, for the first events follow it at once.
    Learn(Secret),
    /// This must be asked for, and answered with a 2xx.
    Visit(Errand),
}

/// What a value must look like.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Where it lies.
    pub value: Selector,
    /// Its shape, from first to last byte.
    pub shape: Regex,
    /// Whether it must not be JSON: a signature over it could else be one over an event, be it the number 7 (H-06).
    pub is_no_json: bool,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Events of a request that are the sender's test and nothing else.
    Event,
    /// The request as a whole.
    Request,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Asker {
    /// Anybody.
    Anybody,
    /// Who knows a secret, sent as it is.
    Secret {
        /// Where it lies.
        token: Selector,
        /// What it must be.
        keys: Vec<Named<Fingerprint>>,
    },
    /// Who passes the source's authentication.
    Sender,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers with templates.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: Template,
}

/// All handshake rules of a source.
#[derive(Clone, Debug, Default)]
pub struct Greeter {
    /// The rules, in order; the first that matches answers.
    pub rules: Vec<Handshake>,
    /// `server.public_url`.
    pub public_url: Arc<str>,
    /// The keys for replies that are signed: those of the source's first keyed rule. A reply takes the one that the
    /// request was signed with, or else the first in force, so the newest secret belongs in front.
    pub keys: Vec<Named<Secret>>,
}

/// A handshake's outcome: the answer, or why it is refused.
pub type Greeting = Result<Welcome, Denial>;

/// The answer to a handshake.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// What has to be done first.
    pub chore: Option<Chore>,
    /// The answer.
    pub answer: Answer,
}

/// A handshake that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub refusal: Refusal,
    /// The status the sender wants for it, where it wants another than the source's.
    pub status: Option<StatusCode>,
}

impl Greeter {
    /// Rules that match before authentication: anybody may ask, or who knows the secret.
    pub fn before(&self, received: &Received, now: Timestamp) -> Option<Greeting> {
        let document = OnceLock::new();
        let facts = Facts { key: self.key(None, now), ..self.facts(received, &document) };
        self.rules.iter().filter(|rule| rule.scope == Scope::Request).find_map(|rule| match &rule.auth {
            Asker::Anybody => rule.answer(&facts, || Ok(())),
            Asker::Secret { token, keys } => rule.answer(&facts, || known(token, keys, &facts, now)),
            Asker::Sender => None,
        })
    }

    /// Rules for a sender that has proved itself.
    pub fn after(&self, authentic: &Authentic) -> Option<Greeting> {
        let facts = Facts {
            key: self.key(Some(authentic.key()), authentic.received().at),
            ..self.facts(authentic.received(), authentic.document())
        };
        let mut rules = self.rules.iter().filter(|rule| rule.scope == Scope::Request);
        rules.find_map(|rule| match rule.auth {
            Asker::Sender => rule.answer(&facts, || Ok(())),
            Asker::Anybody | Asker::Secret { .. } => None,
        })
    }

    /// A request without any credential, whose body is made of test events alone, where the operator allows that.
    pub fn unsigned(&self, received: &Received, envelope: &Envelope) -> Option<Greeting> {
        let anybody = |rule: &&Handshake| rule.scope == Scope::Event && matches!(rule.auth, Asker::Anybody);
        let rules: Vec<_> = self.rules.iter().filter(anybody).collect();
        if rules.is_empty() {
            return None;
        }
        let batch = envelope.read(received).ok()?;
        let unparsed = OnceLock::new();
        let mut answer = None;
        for event in batch.events() {
            let key = self.key(None, received.at);
            let facts = Facts { event: Some(event.value()), key, ..self.facts(received, &unparsed) };
            answer = Some(rules.iter().find_map(|rule| rule.answer(&facts, || Ok(())))?);
        }
        answer
    }

    /// The answer to an event that is the sender's test.
    pub fn event(&self, authentic: &Authentic, event: Value<'_>) -> Option<Greeting> {
        if !self.rules.iter().any(|rule| rule.scope == Scope::Event) {
            return None;
        }
        let document = OnceLock::new();
        let received = authentic.received();
        let key = self.key(Some(authentic.key()), received.at);
        let facts = Facts { event: Some(event), key, ..self.facts(received, &document) };
        self.rules.iter().filter(|rule| rule.scope == Scope::Event).find_map(|rule| rule.answer(&facts, || Ok(())))
    }

    /// Methods that a handshake may come with.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.rules.iter().map(|rule| &rule.method)
    }

    fn facts<'a>(&'a self, received: &'a Received, document: &'a OnceLock<Option<Document>>) -> Facts<'a> {
        Facts::of(received, &self.public_url, document)
    }

    /// The key of this name, or else the first in force.
    fn key(&self, name: Option<&Arc<str>>, now: Timestamp) -> Option<&Secret> {
        let current = || self.keys.iter().filter(|named| named.is_current(now));
        let matched = current().find(|named| name == Some(&named.name));
        matched.or_else(|| current().next()).map(|named| &named.key)
    }
}

impl Handshake {
    /// Nothing when the rule is not about this request. `prove` is what the asker must pass.
    fn answer(&self, facts: &Facts<'_>, prove: impl FnOnce() -> Result<(), Refusal>) -> Option<Greeting> {
        if facts.received.head.method != self.method {
            return None;
        }
        let greeting = match Condition::all(&self.when, facts) {
            Ok(false) => return None,
            Ok(true) => prove().and_then(|()| self.demand(facts)).and_then(|()| self.reply(facts)),
            Err(Ambiguous) => Err(Refusal::Target),
        };
        Some(greeting.map_err(|refusal| Denial { refusal, status: self.otherwise }))
    }

    fn demand(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        let holds = Condition::all(&self.require, facts).map_err(|Ambiguous| Refusal::Target)?;
        if holds { Ok(()) } else { Err(Refusal::AuthMismatch) }
    }

    fn reply(&self, facts: &Facts<'_>) -> Result<Welcome, Refusal> {
        for guard in &self.guards {
            let value = guard.value.find(facts).map_err(|Ambiguous| Refusal::Target)?;
            if value.is_some_and(|value| !guard.lets_pass(&value)) {
                return Err(Refusal::Target);
            }
        }
        let render = |template: &Template| match template.render(facts) {
            Ok(Some(text)) => Ok(text),
            Ok(None) | Err(Ambiguous) => Err(Refusal::Target),
        };
        let mut answer = Answer::new(self.reply.status, render(&self.reply.body)?);
        for (name, template) in &self.reply.headers {
            let value = HeaderValue::from_maybe_shared(Bytes::from(render(template)?));
            answer.headers.push((name.clone(), value.map_err(|_| Refusal::Target)?));
        }
        let chore = self.chore.as_ref().map(|chore| chore.of(facts)).transpose()?;
        Ok(Welcome { chore, answer })
    }
}

impl ChoreRule {
    /// What is to be done for this request. An address that is not on the list is no address (H-05).
    fn of(&self, facts: &Facts<'_>) -> Result<Chore, Refusal> {
        match self {
            Self::Learn(selector) => {
                let secret = selector.find(facts)?.filter(|secret| is_secret(secret)).ok_or(Refusal::Target)?;
                Ok(Chore::Learn(Secret::new(secret)))
            }
            Self::Visit(destination) => {
                let address = destination.find(facts).ok().flatten().ok_or(Refusal::Target)?;
                Ok(Chore::Visit(Errand { address, post: None, networks: Arc::default() }))
            }
        }
    }
}

/// Whether it can be a secret of a sender's making: long enough, and a text on one line.
fn is_secret(text: &[u8]) -> bool {
    LEARNED_BYTES.contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

impl Guard {
    fn lets_pass(&self, value: &[u8]) -> bool {
        let has_shape = self.shape.find(value).is_some_and(|found| found.len() == value.len());
        let is_json = || Document::parse(Bytes::copy_from_slice(value), &Limits::default()).is_ok();
        has_shape && !(self.is_no_json && is_json())
    }
}

fn known(token: &Selector, keys: &[Named<Fingerprint>], facts: &Facts<'_>, now: Timestamp) -> Result<(), Refusal> {
    let value = token.find(facts)?.filter(|value| !value.is_empty()).ok_or(Refusal::AuthMissing)?;
    let right = keys.iter().filter(|named| named.is_current(now)).any(|named| named.key.matches(&value));
    if right { Ok(()) } else { Err(Refusal::AuthMismatch) }
}
