//! Where in a request a value lies.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Ambiguous, Facts, Found, forms::parameter};
use crate::stages::{
    json::{Pointer, Value},
    pattern::Pattern,
    template::Template,
};

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole body.
    Body,
    /// A claim of a verified JSON Web Token.
    Claim(Pointer),
    /// A field of an `application/x-www-form-urlencoded` body that may occur once, decoded.
    Form(String),
    /// A header that may occur once.
    Header(HeaderName),
    /// The headers whose names begin so; as one value, only one of them may be there.
    Headers(String),
    /// Several values in one text; nothing where one of them is absent.
    Joined(Template),
    /// The text or number at a JSON pointer; other kinds of values count as absent.
    Json(Pointer),
    /// The key that a token names, for the address of that key.
    KeyId,
    /// The method.
    Method,
    /// The name of the first member of the object there whose name matches.
    Name(Pointer, Names),
    /// The path as sent.
    Path,
    /// A query parameter that may occur once, decoded.
    Query(String),
    /// The bytes of the value at a JSON pointer.
    Raw(Pointer),
    /// The query as sent.
    RawQuery,
    /// The secret in question. Only what is hashed may name it, never what is sent.
    Secret,
    /// A field of the parsed signature header.
    Signature(String),
    /// Fixed bytes: a setting, put in when the configuration was read.
    Text(String),
    /// The event's type.
    Type,
    /// The text or number at a JSON pointer into all that the event came with.
    Whole(Pointer),
    /// The URL as the sender sees it: the configured public base, then path and query as sent.
    Url,
}

/// Which names of members are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those that match.
    Like(Pattern),
    /// Those that do not.
    Unlike(Pattern),
}

impl Names {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('!') {
            Some(rest) => Self::Unlike(Pattern::new(rest)),
            None => Self::Like(Pattern::new(text)),
        }
    }

    fn mean(&self, name: &str) -> bool {
        match self {
            Self::Like(pattern) => pattern.matches(name),
            Self::Unlike(pattern) => !pattern.matches(name),
        }
    }
}

impl Place {
    pub(super) fn parse(text: &str, setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let named =
            |name: &str| if name.is_empty() { Err(format!("`{text}` names nothing")) } else { Ok(name.to_owned()) };
        if let Some(name) = text.strip_prefix("header:") {
            if let Some(start) = name.strip_suffix('*') {
                return named(start).map(|start| Self::Headers(start.to_ascii_lowercase()));
            }
            return name.parse().map(Self::Header).map_err(|_| format!("`{name}` is not a header name"));
        }
        if let Some(name) = text.strip_prefix("query:") {
            return named(name).map(Self::Query);
        }
        if let Some(name) = text.strip_prefix("form:") {
            return named(name).map(Self::Form);
        }
        if let Some(pointer) = text.strip_prefix("claim:") {
            return Pointer::parse(pointer).map(Self::Claim).map_err(|error| error.to_string());
        }
        if let Some(pointer) = text.strip_prefix("json:") {
            return Pointer::parse(pointer).map(Self::Json).map_err(|error| error.to_string());
        }
        if let Some(pointer) = text.strip_prefix("raw:") {
            return Pointer::parse(pointer).map(Self::Raw).map_err(|error| error.to_string());
        }
        if let Some(pointer) = text.strip_prefix("whole:") {
            return Pointer::parse(pointer).map(Self::Whole).map_err(|error| error.to_string());
        }
        if let Some(path) = text.strip_prefix("name:") {
            let (object, pattern) = path.rsplit_once('/').ok_or_else(|| format!("`{text}` names nothing"))?;
            let object = Pointer::parse(object).map_err(|error| error.to_string())?;
            return Ok(Self::Name(object, Names::parse(pattern)));
        }
        if let Some(name) = text.strip_prefix("sig.") {
            return named(name).map(Self::Signature);
        }
        if let Some(name) = text.strip_prefix("setting:") {
            return setting(name).map(Self::Text).ok_or_else(|| format!("there is no setting `{name}`"));
        }
        match text {
            "body" => Ok(Self::Body),
            "kid" => Ok(Self::KeyId),
            "method" => Ok(Self::Method),
            "path" => Ok(Self::Path),
            "raw_query" => Ok(Self::RawQuery),
            "secret" => Ok(Self::Secret),
            "type" => Ok(Self::Type),
            "url" => Ok(Self::Url),
            _ => Err(format!("`{text}` is not a selector")),
        }
    }

