//! Transforms of URLs and queries.

use super::forms::pairs;

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

pub(super) fn no_port(url: &[u8]) -> Option<Vec<u8>> {
    let (before, _, after) = around_port(url)?;
    Some([before, after].concat().into_bytes())
}

pub(super) fn default_port(url: &[u8]) -> Option<Vec<u8>> {
    let (before, port, after) = around_port(url)?;
    let port = match port {
        "" if before.starts_with("https:") => ":443",
        "" if before.starts_with("http:") => ":80",
        port => port,
    };
    Some([before, port, after].concat().into_bytes())
}

pub(super) fn percent_decode(value: &[u8], set: &[u8]) -> Vec<u8> {
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

/// Every byte but letters, digits and the kept ones as `%XX`, with upper-case digits.
pub(super) fn percent_encode(value: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            encoded.push(*byte);
        } else {
            encoded.extend(format!("%{byte:02X}").bytes());
        }
    }
    encoded
}

/// What RFC 3986, section 2.3, leaves as it is, besides letters and digits.
const UNRESERVED: &[u8] = b"-._~";

/// Names in order, each once, with its values in order and commas between them, all of them escaped (RFC 3986).
pub(super) fn sorted_query(query: &[u8], without: &[String]) -> Vec<u8> {
    let is_kept = |name: &[u8]| !without.iter().any(|known| known.as_bytes() == name);
    let mut pairs: Vec<_> = pairs(query).filter(|(name, _)| is_kept(name)).collect();
    pairs.sort();
    let mut text = Vec::with_capacity(query.len());
    let mut last: Option<&[u8]> = None;
    for (name, value) in &pairs {
        if last == Some(name.as_ref()) {
            text.push(b',');
        } else {
            if last.is_some() {
                text.push(b'&');
            }
            text.extend(percent_encode(name, UNRESERVED));
            text.push(b'=');
        }
        text.extend(percent_encode(value, UNRESERVED));
        last = Some(name);
    }
    text
}

/// The path of a URL, without a slash at its end.
pub(super) fn base_path(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after.find('/').map_or("", |at| &after[at..]));
    after.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
}

/// A path as seen from another one that it begins with: it begins with a slash, and ends with none.
pub(super) fn relative_to(path: &[u8], base: &str) -> Vec<u8> {
    let rest = path.strip_prefix(base.as_bytes()).filter(|rest| rest.is_empty() || rest[0] == b'/').unwrap_or(path);
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    if rest.is_empty() { b"/".to_vec() } else { rest.to_vec() }
}
