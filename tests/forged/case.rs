//! One recorded request with its source, cut down to what its sender's proof needs.

use std::sync::OnceLock;

use hooksieve::{
    gateway::source::Source,
    secret::Secret,
    stages::{
        authenticate::Rule,
        json::{Document, Limits, Value},
        receive::Received,
        schemes::{
            Scheme, Strength,
            jose::Payload,
            signature::{Encoding, Format, Items},
        },
        selector::{Facts, Place, Selector},
        template::{Condition, Template},
        words::Refusal,
    },
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{recorded::Vector, spot::Spot};

/// Where everything is received, for the templates that sign it; recorded requests may have another.
const PUBLIC_URL: &str = "https://hooks.example.com";

/// A request that is right, and what judges it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) scheme: String,
    pub(crate) strength: Strength,
    /// Every header and credential that is left is needed, and every item of a header of items.
    pub(crate) right: Received,
    /// The rules that apply to it.
    pub(crate) rules: Vec<(Rule, Option<Secret>)>,
    source: Source,
}

impl Case {
    pub(crate) fn of(vector: &Vector) -> Self {
        let name = format!("{}/{}", vector.provider, vector.name);
        let compiled = vector.compile(&vector.secrets()).unwrap_or_else(|| panic!("{name}: it cannot be read"));
        let mut rules = compiled.senders["it"].rules.clone();
        let source = compiled.sources.into_iter().next().unwrap();
        let right = vector.received();
        let document = OnceLock::new();
        let facts = Facts::of(&right, PUBLIC_URL, &document);
        rules.retain(|(rule, _)| Condition::all(&rule.when, &facts) == Ok(true));
        let admitted = source.authenticator.admit(right.clone().into(), right.at);
        let strength = admitted.unwrap_or_else(|no| panic!("{name}: {:?}", no.refusal)).0.strength();
        let mut case = Self { name, scheme: vector.scheme(), strength, right, rules, source };
        case.cut_down();
        case
    }

    /// Why the request is refused, if it is.
    pub(crate) fn refusal(&self, request: Received) -> Option<Refusal> {
        refusal(&self.source, request)
    }

    fn cut_down(&mut self) {
        let names: Vec<_> = self.right.head.headers.keys().cloned().collect();
        for name in names {
            let mut less = self.right.clone();
            less.head.headers.remove(&name);
            if self.refusal(less.clone()).is_none() {
                self.right = less;
            }
        }
        for index in (0..Spot::all(self).len()).rev() {
            let less = Spot::all(self)[index].without(&self.right);
            if self.refusal(less.clone()).is_none() {
                self.right = less;
            }
        }
        let rules = self.rules.clone();
        for items in rules.iter().filter_map(|(rule, _)| itemised(rule)).map(|(_, items)| items) {
            for separator in items.groups.iter().chain([&items.split]) {
                for index in 0..Spot::all(self).len() {
                    self.cut_items(index, separator);
                }
            }
        }
    }

    /// Takes items out of a credential for as long as it is still right.
    fn cut_items(&mut self, spot: usize, split: &str) {
        let mut index = 0;
        loop {
            let Some(spot) = Spot::all(self).into_iter().nth(spot) else { return };
            let text = spot.text(&self.right);
            // In a form, the sign between items is escaped.
            let escaped = utf8_percent_encode(split, NON_ALPHANUMERIC).to_string();
            let split = if text.contains(split) { split } else { &escaped };
            let mut parts: Vec<&str> = text.split(split).collect();
            if index >= parts.len() || parts.len() == 1 {
                return;
            }
            parts.remove(index);
            let less = spot.with(&self.right, parts.join(split).trim());
            if self.refusal(less.clone()).is_none() {
                self.right = less;
            } else {
                index += 1;
            }
        }
    }

