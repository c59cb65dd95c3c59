//! Bodies in every way that events can be packed: what is forwarded is the body, or a range of it, or of a form's field.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use jiff::Timestamp;

use crate::stages::{
    json::{Document, Limits, Path},
    receive::{Client, Head, Received},
    split::Envelope,
};

/// First a byte that picks the way, then the body.
pub fn packing(data: &[u8]) {
    let Some((pick, body)) = data.split_first() else { return };
    let path = |text: &str| Path::parse(text).expect("a constant");
    let form = pick & 1 == 1;
    let envelope = Envelope {
        split: match pick >> 1 & 3 {
            0 => Vec::new(),
            1 => vec![path("")],
            2 => vec![path("/a/*/b"), path("/a/*/c")],
            _ => vec![path("/*s")],
        },
        unwrap: (pick & 8 != 0).then(|| path("/*")),
        lines: pick & 16 != 0,
        forms: pick & 32 != 0,
        form_json: if pick & 64 == 0 { Vec::new() } else { vec!["p".to_owned()] },
        elements_max: 100,
    };
    let content_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    let client = Client { address: None, known: false };
    let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
    let received = Received { head, body: Bytes::copy_from_slice(body), at: Timestamp::UNIX_EPOCH };
    let Ok(batch) = envelope.read(&received) else { return };
    assert!(batch.len() <= envelope.elements_max);
    let is_form = form && (envelope.forms || !envelope.form_json.is_empty());
    let is_json = Document::parse(received.body.clone(), &Limits::default()).is_ok_and(|it| !it.root().is_empty());
    assert!(!(is_form && is_json), "a body of JSON is no form");
    let field = field(body);
    for event in batch.events() {
        let bytes = event.bytes();
        if event.is_whole_body() {
            assert_eq!(bytes, received.body, "an event that is all there is is forwarded as it came");
            continue;
        }
        let source = if is_form { field.as_deref() } else { Some(body) };
        let source = source.expect("what is no whole body was cut out of one, or of a field");
        let is_range = source.windows(bytes.len().max(1)).any(|range| range == bytes);
        assert!(is_range, "what is forwarded stands in what came");
        assert!(Document::parse(bytes, &Limits::default()).is_ok(), "what is cut out is JSON by itself");
    }
}

/// The field `p`, decoded by other code than the gateway's.
fn field(body: &[u8]) -> Option<Vec<u8>> {
    let pairs = body.split(|byte| *byte == b'&').map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let mut decode = || {
            let spaced: Vec<u8> = parts.next()?.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            Some(percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>())
        };
        (decode(), decode())
    });
    let fields: BTreeMap<_, _> = pairs.collect();
    fields.get(&Some(b"p".to_vec()))?.clone()
}

#[cfg(test)]
mod tests {
    use super::packing;

    #[test]
    fn promises_hold_for_these() {
        let bodies =
            ["", "{}", "[1]", "a=1", "p=%5B1%2C%202%5D&x", "p=%7B%7D", "{\"a\":[{\"b\":[1]},{\"c\":2}]}", "1\n\n[2]"];
        for pick in 0..=u8::MAX {
            for body in bodies {
                packing(&[&[pick], body.as_bytes()].concat());
            }
        }
    }
}
