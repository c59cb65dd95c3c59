//! Private keys for playing a sender that signs with one: read from a file, or made for a test.
//!
//! They never come near the gateway: what it takes is the public half, in the form in which its configuration has it.

mod textbook;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use pkcs1::RsaPublicKey;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
        RsaEncoding, RsaKeyPair,
    },
};
use serde_json::json;
use spki::{
    AlgorithmIdentifierRef, SubjectPublicKeyInfoRef,
    der::{
        AnyRef, Decode as _, Document, Encode as _, EncodePem as _,
        asn1::{BitStringRef, ObjectIdentifier},
        pem::LineEnding,
    },
};
use zeroize::Zeroizing;

use crate::{
    config::raw::auth::{Decode, Kind},
    stages::schemes::{hmac::Hash, public_key::Algorithm, sign::Signer},
};

/// A private key.
pub(super) struct PrivateKey {
    pair: Pair,
    public: Vec<u8>,
}

enum Pair {
    /// PKCS #8, from which a pair is made for each form of signatures.
    Ecdsa(Zeroizing<Vec<u8>>),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<Rsa>),
}

struct Rsa {
    pair: RsaKeyPair,
    /// The same in PKCS #1, for what ring does not do.
    der: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// What a private key must be.
const WANTED: &str = "an unencrypted PKCS #8 key in PEM (`-----BEGIN PRIVATE KEY-----`): Ed25519, P-256 or RSA";

impl PrivateKey {
    /// Reads PEM.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let (label, der) = Document::from_pem(pem.trim()).map_err(|_| format!("it is not {WANTED}"))?;
        let der = Zeroizing::new(der.into_vec());
        let rsa = |der: Zeroizing<Vec<u8>>| {
            let pair = RsaKeyPair::from_der(&der).map_err(|error| error.to_string())?;
            Ok((pair.public().as_ref().to_vec(), Pair::Rsa(Box::new(Rsa { pair, der }))))
        };
        let (public, pair) = match label {
            "RSA PRIVATE KEY" => rsa(der)?,
            "PRIVATE KEY" => {
                if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                    (pair.public_key().as_ref().to_vec(), Pair::Ed25519(pair))
                } else if let Ok(pair) = ecdsa(&der, Algorithm::EcdsaDer) {
                    (pair.public_key().as_ref().to_vec(), Pair::Ecdsa(der))
                } else {
                    let inner = textbook::unwrap(&der).map_err(|error| error.to_string()).and_then(rsa);
                    inner.map_err(|error| format!("it is not {WANTED} ({error})"))?
                }
            }
            label => return Err(format!("it is a PEM `{label}`, and not {WANTED}")),
        };
        Ok(Self { pair, public })
    }

    /// Makes a new one, in PEM. There is none for RSA in this program's libraries, so the `openssl` command makes it.
    pub(super) fn make(kind: Kind) -> Result<Zeroizing<String>, String> {
        let random = SystemRandom::new();
        let none = |_| "there is no randomness".to_owned();
        let der = match kind {
            Kind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random).map_err(none)?,
            Kind::Ecdsa => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(none)?,
            Kind::Rsa => return make_rsa(),
            Kind::Basic | Kind::Digest | Kind::Hmac | Kind::Jws | Kind::Jwt | Kind::None | Kind::Token => {
                return Err("the source's sender has no private key: `send` signs with its secret".to_owned());
            }
        };
        let pem = spki::der::pem::encode_string("PRIVATE KEY", LineEnding::LF, der.as_ref());
        pem.map(Zeroizing::new).map_err(|error| error.to_string())
    }

    /// The public half as a source takes it that reads its secrets so.
    pub(super) fn public_as(&self, decode: Decode) -> Result<String, String> {
        let cannot = |_| "the public half cannot be written".to_owned();
        Ok(match decode {
            Decode::Base64 => BASE64.encode(&self.public),
            Decode::Hex => HEXLOWER.encode(&self.public),
            Decode::Jwk => self.jwk()?.to_string(),
            Decode::Pem | Decode::Utf8 => self.info()?.to_pem(LineEnding::LF).map_err(cannot)?.trim_end().to_owned(),
            Decode::Spki => BASE64.encode(&self.info()?.to_der().map_err(cannot)?),
        })
    }

    /// `SubjectPublicKeyInfo` (RFC 5280, section 4.1; RFC 5480; RFC 8410; RFC 8017, appendix A).
    fn info(&self) -> Result<SubjectPublicKeyInfoRef<'_>, String> {
        const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        let (oid, parameters) = match &self.pair {
            Pair::Ecdsa(_) => ("1.2.840.10045.2.1", Some(AnyRef::from(&P256))),
            Pair::Ed25519(_) => ("1.3.101.112", None),
            Pair::Rsa(_) => ("1.2.840.113549.1.1.1", Some(AnyRef::NULL)),
        };
        let algorithm = AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap(oid), parameters };
        let subject_public_key = BitStringRef::from_bytes(&self.public).map_err(|error| error.to_string())?;
        Ok(SubjectPublicKeyInfoRef { algorithm, subject_public_key })
    }

    /// A JSON Web Key (RFC 7517; RFC 7518, section 6; RFC 8037).
    fn jwk(&self) -> Result<serde_json::Value, String> {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        Ok(match &self.pair {
            Pair::Ecdsa(_) => {
                let (x, y) = self.public[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Pair::Ed25519(_) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&self.public) }),
            Pair::Rsa(_) => {
                let key = RsaPublicKey::from_der(&self.public).map_err(|error| error.to_string())?;
                let number = |number: pkcs1::UintRef<'_>| text(number.as_bytes());
                json!({ "kty": "RSA", "n": number(key.modulus), "e": number(key.public_exponent) })
            }
        })
    }
}

