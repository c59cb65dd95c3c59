//! The small language of templates and selectors.

use std::{fmt::Write as _, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::{
    secret::Secret,
    stages::{
        receive::{Client, Head, Received},
        selector::{Ambiguous, Facts},
        template::{Piece, Template},
    },
};

/// Between line feeds: a template, a query, the value of the header `x-a`, and the body.
///
/// # Panics
///
/// When a template is another one after it was printed, when it says two things of one request, or when the body could be
/// another one without the text being another, although it is said to bind it.
pub fn template(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let text = String::from_utf8_lossy(part()).into_owned();
    let setting = |name: &str| (name == "s").then(|| "a setting".to_owned());
    let Ok(template) = Template::parse(&text, &setting) else { return };
    let printed = printed(&template);
    assert_eq!(Template::parse(&printed, &setting).as_ref(), Ok(&template), "{text:?} is printed as {printed:?}");

    let (query, header, body) = (part(), part(), Bytes::copy_from_slice(part()));
    let request = |body: Bytes| {
        let value = HeaderValue::from_bytes(header).ok();
        let headers: HeaderMap = value.into_iter().map(|value| (HeaderName::from_static("x-a"), value)).collect();
        let client = Client { address: None, known: false };
        let query = Some(String::from_utf8_lossy(query).into_owned());
        let head = Head { method: Method::POST, path: "/in".to_owned(), query, headers, client };
        Received { head, body, at: Timestamp::UNIX_EPOCH }
    };
    let first = render(&template, &request(body.clone()));
    assert_eq!(render(&template, &request(body.clone())), first, "one request, one text");
    let mut selectors = template.selectors();
    if let (Some(selector), None) = (selectors.next(), selectors.next())
        && selector.binds_body()
    {
        let longer = [&body[..], b" "].concat();
        assert_ne!(render(&template, &request(longer.into())), first, "{text:?} does not bind the body");
    }
}

fn render(template: &Template, received: &Received) -> Result<Option<Vec<u8>>, Ambiguous> {
    let document = OnceLock::new();
    let secret = Secret::new("a secret for the fuzzer");
    let facts =
        Facts { fields: &[("t", "1")], key: Some(&secret), ..Facts::of(received, "https://a.example", &document) };
    for selector in template.selectors() {
        let (one, all) = (selector.find(&facts), selector.find_all(&facts));
        // A default stands in where nothing was found, which is no place where something lies.
        if let (Ok(Some(one)), Ok(all)) = (&one, &all) {
            assert!(all.is_empty() || all == std::slice::from_ref(one), "{selector:?} finds {one:?} and {all:?}");
        }
    }
    template.render(&facts)
}

fn printed(template: &Template) -> String {
    template.pieces().iter().fold(String::new(), |mut text, piece| {
        match piece {
            Piece::Literal(literal) => text.push_str(&literal.replace('{', "{{").replace('}', "}}")),
            Piece::Value(selector) => write!(text, "{{{selector:?}}}").expect("a string takes it"),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn templates_are_what_they_were() {
        for text in [
            "{body}",
            "{{}}{sig.t}.{body}",
            "{{{body|sha256|hex}}}",
            "{header:x-a|lower}{query:a|default(x)}{setting:s}",
            "{header:x-*}{json:/a/b|json}{raw:/a|canonical}{form:a}{url|no-port}",
            "{body|hmac-sha256|base64}{secret}{body|json-at(/a)}{body|percent-decode(%3A)}",
            "{body|default(})}",
            "{",
        ] {
            for rest in ["", "a=1&a=2\nA\n{\"a\":{\"b\":\"c\"}}", "a=%20\n\u{e9}\na=1&b"] {
                template(format!("{text}\n{rest}").as_bytes());
            }
        }
    }
}
