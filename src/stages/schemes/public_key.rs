//! Signatures that are verified with the sender's public key: RSA PKCS #1 v1.5 (RFC 8017, section 8.2), ECDSA over P-256
//! (FIPS 186-5) and Ed25519 (RFC 8032). Keys are pinned; no private key ever enters the gateway. The algorithm belongs
//! to the key, never to the request (W-18, W-19).

use std::fmt;

use pkcs1::RsaPublicKey;
use ring::signature::{self as verification, UnparsedPublicKey, VerificationAlgorithm};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Decode, Document, Encode, Reader, SliceReader,
        asn1::{AnyRef, UintRef},
    },
};

use super::{
    hmac::Hash,
    signature::Length,
    signed::{Signed, Verifier},
};

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480, section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `id-Ed25519` (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A scheme with public keys.
pub type PublicKeyScheme = Signed<PublicKey>;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256; the signature is DER, 70 to 72 bytes as a rule.
    EcdsaDer,
    /// ECDSA over P-256 with SHA-256; the signature is r and s, 32 bytes each.
    EcdsaRaw,
    /// Ed25519.
    Ed25519,
    /// RSA PKCS #1 v1.5 with this hash.
    Rsa(Hash),
}

/// A public key that is known to be usable.
#[derive(Clone)]
pub struct PublicKey {
    key: UnparsedPublicKey<Vec<u8>>,
    length: Length,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.length)
    }
}

impl PublicKey {
    /// Reads PEM: `PUBLIC KEY` (RFC 5280), `RSA PUBLIC KEY` (RFC 8017), or a `CERTIFICATE`, of which only the key counts:
    /// who pins a certificate has judged it. The error says what is wrong.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("this is a private key; only the sender's public key belongs here".to_owned());
        }
        let (label, der) = Document::from_pem(pem.trim())
            .map_err(|_| "this is not a PEM public key (`-----BEGIN PUBLIC KEY-----` …)".to_owned())?;
        match label {
            "PUBLIC KEY" => Self::from_spki(algorithm, der.as_bytes()),
            "RSA PUBLIC KEY" => Self::from_raw(algorithm, der.as_bytes()),
            "CERTIFICATE" => {
                let key =
                    key_of_certificate(der.as_bytes()).map_err(|_| "the certificate cannot be read".to_owned())?;
                Self::from_info(algorithm, &key)
            }
            _ => Err(format!("this is a PEM `{label}`, not a `PUBLIC KEY`")),
        }
    }

    /// Reads a DER `SubjectPublicKeyInfo`.
    pub fn from_spki(algorithm: Algorithm, der: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| "the key's DER cannot be read".to_owned())?;
        Self::from_info(algorithm, &info)
    }

    fn from_info(algorithm: Algorithm, info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, String> {
        let curve = || info.algorithm.parameters_oid();
        let (fits, name) = match algorithm {
            Algorithm::EcdsaDer | Algorithm::EcdsaRaw => {
                (info.algorithm.oid == ELLIPTIC_CURVE && curve() == Ok(P256), "a P-256")
            }
            Algorithm::Ed25519 => (info.algorithm.oid == ED25519, "an Ed25519"),
            Algorithm::Rsa(_) => (info.algorithm.oid == RSA, "an RSA"),
        };
        if !fits {
            return Err(format!("the key is not {name} key"));
        }
        Self::from_raw(algorithm, info.subject_public_key.as_bytes().ok_or("the key's DER cannot be read")?)
    }

    /// Reads an RSA key's two numbers, with their most significant bytes first.
    pub fn from_rsa_numbers(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let number = |bytes| UintRef::new(bytes).map_err(|_| "the RSA key's numbers cannot be read".to_owned());
        let key = RsaPublicKey { modulus: number(modulus)?, public_exponent: number(exponent)? };
        Self::from_raw(algorithm, &key.to_der().map_err(|_| "the RSA key is too long".to_owned())?)
    }

    /// Reads the key itself: 32 bytes for Ed25519, the uncompressed point for ECDSA, PKCS #1 DER for RSA.
    pub fn from_raw(algorithm: Algorithm, key: &[u8]) -> Result<Self, String> {
        let (method, length): (&'static dyn VerificationAlgorithm, _) = match algorithm {
            Algorithm::EcdsaDer => (&verification::ECDSA_P256_SHA256_ASN1, Length::UpTo(72)),
            Algorithm::EcdsaRaw => (&verification::ECDSA_P256_SHA256_FIXED, Length::Exactly(64)),
            Algorithm::Ed25519 => (&verification::ED25519, Length::Exactly(64)),
            Algorithm::Rsa(hash) => (rsa(hash), Length::Exactly(modulus_bytes(key)?)),
        };
        match algorithm {
            Algorithm::EcdsaDer | Algorithm::EcdsaRaw if key.len() != 65 || key[0] != 4 => {
                Err("an uncompressed P-256 point has 65 bytes and begins with 04".to_owned())
            }
            Algorithm::Ed25519 if key.len() != 32 => {
                Err(format!("an Ed25519 key has 32 bytes, and this one {}", key.len()))
            }
            Algorithm::EcdsaDer | Algorithm::EcdsaRaw | Algorithm::Ed25519 | Algorithm::Rsa(_) => {
                Ok(Self { key: UnparsedPublicKey::new(method, key.to_vec()), length })
            }
        }
    }
}

impl Verifier for PublicKey {
    fn signature_length(&self) -> Length {
        self.length
    }

    fn verifies(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        let joined;
        let text = match parts {
            [one] => one,
            many => {
                joined = many.concat();
                joined.as_slice()
            }
        };
        signatures.iter().any(|signature| self.key.verify(text, signature).is_ok())
    }
}

fn rsa(hash: Hash) -> &'static dyn VerificationAlgorithm {
    match hash {
        Hash::Sha1 => &verification::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &verification::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &verification::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &verification::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn modulus_bytes(der: &[u8]) -> Result<usize, String> {
    let key = RsaPublicKey::from_der(der).map_err(|_| "the RSA key's DER cannot be read".to_owned())?;
    let bytes = key.modulus.as_bytes().len();
    if (256..=1024).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("the RSA key has {} bits; 2048 to 8192 are accepted", bytes * 8))
    }
}

/// The key of a certificate (RFC 5280, section 4.1): after the version, if there is one, the serial number, the
/// algorithm, the issuer, the validity and the subject.
fn key_of_certificate(der: &[u8]) -> spki::der::Result<SubjectPublicKeyInfoRef<'_>> {
    let certificate = AnyRef::from_der(der)?;
    let to_be_signed = AnyRef::decode(&mut SliceReader::new(certificate.value())?)?;
    let mut fields = SliceReader::new(to_be_signed.value())?;
    let has_version = fields.peek_tag()?.is_context_specific();
    for _ in 0..(5 + usize::from(has_version)) {
        AnyRef::decode(&mut fields)?;
    }
    SubjectPublicKeyInfoRef::decode(&mut fields)
}
