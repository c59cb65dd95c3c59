//! A request while it is being signed: values are put where selectors will look for them.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Pen, Unsignable, json, names, shape};
use crate::stages::{
    json::{Document, Limits, Pointer, Value},
    receive::Received,
    schemes::window::Window,
    selector::{Facts, Place, Selector, Transform},
    template::Condition,
};

/// A request while it is being signed.
#[derive(Clone)]
pub(super) struct Draft<'p> {
    pen: Pen<'p>,
    /// The request so far.
    pub(super) request: Received,
    /// Parts of the signature header, `sig.K`.
    pub(super) fields: Vec<(String, String)>,
    /// The claims of a token, as JSON.
    pub(super) claims: Bytes,
    /// The event that is being signed, where they are signed one by one.
    pub(super) scope: Option<Pointer>,
}

impl<'p> Draft<'p> {
    pub(super) fn new(pen: Pen<'p>, request: Received) -> Self {
        Self { pen, request, fields: Vec::new(), claims: Bytes::from_static(b"{}"), scope: None }
    }

    /// How many elements there are at a pointer.
    pub(super) fn elements(&self, pointer: &Pointer) -> Option<usize> {
        Some(Document::parse(self.request.body.clone(), &Limits::default()).ok()?.root().at(pointer)?.len())
    }

    /// Makes conditions hold, where that takes no more than to put something somewhere.
    pub(super) fn meet(&mut self, conditions: &[Condition]) {
        for condition in conditions {
            self.meet_one(condition);
        }
    }

    fn meet_one(&mut self, condition: &Condition) {
        match condition {
            Condition::Equal(selector, text) => self.fill(selector, text),
            Condition::OneOf(selector, texts) => self.fill(selector, texts.first().map_or("", String::as_str)),
            Condition::Matches(selector, shape) => {
                if let Some(text) = shape::least(shape) {
                    self.fill(selector, &text);
                }
            }
            Condition::Present(selector) if !matches!(selector.place, Place::Header(_) | Place::Headers(_)) => {
                self.fill(selector, self.pen.id);
            }
            Condition::Same(one, other) => {
                self.copy(other, one);
                self.copy(one, other);
            }
            Condition::Any(conditions) => conditions.iter().take(1).for_each(|first| self.meet_one(first)),
            // A header that must be present is the credential, as a rule, or a part of what is signed.
            Condition::Absent(_) | Condition::Present(_) => {}
        }
    }

    /// Puts what one selector finds where another one looks.
    fn copy(&mut self, from: &Selector, to: &Selector) {
        let found = self.with_facts(|facts| Some(from.find(facts).ok()??.into_owned()));
        if let Some(text) = found.and_then(|value| String::from_utf8(value).ok()) {
            self.fill(to, &text);
        }
    }

    /// Puts the time of the request where it will be looked for, unless there is one.
    pub(super) fn fill_time(&mut self, window: Option<&Window>) {
        let Some(window) = window.filter(|window| !window.from.iter().any(|from| self.finds(from))) else { return };
        let time = window.unit.write(self.request.at);
        for from in &window.from {
            self.fill(from, &time);
            if self.finds(from) {
                return;
            }
        }
    }

    /// Puts a value where a selector looks, unless there is one or a default. What cannot be put there shows when the
    /// signed text is found to be incomplete.
    pub(super) fn fill(&mut self, selector: &Selector, value: &str) {
        let has_default = selector.transforms.iter().any(|transform| matches!(transform, Transform::Default(_)));
        if !has_default && !self.finds(selector) {
            // A list of the headers that are signed has those that must be in it.
            let listed = selector.transforms.iter().find_map(|transform| {
                let Transform::ListedHeaders(names) = transform else { return None };
                Some(names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(","))
            });
            let _ = self.put(&selector.place, listed.as_deref().unwrap_or(value));
        }
    }

    /// Writes a credential to the first of these places that can be written to.
    pub(super) fn place(&mut self, from: &[Selector], credential: &str) -> Result<(), Unsignable> {
        let mut problem = Unsignable::Place(names(from));
        for selector in from.iter().filter(|selector| selector.transforms.is_empty()) {
            match self.put(&selector.place, credential) {
                Some(Ok(())) => return Ok(()),
                Some(Err(unsignable)) => problem = unsignable,
                None => {}
            }
        }
        Err(problem)
    }

    pub(super) fn finds(&self, selector: &Selector) -> bool {
        self.with_facts(|facts| !matches!(selector.plain().find(facts), Ok(None)))
    }

    pub(super) fn holds(&self, when: &[Condition]) -> bool {
        self.with_facts(|facts| Condition::all(when, facts) == Ok(true))
    }

    /// Lets `look` see the request as it is now.
    pub(super) fn with_facts<T>(&self, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let (document, parse) =
            (OnceLock::new(), |body: &Bytes| Document::parse(body.clone(), &Limits::default()).ok());
        let (body, claims) = (self.scope.as_ref().and_then(|_| parse(&self.request.body)), parse(&self.claims));
        let fields: Vec<_> = self.fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let event = self.scope.as_ref().zip(body.as_ref()).and_then(|(scope, body)| body.root().at(scope));
        let facts = Facts::of(&self.request, self.pen.public_url, &document);
        look(&Facts { fields: &fields, event, claims: claims.as_ref().map(Document::root), ..facts })
    }

    /// Puts a value at a place; nothing when that is no place where anything can be put.
    fn put(&mut self, place: &Place, value: &str) -> Option<Result<(), Unsignable>> {
        let head = &mut self.request.head;
        let pair = |name: &str| {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            format!("{}={}", encode(name), encode(value))
        };
        let insert = |name: Result<HeaderName, _>, head: &mut crate::stages::receive::Head| {
            let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else { return Err(Unsignable::Text) };
            head.headers.insert(name, value);
            Ok(())
        };
        match place {
            Place::Header(name) => Some(insert(Ok(name.clone()), head)),
            Place::Headers(start) => Some(insert(format!("{start}1").parse(), head)),
            Place::Query(name) => {
                let query = head.query.take().map(|query| format!("{query}&")).unwrap_or_default();
                head.query = Some(query + &pair(name));
                Some(Ok(()))
            }
            Place::RawQuery => {
                head.query = Some(pair("id"));
                Some(Ok(()))
            }
            Place::Form(name) if !is_json(&self.request.body) => {
                let joint = if self.request.body.is_empty() { "" } else { "&" };
                self.request.body = [&self.request.body, joint.as_bytes(), pair(name).as_bytes()].concat().into();
                Some(Ok(()))
            }
            Place::Json(pointer) => {
                let scope = self.scope.as_ref().map(Pointer::as_str).unwrap_or_default();
                let pointer = Pointer::parse(&format!("{scope}{}", pointer.as_str())).ok()?;
                self.request.body = json::put(&self.request.body, &pointer, value)?;
                Some(Ok(()))
            }
            Place::Claim(pointer) => {
                self.claims = json::put(&self.claims, pointer, value)?;
                Some(Ok(()))
            }
            Place::Signature(name) => {
                self.fields.push((name.clone(), value.to_owned()));
                Some(Ok(()))
            }
            Place::Body
            | Place::Form(_)
            | Place::Joined(_)
            | Place::KeyId
            | Place::Method
            | Place::Name(..)
            | Place::Path
            | Place::Raw(_)
            | Place::Secret
            | Place::Text(_)
            | Place::Type
            | Place::Url
            | Place::Whole(_) => None,
        }
    }
}

fn is_json(body: &Bytes) -> bool {
    Document::parse(body.clone(), &Limits::default()).is_ok_and(|document| !Value::is_empty(document.root()))
}
