//! A document of published keys: read once, when it was fetched, into keys that are there for signatures.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    certificate::Certificate,
    jwk,
    public_key::{Algorithm, PublicKey},
};
use crate::stages::{
    address::HostPattern,
    json::{Document, Kind, Limits, Pointer, Value},
};

/// Keys of one document that are looked at.
const KEYS_MAX: usize = 100;

/// How a document of keys is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the keys are written as.
    pub form: Form,
    /// Where in a JSON document they are; the whole document, where it is the root.
    pub at: Pointer,
    /// Where a JSON Web Key says, in seconds since 1970, from when on it must not be used any more.
    pub until: Option<Pointer>,
}

/// What published keys are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON Web Key (RFC 7517, section 4).
    Jwk,
    /// A JSON Web Key Set (RFC 7517, section 5).
    Jwks,
    /// A public key in PEM.
    Pem,
    /// A certificate in PEM, its issuers after it.
    X509,
}

/// The keys of one document.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<PublishedKey>);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct PublishedKey {
    id: Option<String>,
    /// The one algorithm it is for, where it says so (RFC 7517, section 4.4).
    algorithm: Option<String>,
    until: Option<Timestamp>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Certificate(Box<Certificate>),
    Jwk(Bytes),
    Pem(String),
}

impl KeySet {
    /// Reads a document. The error says what is wrong; there is at least one key otherwise.
    pub fn read(document: &Bytes, reading: &Reading) -> Result<Self, &'static str> {
        let text = || std::str::from_utf8(document).map_err(|_| "it is not text");
        let keys = match reading.form {
            Form::X509 => {
                let certificate = Certificate::from_pem(text()?).map_err(|_| "it is not a certificate")?;
                vec![PublishedKey::nameless(Material::Certificate(Box::new(certificate)))]
            }
            Form::Pem if reading.at.is_root() => vec![PublishedKey::nameless(Material::Pem(text()?.to_owned()))],
            Form::Jwk | Form::Jwks | Form::Pem => {
                let document = Document::parse(document.clone(), &Limits::default()).map_err(|_| "it is not JSON")?;
                let value = document.root().at(&reading.at).ok_or("the keys are not where they should be")?;
                reading.of_json(value)?
            }
        };
        if keys.is_empty() { Err("there is no public key in it") } else { Ok(Self(keys)) }
    }

    /// The same keys, good at any time: for requests that were recorded with certificates made up on another day.
    #[must_use]
    pub fn timeless(mut self) -> Self {
        for key in &mut self.0 {
            key.until = None;
            if let Material::Certificate(certificate) = &mut key.material {
                (certificate.not_before, certificate.not_after) = (Timestamp::MIN, Timestamp::MAX);
            }
        }
        self
    }

    /// Whether a key that a request names is among them.
    pub fn knows(&self, key_id: Option<&str>) -> bool {
        self.0.iter().any(|key| key.may_be(key_id))
    }

    /// Whether any of them is good at this moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.keys_at(now).next().is_some()
    }

    /// Those that are good at this moment.
    pub(super) fn keys_at(&self, now: Timestamp) -> impl Iterator<Item = &PublishedKey> {
        self.0.iter().filter(move |key| key.is_good(now))
    }
}

impl Reading {
    fn of_json(&self, value: Value<'_>) -> Result<Vec<PublishedKey>, &'static str> {
        match self.form {
            Form::Jwks => {
                let keys = value.member("keys").ok_or("it is not a JSON Web Key Set")?;
                // A key of a kind that is not known is passed over (RFC 7517, section 5).
                Ok(keys.elements().take(KEYS_MAX).filter_map(|key| self.key(key)).collect())
            }
            Form::Jwk => Ok(self.key(value).into_iter().collect()),
            Form::Pem | Form::X509 => {
                let pem = value.as_str().ok_or("the key is not a text")?.into_owned();
                Ok(vec![PublishedKey::nameless(Material::Pem(pem))])
            }
        }
    }

    /// A public key that is for signatures (RFC 7517, sections 4.2 and 4.3).
    fn key(&self, key: Value<'_>) -> Option<PublishedKey> {
        let text = |name: &str| key.member(name).and_then(Value::as_str);
        let is_public = matches!(text("kty")?.as_ref(), "EC" | "OKP" | "RSA") && key.member("d").is_none();
        let is_for_signatures = text("use").is_none_or(|purpose| purpose == "sig")
            && key
                .member("key_ops")
                .is_none_or(|all| all.elements().any(|one| one.as_str().as_deref() == Some("verify")));
        let until = match self.until.as_ref().and_then(|pointer| key.at(pointer)) {
            Some(end) if end.kind() != Kind::Null => {
                Some(Timestamp::from_second(end.number_text()?.parse().ok()?).ok()?)
            }
            Some(_) | None => None,
        };
        let [id, algorithm] = ["kid", "alg"].map(|name| text(name).map(Cow::into_owned));
        let material = Material::Jwk(key.bytes());
        (is_public && is_for_signatures).then_some(PublishedKey { id, algorithm, until, material })
    }
}

impl PublishedKey {
    const fn nameless(material: Material) -> Self {
        Self { id: None, algorithm: None, until: None, material }
    }

    /// The sender's name for it.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it can be the key that a request names: one without a name can be any.
    pub(super) fn may_be(&self, key_id: Option<&str>) -> bool {
        self.id().zip(key_id).is_none_or(|(id, wanted)| id == wanted)
    }

    /// Whether the certificate that it came in, if it came in one, is for one of these names; none stands for any.
    pub(super) fn is_for_one_of(&self, names: &[HostPattern]) -> bool {
        match &self.material {
            Material::Certificate(certificate) => {
                let is_one = |name: &str| names.iter().any(|known| known.names(name));
                names.is_empty() || certificate.name.as_deref().is_some_and(is_one)
            }
            Material::Jwk(_) | Material::Pem(_) => true,
        }
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
            && match &self.material {
                Material::Certificate(certificate) => certificate.is_valid(now),
                Material::Jwk(_) | Material::Pem(_) => true,
            }
    }

    /// The key, if it is one for this algorithm of this name.
    pub(super) fn as_one_for(&self, name: &str, algorithm: Algorithm) -> Option<PublicKey> {
        let is_for_another = self.algorithm.as_deref().is_some_and(|only| !name.is_empty() && only != name);
        let key = match &self.material {
            Material::Certificate(certificate) => PublicKey::from_spki(algorithm, &certificate.key),
            Material::Jwk(key) => jwk::read(algorithm, std::str::from_utf8(key).ok()?),
            Material::Pem(pem) => PublicKey::from_pem(algorithm, pem),
        };
        key.ok().filter(|_| !is_for_another)
    }
}