    /// Every value there is: a header may be there on several lines.
    pub(super) fn find_all<'a>(&'a self, facts: &Facts<'a>) -> Result<Vec<Cow<'a, [u8]>>, Ambiguous> {
        let headers = &facts.received.head.headers;
        match self {
            Self::Header(name) => Ok(headers.get_all(name).iter().map(|value| value.as_bytes().into()).collect()),
            Self::Headers(start) => Ok(starting_with(headers, start).map(Cow::Borrowed).collect()),
            Self::Body
            | Self::Claim(_)
            | Self::Form(_)
            | Self::Joined(_)
            | Self::Json(_)
            | Self::KeyId
            | Self::Method
            | Self::Name(..)
            | Self::Path
            | Self::Query(_)
            | Self::Raw(_)
            | Self::RawQuery
            | Self::Secret
            | Self::Signature(_)
            | Self::Text(_)
            | Self::Type
            | Self::Url
            | Self::Whole(_) => Ok(self.find(facts)?.into_iter().collect()),
        }
    }

    pub(super) fn find<'a>(&'a self, facts: &Facts<'a>) -> Found<'a> {
        let head = &facts.received.head;
        Ok(match self {
            Self::Body => Some(Cow::Borrowed(&facts.received.body)),
            Self::Claim(pointer) => facts.claims.and_then(|claims| claims.at(pointer)).and_then(claim),
            Self::Form(name) => parameter(&facts.received.body, name)?,
            Self::Header(name) => only(head.headers.get_all(name).iter().map(HeaderValue::as_bytes))?,
            Self::Headers(start) => only(starting_with(&head.headers, start))?,
            Self::Joined(template) => template.render(facts)?.map(Cow::Owned),
            Self::Json(pointer) => facts.value().and_then(|value| value.at(pointer)).and_then(scalar),
            Self::KeyId => facts.key_id.map(|id| Cow::Borrowed(id.as_bytes())),
            Self::Method => Some(Cow::Borrowed(head.method.as_str().as_bytes())),
            Self::Name(object, names) => {
                let members = facts.value().and_then(|value| value.at(object)).into_iter().flat_map(Value::members);
                let mut names = members.map(|(name, _)| name).filter(|name| names.mean(name));
                names.next().map(|name| Cow::Owned(name.into_owned().into_bytes()))
            }
            Self::Path => Some(Cow::Borrowed(head.path.as_bytes())),
            Self::Query(name) => parameter(head.query.as_deref().unwrap_or_default().as_bytes(), name)?,
            Self::Raw(pointer) => {
                facts.value().and_then(|value| value.at(pointer)).map(|value| Cow::Borrowed(value.raw()))
            }
            Self::RawQuery => head.query.as_deref().map(|query| Cow::Borrowed(query.as_bytes())),
            Self::Secret => facts.key.map(|key| Cow::Borrowed(key.expose())),
            Self::Signature(name) => {
                facts.fields.iter().find(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_bytes()))
            }
            Self::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Self::Type => facts.event_type.map(|name| Cow::Borrowed(name.as_bytes())),
            Self::Whole(pointer) => facts.whole().and_then(|value| value.at(pointer)).and_then(scalar),
            Self::Url => {
                let query = head.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
                Some(Cow::Owned(format!("{}{}{query}", facts.public_url, head.path).into_bytes()))
            }
        })
    }
}

/// A string's text or a number's, as the sender wrote it. Other kinds of values are no text.
pub(super) fn scalar(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    if let Some(number) = value.number_text() {
        return Some(Cow::Borrowed(number.as_bytes()));
    }
    match value.as_str()? {
        Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
        Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
    }
}

/// A claim's text, number or truth.
fn claim(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    if value.as_bool().is_some() { Some(Cow::Borrowed(value.raw())) } else { scalar(value) }
}

/// The value, where there is no second one.
fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Found<'a> {
    let first = values.next().map(Cow::Borrowed);
    if values.next().is_some() { Err(Ambiguous) } else { Ok(first) }
}

fn starting_with<'a>(headers: &'a HeaderMap, start: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |(name, _)| name.as_str().starts_with(start)).map(|(_, value)| value.as_bytes())
}
