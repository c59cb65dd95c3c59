//! From a header (or another place) to the signatures in it: items, prefix, encoding. Strict all the way: a value that
//! has two spellings gives an attacker two.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use smallvec::SmallVec;

use super::Looked;
use crate::stages::{
    selector::{Ambiguous, Facts, Selector},
    words::Refusal,
};

/// Signatures looked at in one header; more are refused unread.
pub const TOKENS_MAX: usize = 16;

/// Values looked at where several may hold a signature of their own; more are refused unread.
const VALUES_MAX: usize = 128;

/// Groups looked at in one header: each has a time of its own, and costs a digest of its own.
const GROUPS_MAX: usize = 4;

/// Where the signature lies and how it is written.
#[derive(Clone, Debug)]
pub struct Format {
    /// Places to look, in this order; two that differ are ambiguous, unless `any_of` says otherwise.
    pub from: Vec<Selector>,
    /// Every place, and every line of a header there, may hold a signature of its own; one must be right.
    pub any_of: bool,
    /// How a header with several items is taken apart; without it the value is one signature.
    pub items: Option<Items>,
    /// What stands before the signature.
    pub prefix: Prefix,
    /// How the signature's bytes are written.
    pub encoding: Encoding,
}

/// A header of items, such as `t=1767225600,v1=…`.
#[derive(Clone, Debug)]
pub struct Items {
    /// Between items.
    pub split: String,
    /// Between a key and its value; only the first one counts, base64 padding holds more.
    pub pair: String,
    /// Keys whose values are signatures. The others are fields, `sig.K` in templates.
    pub take: Vec<String>,
    /// Characters that may stand around an item without being part of it.
    pub trim: String,
    /// Between groups of items, each with fields of its own.
    pub groups: Option<String>,
}

/// What stands before a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// This, exactly once.
    Fixed(String),
    /// This, at most once. For senders that do not say.
    Optional(String),
}

/// How a signature's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hex or base64, told apart by their lengths. For senders that do not say.
    Auto,
    /// Standard base64 with padding (RFC 4648, section 4).
    Base64,
    /// URL-safe base64, with or without padding (RFC 4648, section 5).
    Base64Url,
    /// Hex digits of either case.
    Hex,
}

/// A credential taken apart.
#[derive(Debug, Default)]
pub struct Parsed<'a> {
    /// The signatures, prefix removed, not decoded yet.
    pub signatures: SmallVec<[&'a str; 2]>,
    /// The other items of the header.
    pub fields: SmallVec<[(&'a str, &'a str); 2]>,
}

/// A signature's bytes: those of a digest or of a curve need no room on the heap.
pub type Bytes = SmallVec<[u8; 64]>;

/// How long a signature is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Always so long.
    Exactly(usize),
    /// At most so long.
    UpTo(usize),
}

impl Format {
    /// Takes the credential apart and lets `attempt` judge it: group by group, where there are groups. The first that
    /// is right counts, or else what is wrong with the last.
    pub fn read<T>(
        &self,
        facts: &Facts<'_>,
        looked: &mut Looked,
        mut attempt: impl FnMut(&Parsed<'_>, &mut Looked) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (one, many);
        let values = if self.any_of {
            many = self.locate_all(facts)?;
            many.as_slice()
        } else {
            one = self.locate(facts)?.ok_or(Refusal::AuthMissing)?;
            std::slice::from_ref(&one)
        };
        looked.credential_bytes = values.iter().map(|value| value.len()).sum();
        let Some(separator) = self.items.as_ref().and_then(|items| items.groups.as_deref()) else {
            let mut parsed = Parsed::default();
            self.parse(values.iter().map(AsRef::as_ref), &mut parsed)?;
            looked.tokens = parsed.signatures.len();
            return attempt(&parsed, looked);
        };
        let mut verdict = Err(Refusal::AuthMalformed);
        for value in values {
            let text = std::str::from_utf8(value).map_err(|_| Refusal::AuthMalformed)?;
            if text.split(separator).count() > GROUPS_MAX {
                return Err(Refusal::AuthMalformed);
            }
            for group in text.split(separator) {
                let mut parsed = Parsed::default();
                if self.parse([group.as_bytes()], &mut parsed).is_err() {
                    continue;
                }
                looked.tokens += parsed.signatures.len();
                verdict = attempt(&parsed, looked);
                if verdict.is_ok() {
                    return verdict;
                }
            }
        }
        verdict
    }

    /// The credential as sent; `None` when it is absent. An empty value counts as absent where one signature is
    /// expected, for there is nothing in it to be wrong; a header of items that is empty is malformed.
    #[inline]
    pub fn locate<'a>(&'a self, facts: &Facts<'a>) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        let found = first(&self.from, facts)?;
        Ok(found.filter(|value| self.items.is_some() || !value.is_empty()))
    }

    fn locate_all<'a>(&'a self, facts: &Facts<'a>) -> Result<Vec<Cow<'a, [u8]>>, Refusal> {
        let mut values = Vec::new();
        for selector in &self.from {
            values.extend(selector.find_all(facts)?);
        }
        match values.len() {
            0 => Err(Refusal::AuthMissing),
            1..=VALUES_MAX => Ok(values),
            _ => Err(Refusal::AuthMalformed),
        }
    }

