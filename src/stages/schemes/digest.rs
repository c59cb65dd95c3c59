//! A plain hash over a message that contains the secret. Weaker than HMAC, and offered only because senders use it.

use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::{
    Looked, Proof,
    hmac::Hash,
    signature::{Length, Parsed},
    signed::{Signed, signed_parts},
};
use crate::{
    secret::Secret,
    stages::{selector::Facts, words::Refusal},
};

/// The settings of a digest scheme.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The hash.
    pub hash: Hash,
    /// Where the digest is, and over what. A message contains `{secret}`.
    pub signed: Signed<Secret>,
}

impl Digest {
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        self.signed.signature.read(facts, looked, |parsed, looked| self.attempt(parsed, facts, now, looked))
    }

    /// One digest per key and complete message, however many were sent.
    fn attempt(
        &self,
        parsed: &Parsed<'_>,
        facts: &Facts<'_>,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<Proof, Refusal> {
        let Signed { signature, messages, window, strength, .. } = &self.signed;
        let length = Length::Exactly(self.hash.length());
        let digests: Vec<_> =
            parsed.signatures.iter().filter_map(|text| signature.encoding.decode(text, length)).collect();
        if digests.is_empty() {
            return Err(Refusal::AuthMalformed);
        }
        let mut complete = false;
        let keys = self.signed.keys(facts, now)?;
        for message in messages {
            for named in keys.clone() {
                let facts = Facts { fields: &parsed.fields, key: Some(&named.key), ..*facts };
                let Some(parts) = signed_parts(message, &facts)? else { break };
                complete = true;
                looked.secrets_tried += 1;
                let digest = self.hash.digest(parts.iter().map(AsRef::as_ref));
                if digests.iter().any(|sent| bool::from(sent.ct_eq(&digest))) {
                    window.as_ref().map_or(Ok(()), |window| window.check(&facts, now, looked))?;
                    return Ok(Proof { key: named.name.clone(), strength: *strength });
                }
            }
        }
        Err(if complete { Refusal::AuthMismatch } else { Refusal::AuthMissing })
    }
}

impl Hash {
    /// Bytes of a digest.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of these parts in a row.
    pub fn digest<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        fn finish<'a, D: sha2::Digest>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
            let digest = parts.into_iter().fold(D::new(), sha2::Digest::chain_update).finalize();
            digest.to_vec()
        }
        match self {
            Self::Sha1 => finish::<Sha1>(parts),
            Self::Sha256 => finish::<Sha256>(parts),
            Self::Sha384 => finish::<Sha384>(parts),
            Self::Sha512 => finish::<Sha512>(parts),
        }
    }
}
