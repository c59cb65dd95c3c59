//! What hypotheses about credentials have in common: the rules' signatures, and the headers that hold them.

use http::{HeaderName, HeaderValue};

use crate::{
    cli::explain::case::{Case, place},
    config::{
        Key,
        raw::auth::{Prefix, Signature},
    },
};

/// The same with a change to every rule's signature for which `change` makes one.
pub(super) fn with_signatures(case: &Case, mut change: impl FnMut(&mut Signature) -> bool) -> Option<Case> {
    case.with_rules(|rule| rule.signature.as_mut().is_some_and(&mut change))
}

pub(super) fn signatures(case: &Case) -> impl Iterator<Item = &Signature> {
    case.source().auth.iter().filter_map(|rule| rule.signature.as_ref())
}

pub(super) fn prefix(signature: &Signature) -> Option<&str> {
    match &signature.prefix.value {
        Prefix::Optional(prefix) | Prefix::Required(prefix) => Some(prefix.as_str()).filter(|it| !it.is_empty()),
    }
}

/// Where something of the first signature is said.
pub(super) fn signature_place(case: &Case, key: impl Fn(&Signature) -> &Key) -> String {
    signatures(case).next().map(|signature| place(key(signature))).unwrap_or_default()
}

/// The headers that rules take their credentials from.
pub(super) fn credential_headers(case: &Case) -> impl Iterator<Item = HeaderName> {
    let from = signatures(case).flat_map(|signature| signature.from.iter());
    from.filter_map(|from| from.value.0.split('|').next()?.strip_prefix("header:")?.parse().ok())
}

/// The same with another value in the first of these headers for whose lines `change` makes another one.
pub(super) fn with_credential(
    case: &Case,
    change: impl Fn(&[HeaderValue]) -> Option<Vec<u8>>,
) -> Option<(Case, HeaderName)> {
    credential_headers(case).find_map(|name| {
        let lines: Vec<_> = case.request.head.headers.get_all(&name).iter().cloned().collect();
        let value =
            change(&lines).filter(|value| lines.len() > 1 || lines.first().is_none_or(|it| it.as_bytes() != value))?;
        let mut other = case.clone();
        other.request.head.headers.insert(name.clone(), HeaderValue::from_bytes(&value).ok()?);
        Some((other, name))
    })
}

/// The credentials as text.
pub(super) fn credentials(case: &Case) -> Vec<String> {
    let value = |name| case.request.head.headers.get(name).and_then(|value| value.to_str().ok());
    credential_headers(case).filter_map(value).map(str::to_owned).collect()
}

/// No prefix or name of an item is longer, in bytes.
pub(super) const PREFIX_MAX: usize = 24;
