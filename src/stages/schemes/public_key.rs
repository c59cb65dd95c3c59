//! Signatures that are verified with the sender's public key: RSA PKCS #1 v1.5 and PSS (RFC 8017, section 8), ECDSA over P-256
//! (FIPS 186-5) and Ed25519 (RFC 8032). Keys are pinned; no private key ever enters the gateway. The algorithm belongs
//! to the key, never to the request (W-18, W-19).

use std::fmt;

use pkcs1::RsaPublicKey;
use ring::signature::{self as verification, UnparsedPublicKey, VerificationAlgorithm};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, Document, Encode, asn1::UintRef},
};

use super::{
    certificate::{Certificate, Unreadable},
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
    /// RSA PSS with this hash, and a salt as long as it.
    RsaPss(Hash),
}

/// A public key that is known to be usable.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
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
                let certificate = Certificate::from_der(der.as_bytes())
                    .map_err(|Unreadable| "the certificate cannot be read".to_owned())?;
                Self::from_spki(algorithm, &certificate.key)
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
            Algorithm::Rsa(_) | Algorithm::RsaPss(_) => (info.algorithm.oid == RSA, "an RSA"),
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

    /// What the key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself, as [`from_raw`](Self::from_raw) takes it.
    pub fn as_bytes(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// Reads the key itself: 32 bytes for Ed25519, the uncompressed point for ECDSA, PKCS #1 DER for RSA.
    pub fn from_raw(algorithm: Algorithm, key: &[u8]) -> Result<Self, String> {
        let (method, length): (&'static dyn VerificationAlgorithm, _) = match algorithm {
            Algorithm::EcdsaDer => (&verification::ECDSA_P256_SHA256_ASN1, Length::UpTo(72)),
            Algorithm::EcdsaRaw => (&verification::ECDSA_P256_SHA256_FIXED, Length::Exactly(64)),
            Algorithm::Ed25519 => (&verification::ED25519, Length::Exactly(64)),
            Algorithm::Rsa(hash) => (rsa(hash), Length::Exactly(modulus_bytes(key)?)),
            Algorithm::RsaPss(hash) => (rsa_pss(hash)?, Length::Exactly(modulus_bytes(key)?)),
        };
        match algorithm {
            Algorithm::EcdsaDer | Algorithm::EcdsaRaw if key.len() != 65 || key[0] != 4 => {
                Err("an uncompressed P-256 point has 65 bytes and begins with 04".to_owned())
            }
            Algorithm::Ed25519 if key.len() != 32 => {
                Err(format!("an Ed25519 key has 32 bytes, and this one {}", key.len()))
            }
            Algorithm::EcdsaDer
            | Algorithm::EcdsaRaw
            | Algorithm::Ed25519
            | Algorithm::Rsa(_)
            | Algorithm::RsaPss(_) => Ok(Self { algorithm, key: UnparsedPublicKey::new(method, key.to_vec()), length }),
        }
    }
}

impl Verifier for PublicKey {
    fn signature_length(&self) -> Length {
        self.length
    }