    /// Where credentials lie, of all rules.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &Selector> {
        self.rules.iter().flat_map(|(rule, _)| from(&rule.scheme))
    }

    /// Selectors of what is signed besides, and of its time.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &Selector> {
        let times = self.rules.iter().filter_map(|(rule, _)| rule.scheme.window()).flat_map(|window| &window.from);
        self.rules.iter().flat_map(|(rule, _)| messages(&rule.scheme)).flat_map(Template::selectors).chain(times)
    }

    /// Whether every line of a header may hold a credential of its own.
    pub(crate) fn takes_any_line(&self) -> bool {
        self.rules.iter().filter_map(|(rule, _)| format(&rule.scheme)).any(|format| format.any_of)
    }

    /// Whether the padding of a credential may be left out.
    pub(crate) fn may_be_unpadded(&self) -> bool {
        let formats = self.rules.iter().filter_map(|(rule, _)| format(&rule.scheme));
        formats.map(|format| format.encoding).any(|encoding| encoding == Encoding::Base64Url)
    }

    /// Every text that is signed, as the templates say it: what a credential may be right for.
    pub(crate) fn texts(&self, request: &Received) -> Vec<Vec<u8>> {
        let document = OnceLock::from(Document::parse(request.body.clone(), &Limits::default()).ok());
        let mut texts = Vec::new();
        for (rule, secret) in &self.rules {
            let header = itemised(rule).and_then(|(format, items)| Some((only_header(format, request)?, items)));
            let fields: Vec<(&str, &str)> = header.iter().flat_map(|(value, items)| fields(value, items)).collect();
            let facts = Facts { fields: &fields, key: secret.as_ref(), ..Facts::of(request, PUBLIC_URL, &document) };
            let body = document.get().and_then(Option::as_ref);
            let all: Vec<Facts<'_>> = match &rule.each {
                None => vec![facts],
                Some(pointer) => {
                    let array = body.and_then(|body| body.root().at(pointer));
                    let elements = array.into_iter().flat_map(Value::elements);
                    elements.map(|element| Facts { event: Some(element), ..facts }).collect()
                }
            };
            for facts in &all {
                texts.extend(messages(&rule.scheme).filter_map(|message| message.render(facts).ok()?));
            }
        }
        texts
    }
}

/// Why a source refuses the request, if it does.
pub(crate) fn refusal(source: &Source, request: Received) -> Option<Refusal> {
    let at = request.at;
    source.authenticator.admit(request.into(), at).err().map(|rejection| rejection.refusal)
}

pub(crate) fn header_names(from: &[Selector]) -> impl Iterator<Item = &str> {
    from.iter().filter_map(|selector| match &selector.place {
        Place::Header(name) => Some(name.as_str()),
        _ => None,
    })
}

fn format(scheme: &Scheme) -> Option<&Format> {
    match scheme {
        Scheme::Digest(scheme) => Some(&scheme.signed.signature),
        Scheme::Hmac(scheme) => Some(&scheme.signature),
        Scheme::PublicKey(scheme) => Some(&scheme.signature),
        Scheme::Basic(_) | Scheme::Jose(_) | Scheme::None | Scheme::Token(_) => None,
    }
}

fn itemised(rule: &Rule) -> Option<(&Format, &Items)> {
    let format = format(&rule.scheme)?;
    Some((format, format.items.as_ref()?))
}

fn from(scheme: &Scheme) -> &[Selector] {
    match scheme {
        Scheme::Basic(scheme) => &scheme.from,
        Scheme::Jose(scheme) => &scheme.from,
        Scheme::Token(scheme) => &scheme.from,
        Scheme::None => &[],
        Scheme::Digest(_) | Scheme::Hmac(_) | Scheme::PublicKey(_) => {
            format(scheme).map_or(&[], |format| format.from.as_slice())
        }
    }
}

fn messages(scheme: &Scheme) -> impl Iterator<Item = &Template> {
    let messages = match scheme {
        Scheme::Digest(scheme) => scheme.signed.messages.as_slice(),
        Scheme::Hmac(scheme) => &scheme.messages,
        Scheme::PublicKey(scheme) => &scheme.messages,
        Scheme::Jose(scheme) => match &scheme.payload {
            Payload::Claims(_) => &[],
            Payload::Detached(message) => std::slice::from_ref(message),
        },
        Scheme::Basic(_) | Scheme::None | Scheme::Token(_) => &[],
    };
    messages.iter()
}

fn only_header<'a>(format: &Format, request: &'a Received) -> Option<&'a str> {
    header_names(&format.from).find_map(|name| request.head.headers.get(name)?.to_str().ok())
}

fn fields<'a>(value: &'a str, items: &'a Items) -> Vec<(&'a str, &'a str)> {
    let trimmed = value.split(items.split.as_str()).map(|item| item.trim_matches(|it| items.trim.contains(it)));
    trimmed.filter_map(|item| item.split_once(items.pair.as_str())).collect()
}
