//! The sender's side of a scheme: makes the credential that the scheme will judge. For `send`, `demo` and tests; on its
//! journey through the gateway nothing is ever signed in a sender's name.

mod draft;
mod json;
mod shape;
mod token;

use std::fmt;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

use self::draft::Draft;
pub use self::token::LIFE as TOKEN_LIFE;
use super::{
    Named, Scheme,
    basic::Basic,
    public_key::{Algorithm, PublicKey},
    signature::{Encoding, Prefix},
    signed::{Signed, signed_parts},
    token::Token,
};
use crate::{
    secret::Secret,
    stages::{
        authenticate::Rule,
        json::Pointer,
        receive::Received,
        selector::{Facts, Selector},
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
    /// Who has the private key, for schemes that take one.
    pub signer: Option<&'a dyn Signer>,
}

/// Who has a private key. The key itself never comes here.
pub trait Signer: fmt::Debug {
    /// The public half, as [`PublicKey::from_raw`] takes it.
    fn public(&self) -> &[u8];

    /// The signature; nothing where the key is for another algorithm.
    fn sign(&self, algorithm: Algorithm, text: &[u8]) -> Option<Vec<u8>>;
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
    /// The private key cannot make such a signature.
    #[error("no signature of this algorithm can be made here with this private key")]
    Algorithm,
    /// There is no secret, or none is in force.
    #[error("there is no secret in force to sign with")]
    NoSecret,
    /// Nothing is signed, so nothing can be forged.
    #[error("the source has no authentication: there is no credential to forge")]
    NothingToForge,
    /// The private key's public half is none of those in the configuration.
    #[error("the private key belongs to none of the public keys that the source takes")]
    OtherKey,
    /// The credential lies where nothing can be put.
    #[error("the credential lies in {0}, where it cannot be put")]
    Place(String),
    /// Only who has the private key can sign.
    #[error("such a signature takes the sender's private key, and the gateway has the public one only")]
    PublicKey,
    /// The events are signed one by one, and there is none.
    #[error("the events are signed one by one, and the body has none where they should be")]
    NoElements,
    /// The value cannot be written into a header.
    #[error("the secret is no text that a header can carry")]
    Text,
}

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
            if is_signed && !Draft::new(*self, request.clone()).holds(&rule.when) {
                continue;
            }
            match self.follow(rule, secret.as_ref(), request.clone()) {
                Ok(Some(signed)) => (request, is_signed) = (signed, true),
                Ok(None) => {}
                Err(unsignable) if rule.when.is_empty() => return Err(unsignable),
                Err(unsignable) => problem = unsignable,
            }
        }
        if is_signed { Ok(request) } else { Err(problem) }
    }

    /// The request with what one rule asks for; nothing when the rule cannot be made to apply.
    fn follow(&self, rule: &Rule, secret: Option<&Secret>, request: Received) -> Result<Option<Received>, Unsignable> {
        let mut draft = Draft::new(*self, request);
        draft.meet(&rule.when);
        let Some(pointer) = &rule.each else {
            self.prove(rule, secret, &mut draft)?;
            return Ok(draft.holds(&rule.when).then_some(draft.request));
        };
        let count = draft.elements(pointer).filter(|count| *count > 0).ok_or(Unsignable::NoElements)?;
        for index in 0..count {
            draft.scope = Pointer::parse(&format!("{}/{index}", pointer.as_str())).ok();
            self.prove(rule, secret, &mut draft)?;
        }
        draft.scope = None;
        Ok(draft.holds(&rule.when).then_some(draft.request))
    }

    /// Adds what the rule demands, and the credential at last: it may cover the rest.
    fn prove(&self, rule: &Rule, secret: Option<&Secret>, draft: &mut Draft<'_>) -> Result<(), Unsignable> {
        draft.meet(&rule.require);
        match &rule.scheme {
            Scheme::Basic(scheme) => self.basic(scheme, secret.ok_or(Unsignable::NoSecret)?, draft),
            Scheme::Digest(scheme) => {
                let key = in_force(&scheme.signed.keys, draft)?;
                let sign = |text: &[u8]| Some(scheme.hash.digest([text]));
                self.signed(&scheme.signed, &rule.require, Some(key), sign, draft)
            }
            Scheme::Hmac(scheme) => {
                let key = in_force(&scheme.keys, draft)?;
                self.signed(scheme, &rule.require, None, |text| Some(key.sign(&[text])), draft)
            }
            Scheme::Jose(scheme) => self.token_or_detached(scheme, draft),
            Scheme::None => Ok(()),
            Scheme::PublicKey(scheme) => {
                let signer = self.signer.ok_or(Unsignable::PublicKey)?;
                let key = self.own(scheme.keys.iter().map(|named| &named.key))?;
                let sign = |text: &[u8]| signer.sign(key.algorithm(), text);
                self.signed(scheme, &rule.require, None, sign, draft)
            }
            Scheme::Token(scheme) => self.token(scheme, secret.ok_or(Unsignable::NoSecret)?, draft),
        }
    }

    /// The public key that the private one belongs to.
    fn own<'k>(&self, mut keys: impl Iterator<Item = &'k PublicKey>) -> Result<&'k PublicKey, Unsignable> {
        let signer = self.signer.ok_or(Unsignable::PublicKey)?;
        keys.find(|key| key.as_bytes() == signer.public()).ok_or(Unsignable::OtherKey)
    }

    /// Adds a signature over the first message that is complete; `secret` is what `{secret}` stands for in it.
    fn signed<K>(
        &self,
        scheme: &Signed<K>,
        require: &[Condition],
        secret: Option<&Secret>,
        sign: impl Fn(&[u8]) -> Option<Vec<u8>>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Unsignable> {
        let mut incomplete = Unsignable::Incomplete("it is not said what is signed".to_owned());
        for message in &scheme.messages {
            let mut attempt = draft.clone();
            attempt.fill_time(scheme.window.as_ref());
            let named = scheme.keys.iter().find(|named| named.is_current(attempt.request.at));
            if let (Some(selector), Some(named)) = (&scheme.chosen_by, named) {
                attempt.fill(selector, &named.name);
            }
            message.selectors().for_each(|selector| attempt.fill(selector, self.id));
            // What must be the same as a part of the request can be said only when the rest is there.
            attempt.meet(require);
            let Some(text) = attempt.text(message, secret) else {
                incomplete = Unsignable::Incomplete(missing(message, &attempt));
                continue;
            };
            let mut tag = sign(&text).ok_or(Unsignable::Algorithm)?;
            if let Some(last) = tag.last_mut() {
                *last ^= u8::from(self.forge);
            }
            let signature = scheme.signature.prefix.put(&scheme.signature.encoding.encode(&tag));
            let credential = match &scheme.signature.items {
                None => signature,
                Some(items) => {
                    let take = items.take.first().cloned().unwrap_or_default();
                    let fields = attempt.fields.iter().cloned().chain([(take, signature)]);
                    let written = fields.map(|(key, value)| format!("{key}{}{value}", items.pair));
                    written.collect::<Vec<_>>().join(&items.split)
                }
            };
            attempt.place(&scheme.signature.from, &credential)?;
            if attempt.text(message, secret).as_ref() != Some(&text) {
                return Err(Unsignable::Place(format!("{}, inside of what it signs", names(&scheme.signature.from))));
            }
            *draft = attempt;
            return Ok(());
        }
        Err(incomplete)
    }

    fn basic(&self, scheme: &Basic, secret: &Secret, draft: &mut Draft<'_>) -> Result<(), Unsignable> {
        let mut pair = secret.expose().to_vec();
        if self.forge {
            pair.push(b'x');
        }
        draft.place(&scheme.from, &format!("Basic {}", BASE64.encode(&pair)))
    }

    fn token(&self, scheme: &Token, secret: &Secret, draft: &mut Draft<'_>) -> Result<(), Unsignable> {
        let mut token = std::str::from_utf8(secret.expose()).map_err(|_| Unsignable::Text)?.to_owned();
        if self.forge {
            let last = token.pop();
            token.push(if last == Some('x') { 'y' } else { 'x' });
        }
        draft.place(&scheme.from, &scheme.prefix.put(&token))
    }
}

/// The first key that is in force when the request is made.
fn in_force<'k, K>(keys: &'k [Named<K>], draft: &Draft<'_>) -> Result<&'k K, Unsignable> {
    let named = keys.iter().find(|named| named.is_current(draft.request.at));
    named.map(|named| &named.key).ok_or(Unsignable::NoSecret)
}

/// The first part of the signed text that is not there.
fn missing(message: &Template, draft: &Draft<'_>) -> String {
    let absent = message.selectors().find(|selector| !draft.finds(selector));
    absent.map_or_else(|| "its parts run into each other".to_owned(), |selector| format!("`{selector:?}`"))
}

impl Draft<'_> {
    /// The signed text, where it is complete.
    fn text(&self, message: &Template, secret: Option<&Secret>) -> Option<Vec<u8>> {
        self.with_facts(|facts| {
            let facts = Facts { key: secret, ..*facts };
            Some(signed_parts(message, &facts).ok()??.concat())
        })
    }
}

/// The selectors, for a message.
fn names(selectors: &[Selector]) -> String {
    selectors.iter().map(|selector| format!("`{selector:?}`")).collect::<Vec<_>>().join(", ")
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