impl Signer for PrivateKey {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, algorithm: Algorithm, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match (&self.pair, algorithm) {
            (Pair::Ecdsa(der), Algorithm::EcdsaDer | Algorithm::EcdsaRaw) => {
                Some(ecdsa(der, algorithm).ok()?.sign(&random, text).ok()?.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), Algorithm::Ed25519) => Some(pair.sign(text).as_ref().to_vec()),
            (Pair::Rsa(key), Algorithm::Rsa(Hash::Sha1)) => textbook::sign(&key.der, text),
            (Pair::Rsa(key), Algorithm::Rsa(hash)) => rsa(&key.pair, padding(hash)?, text),
            (Pair::Rsa(key), Algorithm::RsaPss(hash)) => rsa(&key.pair, pss(hash)?, text),
            (Pair::Ecdsa(_) | Pair::Ed25519(_) | Pair::Rsa(_), _) => None,
        }
    }
}

fn ecdsa(der: &[u8], algorithm: Algorithm) -> Result<EcdsaKeyPair, ring::error::KeyRejected> {
    let signing = match algorithm {
        Algorithm::EcdsaRaw => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::EcdsaDer | Algorithm::Ed25519 | Algorithm::Rsa(_) | Algorithm::RsaPss(_) => {
            &ECDSA_P256_SHA256_ASN1_SIGNING
        }
    };
    EcdsaKeyPair::from_pkcs8(signing, der, &SystemRandom::new())
}

fn rsa(pair: &RsaKeyPair, padding: &'static dyn RsaEncoding, text: &[u8]) -> Option<Vec<u8>> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), text, &mut signature).ok()?;
    Some(signature)
}

/// ring makes no signatures with SHA-1.
fn padding(hash: Hash) -> Option<&'static dyn RsaEncoding> {
    match hash {
        Hash::Sha1 => None,
        Hash::Sha256 => Some(&RSA_PKCS1_SHA256),
        Hash::Sha384 => Some(&RSA_PKCS1_SHA384),
        Hash::Sha512 => Some(&RSA_PKCS1_SHA512),
    }
}

fn pss(hash: Hash) -> Option<&'static dyn RsaEncoding> {
    match hash {
        Hash::Sha1 => None,
        Hash::Sha256 => Some(&RSA_PSS_SHA256),
        Hash::Sha384 => Some(&RSA_PSS_SHA384),
        Hash::Sha512 => Some(&RSA_PSS_SHA512),
    }
}

/// What makes an RSA key.
const OPENSSL: [&str; 5] = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn make_rsa() -> Result<Zeroizing<String>, String> {
    let made = Command::new("openssl").args(OPENSSL).stderr(Stdio::null()).output();
    let made = made.ok().filter(|made| made.status.success()).map(|made| Zeroizing::new(made.stdout));
    let pem = made.and_then(|pem| Some(Zeroizing::new(std::str::from_utf8(&pem).ok()?.to_owned())));
    pem.ok_or_else(|| {
        let command = OPENSSL.join(" ");
        format!(
            "an RSA key is made by the `openssl` command, which cannot be run here\n  help: make the file elsewhere, with \
             `openssl {command} -out FILE`, and run this again: it then prints the public half"
        )
    })
}

/// Writes a private key to a new file that nobody else can read.
pub(super) fn write(path: &Path, pem: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())
}

/// Reads a private key from a file.
pub(super) fn read(path: &Path) -> Result<PrivateKey, String> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    PrivateKey::from_pem(&text).map_err(|problem| format!("{} cannot be used: {problem}", path.display()))
}
