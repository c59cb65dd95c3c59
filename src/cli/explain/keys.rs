//! Keys that the sender publishes. Nothing is fetched here: it is said where they lie, and judged with those at hand.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{documents::Documents, wire::quote},
    gateway::source::{Entry, Source},
    secret::Secret,
    stages::{
        authenticate::{Keys, Rule},
        receive::Received,
        schemes::published::{Published, Publisher, Wanted},
        selector::Facts,
        template::Condition,
        words::Refusal,
    },
};

/// What the gateway would fetch for one request, and what of it is at hand.
pub(super) struct Fetched<'a> {
    request: &'a Received,
    now: Timestamp,
    documents: &'a Documents,
    wanted: Vec<Wanted>,
    is_whole: bool,
    /// The keys at hand.
    pub(super) published: Published,
}

/// What could not be judged, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct Unjudged {
    /// What, and why.
    pub(super) what: String,
    /// How to have it judged, line by line.
    pub(super) remedies: Vec<String>,
}

impl<'a> Fetched<'a> {
    /// For this request, at this time.
    pub(super) fn of(source: &Source, request: &'a Received, now: Timestamp, documents: &'a Documents) -> Self {
        let wanted = source.wants(request, now);
        let (mut published, is_whole) = documents.published(&wanted);
        if !is_whole {
            // Then what is refused nevertheless would be refused with any keys.
            published.miss();
        }
        Self { request, now, documents, wanted, is_whole, published }
    }

    /// Whether the keys leave it open that the signature is right: they are those that the request names, and nobody has
    /// to go for them where nobody goes.
    pub(super) fn can_verify(&self, rules: &[(Rule, Option<Secret>)], public_url: &str) -> bool {
        let document = OnceLock::new();
        let facts = &Facts::of(self.request, public_url, &document);
        let is_gone_for = |(rule, _): &(Rule, Option<Secret>)| match &rule.keys {
            Keys::Published(publisher) => Condition::all(&rule.when, facts) != Ok(true) || is_listed(publisher, facts),
            Keys::Awaited | Keys::Pinned => true,
        };
        let is_usable = |wanted: &Wanted| {
            let sets = self.documents.sets(wanted);
            sets.iter().any(|set| set.knows(wanted.key_id.as_deref()) && set.is_good(self.now))
        };
        rules.iter().all(is_gone_for) && self.wanted.iter().all(is_usable)
    }

    /// What is to be said of the keys of one rule.
    pub(super) fn notes(&self, rule: usize, publisher: &Publisher, facts: &Facts<'_>) -> Vec<String> {
        let wanted = || self.wanted.iter().filter(|wanted| wanted.rule() == rule);
        if wanted().next().is_some() {
            return wanted().flat_map(|wanted| self.note(wanted)).collect();
        }
        let why = if is_listed(publisher, facts) {
            "keys: none would be fetched, for the request is refused whatever they are"
        } else {
            "keys: the request says where they are, and that is not on the list of `keys.hosts` and `keys.path`: nobody \
             goes there"
        };
        vec![why.to_owned()]
    }

    fn note(&self, wanted: &Wanted) -> [String; 2] {
        let named = wanted.key_id.as_ref().map(|key_id| format!("; the request names the key {key_id:?}"));
        let place = format!("keys: published at {}{}", wanted.errand.address, named.unwrap_or_default());
        let sets = self.documents.sets(wanted);
        let is_named = || sets.iter().any(|set| set.knows(wanted.key_id.as_deref()));
        let found = if sets.is_empty() && self.documents.is_empty() {
            "they are not at hand"
        } else if sets.is_empty() {
            "what is given with `--keys`, or recorded beside the request, is not this document"
        } else if !is_named() {
            "they are at hand, and none of them has this name"
        } else if !sets.iter().any(|set| set.is_good(self.now)) {
            "they are at hand, and none of them is good at this time"
        } else {
            "they are at hand"
        };
        [place, found.to_owned()]
    }

    /// What to do about keys that are not at hand, where it is they that the judgement hangs on.
    pub(super) fn unjudged(&self, entry: &Entry) -> Option<Unjudged> {
        if self.is_whole || !matches!(entry, Entry::Refused(Refusal::StateStore, _)) {
            return None;
        }
        let what = "whether the signature is right, for its keys are published by the sender, and nothing is fetched here. \
                    Get them, and say `--keys FILE`";
        let lacking = self.wanted.iter().filter(|wanted| self.documents.sets(wanted).is_empty());
        let remedy = |wanted: &Wanted| {
            let address = wanted.errand.address.to_string();
            match &wanted.errand.post {
                None => format!("curl -sSfo FILE {}", quote(&address)),
                Some(_) => format!("{address} answers a `POST` of what `keys.post` says"),
            }
        };
        Some(Unjudged { what: what.to_owned(), remedies: lacking.map(remedy).collect() })
    }
}

/// Whether the address of the keys is one that is gone to, as far as the request says it.
fn is_listed(publisher: &Publisher, facts: &Facts<'_>) -> bool {
    publisher.places.iter().all(|place| place.find(facts).is_ok())
}
