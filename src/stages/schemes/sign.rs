//! The sender's side of a scheme: makes the credential that the scheme will judge. For `send`, `demo` and tests; on its
//! journey through the gateway nothing is ever signed in a sender's name.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use http::{HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Scheme,
    basic::Basic,
    hmac::Key,
    signature::{Encoding, Prefix},
    signed::{Signed, signed_parts},
    token::Token,
};
use crate::{
    secret::Secret,
    stages::{
        authenticate::Rule,
        receive::Received,
        selector::{Facts, Place, Selector},
        template::{Condition, Template},
    },
};

/// What a sender knows besides its secrets.
#[derive(Clone, Copy, Debug)]
pub struct Pen<'a> {
    /// `server.public_url` without a trailing slash, for schemes that sign the URL.
    pub public_url: &'a str,
    /// Stands in for signed headers and fields that the request does not have yet, such as a message's id.
    pub id: &'a str,
    /// Makes credentials that look right and match no secret.
    pub forge: bool,
}

/// Why a credential cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// A part of the signed text is not in the request, and cannot be made up.
    #[error("the request lacks something that is signed: {0}")]
    Incomplete(String),
    /// No rule applies to the request.
    #[error("no rule of authentication applies to this request")]
    NoRule,
    /// There is no secret, or none is in force.
    #[error("there is no secret in force to sign with")]
    NoSecret,
    /// Nothing is signed, so nothing can be forged.
    #[error("the source has no authentication: there is no credential to forge")]
    NothingToForge,
    /// The credential lies where nothing can be put.
    #[error("the credential lies in {0}, where it cannot be put")]
    Place(String),
    /// Only the sender can make an RSA signature.
    #[error("such a signature takes the sender's private key, and the gateway has the public one only")]
    PublicKey,
    /// Nobody writes tokens here, nor signatures inside of events.
    #[error("tokens, and signatures inside of events, cannot be made here")]
    Inside,
    /// The value cannot be written into a header.
    #[error("the secret is no text that a header can carry")]
    Text,
}

/// Parts of a signature header, `sig.K`.
type Fields = Vec<(String, String)>;

