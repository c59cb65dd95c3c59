//! JSON Web Tokens (RFC 7519) and detached JSON Web Signatures (RFC 7515, appendix F, and RFC 7797). Algorithms belong to
//! keys that are pinned: what a token says of its algorithm must agree, and nothing else of its header is followed.

use std::{borrow::Cow, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;

use super::{
    Looked, Named, Proof, Strength, hmac,
    public_key::PublicKey,
    signature::{Length, Prefix, first},
    signed::{Verifier, signed_parts},
    window::Window,
};
use crate::stages::{
    json::{self, Document, Pointer, Value},
    selector::{Facts, Selector},
    template::{Condition, Template},
    words::Refusal,
};

/// How far the sender's clock may be ahead where a token says from when on it is good, in seconds. There is none at its
/// other end: tokens are made for each request and live for minutes, so one that has expired is an old one.
const LEEWAY: f64 = 60.0;

/// The longest token, in bytes.
const TOKEN_MAX: usize = 16 * 1024;

/// The settings of a token or a detached signature.
#[derive(Clone, Debug)]
pub struct Jose {
    /// Places to look, in this order.
    pub from: Vec<Selector>,
    /// What stands before it, such as `Bearer `.
    pub prefix: Prefix,
    /// The keys in force.
    pub keys: Vec<Named<Key>>,
    /// What is signed.
    pub payload: Payload,
    /// The window for a time in the claims, or in a detached payload.
    pub window: Option<Window>,
    /// What it binds.
    pub strength: Strength,
}

/// What a JOSE signature is over.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The claims in the token, and what must be true of them.
    Claims(Vec<Condition>),
    /// Parts of the request.
    Detached(Template),
}

/// A key with the one algorithm it is used with.
#[derive(Clone, Debug)]
pub struct Key {
    /// The algorithm's name (RFC 7518, section 3.1, and RFC 8037).
    pub algorithm: &'static str,
    /// The sender's name for it. A token that names another key is not looked at with this one.
    pub id: Option<String>,
    /// What verifies.
    pub verifying: Verifying,
}

/// A key of either kind.
#[derive(Clone, Debug)]
pub enum Verifying {
    /// The sender's public key.
    Public(PublicKey),
    /// A key that both sides have.
    Shared(Box<hmac::Key>),
}

impl Verifier for Verifying {
    fn signature_length(&self) -> Length {
        match self {
            Self::Public(key) => key.signature_length(),
            Self::Shared(key) => key.signature_length(),
        }
    }

    fn verifies(&self, parts: &[impl AsRef<[u8]>], signatures: &[impl AsRef<[u8]>]) -> bool {
        match self {
            Self::Public(key) => key.verifies(parts, signatures),
            Self::Shared(key) => key.verifies(parts, signatures),
        }
    }
}

/// A compact serialisation, taken apart.
struct Token<'a> {
    header: &'a str,
    payload: &'a str,
    algorithm: String,
    key_id: Option<String>,
    /// Whether the payload is signed as it is, and not its base64url (RFC 7797).
    is_raw: bool,
    signature: Vec<u8>,
}

impl Jose {
    /// The key that the token names, where its algorithm is one of these.
    pub(super) fn key_id(
        &self,
        facts: &Facts<'_>,
        mut algorithms: impl Iterator<Item = &'static str>,
    ) -> Result<Option<String>, Refusal> {
        let credential = self.credential(facts)?;
        let token = self.token(&credential)?;
        if algorithms.any(|name| name == token.algorithm) { Ok(token.key_id) } else { Err(Refusal::AuthMismatch) }
    }

    /// What the token claims, be it true or not: for people who ask, and for nothing that is decided here.
    pub fn claims(&self, facts: &Facts<'_>) -> Option<Document> {
        let credential = self.credential(facts).ok()?;
        object(self.token(&credential).ok()?.payload)
    }

