//! Who sent it? Every rule of the source must verify over the raw bytes. The only maker of [`Authentic`].

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;

use crate::stages::{
    json::{Document, Pointer},
    receive::{Head, Received},
    schemes::{
        Looked, Named, Proof, Scheme, Strength,
        jose::Key,
        published::{Published, Publisher, Wanted},
    },
    selector::Facts,
    template::Condition,
    words::Refusal,
};

/// A request whose sender is proved as far as its source demands. There is no other way to get one than
/// [`Authenticator::admit`]: its fields are private to this file, and the schemes lie beside it, not below.
#[derive(Debug)]
pub struct Authentic {
    received: Box<Received>,
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
    pub received: Box<Received>,
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
    /// Where the keys are that it verifies with.
    pub keys: Keys,
    /// All must hold, too. Looked at when the scheme is satisfied, for bodies are not parsed for strangers.
    pub require: Vec<Condition>,
}

/// Where the keys of a rule are.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Not here yet: a secret that the sender hands over in a handshake, and an operator then confirms.
    Awaited,
    /// In the scheme itself, as the operator gave them.
    Pinned,
    /// At an address of the sender's.
    Published(Box<Publisher>),
}

impl Rule {
    /// A rule that always applies and demands nothing but its scheme.
    pub fn always(scheme: Scheme) -> Self {
        Self { when: Vec::new(), each: None, scheme, keys: Keys::Pinned, require: Vec::new() }
    }

    /// What has to be fetched to judge a request. Nothing is, for one that is refused whatever the keys are.
    fn wants(&self, index: usize, facts: &Facts<'_>) -> Result<Vec<Wanted>, Refusal> {
        match &self.keys {
            Keys::Published(publisher)
                if Condition::all(&self.when, facts)? && Condition::all(&self.require, facts)? =>
            {
                publisher.wants(index, self.scheme.key_id(facts, &publisher.algorithms)?.as_deref(), facts)
            }
            Keys::Awaited | Keys::Pinned | Keys::Published(_) => Ok(Vec::new()),
        }
    }

    /// The keys that were fetched for this rule.
    fn fetched(
        &self,
        index: usize,
        sender: &Publisher,
        facts: &Facts<'_>,
        published: &Published,
        now: Timestamp,
    ) -> Result<Vec<Named<Key>>, Refusal> {
        let key_id = self.scheme.key_id(facts, &sender.algorithms)?;
        let sets = published.of(index);
        let keys: Vec<_> = sets.flat_map(|set| sender.keys(set, key_id.as_deref(), now)).collect();
        if keys.is_empty() { Err(Refusal::AuthMismatch) } else { Ok(keys) }
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
            let Proof { key, strength } = one(&Facts { event: Some(element), ..*facts }, looked)?;
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

    /// Whether any of its keys have to be fetched.
    pub fn fetches(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.keys, Keys::Published(_)))
    }

    /// What has to be fetched before this request can be judged: documents of keys, at addresses that are on the list.
    pub fn wants(&self, received: &Received) -> Vec<Wanted> {
        let document = OnceLock::new();
        let facts = Facts::of(received, &self.public_url, &document);
        let wanted = self.rules.iter().enumerate().map(|(index, rule)| rule.wants(index, &facts));
        // Where one rule refuses whatever the keys are, nothing has to be fetched for the others.
        wanted.collect::<Result<Vec<_>, _>>().unwrap_or_default().concat()
    }

    /// Admits the request if every rule that applies verifies, and at least one does apply.
    pub fn admit(&self, received: Box<Received>, now: Timestamp) -> Result<(Authentic, Looked), Box<Rejection>> {
        self.admit_with(received, &Published::NONE, now)
    }

    /// The same, with what was fetched of what it [wants](Self::wants).
    pub fn admit_with(
        &self,
        received: Box<Received>,
        published: &Published,
        now: Timestamp,
    ) -> Result<(Authentic, Looked), Box<Rejection>> {
        let document = OnceLock::new();
        let mut looked = Looked::default();
        match self.judge(&Facts::of(&received, &self.public_url, &document), published, now, &mut looked) {
            Ok((key, strength)) => Ok((Authentic { received, document, key, strength }, looked)),
            Err(refusal) => Err(Box::new(Rejection { refusal, looked, received })),
        }
    }

    fn judge(
        &self,
        facts: &Facts<'_>,
        published: &Published,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<(Arc<str>, Strength), Refusal> {
        let mut proof: Option<(Arc<str>, Strength)> = None;
        for (index, rule) in self.rules.iter().enumerate() {
            if !Condition::all(&rule.when, facts)? {
                continue;
            }
            let judged = match &rule.keys {
                Keys::Pinned => rule.judge(facts, now, looked),
                Keys::Awaited => rule.scheme.key_id(facts, &[]).and(Err(Refusal::StateStore)),
                Keys::Published(sender) => rule
                    .fetched(index, sender, facts, published, now)
                    .and_then(|fetched| rule.judge(&Facts { published: &fetched, ..*facts }, now, looked)),
            };
            // With a key that cannot be had now it could be right: the sender must try again (W-53).
            let Proof { key, strength } = judged.map_err(|refusal| {
                let is_open = refusal == Refusal::AuthMismatch && published.is_incomplete();
                if is_open { Refusal::StateStore } else { refusal }
            })?;
            if proof.as_ref().is_none_or(|(_, strongest)| strength > *strongest) {
                proof = Some((key, strength));
            }
        }
        proof.ok_or(Refusal::AuthMissing)
    }
}
