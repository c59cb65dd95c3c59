//! Queries and forms against another decoder.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;

use crate::stages::{
    receive::{Client, Head, Received},
    selector::{Facts, Selector},
};

/// Names and values, in their order.
type Pairs = Vec<(String, String)>;

/// Any bytes as a query and as a form. `decoded` has the pairs as another decoder sees them, such as the crate
/// `form_urlencoded` (URL Standard, section 5.1), which replaces what is no UTF-8.
///
/// # Panics
///
/// When a parameter is read differently, found where there is none, or taken where there are two.
pub fn form(data: &[u8], decoded: &dyn Fn(&[u8]) -> Pairs) {
    let query = String::from_utf8_lossy(data).into_owned();
    let form = Bytes::from(query.clone());
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/".into(), query: Some(query), headers: HeaderMap::new(), client };
    let received = Received { head, body: form.clone(), at: Timestamp::UNIX_EPOCH };
    let document = OnceLock::new();
    let facts = Facts::of(&received, "", &document);
    let find = |text: &str| {
        let selector = Selector::parse(text, &|_| None).ok()?;
        Some(selector.find(&facts).map(|found| found.map(|it| String::from_utf8_lossy(&it).into_owned())))
    };
    let pairs = decoded(&form);
    // A name that had to be repaired, or that a selector cannot spell, cannot be asked for.
    let is_spelt = |name: &str| !name.contains([char::REPLACEMENT_CHARACTER, '|', '{']) && !name.is_empty();
    for (name, value) in pairs.iter().filter(|(name, _)| is_spelt(name)) {
        let is_there_once = pairs.iter().filter(|(other, _)| other == name).count() == 1;
        for place in ["query", "form"] {
            match find(&format!("{place}:{name}")).expect("a name that can be spelt") {
                Ok(found) => assert!(is_there_once && found.as_ref() == Some(value), "{place}:{name} is {found:?}"),
                Err(_) => assert!(!is_there_once, "{place}:{name} is there once"),
            }
        }
    }
    if !pairs.iter().any(|(name, _)| name == "absent") {
        assert_eq!(find("form:absent"), Some(Ok(None)), "found where there is none");
    }
    if !pairs.iter().any(|(name, value)| format!("{name}{value}").contains(char::REPLACEMENT_CHARACTER)) {
        let mut sorted = pairs.clone();
        sorted.sort();
        sorted.dedup();
        let joined: String = sorted.into_iter().flat_map(|(name, value)| [name, value]).collect();
        assert_eq!(find("body|sorted-form"), Some(Ok(Some(joined))), "sorted");
    }
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn the_decoders_agree_on_what_is_known() {
        let decoded = |form: &[u8]| form_urlencoded::parse(form).into_owned().collect();
        for text in [
            "a=1&b=2",
            "a=1&a=2",
            "a",
            "a=",
            "=a",
            "&&a=1&",
            "a=b=c",
            "a+b=%2B+",
            "%61=1&a=2",
            "%",
            "%4",
            "%zz=%",
            "é=ü",
            "a=%ff",
            "{m",
            "a&a",
        ] {
            form(text.as_bytes(), &decoded);
        }
    }
}
