//! What kind of event is it, which one is it, and is it wanted?

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::stages::{
    json::{Pointer, Value},
    selector::{Facts, Place, Selector},
    words::Cause,
};

pub use crate::stages::pattern::Pattern;

/// The settings of a source's `events`.
#[derive(Clone, Debug, Default)]
pub struct Recognizer {
    /// Where the type lies; the first present counts.
    pub types: Vec<Selector>,
    /// The parts of the identity; all must be present. Of several lists, the first that is complete counts.
    pub identity: Vec<Vec<Selector>>,
    /// When an event happened: for people who ask, and for nothing that is decided here.
    pub time: Option<Selector>,
    /// Other names of a type. They serve matching; the body is never rewritten.
    pub aliases: HashMap<String, String>,
    /// All names the source knows; empty means that every name is known.
    pub known: HashSet<String>,
    /// Wanted types; empty means all.
    pub allow: Vec<Pattern>,
    /// Unwanted types.
    pub deny: Vec<Pattern>,
    /// Values an event must carry to be wanted.
    pub filters: Vec<(Pointer, Vec<String>)>,
}

/// An event type as sent, and the name it goes by here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventType<'a> {
    /// As sent.
    pub sent: Cow<'a, str>,
    /// The alias' target, or the same.
    pub name: Cow<'a, str>,
}

impl Recognizer {
    /// The event's type. Anything but a string (or a header's text) is no type.
    pub fn event_type<'a>(&'a self, facts: &Facts<'a>) -> Option<EventType<'a>> {
        let sent = self.types.iter().find_map(|selector| {
            let text = match selector.find(facts).ok()?? {
                Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).ok()?),
            };
            (!is_number(selector, facts)).then_some(text)
        })?;
        let name = match self.aliases.get(sent.as_ref()) {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => sent.clone(),
        };
        Some(EventType { sent, name })
    }

    /// Whether the source knows this type.
    pub fn knows(&self, event_type: Option<&EventType<'_>>) -> bool {
        self.known.is_empty()
            || event_type.is_some_and(|known| {
                self.known.contains(known.sent.as_ref()) || self.known.contains(known.name.as_ref())
            })
    }

    /// Why the operator does not want the event, if so. A rule may be written with either name of a type.
    pub fn unwanted(&self, event_type: Option<&EventType<'_>>, event: Value<'_>) -> Option<Cause> {
        let matches = |patterns: &[Pattern]| {
            event_type.is_some_and(|known| {
                patterns.iter().any(|pattern| pattern.matches(&known.sent) || pattern.matches(&known.name))
            })
        };
        if matches(&self.deny) || (!self.allow.is_empty() && !matches(&self.allow)) {
            return Some(Cause::Unwanted);
        }
        let carries = |(pointer, wanted): &(Pointer, Vec<String>)| {
            let text = event.at(pointer).and_then(|value| match value.number_text() {
                Some(number) => Some(Cow::Borrowed(number)),
                None => value.as_str(),
            });
            text.is_some_and(|text| wanted.iter().any(|value| *value == text))
        };
        (!self.filters.iter().all(carries)).then_some(Cause::Tenant)
    }

    /// The parts of the event's identity, or nothing when one is missing. Each part starts with a tag, so that the
    /// number 1 and the text "1" are two identities.
    pub fn identity(&self, facts: &Facts<'_>) -> Option<Vec<Vec<u8>>> {
        let part = |selector: &Selector| {
            let Ok(Some(value)) = selector.find(facts) else { return None };
            let tag = if is_number(selector, facts) { b'n' } else { b's' };
            (!value.is_empty()).then(|| [&[tag], value.as_ref()].concat())
        };
        self.identity.iter().enumerate().find_map(|(index, parts)| {
            // Two lists are two kinds of names: the same text in both is not the same event.
            let list = (index > 0).then(|| Some(format!("l{index}").into_bytes()));
            list.into_iter().chain(parts.iter().map(part)).collect()
        })
    }
}

/// Whether a plain `json:` selector points at a number.
fn is_number(selector: &Selector, facts: &Facts<'_>) -> bool {
    let Place::Json(pointer) = &selector.place else { return false };
    let value = facts.event.and_then(|event| event.at(pointer));
    selector.transforms.is_empty() && value.is_some_and(|value| value.number_text().is_some())
}
