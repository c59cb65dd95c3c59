//! A captured request, read from a file: raw HTTP/1.1 as it was on the wire, an HTTP Archive, or a recorded vector.
//!
//! A signature is over bytes, so a capture is only as good as its bytes. What a form of capture may have changed is
//! said in a remark.

mod har;
mod http1;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{documents::Documents, vectors};
use crate::stages::receive::{Client, Head, Received};

/// A request, and what is known of its capture.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    /// The form it was captured in.
    pub(super) form: &'static str,
    /// The request. When it was received is not known here.
    pub(super) request: Received,
    /// When it was captured, where the capture says so.
    pub(super) at: Option<Timestamp>,
    /// What stood before the path, where the capture has whole URLs.
    pub(super) origin: Option<String>,
    /// What the sender published, where that is recorded beside the request.
    pub(super) documents: Documents,
    /// What may not be as it was on the wire.
    pub(super) remarks: Vec<String>,
}

/// Which of several requests in one file is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Its number from 1, or a vector's name, as the operator said.
    pub(super) entry: Option<&'a str>,
    /// The path that the source has.
    pub(super) path: &'a str,
}

impl Capture {
    /// Reads a file of any of the forms. The error says what is wrong with it.
    pub(super) fn read(bytes: &[u8], wanted: Wanted<'_>) -> Result<Self, String> {
        if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return http1::read(bytes);
        }
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("it begins as JSON and is none: {error}\n  help: {FORMS}"))?;
        if json.get("log").is_some() { har::read(json, wanted) } else { vector(json, wanted) }
    }
}

/// What can be read.
const FORMS: &str = "a request is raw HTTP/1.1 (`POST /path HTTP/1.1`, headers, an empty line, the body), an HTTP Archive \
                     (.har), or a vector with `request` and `now`";

/// A recorded vector, of which the request matters, and what its sender published: the configuration says the rest.
#[derive(Debug, Deserialize)]
struct Recorded {
    name: Option<String>,
    request: vectors::Request,
    now: Option<f64>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
}

fn vector(json: Value, wanted: Wanted<'_>) -> Result<Capture, String> {
    let lists = |json: &Value| {
        let list = |name: &str| json.get(name).and_then(Value::as_array).cloned();
        [list("vectors"), list("handshakes")].into_iter().flatten().flatten().collect::<Vec<_>>()
    };
    let all = match json {
        Value::Array(all) => all,
        one if one.get("request").is_some() => vec![one],
        file => lists(&file),
    };
    let read = |(index, json)| {
        serde_json::from_value::<Recorded>(json)
            .map_err(|error| format!("request {} is no vector: {error}\n  help: {FORMS}", index + 1))
    };
    let recorded = all.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = recorded.iter().map(|it| it.name.clone().unwrap_or_default()).collect();
    let chosen = match wanted.entry {
        Some(entry) => number(entry, names.len()).or_else(|| names.iter().position(|name| name == entry)),
        None => (names.len() == 1).then_some(0),
    };
    let index = chosen.ok_or_else(|| several(&names))?;
    let Recorded { request, now, settings, .. } = recorded.into_iter().nth(index).expect("it was counted");
    let at = now.map(vectors::time).transpose()?;
    let (origin, ..) = request.url()?;
    let origin = Some(origin.to_owned());
    let request = request.received(at.unwrap_or_default())?;
    let documents = Documents::recorded(&settings);
    Ok(Capture { form: "a vector", request, at, origin, documents, remarks: Vec::new() })
}

/// The index that a number from 1 stands for.
fn number(text: &str, count: usize) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_sub(1).filter(|index| *index < count)
}

/// Said when nobody can tell which request is meant.
fn several(names: &[String]) -> String {
    if names.is_empty() {
        return format!("there is no request in it\n  help: {FORMS}");
    }
    let list: Vec<_> = names.iter().enumerate().map(|(index, name)| format!("{}: {name}", index + 1)).collect();
    format!("there are {} requests in it\n  help: say which with `--entry`: {}", names.len(), list.join(", "))
}

/// The scheme and authority of a URL.
fn origin(url: &Uri) -> Option<String> {
    Some(format!("{}://{}", url.scheme_str()?, url.authority()?))
}

/// A request of these parts.
fn received(
    method: &str,
    target: &str,
    headers: impl IntoIterator<Item = (String, Vec<u8>)>,
    body: Bytes,
) -> Result<Received, String> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("{method:?} is no method"))?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header's name"))?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| format!("the header {name} cannot have this value"))?;
        map.append(name, value);
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let client = Client { address: None, known: false };
    Ok(Received { head: Head { method, path, query, headers: map, client }, body, at: Timestamp::UNIX_EPOCH })
}

#[cfg(test)]
mod tests;
