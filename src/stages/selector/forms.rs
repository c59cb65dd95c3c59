//! Forms and queries: names and values of `application/x-www-form-urlencoded` (URL Standard, section 5).

use std::borrow::Cow;

use super::{Ambiguous, Found};

/// The one parameter of this name.
pub(super) fn parameter<'a>(form: &'a [u8], name: &str) -> Found<'a> {
    let mut found = None;
    for (key, value) in pairs(form) {
        if key == name.as_bytes() && found.replace(value).is_some() {
            return Err(Ambiguous);
        }
    }
    Ok(found)
}

/// The parameters in their order, names and values with `+` and percent escapes decoded once.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (decode(&pair[..at]), decode(pair.get(at + 1..).unwrap_or_default()))
    })
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        return Cow::Owned(percent_encoding::percent_decode(&spaced).collect());
    }
    percent_encoding::percent_decode(text).into()
}

/// Names and values in the order of the names, with nothing in between; a value that a name has twice counts once.
pub(super) fn sorted(form: &[u8]) -> Vec<u8> {
    let mut pairs: Vec<_> = pairs(form).collect();
    pairs.sort();
    pairs.dedup();
    pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect::<Vec<_>>().concat()
}

/// PHP's `serialize()` of the fields as an array of strings in the order of their names; nothing where a name is there
/// twice, for then it is not certain what PHP made of it.
pub(super) fn php_serialized(form: &[u8], without: &[String]) -> Option<Vec<u8>> {
    let mut pairs: Vec<_> =
        pairs(form).filter(|(name, _)| !without.iter().any(|known| known.as_bytes() == name.as_ref())).collect();
    pairs.sort();
    if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
        return None;
    }
    let mut text = format!("a:{}:{{", pairs.len()).into_bytes();
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        text.extend(format!("s:{}:\"", part.len()).bytes());
        text.extend_from_slice(part);
        text.extend_from_slice(b"\";");
    }
    text.push(b'}');
    Some(text)
}