impl Pen<'_> {
    /// Adds every credential that these rules ask for; each rule comes with the secret that satisfies it. Of several
    /// rules that each have conditions, the first whose conditions can be met is followed.
    pub fn sign(&self, rules: &[(Rule, Option<Secret>)], mut request: Received) -> Result<Received, Unsignable> {
        if self.forge && rules.iter().all(|(rule, _)| matches!(rule.scheme, Scheme::None)) {
            return Err(Unsignable::NothingToForge);
        }
        let mut problem = Unsignable::NoRule;
        let mut is_signed = false;
        for (rule, secret) in rules {
            if is_signed && !self.holds(&rule.when, &request) {
                continue;
            }
            match self.follow(rule, secret.as_ref(), &request) {
                Ok(Some(signed)) => (request, is_signed) = (signed, true),
                Ok(None) => {}
                Err(unsignable) if rule.when.is_empty() => return Err(unsignable),
                Err(unsignable) => problem = unsignable,
            }
        }
        if is_signed { Ok(request) } else { Err(problem) }
    }

    /// The request with what one rule asks for; nothing when the rule cannot be made to apply.
    fn follow(&self, rule: &Rule, secret: Option<&Secret>, request: &Received) -> Result<Option<Received>, Unsignable> {
        let mut request = request.clone();
        for condition in rule.when.iter().chain(&rule.require) {
            match condition {
                Condition::Equal(selector, text) => self.fill(selector, text, &mut request, &mut Fields::new()),
                Condition::OneOf(selector, texts) => {
                    let text = texts.first().map_or("", String::as_str);
                    self.fill(selector, text, &mut request, &mut Fields::new());
                }
                Condition::Absent(_)
                | Condition::Any(_)
                | Condition::Matches(..)
                | Condition::Present(_)
                | Condition::Same(..) => {}
            }
        }
        if rule.each.is_some() {
            return Err(Unsignable::Inside);
        }
        match &rule.scheme {
            Scheme::Basic(scheme) => self.basic(scheme, secret.ok_or(Unsignable::NoSecret)?, &mut request)?,
            Scheme::Digest(scheme) => {
                let hash = scheme.hash;
                self.signed(&scheme.signed, itself, |_, parts| hash.digest(parts.iter().copied()), &mut request)?;
            }
            Scheme::Hmac(scheme) => self.signed(scheme, |_| None, Key::sign, &mut request)?,
            Scheme::Jose(_) => return Err(Unsignable::Inside),
            Scheme::None => {}
            Scheme::PublicKey(_) => return Err(Unsignable::PublicKey),
            Scheme::Token(scheme) => self.token(scheme, secret.ok_or(Unsignable::NoSecret)?, &mut request)?,
        }
        Ok(self.holds(&rule.when, &request).then_some(request))
    }

    /// Adds a signature; `secret` is what `{secret}` stands for, where it stands for anything.
    fn signed<K>(
        &self,
        scheme: &Signed<K>,
        secret: fn(&K) -> Option<&Secret>,
        sign: impl Fn(&K, &[&[u8]]) -> Vec<u8>,
        request: &mut Received,
    ) -> Result<(), Unsignable> {
        let key = scheme.keys.iter().find(|named| named.is_current(request.at)).ok_or(Unsignable::NoSecret)?;
        let mut incomplete = Unsignable::Incomplete("it is not said what is signed".to_owned());
        for message in &scheme.messages {
            let (mut draft, mut fields) = (request.clone(), Fields::new());
            if let Some(window) = &scheme.window
                && !window.from.iter().any(|from| self.finds(from, &draft, &fields))
                && let Some(from) = window.from.first()
            {
                let time = window.unit.write(draft.at);
                self.fill(from, &time, &mut draft, &mut fields);
            }
            for selector in message.selectors() {
                self.fill(selector, self.id, &mut draft, &mut fields);
            }
            let tag = self.tag(message, &draft, &fields, secret(&key.key), |parts| sign(&key.key, parts));
            let Some(mut tag) = tag else {
                incomplete = Unsignable::Incomplete(missing(self, message, &draft, &fields));
                continue;
            };
            tag[0] ^= u8::from(self.forge);
            let signature = scheme.signature.prefix.put(&scheme.signature.encoding.encode(&tag));
            let credential = match &scheme.signature.items {
                None => signature,
                Some(items) => {
                    let take = items.take.first().cloned().unwrap_or_default();
                    let fields = fields.into_iter().chain([(take, signature)]);
                    let written = fields.map(|(key, value)| format!("{key}{}{value}", items.pair));
                    written.collect::<Vec<_>>().join(&items.split)
                }
            };
            place(&scheme.signature.from, &credential, &mut draft)?;
            *request = draft;
            return Ok(());
        }
        Err(incomplete)
    }

    fn basic(&self, scheme: &Basic, secret: &Secret, request: &mut Received) -> Result<(), Unsignable> {
        let mut pair = secret.expose().to_vec();
        if self.forge {
            pair.push(b'x');
        }
        place(&scheme.from, &format!("Basic {}", BASE64.encode(&pair)), request)
    }

    fn token(&self, scheme: &Token, secret: &Secret, request: &mut Received) -> Result<(), Unsignable> {
        let mut token = std::str::from_utf8(secret.expose()).map_err(|_| Unsignable::Text)?.to_owned();
        if self.forge {
            let last = token.pop();
            token.push(if last == Some('x') { 'y' } else { 'x' });
        }
        place(&scheme.from, &scheme.prefix.put(&token), request)
    }

    fn tag(
        &self,
        message: &Template,
        request: &Received,
        fields: &Fields,
        secret: Option<&Secret>,
        sign: impl Fn(&[&[u8]]) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        self.with_facts(request, fields, |facts| {
            let facts = Facts { key: secret, ..facts.clone() };
            let parts = signed_parts(message, &facts).ok()??;
            Some(sign(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
        })
    }

    /// Puts a value where a selector looks, unless there is one. What has no place of its own is left as it is.
    fn fill(&self, selector: &Selector, value: &str, request: &mut Received, fields: &mut Fields) {
        if self.finds(selector, request, fields) {
            return;
        }
        match &selector.place {
            Place::Signature(name) => fields.push((name.clone(), value.to_owned())),
            Place::Body
            | Place::Claim(_)
            | Place::Form(_)
            | Place::Header(_)
            | Place::Headers(_)
            | Place::Joined(_)
            | Place::Json(_)
            | Place::KeyId
            | Place::Method
            | Place::Name(..)
            | Place::Path
            | Place::Query(_)
            | Place::Raw(_)
            | Place::RawQuery
            | Place::Secret
            | Place::Text(_)
            | Place::Type
            | Place::Url
            | Place::Whole(_) => {
                // What cannot be put there shows when the signed text is found to be incomplete.
                let _ = put(selector, value, request);
            }
        }
    }

    fn finds(&self, selector: &Selector, request: &Received, fields: &Fields) -> bool {
        self.with_facts(request, fields, |facts| !matches!(selector.plain().find(facts), Ok(None)))
    }

    fn holds(&self, when: &[Condition], request: &Received) -> bool {
        self.with_facts(request, &Fields::new(), |facts| Condition::all(when, facts) == Ok(true))
    }

    fn with_facts<T>(&self, request: &Received, fields: &Fields, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let document = std::sync::OnceLock::new();
        let fields: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        look(&Facts { fields: &fields, ..Facts::of(request, self.public_url, &document) })
    }
}

/// A digest's key is the secret in its message.
#[expect(clippy::unnecessary_wraps, reason = "other keys stand for no text")]
fn itself(secret: &Secret) -> Option<&Secret> {
    Some(secret)
}

/// The first part of the signed text that is not there.
fn missing(pen: &Pen<'_>, message: &Template, request: &Received, fields: &Fields) -> String {
    let absent = message.selectors().find(|selector| !pen.finds(selector, request, fields));
    absent.map_or_else(|| "its parts run into each other".to_owned(), |selector| format!("`{selector:?}`"))
}

/// Writes a credential to the first of these places that can be written to.
fn place(from: &[Selector], credential: &str, request: &mut Received) -> Result<(), Unsignable> {
    let places = from.iter().map(|selector| format!("`{selector:?}`")).collect::<Vec<_>>().join(", ");
    let mut problem = Unsignable::Place(places);
    for selector in from {
        match put(selector, credential, request) {
            Ok(()) => return Ok(()),
            Err(unsignable @ Unsignable::Text) => problem = unsignable,
            Err(_) => {}
        }
    }
    Err(problem)
}

fn put(selector: &Selector, value: &str, request: &mut Received) -> Result<(), Unsignable> {
    let head = &mut request.head;
    match &selector.place {
        _ if !selector.transforms.is_empty() => Err(Unsignable::Place(format!("`{selector:?}`"))),
        Place::Header(name) => {
            let value = HeaderValue::from_str(value).map_err(|_| Unsignable::Text)?;
            head.headers.insert(name, value);
            Ok(())
        }
        Place::Query(name) => {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let pair = format!("{}={}", encode(name), encode(value));
            head.query = Some(match head.query.take() {
                Some(query) => format!("{query}&{pair}"),
                None => pair,
            });
            Ok(())
        }
        Place::Headers(start) => {
            let name = format!("{start}1").parse::<HeaderName>().map_err(|_| Unsignable::Text)?;
            head.headers.insert(name, HeaderValue::from_str(value).map_err(|_| Unsignable::Text)?);
            Ok(())
        }
        Place::Body
        | Place::Claim(_)
        | Place::Form(_)
        | Place::Joined(_)
        | Place::Json(_)
        | Place::KeyId
        | Place::Method
        | Place::Name(..)
        | Place::Path
        | Place::Raw(_)
        | Place::RawQuery
        | Place::Secret
        | Place::Signature(_)
        | Place::Text(_)
        | Place::Type
        | Place::Url
        | Place::Whole(_) => Err(Unsignable::Place(format!("`{selector:?}`"))),
    }
}

impl Prefix {
    /// The text as a sender writes it: an optional prefix is left out.
    fn put(&self, text: &str) -> String {
        match self {
            Self::Fixed(prefix) => format!("{prefix}{text}"),
            Self::Optional(_) => text.to_owned(),
        }
    }
}

impl Encoding {
    /// The bytes as a sender writes them: hex where it does not say.
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Auto | Self::Hex => HEXLOWER.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64Url => BASE64URL_NOPAD.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