    /// Takes values apart. A right signature among unknown ones is enough, so unknown items are passed over; the same
    /// field twice is not, because two readers would read two values.
    #[inline]
    fn parse<'a>(&self, values: impl IntoIterator<Item = &'a [u8]>, parsed: &mut Parsed<'a>) -> Result<(), Refusal> {
        for value in values {
            let text = std::str::from_utf8(value).map_err(|_| Refusal::AuthMalformed)?;
            match &self.items {
                None => parsed.take(self.prefix.strip(text)),
                Some(items) => self.take_items(items, text, parsed)?,
            }
        }
        if parsed.signatures.is_empty() { Err(Refusal::AuthMalformed) } else { Ok(()) }
    }

    fn take_items<'a>(&self, items: &Items, text: &'a str, parsed: &mut Parsed<'a>) -> Result<(), Refusal> {
        let mut rest = Some(text);
        for index in 0.. {
            let Some(text) = rest else { break };
            if index == TOKENS_MAX {
                return Err(Refusal::AuthMalformed);
            }
            let (item, after) = cut(text, &items.split).map_or((text, None), |(item, after)| (item, Some(after)));
            rest = after;
            let item = item.trim_matches(|letter| items.trim.contains(letter));
            let Some((key, value)) = cut(item, &items.pair) else { continue };
            if items.take.iter().any(|take| take == key) {
                parsed.take(self.prefix.strip(value));
            } else if parsed.fields.iter().any(|(known, _)| *known == key) {
                return Err(Refusal::AuthAmbiguous);
            } else {
                parsed.fields.push((key, value));
            }
        }
        Ok(())
    }
}

impl<'a> Parsed<'a> {
    fn take(&mut self, signature: Option<&'a str>) {
        if let Some(signature) = signature {
            self.signatures.push(signature);
        }
    }
}

/// The text before and after the first separator. Most are one byte, which is found without preparation.
fn cut<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    match *separator.as_bytes() {
        [byte] => text.split_once(char::from(byte)),
        _ => text.split_once(separator),
    }
}

/// The value of the first selector that finds one. Others may repeat it, but not contradict it.
#[inline]
pub fn first<'a>(selectors: &'a [Selector], facts: &Facts<'a>) -> Result<Option<Cow<'a, [u8]>>, Ambiguous> {
    if let [only] = selectors {
        return only.find(facts);
    }
    let mut found: Option<Cow<'a, [u8]>> = None;
    for selector in selectors {
        match (&found, selector.find(facts)?) {
            (None, value) => found = value,
            (Some(first), Some(second)) if *first != second => return Err(Ambiguous),
            (Some(_), _) => {}
        }
    }
    Ok(found)
}

impl Prefix {
    /// No prefix at all.
    pub const NONE: Self = Self::Fixed(String::new());

    /// The text after the prefix, or nothing when the prefix is not as it must be.
    pub fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Fixed(prefix) => text.strip_prefix(prefix.as_str()),
            Self::Optional(prefix) => Some(text.strip_prefix(prefix.as_str()).unwrap_or(text)),
        }
    }
}

impl Encoding {
    /// The bytes, where the text has that many in this encoding and is spelled in the one canonical way.
    pub fn decode(self, text: &str, length: Length) -> Option<Bytes> {
        let mut bytes = Bytes::new();
        self.decode_into(text, length, &mut bytes).map(|()| bytes)
    }

    /// The same, without moving them. What is there is of no use where nothing is returned.
    #[inline]
    pub(super) fn decode_into(self, text: &str, length: Length, bytes: &mut Bytes) -> Option<()> {
        let text = text.as_bytes();
        let encoding = match self {
            Self::Hex => None,
            Self::Auto if length == Length::Exactly(text.len() / 2) => None,
            Self::Auto | Self::Base64 => Some(BASE64),
            Self::Base64Url if text.ends_with(b"=") => Some(BASE64URL),
            Self::Base64Url => Some(BASE64URL_NOPAD),
        };
        if let Some(base64) = encoding {
            if !is_padded_at_the_end(text) {
                return None;
            }
            bytes.resize(base64.decode_len(text.len()).ok()?, 0);
            let written = base64.decode_mut(text, bytes).ok()?;
            bytes.truncate(written);
        } else {
            bytes.resize(text.len() / 2, 0);
            faster_hex::hex_decode(text, bytes).ok()?;
        }
        let fits = match length {
            Length::Exactly(length) => bytes.len() == length,
            Length::UpTo(most) => (1..=most).contains(&bytes.len()),
        };
        fits.then_some(())
    }
}

/// Whether padding is where it ends a text, if anywhere. Decoders take several padded texts in a row for one, which
/// would be another spelling of the same bytes.
pub(super) fn is_padded_at_the_end(base64: &[u8]) -> bool {
    let end = base64.iter().position(|byte| *byte == b'=').unwrap_or(base64.len());
    base64[end..].iter().all(|byte| *byte == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w_21_base64_has_one_spelling() {
        let four = Length::Exactly(4);
        assert_eq!(Encoding::Base64.decode("HwDAcA==", four).as_deref(), Some(&[0x1f, 0, 0xc0, 0x70][..]));
        for wrong in ["HwA=wHA=", "HwDAcA=", "HwDAcA", "HwDAcA===", "=HwDAcA=", "HwDAcB==", "Hw DAcA==", "HwDAcA==\n"] {
            for encoding in [Encoding::Auto, Encoding::Base64] {
                assert_eq!(encoding.decode(wrong, four), None, "{encoding:?} {wrong:?}");
            }
        }
        assert_eq!(Encoding::Base64Url.decode("HwA=wHA=", four), None);
        assert_eq!(Encoding::Base64Url.decode("HwDAcA", four).map(|it| it.len()), Some(4));
    }
}
