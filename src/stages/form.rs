//! Forms as events (`application/x-www-form-urlencoded`; URL Standard, section 5).
//!
//! The content type says whether a body is a form, and nobody signs the content type. So a form is read strictly: a body
//! of JSON is none, whatever its content type, and nobody can make another event of a captured request.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::stages::{
    json::{Document, Limits},
    words::Refusal,
};

/// A form, read.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

/// How many fields a form may have.
const FIELDS_MAX: usize = 10_000;

/// Bytes that no sender leaves as they are in a form (RFC 3986, section 2, allows none of them in a query). Those of
/// JSON are among them.
const NEVER: &[u8] = b"\"#<>\\^`{|}";

/// Whether the content type says that the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

impl Form {
    /// Reads a form strictly: escapes are whole, names and values are UTF-8, and nothing is in it that a form has not.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let is_strange = |byte: &u8| !byte.is_ascii_graphic() || NEVER.contains(byte);
        if body.iter().any(is_strange) || body.starts_with(b"[") {
            return Err(Refusal::NotJson);
        }
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let fields = pairs.take(FIELDS_MAX + 1).map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            Ok((text(&pair[..at])?, text(pair.get(at + 1..).unwrap_or_default())?))
        });
        let fields: Vec<_> = fields.collect::<Result<_, Refusal>>()?;
        if fields.len() > FIELDS_MAX { Err(Refusal::TooLarge) } else { Ok(Self(fields)) }
    }

    /// The value of the first of these fields that is there. A field that is there twice is refused: two readers could
    /// take two values.
    pub fn field(&self, names: &[String]) -> Result<Option<&str>, Refusal> {
        for name in names {
            let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (None, _) => {}
                (found, None) => return Ok(found),
                (Some(_), Some(_)) => return Err(Refusal::DuplicateKey),
            }
        }
        Ok(None)
    }

    /// What selectors, filters and schemas see of a form: an object with a text for each field, or a list of texts for one
    /// that is there several times. It is looked at and never forwarded.
    pub fn document(&self) -> Result<Document, Refusal> {
        let mut object = Map::new();
        for (name, value) in &self.0 {
            let value = Value::from(value.as_str());
            match object.get_mut(name) {
                None => drop(object.insert(name.clone(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        let text = Value::Object(object).to_string();
        Document::parse(Bytes::from(text), &Limits::default()).map_err(Refusal::from)
    }
}

/// A name or a value, decoded once.
fn text(escaped: &[u8]) -> Result<String, Refusal> {
    let mut decoded = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte =
                    digits.filter(|digits| !digits.starts_with('+')).and_then(|it| u8::from_str_radix(it, 16).ok());
                decoded.push(byte.ok_or(Refusal::NotJson)?);
                rest = &after[2..];
            }
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).map_err(|_| Refusal::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&str, Refusal>) {
        let document = Form::read(body.as_bytes()).and_then(|form| form.document());
        let text = document.map(|document| String::from_utf8(document.body().to_vec()).unwrap());
        assert_eq!(text.as_deref().map_err(|refusal| *refusal), expected, "{body}");
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        check("a=1&b=x+y%2B", Ok(r#"{"a":"1","b":"x y+"}"#));
        check("a=1&b&=c&&a=2&a=3", Ok(r#"{"":"c","a":["1","2","3"],"b":""}"#));
        check("data%5Bemail%5D=%C3%A4&data[x]=~*", Ok(r#"{"data[email]":"ä","data[x]":"~*"}"#));
        check("", Ok("{}"));
        check("a=%22%5C%00", Ok(r#"{"a":"\"\\\u0000"}"#));
    }

    #[test]
    fn w_49_json_is_no_form() {
        for body in [r#"{"a":1}"#, "[1]", r#""a""#, "a=1\n", "a=b c", "a=%", "a=%2", "a=%zz", "a=%+1", "ä=1", "a=<b>"]
        {
            check(body, Err(Refusal::NotJson));
        }
        check("a=%ff", Err(Refusal::Encoding));
    }

    #[test]
    fn one_field_of_several() {
        let form = Form::read(b"b=2&c=3&c=4").unwrap();
        let field = |names: &[&str]| form.field(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(field(&["a", "b"]), Ok(Some("2")));
        assert_eq!(field(&["a"]), Ok(None));
        assert_eq!(field(&["c", "b"]), Err(Refusal::DuplicateKey));
        assert_eq!(field(&[]), Ok(None));
    }

    #[test]
    fn the_content_type_says_so() {
        let says = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (CONTENT_TYPE, line.parse().unwrap()));
            is_form(&lines.collect::<HeaderMap>())
        };
        assert!(says(&["application/x-www-form-urlencoded"]));
        assert!(says(&["Application/X-WWW-Form-Urlencoded ; charset=utf-8"]));
        assert!(!says(&["application/json"]) && !says(&[]) && !says(&["multipart/form-data; boundary=x"]));
        assert!(!says(&["application/x-www-form-urlencoded"; 2]));
    }
}
