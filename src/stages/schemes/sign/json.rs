//! Puts a value into JSON and leaves every other byte as it is.

use bytes::Bytes;

use crate::stages::json::{Document, Kind, Limits, Pointer, Value};

/// The JSON with this value at a pointer; objects are made on the way. Nothing when it is no JSON, or the pointer leads
/// into something that is no object.
pub(super) fn put(body: &Bytes, pointer: &Pointer, value: &str) -> Option<Bytes> {
    let document = Document::parse(body.clone(), &Limits::default()).ok()?;
    let mut place = document.root();
    let mut tokens = pointer.tokens().peekable();
    loop {
        let Some(token) = tokens.next() else {
            return Some(splice(body, place.range(), &written(value)));
        };
        let step = Pointer::parse(&format!("/{}", escaped(token))).ok()?;
        if let Some(next) = place.at(&step) {
            place = next;
            continue;
        }
        if place.kind() != Kind::Object {
            return None;
        }
        let rest: Vec<&str> = tokens.collect();
        let inner = rest.iter().rev().fold(written(value), |inner, token| format!("{{{}:{inner}}}", quoted(token)));
        let joint = if Value::is_empty(place) { "" } else { "," };
        let end = place.range().end - 1;
        return Some(splice(body, end..end, &format!("{joint}{}:{inner}", quoted(token))));
    }
}

/// A text as JSON: truth as truth, everything else as a string.
fn written(value: &str) -> String {
    if matches!(value, "true" | "false") { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A token as a pointer writes it (RFC 6901, section 3).
fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn splice(body: &[u8], range: std::ops::Range<usize>, with: &str) -> Bytes {
    [&body[..range.start], with.as_bytes(), &body[range.end..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_where_pointers_lead() {
        let check = |body: &str, pointer: &str, want: Option<&str>| {
            let found = put(&Bytes::copy_from_slice(body.as_bytes()), &Pointer::parse(pointer).unwrap(), "v\"");
            assert_eq!(found.as_deref(), want.map(str::as_bytes), "{body} {pointer}");
        };
        check("{}", "/a", Some(r#"{"a":"v\""}"#));
        check(r#" {"b": 1.0 } "#, "/a", Some(r#" {"b": 1.0 ,"a":"v\""} "#));
        check("{}", "/a/b/c", Some(r#"{"a":{"b":{"c":"v\""}}}"#));
        check(r#"{"a":{"b":1}}"#, "/a/c", Some(r#"{"a":{"b":1,"c":"v\""}}"#));
        check(r#"{"a": 1}"#, "/a", Some(r#"{"a": "v\""}"#));
        check(r#"{"a":[{},{}]}"#, "/a/1/x~1y", Some(r#"{"a":[{},{"x/y":"v\""}]}"#));
        check(r#"{"a":[]}"#, "/a/0", None);
        check(r#"{"a":1}"#, "/a/b", None);
        check("a=b", "/a", None);
    }
}
