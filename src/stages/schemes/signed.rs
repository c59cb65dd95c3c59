//! What all signatures have in common: where the signature is, what is signed, and when.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use smallvec::SmallVec;

use super::{
    Looked, Named, Proof, Strength,
    jose::Verifying,
    signature::{Bytes, Format, Length, Parsed},
    window::Window,
};
use crate::stages::{
    selector::{Facts, Selector},
    template::{Piece, Template},
    words::Refusal,
};

/// The settings of a scheme that signs.
#[derive(Clone, Debug)]
pub struct Signed<K> {
    /// Where the signature is and how it is written.
    pub signature: Format,
    /// What is signed: candidates, of which each complete one is tried.
    pub messages: Vec<Template>,
    /// The window for a signed time.
    pub window: Option<Window>,
    /// The keys in force.
    pub keys: Vec<Named<K>>,
    /// Where the request names the one key that it is signed with. Without it every key is tried.
    pub chosen_by: Option<Selector>,
    /// What a right signature binds.
    pub strength: Strength,
}

/// A key that verifies signatures.
pub trait Verifier {
    /// How long a signature of this key is.
    fn signature_length(&self) -> Length;

    /// Whether one of the signatures is right for these parts in a row.
    fn verifies(&self, parts: &[impl AsRef<[u8]>], signatures: &[impl AsRef<[u8]>]) -> bool;
}

impl<K> Signed<K> {
    /// Whether there is a signature at all, in the form it should have. Looks at no key.
    pub(super) fn is_signed(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        self.signature.read(facts, &mut Looked::default(), |_, _| Ok(()))
    }
}

impl<K: Verifier> Signed<K> {
    /// At most one digest per key and complete message.
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        self.signature.read(facts, looked, |parsed, looked| self.attempt(parsed, facts, now, looked))
    }

    /// The keys that may have signed the request, its own and those that were fetched, with their names.
    fn candidates<'k>(
        &'k self,
        facts: &Facts<'k>,
        now: Timestamp,
    ) -> Result<impl Iterator<Item = (&'k Arc<str>, Candidate<'k, K>)> + Clone, Refusal> {
        let own = self.keys(facts, now)?.map(|named| (&named.name, Candidate::Own(&named.key)));
        let fetched = facts.published.iter().map(|named| (&named.name, Candidate::Fetched(&named.key.verifying)));
        Ok(own.chain(fetched))
    }

    fn attempt(
        &self,
        parsed: &Parsed<'_>,
        facts: &Facts<'_>,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<Proof, Refusal> {
        let facts = if parsed.fields.is_empty() { facts } else { &Facts { fields: &parsed.fields, ..*facts } };
        let mut decoded =
            Decoded { format: &self.signature, texts: &parsed.signatures, length: None, bytes: SmallVec::new() };
        let (mut well_formed, mut complete) = (false, false);
        let keys = self.candidates(facts, now)?;
        let mut parts = Parts::new();
        for message in &self.messages {
            if !gather(message, facts, &mut parts)? {
                continue;
            }
            complete = true;
            for (name, key) in keys.clone() {
                looked.secrets_tried += 1;
                let signatures = decoded.of(key.signature_length());
                if signatures.is_empty() {
                    continue;
                }
                well_formed = true;
                if key.verifies(&parts, signatures) {
                    self.window.as_ref().map_or(Ok(()), |window| window.check(facts, now, looked))?;
                    return Ok(Proof { key: Arc::clone(name), strength: self.strength });
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

impl<K> Signed<K> {
    /// The keys that may have signed the request: all in force, or the one that it names.
    pub(super) fn keys<'k>(
        &'k self,
        facts: &Facts<'k>,
        now: Timestamp,
    ) -> Result<impl Iterator<Item = &'k Named<K>> + Clone, Refusal> {
        let chosen = match &self.chosen_by {
            Some(selector) => Some(selector.find(facts)?.ok_or(Refusal::AuthMissing)?),
            None => None,
        };
        let is_chosen = chosen.is_some();
        let is_meant = move |named: &&Named<K>| {
            named.is_current(now) && chosen.as_ref().is_none_or(|name| named.name.as_bytes() == name.as_ref())
        };
        let keys = self.keys.iter().filter(is_meant);
        if is_chosen && keys.clone().next().is_none() { Err(Refusal::AuthMismatch) } else { Ok(keys) }
    }
}

/// A key that may have signed a request.
enum Candidate<'k, K> {
    Fetched(&'k Verifying),
    Own(&'k K),
}

impl<K: Verifier> Verifier for Candidate<'_, K> {
    fn signature_length(&self) -> Length {
        match self {
            Self::Fetched(key) => key.signature_length(),
            Self::Own(key) => key.signature_length(),
        }
    }

    fn verifies(&self, parts: &[impl AsRef<[u8]>], signatures: &[impl AsRef<[u8]>]) -> bool {
        match self {
            Self::Fetched(key) => key.verifies(parts, signatures),
            Self::Own(key) => key.verifies(parts, signatures),
        }
    }
}

/// The signatures' bytes, decoded once for keys with signatures of one length.
struct Decoded<'a> {
    format: &'a Format,
    texts: &'a [&'a str],
    length: Option<Length>,
    bytes: SmallVec<[Bytes; 1]>,
}

impl Decoded<'_> {
    #[inline]
    fn of(&mut self, length: Length) -> &[Bytes] {
        if self.length != Some(length) {
            let encoding = self.format.encoding;
            self.bytes.clear();
            for text in self.texts {
                self.bytes.push(Bytes::new());
                let decoded = self.bytes.last_mut().and_then(|bytes| encoding.decode_into(text, length, bytes));
                if decoded.is_none() {
                    self.bytes.pop();
                }
            }
            self.length = Some(length);
        }
        &self.bytes
    }
}

/// As many parts as nearly every signed text has; more of them take room on the heap.
const PARTS: usize = 6;

/// The parts of a signed text, in their order.
pub(super) type Parts<'a> = SmallVec<[Cow<'a, [u8]>; PARTS]>;

/// The parts of the signed text, or nothing when one of them is absent.
pub(super) fn signed_parts<'a>(message: &'a Template, facts: &Facts<'a>) -> Result<Option<Parts<'a>>, Refusal> {
    let mut parts = Parts::new();
    Ok(gather(message, facts, &mut parts)?.then_some(parts))
}

/// Puts the parts of the signed text in the place of what is there, and says whether none is absent. A value that
/// contains the text which ends it could run into the next one, so that two requests would have one signed text (W-38).
fn gather<'a>(message: &'a Template, facts: &Facts<'a>, parts: &mut Parts<'a>) -> Result<bool, Refusal> {
    let pieces = message.pieces();
    parts.clear();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => parts.push(Cow::Borrowed(text.as_bytes())),
            Piece::Value(selector) => {
                let Some(value) = selector.find(facts)? else { return Ok(false) };
                if let Some(Piece::Literal(end)) = pieces.get(index + 1)
                    && runs_over(selector, &value, end.as_bytes())
                {
                    return Err(Refusal::AuthMalformed);
                }
                parts.push(value);
            }
        }
    }
    Ok(true)
}

fn runs_over(selector: &Selector, value: &[u8], end: &[u8]) -> bool {
    let holds = || match end {
        [byte] => value.contains(byte),
        _ => value.windows(end.len()).any(|window| window == end),
    };
    !selector.is_in_body() && !selector.is_fixed() && holds()
}
