//! Signature headers: what verifies is compared with a reader that is slow, and plainly right.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::{
    secret::Secret,
    stages::{
        receive::{Client, Head, Received},
        schemes::{
            Looked, Named, Scheme, Strength,
            hmac::{Hash, Hmac, Key},
            signature::{Encoding, Format, Items, Prefix, TOKENS_MAX},
        },
        selector::{Facts, Selector},
        template::Template,
        words::Refusal,
    },
};

const HEADER: HeaderName = HeaderName::from_static("x-signature");
const BODY: &[u8] = b"{}";

/// The text `right` in the header stands for the right signature, so that a fuzzer can get past the MAC.
pub fn signature(data: &[u8]) {
    let key = Key::new(Hash::Sha256, &Secret::new("a secret for the fuzzer")).expect("it is not empty");
    let right = data_encoding::HEXLOWER.encode(&key.sign(&[BODY]));
    let text = data.iter().map(|byte| char::from(*byte)).collect::<String>().replace("right", &right);
    let bytes: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    let Ok(value) = HeaderValue::from_bytes(&bytes) else { return };
    for (items, expected) in [(None, plain(&bytes, &right)), (Some(()), listed(&bytes, &right))] {
        let verdict = judge(items.is_some(), value.clone(), key.clone());
        assert_eq!(verdict.is_ok(), expected, "items: {}, header: {value:?}, verdict: {verdict:?}", items.is_some());
    }
}

/// `sha256=` and the right digits in either case, and nothing else.
fn plain(bytes: &[u8], right: &str) -> bool {
    bytes.strip_prefix(b"sha256=").is_some_and(|rest| rest.eq_ignore_ascii_case(right.as_bytes()))
}

/// At most sixteen items; one of them `v1=` and the right digits; no other key twice.
fn listed(bytes: &[u8], right: &str) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let items: Vec<&str> = text.split(',').collect();
    let fields: Vec<&str> =
        items.iter().filter_map(|item| Some(item.split_once('=')?.0)).filter(|key| *key != "v1").collect();
    let repeated = fields.iter().enumerate().any(|(index, key)| fields[..index].contains(key));
    let found = items.iter().any(|item| item.strip_prefix("v1=").is_some_and(|rest| rest.eq_ignore_ascii_case(right)));
    items.len() <= TOKENS_MAX && !repeated && found
}

fn judge(items: bool, value: HeaderValue, key: Key) -> Result<(), Refusal> {
    let take = || Items {
        split: ",".to_owned(),
        pair: "=".to_owned(),
        take: vec!["v1".to_owned()],
        trim: String::new(),
        groups: None,
    };
    let prefix = if items { Prefix::NONE } else { Prefix::Fixed("sha256=".to_owned()) };
    let signature = Format {
        from: vec![Selector::header(HEADER)],
        any_of: false,
        items: items.then(take),
        prefix,
        encoding: Encoding::Hex,
    };
    let scheme = Scheme::Hmac(Hmac {
        signature,
        messages: vec![Template::parse("{body}", &|_| None).expect("a constant")],
        window: None,
        keys: vec![Named { name: "fuzz".into(), until: None, key }],
        chosen_by: None,
        strength: Strength::Verified,
    });
    let client = Client { address: None, known: false };
    let headers = HeaderMap::from_iter([(HEADER, value)]);
    let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
    let received = Received { head, body: Bytes::from_static(BODY), at: Timestamp::UNIX_EPOCH };
    let document = OnceLock::new();
    let facts = Facts::of(&received, "", &document);
    scheme.judge(&facts, received.at, &mut Looked::default()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn the_oracle_agrees_on_what_is_known() {
        for header in [
            "sha256=right",
            "sha256=right ",
            "sha256=sha256=right",
            "right",
            "v1=right",
            "t=1,v1=right",
            "t=1,t=2,v1=right",
            "v1=wrong,v1=right,v0=right",
            "v1 =right",
            "V1=right",
            "v1=right,x",
            ",,,v1=right",
            "v1=",
            "v1=\u{e9},v1=right",
            "v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=0,v1=right",
        ] {
            signature(header.as_bytes());
        }
    }
}