    fn verifies(&self, parts: &[impl AsRef<[u8]>], signatures: &[impl AsRef<[u8]>]) -> bool {
        let joined;
        let text = match parts {
            [one] => one.as_ref(),
            many => {
                joined = many.iter().map(AsRef::as_ref).collect::<Vec<_>>().concat();
                joined.as_slice()
            }
        };
        signatures.iter().any(|signature| self.key.verify(text, signature.as_ref()).is_ok())
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

fn rsa_pss(hash: Hash) -> Result<&'static dyn VerificationAlgorithm, String> {
    match hash {
        Hash::Sha1 => Err("RSA PSS with SHA-1 is not taken".to_owned()),
        Hash::Sha256 => Ok(&verification::RSA_PSS_2048_8192_SHA256),
        Hash::Sha384 => Ok(&verification::RSA_PSS_2048_8192_SHA384),
        Hash::Sha512 => Ok(&verification::RSA_PSS_2048_8192_SHA512),
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

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};
    use ring::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
            KeyPair,
        },
    };

    use super::*;

    const ED25519_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    /// Before the key in the `SubjectPublicKeyInfo` of RFC 8410, section 4.
    const ED25519_SPKI: &str = "302a300506032b6570032100";

    fn pair(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, SystemRandom) {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        (EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(), random)
    }

    #[test]
    fn ecdsa_in_either_form_and_not_in_the_other() {
        for (signing, right, wrong) in [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, Algorithm::EcdsaDer, Algorithm::EcdsaRaw),
            (&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::EcdsaRaw, Algorithm::EcdsaDer),
        ] {
            let (pair, random) = pair(signing);
            let signature = vec![pair.sign(&random, b"12").unwrap().as_ref().to_vec()];
            let key = |algorithm| PublicKey::from_raw(algorithm, pair.public_key().as_ref()).unwrap();
            assert!(key(right).verifies(&[b"1", b"2"], &signature), "{right:?}");
            assert!(!key(right).verifies(&[b"1", b"3"], &signature), "{right:?}");
            assert!(!key(wrong).verifies(&[b"12"], &signature), "{wrong:?}");
        }
    }

    #[test]
    fn rfc_8032_test_2() {
        let key = HEXLOWER.decode(b"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signature = HEXLOWER
            .decode(
                b"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            )
            .unwrap();
        let key = PublicKey::from_raw(Algorithm::Ed25519, &key).unwrap();
        for at in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            assert!(!key.verifies(&[&[0x72]], &[wrong]), "byte {at} is another");
        }
        assert!(!key.verifies(&[&[0x73]], std::slice::from_ref(&signature)));
        assert!(key.verifies(&[&[0x72]], &[signature]));
    }

    #[test]
    fn keys_in_their_forms() {
        let raw = HEXLOWER.decode(ED25519_KEY.as_bytes()).unwrap();
        let spki = HEXLOWER.decode(format!("{ED25519_SPKI}{ED25519_KEY}").as_bytes()).unwrap();
        let pem = |label: &str| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(&spki));
        let problem = |key: Result<PublicKey, String>| key.err();
        assert_eq!(problem(PublicKey::from_raw(Algorithm::Ed25519, &raw)), None);
        assert_eq!(problem(PublicKey::from_spki(Algorithm::Ed25519, &spki)), None);
        assert_eq!(problem(PublicKey::from_pem(Algorithm::Ed25519, &pem("PUBLIC KEY"))), None);
        for (key, complaint) in [
            (PublicKey::from_raw(Algorithm::Ed25519, &raw[1..]), "an Ed25519 key has 32 bytes"),
            (PublicKey::from_raw(Algorithm::EcdsaDer, &raw), "65 bytes"),
            (PublicKey::from_raw(Algorithm::Rsa(Hash::Sha256), &raw), "cannot be read"),
            (PublicKey::from_spki(Algorithm::EcdsaRaw, &spki), "not a P-256 key"),
            (PublicKey::from_spki(Algorithm::Rsa(Hash::Sha1), &spki), "not an RSA key"),
            (PublicKey::from_spki(Algorithm::Ed25519, &spki[1..]), "cannot be read"),
            (PublicKey::from_pem(Algorithm::Ed25519, &pem("PRIVATE KEY")), "private key"),
            (PublicKey::from_pem(Algorithm::Ed25519, &pem("CERTIFICATE")), "certificate cannot be read"),
            (PublicKey::from_pem(Algorithm::Ed25519, &pem("CERTIFICATE REQUEST")), "not a `PUBLIC KEY`"),
            (PublicKey::from_rsa_numbers(Algorithm::Rsa(Hash::Sha256), &[0xff; 128], &[1, 0, 1]), "1024 bits"),
        ] {
            let problem = problem(key).unwrap_or_else(|| panic!("{complaint}"));
            assert!(problem.contains(complaint), "{problem}");
        }
    }
}
