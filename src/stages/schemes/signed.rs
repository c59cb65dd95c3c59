//! What all signatures have in common: where the signature is, what is signed, and when.

use std::borrow::Cow;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::{
    Looked, Named, Proof, Strength,
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
    /// What a right signature binds.
    pub strength: Strength,
}

/// A key that verifies signatures.
pub trait Verifier {
    /// How long a signature of this key is.
    fn signature_length(&self) -> Length;

    /// Whether one of the signatures is right for these parts in a row.
    fn verifies(&self, parts: &[&[u8]], signatures: &[impl AsRef<[u8]>]) -> bool;
}

impl<K: Verifier> Signed<K> {
    /// At most one digest per key and complete message.
    pub(super) fn judge(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<Proof, Refusal> {
        self.signature.read(facts, looked, |parsed, looked| self.attempt(parsed, facts, now, looked))
    }

    fn attempt(
        &self,
        parsed: &Parsed<'_>,
        facts: &Facts<'_>,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<Proof, Refusal> {
        let facts = Facts { fields: &parsed.fields, ..facts.clone() };
        let mut decoded =
            Decoded { format: &self.signature, texts: &parsed.signatures, length: None, bytes: SmallVec::new() };
        let (mut well_formed, mut complete) = (false, false);
        for message in &self.messages {
            let Some(parts) = signed_parts(message, &facts)? else { continue };
            complete = true;
            let parts: SmallVec<[&[u8]; PARTS]> = parts.iter().map(AsRef::as_ref).collect();
            for named in self.keys.iter().filter(|named| named.is_current(now)) {
                looked.secrets_tried += 1;
                let signatures = decoded.of(named.key.signature_length());
                if signatures.is_empty() {
                    continue;
                }
                well_formed = true;
                if named.key.verifies(&parts, signatures) {
                    self.window.as_ref().map_or(Ok(()), |window| window.check(&facts, now))?;
                    return Ok(Proof { key: named.name.clone(), strength: self.strength });
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

/// The signatures' bytes, decoded once for keys with signatures of one length.
struct Decoded<'a> {
    format: &'a Format,
    texts: &'a [&'a str],
    length: Option<Length>,
    bytes: SmallVec<[Bytes; 1]>,
}

impl Decoded<'_> {
    fn of(&mut self, length: Length) -> &[Bytes] {
        if self.length != Some(length) {
            let encoding = self.format.encoding;
            self.bytes = self.texts.iter().filter_map(|text| encoding.decode(text, length)).collect();
            self.length = Some(length);
        }
        &self.bytes
    }
}

/// As many parts as nearly every signed text has; more of them take room on the heap.
const PARTS: usize = 6;

/// The parts of a signed text, in their order.
pub(super) type Parts<'a> = SmallVec<[Cow<'a, [u8]>; PARTS]>;

/// The parts of the signed text, or nothing when one of them is absent. A value that contains the text which ends it
/// could run into the next one, so that two requests would have one signed text (W-38).
pub(super) fn signed_parts<'a>(message: &'a Template, facts: &Facts<'a>) -> Result<Option<Parts<'a>>, Refusal> {
    let pieces = message.pieces();
    let mut parts = Parts::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => parts.push(Cow::Borrowed(text.as_bytes())),
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
    let holds = || match end {
        [byte] => value.contains(byte),
        _ => value.windows(end.len()).any(|window| window == end),
    };
    !selector.is_in_body() && !selector.is_fixed() && holds()
}
