//! HMAC over parts of the request (RFC 2104). Keys are scheduled once, when the configuration is read.

use std::fmt;

use ::hmac::{Hmac as Keyed, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::{
    signature::Length,
    signed::{Signed, Verifier},
};
use crate::secret::Secret;

/// An HMAC scheme.
pub type Hmac = Signed<Key>;

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
        self.digest(parts, <[u8]>::to_vec)
    }

    fn digest<T>(&self, parts: &[impl AsRef<[u8]>], read: impl FnOnce(&[u8]) -> T) -> T {
        fn finish<M: Mac + Clone, T>(mac: &M, parts: &[impl AsRef<[u8]>], read: impl FnOnce(&[u8]) -> T) -> T {
            let mut mac = mac.clone();
            for part in parts {
                mac.update(part.as_ref());
            }
            read(&mac.finalize().into_bytes())
        }
        match self {
            Self::Sha1(mac) => finish(mac, parts, read),
            Self::Sha256(mac) => finish(mac, parts, read),
            Self::Sha384(mac) => finish(mac, parts, read),
            Self::Sha512(mac) => finish(mac, parts, read),
        }
    }
}

impl Verifier for Key {
    fn signature_length(&self) -> Length {
        Length::Exactly(self.length())
    }

    /// One HMAC, however many signatures were sent (W-29).
    fn verifies(&self, parts: &[impl AsRef<[u8]>], signatures: &[impl AsRef<[u8]>]) -> bool {
        self.digest(parts, |digest| signatures.iter().any(|signature| signature.as_ref().ct_eq(digest).into()))
    }
}
