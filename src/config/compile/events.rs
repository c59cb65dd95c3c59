//! Where events are, and what is known of each: from words to settings.

use super::{Context, text::is_part_of};
use crate::{
    config::{At, raw::events::Batch},
    stages::{
        json::Pointer,
        recognize::{Pattern, Recognizer},
        selector::{Place, Selector},
        split::Envelope,
    },
};

/// A selector of what is signed, and whether it looks at the elements of an array, each by itself.
pub(super) type SignedPart = (Selector, bool);

impl Context<'_> {
    pub(super) fn envelope(&mut self) -> Option<Envelope> {
        let events = &self.written.events;
        let split =
            events.split.iter().flat_map(|split| split.iter()).map(|path| self.path(path)).collect::<Option<_>>();
        let unwrap = match events.unwrap.value.0.as_str() {
            "" => None,
            _ => Some(self.path(&events.unwrap)?),
        };
        let (lines, forms) = (events.lines.value, events.forms.value);
        if forms && self.written.delivery.batch.value == Batch::Array {
            let help = "write `batch = \"events\"`, or leave `events.forms` out";
            self.error(&self.written.delivery.batch.key, "a form cannot stand in an array", help);
            return None;
        }
        let form_json = events.form_json.iter().map(|field| field.value.clone()).collect();
        let elements_max = events.max_events.value.0 as usize;
        Some(Envelope { split: split?, unwrap, lines, forms, form_json, elements_max })
    }

    pub(super) fn recognizer(&mut self) -> Option<Recognizer> {
        let events = &self.written.events;
        let patterns = |written: &[At<crate::config::Glob>]| {
            written.iter().map(|glob| Pattern::new(glob.value.0.clone())).collect::<Vec<_>>()
        };
        let mut filters = Vec::new();
        for (pointer, wanted) in &events.r#where {
            let pointer = Pointer::parse(&pointer.0);
            let values = wanted.iter().map(|value| value.value.to_string()).collect();
            filters.push((pointer.ok()?, values));
        }
        let known = self.written.schema.iter().flat_map(|schema| schema.known.iter());
        Some(Recognizer {
            types: self.selectors(&events.r#type)?,
            identity: events.id.0.iter().map(|parts| self.selectors(parts)).collect::<Option<_>>()?,
            time: match &events.time {
                Some(time) => Some(self.selector(time)?),
                None => None,
            },
            aliases: events.aliases.iter().map(|(name, of)| (name.clone(), of.value.clone())).collect(),
            known: known.map(|name| name.value.clone()).collect(),
            allow: patterns(&events.allow),
            deny: patterns(&events.deny),
            filters,
        })
    }

    /// An identity that is not signed can be changed by whoever replays a captured request.
    pub(super) fn unsigned_identity(&mut self, recognizer: Option<&Recognizer>) {
        let Some(recognizer) = recognizer.filter(|_| !self.signed.is_empty()) else { return };
        let unsigned = recognizer.identity.iter().flatten().find(|selector| !self.is_signed(selector));
        if let Some(selector) = unsigned {
            let message =
                format!("`{selector:?}` is not signed: a captured request with another value would pass as new");
            let written = self.written.events.id.0.iter().flat_map(|parts| parts.iter()).next();
            let key = written.map_or(&self.written.at, |id| &id.key).clone();
            self.warn(&key, message, "identify by what is signed, for example `id = \"body|sha256\"`");
        }
    }

    fn is_signed(&self, wanted: &Selector) -> bool {
        self.signed.iter().any(|(part, of_element)| {
            let is_type = wanted.place == Place::Type && part.place == Place::Body;
            is_type || part.binds_body() && is_part_of(wanted, part) || {
                self.as_signed(wanted, *of_element).is_some_and(|wanted| is_part_of(&wanted, part))
            }
        })
    }

    /// A selector that looks at an event, as one that looks where the signature does: at the element the event is wrapped
    /// in, or at the body that is an event. What lies in one of several elements lies nowhere in the body for certain.
    fn as_signed(&self, wanted: &Selector, of_element: bool) -> Option<Selector> {
        let in_event = |pointer: &Pointer| {
            let unwrap = self.written.events.unwrap.value.0.as_str();
            let is_there = (of_element || self.written.events.split.is_none()) && !unwrap.contains('*');
            is_there.then(|| Pointer::parse(&format!("{unwrap}{pointer}")).ok()).flatten()
        };
        let place = match &wanted.place {
            Place::Json(pointer) => Place::Json(in_event(pointer)?),
            Place::Raw(pointer) => Place::Raw(in_event(pointer)?),
            Place::Whole(pointer) if !of_element => Place::Json(pointer.clone()),
            place => place.clone(),
        };
        Some(wanted.moved(place))
    }
}
