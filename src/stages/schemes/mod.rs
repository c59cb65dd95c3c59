//! How a sender can prove itself. A scheme judges; it cannot admit: only [`super::authenticate`] makes an `Authentic`.

pub mod basic;
pub mod certificate;
pub mod digest;
pub mod hmac;
pub mod jose;
pub mod jwk;
pub mod key_set;
pub mod public_key;
pub mod published;
pub mod sign;
pub mod signature;
pub mod signed;
pub mod token;
pub mod window;

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::stages::{
    selector::{Ambiguous, Facts},
    words::Refusal,
};

/// How much of a request a credential binds, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Nobody was asked for anything.
    None,
    /// The sender knows a secret, but nothing of the body is bound to it.
    Token,
    /// A part of the body is bound.
    Partial,
    /// The whole body is bound.
    Verified,
}

impl Strength {
    /// The word used in `hooksieve-verified` and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Partial => "partial",
            Self::Verified => "verified",
        }
    }
}

/// A key with the operator's name for it and the moment it stops being accepted.
#[derive(Clone)]
pub struct Named<K> {
    /// The operator's name, shown in logs: never the secret.
    pub name: Arc<str>,
    /// Not accepted from this moment on.
    pub until: Option<Timestamp>,
    /// What verifies.
    pub key: K,
}

impl<K> Named<K> {
    /// Whether it is still accepted.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The same name and end for another form of the key.
    pub fn map<L, E>(&self, make: impl FnOnce(&K) -> Result<L, E>) -> Result<Named<L>, E> {
        Ok(Named { name: self.name.clone(), until: self.until, key: make(&self.key)? })
    }
}

impl<K> fmt::Debug for Named<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({:?}, …)", self.name)
    }
}

/// A credential that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The name of the key that matched.
    pub key: Arc<str>,
    /// What the credential binds.
    pub strength: Strength,
}

/// Counts for the log: they help to see what a sender did and give nothing away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Length of the credential as sent, in bytes.
    pub credential_bytes: usize,
    /// Signatures found in it.
    pub tokens: usize,
    /// Secrets it was compared with.
    pub secrets_tried: usize,
    /// How long ago a time is that a right signature covers, in milliseconds; less than 0 ahead of us.
    pub age_ms: Option<i64>,
}

/// One way of proving, with its keys.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// HTTP Basic authentication.
    Basic(basic::Basic),
    /// A plain digest over parts of the request and the secret.
    Digest(digest::Digest),
    /// A keyed digest over parts of the request.
    Hmac(hmac::Hmac),
    /// A JSON Web Token, or a detached JSON Web Signature.
    Jose(jose::Jose),
    /// No proof is asked for; the operator wrote so in as many words.
    None,
    /// A signature that a public key verifies, over parts of the request.
    PublicKey(public_key::PublicKeyScheme),
    /// A shared token, as it is.
    Token(token::Token),
}

impl Scheme {
    /// Judges the request: right, absent (`Refusal::AuthMissing`) or wrong. Reads nothing but what its settings name.
    pub fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        match self {
            Self::Basic(scheme) => scheme.judge(facts, now, looked),
            Self::Digest(scheme) => scheme.judge(facts, now, looked),
            Self::Hmac(scheme) => scheme.judge(facts, now, looked),
            Self::Jose(scheme) => scheme.judge(facts, now, looked),
            Self::None => Ok(Proof { key: Arc::from("none"), strength: Strength::None }),
            Self::PublicKey(scheme) => scheme.judge(facts, now, looked),
            Self::Token(scheme) => scheme.judge(facts, now, looked),
        }
    }

    /// The key that a request names, for keys that are not here yet and are used with one of these algorithms. Refused
    /// is what could not be right with any key, so that nothing is fetched for it.
    pub(in crate::stages) fn key_id(
        &self,
        facts: &Facts<'_>,
        algorithms: &[(&'static str, public_key::Algorithm)],
    ) -> Result<Option<String>, Refusal> {
        match self {
            Self::Jose(scheme) => scheme.key_id(facts, algorithms.iter().map(|(name, _)| *name)),
            Self::Digest(scheme) => scheme.signed.is_signed(facts).map(|()| None),
            Self::Hmac(scheme) => scheme.is_signed(facts).map(|()| None),
            Self::PublicKey(scheme) => scheme.is_signed(facts).map(|()| None),
            Self::Basic(_) | Self::None | Self::Token(_) => Ok(None),
        }
    }

    /// What it binds.
    pub fn strength(&self) -> Strength {
        match self {
            Self::Basic(_) | Self::Token(_) => Strength::Token,
            Self::Digest(scheme) => scheme.signed.strength,
            Self::Hmac(scheme) => scheme.strength,
            Self::Jose(scheme) => scheme.strength,
            Self::None => Strength::None,
            Self::PublicKey(scheme) => scheme.strength,
        }
    }

    /// How it judges the age of a request, where it does.
    pub fn window(&self) -> Option<&window::Window> {
        match self {
            Self::Basic(_) | Self::None | Self::Token(_) => None,
            Self::Digest(scheme) => scheme.signed.window.as_ref(),
            Self::Hmac(scheme) => scheme.window.as_ref(),
            Self::Jose(scheme) => scheme.window.as_ref(),
            Self::PublicKey(scheme) => scheme.window.as_ref(),
        }
    }
}

impl From<Ambiguous> for Refusal {
    fn from(_: Ambiguous) -> Self {
        Self::AuthAmbiguous
    }
}
