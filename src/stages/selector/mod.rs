//! Selectors: where in a request a value lies, and what is done with it.
//!
//! `header:N` `header:N*` `query:N` `form:N` `json:/pointer` `raw:/pointer` `name:/pointer/*` `whole:/pointer` `sig.K` `claim:/pointer` `method` `path`
//! `raw_query` `url` `body` `secret` `type` `kid`, or several of them in one text (`{json:/resource}.{json:/action}`),
//! then transforms after bars: see [`Transform`]. Settings are put in when the configuration is read, so none are left
//! here.

mod forms;
mod place;
mod transform;
mod urls;

use std::{borrow::Cow, fmt, sync::OnceLock};

use http::HeaderName;

pub use self::{place::Place, transform::Transform};
use crate::{
    secret::Secret,
    stages::{
        json::{self, Document, Value},
        receive::Received,
        schemes::{Named, jose::Key},
        template::Template,
    },
};

/// The value is there more than once, so that two readers could see two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// What a selector found: a value, nothing, or more than one.
pub type Found<'a> = Result<Option<Cow<'a, [u8]>>, Ambiguous>;

/// A place and what is done with what lies there.
#[derive(Clone, PartialEq, Eq)]
pub struct Selector {
    /// Where to look.
    pub place: Place,
    /// Applied from left to right.
    pub transforms: Vec<Transform>,
    /// As it was written.
    text: String,
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What selectors look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request.
    pub received: &'a Received,
    /// `server.public_url` without a trailing slash.
    pub public_url: &'a str,
    /// Fields of the signature header, once it is parsed.
    pub fields: &'a [(&'a str, &'a str)],
    /// The event in question, or else the whole body is looked at.
    pub event: Option<Value<'a>>,
    /// All that the event came with, or else the whole body is looked at.
    pub root: Option<Value<'a>>,
    /// The event's type, once it is known.
    pub event_type: Option<&'a str>,
    /// The claims of the verified token.
    pub claims: Option<Value<'a>>,
    /// The key that the credential names.
    pub key_id: Option<&'a str>,
    /// Keys that were fetched for the rule in question.
    pub published: &'a [Named<Key>],
    /// The key for `|hmac-sha256` and `secret`.
    pub key: Option<&'a Secret>,
    /// The body as JSON, parsed when the first selector asks for it.
    pub document: &'a OnceLock<Option<Document>>,
}

impl<'a> Facts<'a> {
    /// Looks at the request alone.
    pub fn of(received: &'a Received, public_url: &'a str, document: &'a OnceLock<Option<Document>>) -> Self {
        Self {
            received,
            public_url,
            fields: &[],
            event: None,
            root: None,
            event_type: None,
            claims: None,
            key_id: None,
            published: &[],
            key: None,
            document,
        }
    }

    /// The event, or the whole body when it is JSON.
    pub(in crate::stages) fn value(&self) -> Option<Value<'a>> {
        self.event.or_else(|| self.body())
    }

    /// All that the event came with, or the whole body when it is JSON.
    fn whole(&self) -> Option<Value<'a>> {
        self.root.or_else(|| self.body())
    }

    fn body(&self) -> Option<Value<'a>> {
        let parse = || Document::parse(self.received.body.clone(), &json::Limits::default()).ok();
        self.document.get_or_init(parse).as_ref().map(Document::root)
    }
}

impl Selector {
    /// Parses the written form; `setting` looks a setting up.
    pub fn parse(text: &str, setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (place, transforms) = divide(text);
        let place = if place.contains('{') {
            Place::Joined(Template::parse(place, setting)?)
        } else {
            Place::parse(place, setting)?
        };
        let transforms = transforms.map(Transform::parse).collect::<Result<_, _>>()?;
        Ok(Self { place, transforms, text: text.to_owned() })
    }

    /// The header of this name, as it is.
    pub fn header(name: HeaderName) -> Self {
        let text = format!("header:{name}");
        Self { place: Place::Header(name), transforms: Vec::new(), text }
    }

    /// The same place, nothing done with what lies there.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { transforms: Vec::new(), ..self.clone() }
    }

    /// The same transforms of what lies at another place.
    #[must_use]
    pub fn moved(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// Whether the value goes through a keyed digest.
    pub fn is_keyed(&self) -> bool {
        self.transforms.iter().any(|it| matches!(it, Transform::Hmac(_)))
    }

    /// Finds the value and transforms it.
    pub fn find<'a>(&'a self, facts: &Facts<'a>) -> Found<'a> {
        let mut found = self.place.find(facts)?;
        for transform in &self.transforms {
            found = transform.apply(found, facts);
        }
        Ok(found)
    }

    /// Whether the value can be part of what a body signature covers.
    pub fn is_in_body(&self) -> bool {
        if let Place::Joined(template) = &self.place {
            return template.selectors().any(Self::is_in_body);
        }
        matches!(
            self.place,
            Place::Body
                | Place::Form(_)
                | Place::Json(_)
                | Place::Name(..)
                | Place::Raw(_)
                | Place::Type
                | Place::Whole(_)
        )
    }

    /// Whether the secret is a part of it.
    pub fn tells_secret(&self) -> bool {
        if let Place::Joined(template) = &self.place {
            return template.selectors().any(Self::tells_secret);
        }
        self.place == Place::Secret
    }

    /// Whether the value holds this header, whatever the sender lists.
    pub fn lists_header(&self, name: &HeaderName) -> bool {
        self.transforms.iter().any(|it| matches!(it, Transform::ListedHeaders(demanded) if demanded.contains(name)))
    }

    /// Whether no sender can change the value.
    pub fn is_fixed(&self) -> bool {
        matches!(self.place, Place::Secret | Place::Text(_))
    }

    /// The value, where it is a setting as it is.
    pub fn constant(&self) -> Option<&str> {
        let Place::Text(text) = &self.place else { return None };
        self.transforms.is_empty().then_some(text)
    }

    /// Every value that lies there, each transformed.
    pub fn find_all<'a>(&'a self, facts: &Facts<'a>) -> Result<Vec<Cow<'a, [u8]>>, Ambiguous> {
        let transformed = |value| self.transforms.iter().try_fold(value, |value, it| it.apply(Some(value), facts));
        Ok(self.place.find_all(facts)?.into_iter().filter_map(transformed).collect())
    }

    /// Whether another body would be another value: the body itself, or a digest of it that nobody can find twice.
    pub fn binds_body(&self) -> bool {
        self.place == Place::Body && self.transforms.iter().all(Transform::is_faithful)
    }
}

/// A selector's place and its transforms. A bar within braces belongs to one of the values that are joined.
fn divide(text: &str) -> (&str, std::str::Split<'_, char>) {
    let mut depth = 0_usize;
    let end = text.find(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == '|' && depth == 0
    });
    let (place, rest) = text.split_at(end.unwrap_or(text.len()));
    let mut transforms = rest.split('|');
    transforms.next();
    (place, transforms)
}
