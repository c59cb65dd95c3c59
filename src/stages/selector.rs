//! Selectors: where in a request a value lies, and what is done with it.
//!
//! `header:N` `query:N` `json:/pointer` `raw:/pointer` `sig.K` `method` `path` `raw_query` `url` `body` `type`,
//! then transforms after bars: `|json` `|lower` `|hex` `|base64` `|base64url` `|sha256` `|canonical`
//! `|hmac-sha256` `|default(x)`. Settings are put in when the configuration is read, so none are left here.

use std::{borrow::Cow, fmt, sync::OnceLock};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderName;
use sha2::{Digest, Sha256};

use crate::{
    secret::Secret,
    stages::{
        json::{self, Document, Pointer, Value},
        receive::Received,
    },
};

/// The value is there more than once, so that two readers could see two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// What a selector found: a value, nothing, or more than one.
pub type Found<'a> = Result<Option<Cow<'a, [u8]>>, Ambiguous>;

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole body.
    Body,
    /// A header that may occur once.
    Header(HeaderName),
    /// The text or number at a JSON pointer; other kinds of values count as absent.
    Json(Pointer),
    /// The method.
    Method,
    /// The path as sent.
    Path,
    /// A query parameter that may occur once, decoded.
    Query(String),
    /// The bytes of the value at a JSON pointer.
    Raw(Pointer),
    /// The query as sent.
    RawQuery,
    /// A field of the parsed signature header.
    Signature(String),
    /// Fixed bytes: a setting, put in when the configuration was read.
    Text(String),
    /// The event's type.
    Type,
    /// The URL as the sender sees it: the configured public base, then path and query as sent.
    Url,
}

/// What is done with a value once it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Standard base64.
    Base64,
    /// URL-safe base64 without padding.
    Base64Url,
    /// The JSON value without white space and with sorted keys.
    Canonical,
    /// Used when nothing was found.
    Default(String),
    /// Lower-case hex.
    Hex,
    /// HMAC-SHA256 with the source's first secret.
    HmacSha256,
    /// As the inside of a JSON string.
    Json,
    /// ASCII lower case.
    Lower,
    /// SHA-256.
    Sha256,
}

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
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The request.
    pub received: &'a Received,
    /// `server.public_url` without a trailing slash.
    pub public_url: &'a str,
    /// Fields of the signature header, once it is parsed.
    pub fields: &'a [(&'a str, &'a str)],
    /// The event in question, or else the whole body is looked at.
    pub event: Option<Value<'a>>,
    /// The event's type, once it is known.
    pub event_type: Option<&'a str>,
    /// The key for `|hmac-sha256`.
    pub key: Option<&'a Secret>,
    /// The body as JSON, parsed when the first selector asks for it.
    pub document: &'a OnceLock<Option<Document>>,
}

impl<'a> Facts<'a> {
    /// Looks at the request alone.
    pub fn of(received: &'a Received, public_url: &'a str, document: &'a OnceLock<Option<Document>>) -> Self {
        Self { received, public_url, fields: &[], event: None, event_type: None, key: None, document }
    }

    /// The event, or the whole body when it is JSON.
    fn value(&self) -> Option<Value<'a>> {
        self.event.or_else(|| {
            let parse = || Document::parse(self.received.body.clone(), &json::Limits::default()).ok();
            self.document.get_or_init(parse).as_ref().map(Document::root)
        })
    }
}

impl Selector {
    /// Parses the written form; `setting` looks a setting up.
    pub fn parse(text: &str, setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut parts = text.split('|');
        let place = Place::parse(parts.next().unwrap_or_default(), setting)?;
        let transforms = parts.map(Transform::parse).collect::<Result<_, _>>()?;
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

    /// Whether the value goes through a keyed digest.
    pub fn is_keyed(&self) -> bool {
        self.transforms.contains(&Transform::HmacSha256)
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
        matches!(self.place, Place::Body | Place::Json(_) | Place::Raw(_) | Place::Type)
    }
}

impl Place {
    fn parse(text: &str, setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let named =
            |name: &str| if name.is_empty() { Err(format!("`{text}` names nothing")) } else { Ok(name.to_owned()) };
        if let Some(name) = text.strip_prefix("header:") {
            return name.parse().map(Self::Header).map_err(|_| format!("`{name}` is not a header name"));
        }
        if let Some(name) = text.strip_prefix("query:") {
            return named(name).map(Self::Query);
        }
        if let Some(pointer) = text.strip_prefix("json:") {
            return Pointer::parse(pointer).map(Self::Json).map_err(|error| error.to_string());
        }
        if let Some(pointer) = text.strip_prefix("raw:") {
            return Pointer::parse(pointer).map(Self::Raw).map_err(|error| error.to_string());
        }
        if let Some(name) = text.strip_prefix("sig.") {
            return named(name).map(Self::Signature);
        }
        if let Some(name) = text.strip_prefix("setting:") {
            return setting(name).map(Self::Text).ok_or_else(|| format!("there is no setting `{name}`"));
        }
        match text {
            "body" => Ok(Self::Body),
            "method" => Ok(Self::Method),
            "path" => Ok(Self::Path),
            "raw_query" => Ok(Self::RawQuery),
            "type" => Ok(Self::Type),
            "url" => Ok(Self::Url),
            _ => Err(format!("`{text}` is not a selector")),
        }
    }

