//! HMAC over parts of the request (RFC 2104). Keys are scheduled once, when the configuration is read.

use std::fmt;

use ::hmac::{Hmac as Keyed, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::{Looked, Named, Proof, Strength, signature::Format, window::Window};
use crate::{
    secret::Secret,
    stages::{
        selector::{Facts, Selector},
        template::{Piece, Template},
        words::Refusal,
    },
};

/// The settings of an HMAC scheme.
#[derive(Clone, Debug)]
pub struct Hmac {
    /// Where the signature is and how it is written.
    pub signature: Format,
    /// What is signed: candidates, of which each complete one is tried.
    pub messages: Vec<Template>,
    /// The window for a signed time.
    pub window: Option<Window>,
    /// The keys in force.
    pub keys: Vec<Named<Key>>,
    /// What a right signature binds.
    pub strength: Strength,
}

/// The hash under the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: still sound in HMAC, offered only because senders use it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A scheduled key: cloning it costs a copy, not a key schedule.
#[derive(Clone)]
pub enum Key {
    /// For SHA-1.
    Sha1(Keyed<Sha1>),
    /// For SHA-256.
    Sha256(Keyed<Sha256>),
    /// For SHA-384.
    Sha384(Keyed<Sha384>),
    /// For SHA-512.
    Sha512(Keyed<Sha512>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A key of no bytes: everybody knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyKey;

/// A digest and how many of its bytes count.
struct Tag {
    bytes: [u8; 64],
    length: usize,
}

impl Key {
    /// Schedules a key. An empty one is refused, whatever the configuration said (W-03).
    pub fn new(hash: Hash, secret: &Secret) -> Result<Self, EmptyKey> {
        let secret = secret.expose();
        if secret.is_empty() {
            return Err(EmptyKey);
        }
        Ok(match hash {
            Hash::Sha1 => Self::Sha1(Keyed::new_from_slice(secret).expect("HMAC takes keys of any length")),
            Hash::Sha256 => Self::Sha256(Keyed::new_from_slice(secret).expect("HMAC takes keys of any length")),
            Hash::Sha384 => Self::Sha384(Keyed::new_from_slice(secret).expect("HMAC takes keys of any length")),
            Hash::Sha512 => Self::Sha512(Keyed::new_from_slice(secret).expect("HMAC takes keys of any length")),
        })
    }

    /// Bytes of the digest.
    pub fn length(&self) -> usize {
        match self {
            Self::Sha1(_) => 20,
            Self::Sha256(_) => 32,
            Self::Sha384(_) => 48,
            Self::Sha512(_) => 64,
        }
    }

    /// The digest of these parts in a row; for those who sign, and for tests.
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        let tag = self.tag(parts);
        tag.bytes[..tag.length].to_vec()
    }

    fn tag(&self, parts: &[&[u8]]) -> Tag {
        fn finish<M: Mac>(mut mac: M, parts: &[&[u8]]) -> Tag {
            for part in parts {
                mac.update(part);
            }
            let digest = mac.finalize().into_bytes();
            let mut tag = Tag { bytes: [0; 64], length: digest.len() };
            tag.bytes[..digest.len()].copy_from_slice(&digest);
            tag
        }
        match self {
            Self::Sha1(mac) => finish(mac.clone(), parts),
            Self::Sha256(mac) => finish(mac.clone(), parts),
            Self::Sha384(mac) => finish(mac.clone(), parts),
            Self::Sha512(mac) => finish(mac.clone(), parts),
        }
    }
}

impl Hmac {
    /// At most one HMAC per key and complete message, however many signatures were sent (W-29).
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let credential = self.signature.locate(facts)?.ok_or(Refusal::AuthMissing)?;
        looked.credential_bytes = credential.len();
        let parsed = self.signature.parse(&credential)?;
        looked.tokens = parsed.signatures.len();
        let length = self.keys.first().map_or(0, |named| named.key.length());
        let encoding = self.signature.encoding;
        let signatures: Vec<_> = parsed.signatures.iter().filter_map(|text| encoding.decode(text, length)).collect();
        if signatures.is_empty() {
            return Err(Refusal::AuthMalformed);
        }
        let facts = Facts { fields: &parsed.fields, ..facts.clone() };
        let mut complete = false;
        for message in &self.messages {
            let Some(parts) = signed_parts(message, &facts)? else { continue };
            complete = true;
            let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
            for named in self.keys.iter().filter(|named| named.is_current(now)) {
                looked.secrets_tried += 1;
                let tag = named.key.tag(&parts);
                if signatures.iter().any(|signature| bool::from(signature.ct_eq(&tag.bytes[..tag.length]))) {
                    self.window.as_ref().map_or(Ok(()), |window| window.check(&facts, now))?;
                    return Ok(Proof { key: named.name.clone(), strength: self.strength });
                }
            }
        }
        Err(if complete { Refusal::AuthMismatch } else { Refusal::AuthMissing })
    }
}

/// The parts of the signed text, or nothing when one of them is absent. A value that contains the text which ends it
/// could run into the next one, so that two requests would have one signed text (W-38).
pub(super) fn signed_parts<'a>(
    message: &'a Template,
    facts: &Facts<'a>,
) -> Result<Option<Vec<std::borrow::Cow<'a, [u8]>>>, Refusal> {
    let pieces = message.pieces();
    let mut parts = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => parts.push(std::borrow::Cow::Borrowed(text.as_bytes())),
            Piece::Value(selector) => {
                let Some(value) = selector.find(facts)? else { return Ok(None) };
                if let Some(Piece::Literal(end)) = pieces.get(index + 1)
                    && runs_over(selector, &value, end.as_bytes())
                {
                    return Err(Refusal::AuthMalformed);
                }
                parts.push(value);
            }
        }
    }
    Ok(Some(parts))
}

fn runs_over(selector: &Selector, value: &[u8], end: &[u8]) -> bool {
    !selector.is_in_body() && value.windows(end.len()).any(|window| window == end)
}
