//! What is done with a value once it is found.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use http::HeaderName;
use sha2::{Digest, Sha256};

use super::{Facts, forms, place::scalar, urls};
use crate::stages::{
    json::{self, Document, Pointer},
    schemes::hmac::{Hash, Key},
};

/// What is done with a value once it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// `|json-at(/pointer)`: the text or number there, of a value that is JSON itself.
    At(Pointer),
    /// `|base64`: standard base64.
    Base64,
    /// `|base64url`: URL-safe base64 without padding.
    Base64Url,
    /// `|canonical`: the JSON value without white space and with sorted keys.
    Canonical,
    /// `|crc32`: the CRC-32 of IEEE 802.3 in decimal digits. It protects against accidents only.
    Crc32,
    /// `|default(x)`: used when nothing was found.
    Default(String),
    /// `|default-port`: a URL with its scheme's port where it has none.
    DefaultPort,
    /// `|hex`: lower-case hex.
    Hex,
    /// `|hmac-sha1`, `|hmac-sha256`: a keyed digest, in the answer to a handshake. See [`crate::stages::greet`].
    Hmac(Hash),
    /// `|json`: as the inside of a JSON string.
    Json,
    /// `|listed-headers(x-a,x-b)`: the value is a list of names with commas; of each header `name:value` in the order of
    /// the names, with semicolons in between. Nothing where one is absent or doubled, or a name in brackets is not listed.
    ListedHeaders(Vec<HeaderName>),
    /// `|lower`: ASCII lower case.
    Lower,
    /// `|no-port`: a URL without a port.
    NoPort,
    /// `|percent-decode(%3A%2F)`: these escapes decoded, and no others.
    PercentDecode(Vec<u8>),
    /// `|percent-encode(-_.)`: every byte escaped but letters, digits and these.
    PercentEncode(Vec<u8>),
    /// `|php-form(signature)`: PHP's serialization of a sorted form, without these fields.
    PhpForm(Vec<String>),
    /// `|relative-to(https://host/base)`: a path without the path of this URL in front.
    RelativeTo(String),
    /// `|sha256`: SHA-256.
    Sha256,
    /// `|sorted-form`: the names and values of a form in the order of the names, decoded, each pair once, with nothing in
    /// between.
    SortedForm,
    /// `|sorted-query(jwt)`: a query with its names and values in order and escaped, without these names.
    SortedQuery(Vec<String>),
}

