//! RSA signatures, PKCS #1 v1.5 with SHA-256 (RFC 8017, section 8.2), with pinned public keys. No private key ever
//! enters the gateway; SHA-1, PSS and keys under 2048 bits are refused.

use std::fmt;

use jiff::Timestamp;
use pkcs1::{RsaPublicKey, der::Decode};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{Looked, Named, Proof, Strength, hmac::signed_parts, signature::Format, window::Window};
use crate::stages::{selector::Facts, template::Template, words::Refusal};

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The settings of an RSA scheme.
#[derive(Clone, Debug)]
pub struct Rsa {
    /// Where the signature is and how it is written.
    pub signature: Format,
    /// What is signed: candidates, of which each complete one is tried.
    pub messages: Vec<Template>,
    /// The window for a signed time.
    pub window: Option<Window>,
    /// The keys in force.
    pub keys: Vec<Named<PublicKey>>,
    /// What a right signature binds.
    pub strength: Strength,
}

/// A public key that is known to be usable.
#[derive(Clone)]
pub struct PublicKey {
    key: UnparsedPublicKey<Vec<u8>>,
    bytes: usize,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits)", self.bytes * 8)
    }
}

impl PublicKey {
    /// Reads PEM: `PUBLIC KEY` (RFC 5280) or `RSA PUBLIC KEY` (RFC 8017). The error says what to do.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("this is a private key; only the sender's public key belongs here".to_owned());
        }
        let (label, der) = spki::der::Document::from_pem(pem.trim())
            .map_err(|_| "this is not a PEM public key (`-----BEGIN PUBLIC KEY-----` …)".to_owned())?;
        match label {
            "PUBLIC KEY" => Self::from_spki(der.as_bytes()),
            "RSA PUBLIC KEY" => Self::from_pkcs1(der.as_bytes()),
            _ => Err(format!("this is a PEM `{label}`, not a `PUBLIC KEY`")),
        }
    }

    /// Reads a DER `SubjectPublicKeyInfo`.
    pub fn from_spki(der: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| "the key's DER cannot be read".to_owned())?;
        if info.algorithm.oid != RSA_ENCRYPTION {
            return Err("the key is not an RSA key".to_owned());
        }
        let key = info.subject_public_key.as_bytes().ok_or("the key's DER cannot be read")?;
        Self::from_pkcs1(key)
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, String> {
        let key = RsaPublicKey::from_der(der).map_err(|_| "the RSA key's DER cannot be read".to_owned())?;
        let bytes = key.modulus.as_bytes().len();
        if !(256..=1024).contains(&bytes) {
            return Err(format!("the RSA key has {} bits; 2048 to 8192 are accepted", bytes * 8));
        }
        Ok(Self { key: UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.to_vec()), bytes })
    }
}

impl Rsa {
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let credential = self.signature.locate(facts)?.ok_or(Refusal::AuthMissing)?;
        looked.credential_bytes = credential.len();
        let parsed = self.signature.parse(&credential)?;
        looked.tokens = parsed.signatures.len();
        let facts = Facts { fields: &parsed.fields, ..facts.clone() };
        let (mut well_formed, mut complete) = (false, false);
        for message in &self.messages {
            let Some(parts) = signed_parts(message, &facts)? else { continue };
            complete = true;
            let text = match parts.as_slice() {
                [one] => one.clone(),
                many => many.concat().into(),
            };
            for named in self.keys.iter().filter(|named| named.is_current(now)) {
                looked.secrets_tried += 1;
                let encoding = self.signature.encoding;
                for signature in parsed.signatures.iter().filter_map(|text| encoding.decode(text, named.key.bytes)) {
                    well_formed = true;
                    if named.key.key.verify(&text, &signature).is_ok() {
                        self.window.as_ref().map_or(Ok(()), |window| window.check(&facts, now))?;
                        return Ok(Proof { key: named.name.clone(), strength: self.strength });
                    }
                }
            }
        }
        Err(match (complete, well_formed) {
            (false, _) => Refusal::AuthMissing,
            (true, false) => Refusal::AuthMalformed,
            (true, true) => Refusal::AuthMismatch,
        })
    }
}
