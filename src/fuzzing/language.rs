//! The small language of templates and selectors: what it finds in a request is found again, and what it makes of a value
//! is what other code makes of it.

use std::sync::OnceLock;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use ring::digest;

use crate::stages::{
    receive::{Client, Head, Received},
    selector::Facts,
    template::Template,
};

/// A transform, and other code that does the same.
type Twin = (&'static str, fn(&[u8]) -> Vec<u8>);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

const TWINS: [Twin; 6] = [
    ("base64url", |value| BASE64.encode(value).replace('+', "-").replace('/', "_").replace('=', "").into()),
    ("crc32", |value| {
        let mut sum = flate2::Crc::new();
        sum.update(value);
        sum.sum().to_string().into()
    }),
    ("hex", |value| {
        value.iter().flat_map(|byte| [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)])).collect()
    }),
    ("lower", |value| value.iter().map(u8::to_ascii_lowercase).collect()),
    ("percent-encode()", |value| percent_encode(value, NON_ALPHANUMERIC).to_string().into()),
    ("sha256", |value| digest::digest(&digest::SHA256, value).as_ref().to_vec()),
];

/// A template, a line feed, and the body of the request that it looks at; its first line is the query and a header, too.
pub fn language(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Some(text) = parts.next().and_then(|text| std::str::from_utf8(text).ok()) else { return };
    let Ok(template) = Template::parse(text, &|name| Some(name.to_owned())) else { return };
    let body = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let value = HeaderValue::from_bytes(line).unwrap_or(HeaderValue::from_static("x-a"));
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-a"), value)]);
    let query = Some(String::from_utf8_lossy(line).into_owned());
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/in/a".to_owned(), query, headers, client };
    let received = Received { head, body, at: Timestamp::UNIX_EPOCH };
    let render = |template: &Template| {
        let document = OnceLock::new();
        template.render(&Facts::of(&received, "https://a.example", &document))
    };
    let found = render(&template);
    assert_eq!(render(&template), found, "a template finds the same twice");
    let Some(selector) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else { return };
    if selector.contains(['{', '}', '(', '"']) {
        return;
    }
    for (transform, twin) in TWINS {
        let longer = Template::parse(&format!("{{{selector}|{transform}}}"), &|name| Some(name.to_owned()));
        let longer =
            longer.unwrap_or_else(|error| panic!("{selector} is a selector, but not with {transform}: {error}"));
        let expected = found.as_ref().map(|found| found.as_deref().map(twin));
        assert_eq!(render(&longer).as_ref(), expected.as_ref().map_err(|error| *error), "{selector}|{transform}");
    }
}

#[cfg(test)]
mod tests {
    use super::language;

    #[test]
    fn promises_hold_for_these() {
        for text in [
            "{body|sorted-form}.{query:a}\na=%&b=\u{ff}",
            "{{{json:/a|json|default(x)}}}\n{\"a\":\"\\\"\"}",
            "{header:x-a|listed-headers(x-a)}\nx-a",
            "{{json:/a}{json:/b}|sha256|hex}\n{}",
            "{raw_query|percent-encode(%7C)|percent-decode(%7C)}{path|relative-to(https://b/in)}\n%7c%",
            "{name:/!a}{whole:/a}{body|php-form(a)}{url|no-port|default-port}\n{\"a\":1}",
            "{body|lower}\nA\u{ff}",
            "{query:a}\na=1&a=2",
            "{json:/a}\n{\"a\":\"\\u0000\"}",
            "{body|",
            "}",
        ] {
            language(text.as_bytes());
        }
    }
}
