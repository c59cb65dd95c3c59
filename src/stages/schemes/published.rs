//! Keys that a sender publishes: where they lie, what is written there, and which of them may verify a request. Who has
//! fetched them, and when, is nothing to this file.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    Named,
    certificate::Certificate,
    jose::{Key, Verifying},
    jwk,
    public_key::{Algorithm, PublicKey},
};
use crate::{
    secret::Secret,
    stages::{
        address::{Address, Destination, HostPattern},
        json::{Document, Limits, Pointer, Value},
        selector::Facts,
        template::Template,
        words::Refusal,
    },
};

/// Keys of one document that are tried for one request: every one may cost a signature.
const TRIED_MAX: usize = 8;

/// Keys of one document that are looked at.
const KEYS_MAX: usize = 100;

/// The name of a key that has none that could stand in a log.
const NAMELESS: &str = "published";

/// Where a sender publishes its keys.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Where: of several, each that a request names.
    pub places: Vec<Destination>,
    /// What is posted there; without it the keys are asked for with `GET`.
    pub post: Option<Template>,
    /// What is found there.
    pub reading: Reading,
    /// Names that a certificate must be for, one of them; empty means any.
    pub names: Vec<HostPattern>,
    /// What the keys are used for, each with its name in JSON Web Signatures (RFC 7518, section 3.1).
    pub algorithms: Vec<(&'static str, Algorithm)>,
    /// Networks that are gone to, though they are not public.
    pub networks: Arc<[IpNet]>,
}

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

/// One way of the gateway: where, with what, and to which addresses besides public ones.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Where to.
    pub address: Address,
    /// What is posted there; without it, it is a `GET`.
    pub post: Option<Secret>,
    /// Networks that are gone to, though they are not public.
    pub networks: Arc<[IpNet]>,
}

/// A document of keys that a request cannot be judged without.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which of the source's rules wants it.
    pub(in crate::stages) rule: usize,
    /// The way there.
    pub errand: Errand,
    /// How it is read.
    pub reading: Reading,
    /// The key of it that the request names.
    pub key_id: Option<String>,
}

/// The keys of one document.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<PublishedKey>);

#[derive(Clone, Debug)]
struct PublishedKey {
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

/// What was fetched for one request.
#[derive(Clone, Debug, Default)]
pub struct Published {
    sets: Vec<(usize, Arc<KeySet>)>,
    incomplete: bool,
}

impl Publisher {
    /// What has to be fetched for a request whose credential names this key. No address is not on the list (W-52).
    pub(in crate::stages) fn wants(
        &self,
        rule: usize,
        key_id: Option<&str>,
        facts: &Facts<'_>,
    ) -> Result<Vec<Wanted>, Refusal> {
        let facts = Facts { key_id, ..facts.clone() };
        let mut wanted = Vec::new();
        for place in &self.places {
            let Some(address) = place.find(&facts)? else { continue };
            let post = match &self.post {
                None => None,
                Some(body) => Some(Secret::new(body.render(&facts)?.ok_or(Refusal::AuthMalformed)?)),
            };
            let errand = Errand { address, post, networks: self.networks.clone() };
            let key_id = key_id.map(str::to_owned);
            wanted.push(Wanted { rule, errand, reading: self.reading.clone(), key_id });
        }
        if wanted.is_empty() { Err(Refusal::AuthMissing) } else { Ok(wanted) }
    }

    /// The keys that may verify a request which names this key, each with the algorithm it is used with.
    pub(in crate::stages) fn keys(&self, set: &KeySet, key_id: Option<&str>, now: Timestamp) -> Vec<Named<Key>> {
        let is_meant = |key: &&PublishedKey| {
            let is_named = |certificate: &Certificate| {
                let fits = |name: &str| self.names.iter().any(|known| known.names(name));
                self.names.is_empty() || certificate.name.as_deref().is_some_and(fits)
            };
            let is_other = key.id.as_deref().zip(key_id).is_some_and(|(id, wanted)| id != wanted);
            let is_over = key.until.is_some_and(|until| until <= now);
            let is_good = match &key.material {
                Material::Certificate(certificate) => certificate.is_valid(now) && is_named(certificate),
                Material::Jwk(_) | Material::Pem(_) => true,
            };
            is_good && !is_other && !is_over
        };
        let keys = set.0.iter().filter(is_meant).flat_map(|key| {
            self.algorithms.iter().filter_map(|(name, algorithm)| {
                let verifying = Verifying::Public(key.as_one_for(name, *algorithm)?);
                let key = Key { algorithm: name, id: key.id.clone(), verifying };
                let name = key.id.as_deref().filter(|id| is_name(id)).unwrap_or(NAMELESS);
                Some(Named { name: Arc::from(name), until: None, key })
            })
        });
        keys.take(TRIED_MAX).collect()
    }
}

impl Wanted {
    /// What tells one document from another: two requests that want the same can share what is fetched.
    pub fn identity(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let Reading { form, at, until } = &self.reading;
        let until = until.as_ref().map_or("", Pointer::as_str);
        for part in [&self.errand.address.to_string(), &format!("{form:?}"), at.as_str(), until] {
            hash.update(part);
            hash.update([0]);
        }
        for network in &*self.errand.networks {
            hash.update(network.to_string());
            hash.update([0]);
        }
        hash.update(self.errand.post.as_ref().map_or(&[][..], Secret::expose));
        hash.finalize().into()
    }
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

    /// Whether a key that a request names is among them; a key without a name can be any.
    pub fn knows(&self, key_id: Option<&str>) -> bool {
        key_id.is_none_or(|wanted| self.0.iter().any(|key| key.id.as_deref().is_none_or(|id| id == wanted)))
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
        let until = match self.until.as_ref().and_then(|pointer| key.at(pointer)).and_then(Value::number_text) {
            None => None,
            Some(seconds) => Some(Timestamp::from_second(seconds.parse().ok()?).ok()?),
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

    /// The key, if it is one for this algorithm of this name.
    fn as_one_for(&self, name: &str, algorithm: Algorithm) -> Option<PublicKey> {
        let is_for_another = self.algorithm.as_deref().is_some_and(|only| !name.is_empty() && only != name);
        let key = match &self.material {
            Material::Certificate(certificate) => PublicKey::from_spki(algorithm, &certificate.key),
            Material::Jwk(key) => jwk::read(algorithm, std::str::from_utf8(key).ok()?),
            Material::Pem(pem) => PublicKey::from_pem(algorithm, pem),
        };
        key.ok().filter(|_| !is_for_another)
    }
}

impl Published {
    /// Keys that a rule wanted.
    pub fn add(&mut self, wanted: &Wanted, set: Arc<KeySet>) {
        self.sets.push((wanted.rule, set));
    }

    /// Keys that a rule wanted are there, and cannot be had now.
    pub fn miss(&mut self) {
        self.incomplete = true;
    }

    /// Whether there are keys that cannot be had now: who is not verified may be right all the same.
    pub(in crate::stages) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The documents that were fetched for a rule.
    pub(in crate::stages) fn of(&self, rule: usize) -> impl Iterator<Item = &KeySet> {
        self.sets.iter().filter(move |(of, _)| *of == rule).map(|(_, set)| &**set)
    }
}

/// Whether it can stand in a log and in a header as it is.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
