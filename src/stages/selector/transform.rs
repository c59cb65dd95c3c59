//! What is done with a value once it is found.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{
    Facts,
    place::{pairs, scalar},
};
use crate::{
    secret::Secret,
    stages::json::{self, Document, Pointer},
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
    /// `|hmac-sha256`: HMAC-SHA256 with the source's first secret.
    HmacSha256,
    /// `|json`: as the inside of a JSON string.
    Json,
    /// `|lower`: ASCII lower case.
    Lower,
    /// `|no-port`: a URL without a port.
    NoPort,
    /// `|percent-decode(%3A%2F)`: these escapes decoded, and no others.
    PercentDecode(Vec<u8>),
    /// `|sha256`: SHA-256.
    Sha256,
    /// `|sorted-form`: the names and values of a form in the order of the names, decoded, with nothing in between.
    SortedForm,
}

impl Transform {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some((name, argument)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            return match name {
                "default" => Ok(Self::Default(argument.to_owned())),
                "json-at" => Pointer::parse(argument).map(Self::At).map_err(|error| error.to_string()),
                "percent-decode" => Ok(Self::PercentDecode(percent_encoding::percent_decode_str(argument).collect())),
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
            "hmac-sha256" => Self::HmacSha256,
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
            Self::DefaultPort => Cow::Owned(default_port(&value)?),
            Self::Hex => Cow::Owned(HEXLOWER.encode(&value).into_bytes()),
            Self::HmacSha256 => Cow::Owned(hmac_sha256(facts.key?, &value)),
            Self::Json => Cow::Owned(json_inside(&value)?),
            Self::Lower => Cow::Owned(value.to_ascii_lowercase()),
            Self::NoPort => Cow::Owned(no_port(&value)?),
            Self::PercentDecode(set) => Cow::Owned(percent_decode(&value, set)),
            Self::Sha256 => Cow::Owned(Sha256::digest(&value).to_vec()),
            Self::SortedForm => Cow::Owned(sorted_form(&value)),
        })
    }
}

fn parse(raw: &[u8]) -> Option<Document> {
    Document::parse(bytes::Bytes::copy_from_slice(raw), &json::Limits::default()).ok()
}

fn at(raw: &[u8], pointer: &Pointer) -> Option<Vec<u8>> {
    parse(raw)?.root().at(pointer).and_then(scalar).map(Cow::into_owned)
}

fn hmac_sha256(key: &Secret, value: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    mac.update(value);
    mac.finalize().into_bytes().to_vec()
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

/// A URL's text before its port, the port with its colon, and the text after it.
fn around_port(url: &[u8]) -> Option<(&str, &str, &str)> {
    let url = std::str::from_utf8(url).ok()?;
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    let digits = url[host..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    let port = match url[..end - digits].strip_suffix(':') {
        Some(before) if before.len() > host => before.len(),
        _ => end,
    };
    Some((&url[..port], &url[port..end], &url[end..]))
}

fn no_port(url: &[u8]) -> Option<Vec<u8>> {
    let (before, _, after) = around_port(url)?;
    Some([before, after].concat().into_bytes())
}

fn default_port(url: &[u8]) -> Option<Vec<u8>> {
    let (before, port, after) = around_port(url)?;
    let port = match port {
        "" if before.starts_with("https:") => ":443",
        "" if before.starts_with("http:") => ":80",
        port => port,
    };
    Some([before, port, after].concat().into_bytes())
}

fn percent_decode(value: &[u8], set: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match rest {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            _ => None,
        };
        if let Some(byte) = escaped.filter(|byte| set.contains(byte)) {
            decoded.push(byte);
            rest = &rest[3..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    decoded
}

fn sorted_form(form: &[u8]) -> Vec<u8> {
    let mut pairs: Vec<_> = pairs(form).collect();
    pairs.sort();
    pairs.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]).collect::<Vec<_>>().concat()
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
            ("json-at(/a/b)", r#"{"a":{"b":"x"}}"#, Some("x")),
            ("json-at(/a)", r#"{"a":{"b":"x"}}"#, None),
            ("json-at(/a)", "no json", None),
            ("sha256|hex|default(x)", "", Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ] {
            check(transforms, body, expected);
        }
    }

    #[test]
    fn misspelt_transforms_are_none() {
        for text in ["sha-256", "default", "percent-decode", "json-at(a)", "upper()", "hex()"] {
            assert!(Transform::parse(text).is_err(), "{text}");
        }
    }
}