impl Transform {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some((name, argument)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            return match name {
                "default" => Ok(Self::Default(argument.to_owned())),
                "json-at" => Pointer::parse(argument).map(Self::At).map_err(|error| error.to_string()),
                "listed-headers" => header_names(argument).map(Self::ListedHeaders),
                "percent-decode" => Ok(Self::PercentDecode(percent_encoding::percent_decode_str(argument).collect())),
                "percent-encode" => Ok(Self::PercentEncode(percent_encoding::percent_decode_str(argument).collect())),
                "php-form" => Ok(Self::PhpForm(names(argument))),
                "relative-to" => Ok(Self::RelativeTo(urls::base_path(argument).to_owned())),
                "sorted-query" => Ok(Self::SortedQuery(names(argument))),
                _ => Err(format!("`|{text}` is not a transform")),
            };
        }
        Ok(match text {
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "canonical" => Self::Canonical,
            "crc32" => Self::Crc32,
            "default-port" => Self::DefaultPort,
            "hex" => Self::Hex,
            "hmac-sha1" => Self::Hmac(Hash::Sha1),
            "hmac-sha256" => Self::Hmac(Hash::Sha256),
            "json" => Self::Json,
            "lower" => Self::Lower,
            "no-port" => Self::NoPort,
            "sha256" => Self::Sha256,
            "sorted-form" => Self::SortedForm,
            _ => return Err(format!("`|{text}` is not a transform")),
        })
    }

    /// Whether nobody can find two values that become one.
    pub(super) fn is_faithful(&self) -> bool {
        matches!(self, Self::Base64 | Self::Base64Url | Self::Default(_) | Self::Hex | Self::Sha256)
    }

    pub(super) fn apply<'a>(&'a self, found: Option<Cow<'a, [u8]>>, facts: &Facts<'_>) -> Option<Cow<'a, [u8]>> {
        let Some(value) = found else {
            let Self::Default(text) = self else { return None };
            return Some(Cow::Borrowed(text.as_bytes()));
        };
        Some(match self {
            Self::At(pointer) => Cow::Owned(at(&value, pointer)?),
            Self::Base64 => Cow::Owned(BASE64.encode(&value).into_bytes()),
            Self::Base64Url => Cow::Owned(BASE64URL_NOPAD.encode(&value).into_bytes()),
            Self::Canonical => Cow::Owned(parse(&value)?.root().canonical()),
            Self::Crc32 => Cow::Owned(crc32(&value).to_string().into_bytes()),
            Self::Default(_) => value,
            Self::DefaultPort => Cow::Owned(urls::default_port(&value)?),
            Self::Hex => Cow::Owned(HEXLOWER.encode(&value).into_bytes()),
            Self::Hmac(hash) => Cow::Owned(Key::new(*hash, facts.key?).ok()?.sign(&[&value])),
            Self::Json => Cow::Owned(json_inside(&value)?),
            Self::ListedHeaders(demanded) => Cow::Owned(listed_headers(&value, demanded, facts)?),
            Self::Lower => Cow::Owned(value.to_ascii_lowercase()),
            Self::NoPort => Cow::Owned(urls::no_port(&value)?),
            Self::PercentDecode(set) => Cow::Owned(urls::percent_decode(&value, set)),
            Self::PercentEncode(kept) => Cow::Owned(urls::percent_encode(&value, kept)),
            Self::PhpForm(without) => Cow::Owned(forms::php_serialized(&value, without)?),
            Self::RelativeTo(base) => Cow::Owned(urls::relative_to(&value, base)),
            Self::Sha256 => Cow::Owned(Sha256::digest(&value).to_vec()),
            Self::SortedForm => Cow::Owned(forms::sorted(&value)),
            Self::SortedQuery(without) => Cow::Owned(urls::sorted_query(&value, without)),
        })
    }
}

fn parse(raw: &[u8]) -> Option<Document> {
    Document::parse(bytes::Bytes::copy_from_slice(raw), &json::Limits::default()).ok()
}

