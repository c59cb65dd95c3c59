//! Who sent it? Every rule of the source must verify over the raw bytes. The only maker of [`Authentic`].

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;

use crate::stages::{
    json::{Document, Pointer},
    receive::{Head, Received},
    schemes::{Looked, Proof, Scheme, Strength},
    selector::Facts,
    template::Condition,
    words::Refusal,
};

/// A request whose sender is proved as far as its source demands. There is no other way to get one than
/// [`Authenticator::admit`]: its fields are private to this file, and the schemes lie beside it, not below.
#[derive(Debug)]
pub struct Authentic {
    received: Received,
    document: OnceLock<Option<Document>>,
    key: Arc<str>,
    strength: Strength,
}

impl Authentic {
    /// Request line and headers.
    pub fn head(&self) -> &Head {
        &self.received.head
    }

    /// The body, byte for byte as it was verified.
    pub fn body(&self) -> &Bytes {
        &self.received.body
    }

    /// The whole request.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The body as JSON, if a rule had to look into it.
    pub fn document(&self) -> &OnceLock<Option<Document>> {
        &self.document
    }

    /// The name of the secret that matched.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// What the credential binds.
    pub fn strength(&self) -> Strength {
        self.strength
    }
}

/// A request that proved nothing.
#[derive(Debug)]
pub struct Rejection {
    /// Why.
    pub refusal: Refusal,
    /// What was looked at.
    pub looked: Looked,
    /// The request, given back: an unsigned test message may still be answered.
    pub received: Received,
}

/// One rule: it applies under its conditions, and then it must verify.
#[derive(Clone, Debug)]
pub struct Rule {
    /// All must hold; none means always.
    pub when: Vec<Condition>,
    /// The array whose elements prove themselves one by one; without it the request does, as a whole.
    pub each: Option<Pointer>,
    /// How it verifies.
    pub scheme: Scheme,
    /// All must hold, too. Looked at when the scheme is satisfied, for bodies are not parsed for strangers.
    pub require: Vec<Condition>,
}

impl Rule {
    /// A rule that always applies and demands nothing but its scheme.
    pub fn always(scheme: Scheme) -> Self {
        Self { when: Vec::new(), each: None, scheme, require: Vec::new() }
    }

    fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let one = |facts: &Facts<'_>, looked: &mut Looked| {
            let proof = self.scheme.judge(facts, now, looked)?;
            if Condition::all(&self.require, facts)? { Ok(proof) } else { Err(Refusal::AuthMismatch) }
        };
        let Some(pointer) = &self.each else { return one(facts, looked) };
        // What is signed element by element says nothing of their number and order, so it binds a part at most.
        let elements = facts.value().and_then(|value| value.at(pointer)).ok_or(Refusal::AuthMissing)?;
        let mut proof = None;
        for element in elements.elements() {
            let Proof { key, strength } = one(&Facts { event: Some(element), ..facts.clone() }, looked)?;
            proof = Some(Proof { key, strength: strength.min(Strength::Partial) });
        }
        proof.ok_or(Refusal::AuthMissing)
    }
}

/// Everything a source demands of its sender.
#[derive(Clone, Debug)]
pub struct Authenticator {
    rules: Vec<Rule>,
    public_url: Arc<str>,
}

/// A source without a single rule: nothing would be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRules;

impl Authenticator {
    /// Needs at least one rule; a source that checks nothing has the rule that says so, `Scheme::None`.
    pub fn new(rules: Vec<Rule>, public_url: Arc<str>) -> Result<Self, NoRules> {
        if rules.is_empty() { Err(NoRules) } else { Ok(Self { rules, public_url }) }
    }

    /// Admits the request if every rule that applies verifies, and at least one does apply.
    pub fn admit(&self, received: Received, now: Timestamp) -> Result<(Authentic, Looked), Box<Rejection>> {
        let document = OnceLock::new();
        let mut looked = Looked::default();
        match self.judge(&Facts::of(&received, &self.public_url, &document), now, &mut looked) {
            Ok((key, strength)) => Ok((Authentic { received, document, key, strength }, looked)),
            Err(refusal) => Err(Box::new(Rejection { refusal, looked, received })),
        }
    }

    fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<(Arc<str>, Strength), Refusal> {
        let mut proof: Option<(Arc<str>, Strength)> = None;
        for rule in &self.rules {
            if !Condition::all(&rule.when, facts)? {
                continue;
            }
            let Proof { key, strength } = rule.judge(facts, now, looked)?;
            if proof.as_ref().is_none_or(|(_, strongest)| strength > *strongest) {
                proof = Some((key, strength));
            }
        }
        proof.ok_or(Refusal::AuthMissing)
    }
}