    fn find<'a>(&'a self, facts: &Facts<'a>) -> Found<'a> {
        let head = &facts.received.head;
        Ok(match self {
            Self::Body => Some(Cow::Borrowed(&facts.received.body)),
            Self::Header(name) => {
                let mut values = head.headers.get_all(name).iter();
                let first = values.next().map(|value| Cow::Borrowed(value.as_bytes()));
                if values.next().is_some() {
                    return Err(Ambiguous);
                }
                first
            }
            Self::Json(pointer) => facts.value().and_then(|value| value.at(pointer)).and_then(scalar),
            Self::Method => Some(Cow::Borrowed(head.method.as_str().as_bytes())),
            Self::Path => Some(Cow::Borrowed(head.path.as_bytes())),
            Self::Query(name) => query(head.query.as_deref().unwrap_or_default(), name)?,
            Self::Raw(pointer) => {
                facts.value().and_then(|value| value.at(pointer)).map(|value| Cow::Borrowed(value.raw()))
            }
            Self::RawQuery => head.query.as_deref().map(|query| Cow::Borrowed(query.as_bytes())),
            Self::Signature(name) => {
                facts.fields.iter().find(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_bytes()))
            }
            Self::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Self::Type => facts.event_type.map(|name| Cow::Borrowed(name.as_bytes())),
            Self::Url => {
                let query = head.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
                Some(Cow::Owned(format!("{}{}{query}", facts.public_url, head.path).into_bytes()))
            }
        })
    }
}

/// A string's text or a number's, as the sender wrote it. Other kinds of values are no text.
fn scalar(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    if let Some(number) = value.number_text() {
        return Some(Cow::Borrowed(number.as_bytes()));
    }
    match value.as_str()? {
        Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
        Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
    }
}

/// The one parameter of this name, with `+` and percent escapes decoded once.
fn query<'a>(raw: &'a str, name: &str) -> Found<'a> {
    let mut found = None;
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key).as_ref() == name.as_bytes() && found.replace(decode(value)).is_some() {
            return Err(Ambiguous);
        }
    }
    Ok(found)
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_encoding::percent_decode_str(&spaced).collect());
    }
    percent_encoding::percent_decode_str(text).into()
}

impl Transform {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(value) = text.strip_prefix("default(").and_then(|rest| rest.strip_suffix(')')) {
            return Ok(Self::Default(value.to_owned()));
        }
        Ok(match text {
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "canonical" => Self::Canonical,
            "hex" => Self::Hex,
            "hmac-sha256" => Self::HmacSha256,
            "json" => Self::Json,
            "lower" => Self::Lower,
            "sha256" => Self::Sha256,
            _ => return Err(format!("`|{text}` is not a transform")),
        })
    }

    fn apply<'a>(&'a self, found: Option<Cow<'a, [u8]>>, facts: &Facts<'_>) -> Option<Cow<'a, [u8]>> {
        let Some(value) = found else {
            return match self {
                Self::Default(text) => Some(Cow::Borrowed(text.as_bytes())),
                Self::Base64
                | Self::Base64Url
                | Self::Canonical
                | Self::Hex
                | Self::HmacSha256
                | Self::Json
                | Self::Lower
                | Self::Sha256 => None,
            };
        };
        Some(match self {
            Self::Base64 => Cow::Owned(BASE64.encode(&value).into_bytes()),
            Self::Base64Url => Cow::Owned(BASE64URL_NOPAD.encode(&value).into_bytes()),
            Self::Canonical => Cow::Owned(canonical(&value)?),
            Self::Default(_) => value,
            Self::Hex => Cow::Owned(HEXLOWER.encode(&value).into_bytes()),
            Self::HmacSha256 => Cow::Owned(hmac_sha256(facts.key?, &value)),
            Self::Json => Cow::Owned(json_inside(&value)?),
            Self::Lower => Cow::Owned(value.to_ascii_lowercase()),
            Self::Sha256 => Cow::Owned(Sha256::digest(&value).to_vec()),
        })
    }
}

fn canonical(raw: &[u8]) -> Option<Vec<u8>> {
    let document = Document::parse(bytes::Bytes::copy_from_slice(raw), &json::Limits::default()).ok()?;
    Some(document.root().canonical())
}

fn hmac_sha256(key: &Secret, value: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    mac.update(value);
    mac.finalize().into_bytes().to_vec()
}

fn json_inside(value: &[u8]) -> Option<Vec<u8>> {
    let quoted = serde_json::to_vec(std::str::from_utf8(value).ok()?).ok()?;
    Some(quoted[1..quoted.len() - 1].to_vec())
}