fn at(raw: &[u8], pointer: &Pointer) -> Option<Vec<u8>> {
    parse(raw)?.root().at(pointer).and_then(scalar).map(Cow::into_owned)
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn header_names(list: &str) -> Result<Vec<HeaderName>, String> {
    let parse = |name: String| name.parse().map_err(|_| format!("`{name}` is not a header name"));
    names(list).into_iter().map(parse).collect()
}

fn listed_headers(list: &[u8], demanded: &[HeaderName], facts: &Facts<'_>) -> Option<Vec<u8>> {
    let mut listed = header_names(std::str::from_utf8(list).ok()?).ok()?;
    listed.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let has_twins = listed.windows(2).any(|two| two[0] == two[1]);
    if has_twins || !demanded.iter().all(|name| listed.contains(name)) {
        return None;
    }
    let mut text = Vec::new();
    for name in &listed {
        let mut lines = facts.received.head.headers.get_all(name).iter();
        let (value, None) = (lines.next()?, lines.next()) else { return None };
        text.extend_from_slice(if text.is_empty() { b"" } else { b";" });
        text.extend_from_slice(name.as_str().as_bytes());
        text.push(b':');
        text.extend_from_slice(value.as_bytes().trim_ascii());
    }
    Some(text)
}

fn json_inside(value: &[u8]) -> Option<Vec<u8>> {
    let quoted = serde_json::to_vec(std::str::from_utf8(value).ok()?).ok()?;
    Some(quoted[1..quoted.len() - 1].to_vec())
}

const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ 0xEDB8_8320 } else { rest >> 1 };
            bit += 1;
        }
        table[byte as usize] = rest;
        byte += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |rest: u32, byte| CRC32[usize::from(rest.to_le_bytes()[0] ^ byte)] ^ (rest >> 8))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use http::{HeaderMap, Method};
    use jiff::Timestamp;

    use super::*;
    use crate::stages::{
        receive::{Client, Head, Received},
        selector::Selector,
    };

    fn check(transforms: &str, body: &str, expected: Option<&str>) {
        let client = Client { address: None, known: false };
        let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers: HeaderMap::new(), client };
        let received = Received { head, body: body.to_owned().into(), at: Timestamp::UNIX_EPOCH };
        let document = OnceLock::new();
        let selector = Selector::parse(&format!("body|{transforms}"), &|_| None).unwrap();
        let found = selector.find(&Facts::of(&received, "", &document)).unwrap();
        assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{transforms} of {body}");
    }

    #[test]
    fn what_transforms_make() {
        for (transforms, body, expected) in [
            ("crc32", "123456789", Some("3421780262")),
            ("crc32", "", Some("0")),
            ("no-port", "https://a.example:8443/x?y=:1", Some("https://a.example/x?y=:1")),
            ("no-port", "https://[::1]:8443/x", Some("https://[::1]/x")),
            ("no-port", "https://[::1]/x", Some("https://[::1]/x")),
            ("no-port", "https://a.example", Some("https://a.example")),
            ("no-port", "https://a.example:1?b", Some("https://a.example?b")),
            ("no-port", "/x", None),
            ("default-port", "https://a.example/x", Some("https://a.example:443/x")),
            ("default-port", "http://a.example", Some("http://a.example:80")),
            ("default-port", "https://a.example:8443/", Some("https://a.example:8443/")),
            ("percent-decode(%3A%2f)", "%3a%2F%20%", Some(":/%20%")),
            ("percent-decode(%28%29)", "%28a%29%2528", Some("(a)%2528")),
            ("sorted-form", "b=2&a=%2B1&b=1&c", Some("a+1b1b2c")),
            ("sorted-form", "", Some("")),
            ("sorted-form", "d=2&d=1&d=1", Some("d1d2")),
            ("php-form(sig)", "b=%C3%A4&sig=x&a=", Some("a:2:{s:1:\"a\";s:0:\"\";s:1:\"b\";s:2:\"ä\";}")),
            ("php-form(sig)", "sig=x", Some("a:0:{}")),
            ("php-form(sig)", "a=1&sig=x&a=2", None),
            ("percent-encode()", "a b-é", Some("a%20b%2D%C3%A9")),
            ("percent-encode(-_.!~*'())", "a=1&b=(2)", Some("a%3D1%26b%3D(2)")),
            ("percent-encode(%7C)", "a|b", Some("a|b")),
            ("sorted-query(jwt)", "b=2&a=x+y&b=1&jwt=e.y&c", Some("a=x%20y&b=1,2&c=")),
            ("sorted-query(jwt)", "jwt=e.y", Some("")),
            ("relative-to(https://a.example/base/)", "/base/x/", Some("/x")),
            ("relative-to(https://a.example/base)", "/base", Some("/")),
            ("relative-to(https://a.example/base)", "/basement", Some("/basement")),
            ("relative-to(https://a.example)", "/x?", Some("/x?")),
            ("json-at(/a/b)", r#"{"a":{"b":"x"}}"#, Some("x")),
            ("json-at(/a)", r#"{"a":{"b":"x"}}"#, None),
            ("json-at(/a)", "no json", None),
            ("sha256|hex|default(x)", "", Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ] {
            check(transforms, body, expected);
        }
    }

    #[test]
    fn listed_headers_are_those_and_no_others() {
        let check = |list: &str, lines: &[(&'static str, &str)], expected: Option<&str>| {
            let client = Client { address: None, known: false };
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
            let received = Received { head, body: list.to_owned().into(), at: Timestamp::UNIX_EPOCH };
            let document = OnceLock::new();
            let selector = Selector::parse("body|listed-headers(x-time)", &|_| None).unwrap();
            let found = selector.find(&Facts::of(&received, "", &document)).unwrap();
            assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{list}");
        };
        let lines = [("x-time", "7"), ("x-a", " 1 "), ("x-b", "2"), ("x-c", "3"), ("x-c", "3")];
        check("x-time,X-A", &lines, Some("x-a:1;x-time:7"));
        check("x-time", &lines, Some("x-time:7"));
        for list in ["x-a", "", "x-time,x-time", "x-time,x-none", "x-time,x-c", "x-time,x a"] {
            check(list, &lines, None);
        }
    }

    #[test]
    fn misspelt_transforms_are_none() {
        for text in ["sha-256", "default", "percent-decode", "json-at(a)", "upper()", "hex()", "listed-headers(a b)"] {
            assert!(Transform::parse(text).is_err(), "{text}");
        }
    }
}
