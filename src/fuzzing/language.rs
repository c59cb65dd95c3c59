//! The small language of templates and selectors: any text is one or is not, and what it finds in a request is found again.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;

use crate::stages::{
    receive::{Client, Head, Received},
    template::Template,
};

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
    let render = || {
        let document = OnceLock::new();
        template.render(&crate::stages::selector::Facts::of(&received, "https://a.example", &document))
    };
    assert_eq!(render(), render(), "a template finds the same twice");
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
            "{body|",
            "}",
        ] {
            language(text.as_bytes());
        }
    }
}