    fn credential<'a>(&'a self, facts: &Facts<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
        first(&self.from, facts)?.filter(|value| !value.is_empty()).ok_or(Refusal::AuthMissing)
    }

    fn token<'t>(&self, credential: &'t [u8]) -> Result<Token<'t>, Refusal> {
        let text = std::str::from_utf8(credential).map_err(|_| Refusal::AuthMalformed)?;
        self.prefix.strip(text).and_then(Token::parse).ok_or(Refusal::AuthMalformed)
    }

    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let credential = self.credential(facts)?;
        looked.credential_bytes = credential.len();
        looked.tokens = 1;
        let token = self.token(&credential)?;
        let check_window = |facts: &Facts<'_>, looked: &mut Looked| {
            self.window.as_ref().map_or(Ok(()), |window| window.check(facts, now, looked))
        };
        let key = match &self.payload {
            Payload::Claims(require) => {
                if token.is_raw {
                    return Err(Refusal::AuthMalformed);
                }
                let parts = [token.header.as_bytes(), b".", token.payload.as_bytes()];
                let key = self.verify(&token, &parts, facts, now, looked)?;
                let claims = object(token.payload).ok_or(Refusal::AuthMalformed)?;
                judge_lifetime(claims.root(), now)?;
                let facts = Facts { claims: Some(claims.root()), ..*facts };
                check_window(&facts, looked)?;
                if !Condition::all(require, &facts)? {
                    return Err(Refusal::AuthMismatch);
                }
                key
            }
            Payload::Detached(message) => {
                if !token.payload.is_empty() {
                    return Err(Refusal::AuthMalformed);
                }
                let payload = signed_parts(message, facts)?.ok_or(Refusal::AuthMissing)?.concat();
                let payload = if token.is_raw { payload } else { BASE64URL_NOPAD.encode(&payload).into_bytes() };
                let key = self.verify(&token, &[token.header.as_bytes(), b".", &payload], facts, now, looked)?;
                check_window(facts, looked)?;
                key
            }
        };
        Ok(Proof { key, strength: self.strength })
    }

    fn verify(
        &self,
        token: &Token<'_>,
        parts: &[&[u8]],
        facts: &Facts<'_>,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<Arc<str>, Refusal> {
        let fits = |named: &&Named<Key>| {
            let is_other = named.key.id.as_ref().zip(token.key_id.as_ref()).is_some_and(|(id, sent)| id != sent);
            named.is_current(now) && named.key.algorithm == token.algorithm && !is_other
        };
        for named in self.keys.iter().chain(facts.published).filter(fits) {
            looked.secrets_tried += 1;
            let has_length = match named.key.verifying.signature_length() {
                Length::Exactly(length) => token.signature.len() == length,
                Length::UpTo(most) => token.signature.len() <= most,
            };
            if has_length && named.key.verifying.verifies(parts, std::slice::from_ref(&token.signature)) {
                return Ok(named.name.clone());
            }
        }
        Err(Refusal::AuthMismatch)
    }
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN_MAX {
            return None;
        }
        let mut parts = text.split('.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let document = object(header)?;
        let algorithm = member(document.root(), "/alg")?.as_str()?.into_owned();
        let key_id = match member(document.root(), "/kid") {
            Some(id) => Some(id.as_str()?.into_owned()),
            None => None,
        };
        let is_raw = match (member(document.root(), "/b64"), member(document.root(), "/crit")) {
            (None, None) => false,
            // The one extension that is understood must be named as one that must be (RFC 7797, section 6).
            (Some(encoded), Some(critical)) if critical.raw() == br#"["b64"]"# => !encoded.as_bool()?,
            (Some(_), _) | (None, Some(_)) => return None,
        };
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        Some(Self { header, payload, algorithm, key_id, is_raw, signature })
    }
}

/// A JSON object in base64url.
fn object(text: &str) -> Option<Document> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let document = Document::parse(bytes.into(), &json::Limits::default()).ok()?;
    (document.root().kind() == json::Kind::Object).then_some(document)
}

fn member<'a>(value: Value<'a>, pointer: &str) -> Option<Value<'a>> {
    value.at(&Pointer::parse(pointer).ok()?)
}

/// `exp` and `nbf` count where they are there (RFC 7519, sections 4.1.4 and 4.1.5).
fn judge_lifetime(claims: Value<'_>, now: Timestamp) -> Result<(), Refusal> {
    let now = Timestamp::as_duration(now).as_secs_f64();
    let moment = |pointer: &str| match member(claims, pointer) {
        None => Ok(None),
        Some(value) => {
            let number = value.number_text().and_then(|text| text.parse::<f64>().ok()).filter(|it| it.is_finite());
            number.map(Some).ok_or(Refusal::AuthMalformed)
        }
    };
    if moment("/exp")?.is_some_and(|end| now >= end) {
        Err(Refusal::TimestampStale)
    } else if moment("/nbf")?.is_some_and(|start| now + LEEWAY < start) {
        Err(Refusal::TimestampFuture)
    } else {
        Ok(())
    }
}
