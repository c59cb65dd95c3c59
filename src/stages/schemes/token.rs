//! A shared token that travels as it is: an API key in a header or a query parameter.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Looked, Named, Proof, Strength,
    signature::{Prefix, first},
};
use crate::{
    secret::Secret,
    stages::{
        selector::{Facts, Selector},
        words::Refusal,
    },
};

/// The settings of a token scheme.
#[derive(Clone, Debug)]
pub struct Token {
    /// Places to look, in this order.
    pub from: Vec<Selector>,
    /// What stands before the token, such as `Bearer `.
    pub prefix: Prefix,
    /// The tokens in force.
    pub keys: Vec<Named<Fingerprint>>,
}

/// The SHA-256 of a token. Comparing digests takes the same time for tokens of any length (W-42).
#[derive(Clone)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

impl Fingerprint {
    /// Of a secret.
    pub fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose()).into())
    }

    /// Whether this is that token.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        self.0.ct_eq(&<[u8; 32]>::from(Sha256::digest(value))).into()
    }
}

impl Token {
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let credential = first(&self.from, facts)?.filter(|value| !value.is_empty()).ok_or(Refusal::AuthMissing)?;
        looked.credential_bytes = credential.len();
        looked.tokens = 1;
        let text = std::str::from_utf8(&credential).map_err(|_| Refusal::AuthMalformed)?;
        let token = self.prefix.strip(text).ok_or(Refusal::AuthMismatch)?;
        for named in self.keys.iter().filter(|named| named.is_current(now)) {
            looked.secrets_tried += 1;
            if named.key.matches(token.as_bytes()) {
                return Ok(Proof { key: named.name.clone(), strength: Strength::Token });
            }
        }
        Err(Refusal::AuthMismatch)
    }
}
