//! HTTP Basic authentication (RFC 7617). Whole `user:password` texts are compared by their digests, so that neither a
//! length nor a known user shows in the time it takes (W-42).

use data_encoding::BASE64;
use jiff::Timestamp;

use super::{
    Looked, Named, Proof, Strength,
    signature::{first, is_padded_at_the_end},
    token::Fingerprint,
};
use crate::stages::{
    selector::{Facts, Selector},
    words::Refusal,
};

/// The settings of HTTP Basic authentication.
#[derive(Clone, Debug)]
pub struct Basic {
    /// Where the credential is: the header `Authorization`, as a rule.
    pub from: Vec<Selector>,
    /// Each `user:password` in force.
    pub keys: Vec<Named<Fingerprint>>,
}

impl Basic {
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        let credential = first(&self.from, facts)?.filter(|value| !value.is_empty()).ok_or(Refusal::AuthMissing)?;
        looked.credential_bytes = credential.len();
        looked.tokens = 1;
        // The name of the scheme may be written in either case (RFC 9110, section 11.1).
        let (scheme, text) = credential.split_at_checked(6).ok_or(Refusal::AuthMalformed)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return Err(Refusal::AuthMalformed);
        }
        let pair = BASE64.decode(text).ok().filter(|_| is_padded_at_the_end(text)).ok_or(Refusal::AuthMalformed)?;
        let mut found = None;
        for named in self.keys.iter().filter(|named| named.is_current(now)) {
            looked.secrets_tried += 1;
            if named.key.matches(&pair) {
                found = found.or(Some(&named.name));
            }
        }
        let key = found.ok_or(Refusal::AuthMismatch)?.clone();
        Ok(Proof { key, strength: Strength::Token })
    }
}
