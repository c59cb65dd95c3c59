//! A view of one value of a document.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;

use super::{Document, Kind, Node, Pointer, Siblings, scan::decode};

/// One value of a [`Document`]: as cheap to copy as a reference.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    document: &'a Document,
    index: u32,
}

impl<'a> Value<'a> {
    pub(super) fn new(document: &'a Document, index: u32) -> Self {
        Self { document, index }
    }

    /// Where it is on its document's tape; the way back is [`Document::value`].
    pub(in crate::stages) fn place(self) -> u32 {
        self.index
    }

    /// How many entries of the tape it takes up: itself and all that lies inside it, keys included.
    pub(in crate::stages) fn nodes(self) -> usize {
        (self.node().next - self.index) as usize
    }

    /// What tells it from every other value that is alive.
    pub(in crate::stages) fn address(self) -> (usize, u32) {
        (std::ptr::from_ref(self.document).addr(), self.index)
    }

    fn node(self) -> &'a Node {
        &self.document.nodes[self.index as usize]
    }

    /// What the value is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The text of the value as received, from its first byte to its last.
    pub fn raw(self) -> &'a [u8] {
        self.node().text(&self.document.body)
    }

    /// Where [`raw`](Self::raw) lies in the body.
    pub fn range(self) -> Range<usize> {
        self.node().start as usize..self.node().end as usize
    }

    /// The same bytes as [`raw`](Self::raw), shared with the body instead of copied.
    pub fn bytes(self) -> Bytes {
        self.document.body.slice(self.range())
    }

    /// The content of a string, borrowed from the body unless it holds escapes. `None` for every other kind.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| decode(self.node(), &self.document.body))
    }

    /// The source text of a number: `1`, `1.0` and `1e0` are three different texts. `None` for every other kind.
    pub fn number_text(self) -> Option<&'a str> {
        if self.kind() == Kind::Number { std::str::from_utf8(self.raw()).ok() } else { None }
    }

    /// The truth value of a boolean; `None` for every other kind.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == b"true")
    }

    /// How many elements an array or members an object has; 0 for every other kind.
    pub fn len(self) -> usize {
        self.node().len as usize
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements of an array; nothing for every other kind.
    pub fn elements(self) -> Elements<'a> {
        Elements { document: self.document, rest: self.children(Kind::Array) }
    }

    /// The keys and values of an object, as they stand in the body; nothing for every other kind.
    pub fn members(self) -> Members<'a> {
        Members { document: self.document, rest: self.children(Kind::Object) }
    }

    fn children(self, container: Kind) -> Siblings<'a> {
        let nodes = &self.document.nodes;
        if self.kind() == container { Siblings::inside(nodes, self.index) } else { Siblings { nodes, at: 0, end: 0 } }
    }

    /// The value of an object's member; `None` when there is none or this is no object.
    pub fn member(self, name: &str) -> Option<Self> {
        let (document, mut rest) = (self.document, self.children(Kind::Object));
        while let (Some(key), Some(value)) = (rest.next(), rest.next()) {
            let key = &document.nodes[key as usize];
            let found = if key.escaped {
                decode(key, &document.body) == name
            } else {
                key.quoted(&document.body) == name.as_bytes()
            };
            if found {
                return Some(Self::new(document, value));
            }
        }
        None
    }

    /// The value a pointer leads to from here (RFC 6901, section 4).
    pub fn at(self, pointer: &Pointer) -> Option<Self> {
        pointer.tokens().try_fold(self, |value, token| match value.kind() {
            Kind::Object => value.member(token),
            Kind::Array => value.elements().nth(array_index(token)?),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => None,
        })
    }

    /// One text for all spellings of the value: no white space, keys sorted by code point, no escape that is not
    /// needed. Numbers keep their source text, since two texts for one number need not mean the same to every reader.
    pub fn canonical(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.raw().len());
        let mut due = vec![Piece::Value(self)];
        while let Some(piece) = due.pop() {
            match piece {
                Piece::Text(part) => text.extend_from_slice(part),
                Piece::Key(key) => {
                    write_string(&key, &mut text);
                    text.push(b':');
                }
                Piece::Value(value) => value.canonical_pieces(&mut text, &mut due),
            }
        }
        text
    }

    /// Writes a scalar; of a container writes the beginning, and puts the rest on the stack, last piece first.
    fn canonical_pieces(self, text: &mut Vec<u8>, due: &mut Vec<Piece<'a>>) {
        match self.kind() {
            Kind::Null | Kind::Bool | Kind::Number => text.extend_from_slice(self.raw()),
            Kind::String => write_string(&decode(self.node(), &self.document.body), text),
            Kind::Array => {
                text.push(b'[');
                due.push(Piece::Text(b"]"));
                let mark = due.len();
                for element in self.elements() {
                    due.extend([Piece::Text(b","), Piece::Value(element)]);
                }
                reverse_list(due, mark);
            }
            Kind::Object => {
                text.push(b'{');
                due.push(Piece::Text(b"}"));
                let mark = due.len();
                let mut members: Vec<_> = self.members().collect();
                members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                for (key, value) in members {
                    due.extend([Piece::Text(b","), Piece::Key(key), Piece::Value(value)]);
                }
                reverse_list(due, mark);
            }
        }
    }
}

/// Says what it is and where; what is in it belongs in no log.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.kind(), self.range())
    }
}

/// A part of a canonical text that is still to be written.
enum Piece<'a> {
    Text(&'static [u8]),
    Key(Cow<'a, str>),
    Value(Value<'a>),
}

/// Turns a list of pieces around, so that its first is on top of the stack, without the comma it starts with.
fn reverse_list(due: &mut Vec<Piece<'_>>, mark: usize) {
    due[mark..].reverse();
    if due.len() > mark {
        due.pop();
    }
}

fn write_string(string: &str, text: &mut Vec<u8>) {
    serde_json::to_writer(text, string).expect("writing a string to memory cannot fail");
}

/// An index as RFC 6901 writes it: digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if plain { token.parse().ok() } else { None }
}

/// The elements of an array, in order.
#[derive(Clone)]
pub struct Elements<'a> {
    document: &'a Document,
    rest: Siblings<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        Some(Value::new(self.document, self.rest.next()?))
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The members of an object, in order.
#[derive(Clone)]
pub struct Members<'a> {
    document: &'a Document,
    rest: Siblings<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = &self.document.nodes[self.rest.next()? as usize];
        let value = Value::new(self.document, self.rest.next()?);
        Some((decode(key, &self.document.body), value))
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(_, value)| value)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::json::Limits;

    fn parse(body: &'static str) -> Document {
        Document::parse(Bytes::from_static(body.as_bytes()), &Limits::default()).unwrap()
    }

    #[test]
    fn j_07_numbers_keep_their_text() {
        for number in ["123456789012345678901234567890", "9007199254740993", "1E2", "-0", "1.0", "0.1e1"] {
            let document = parse(number);
            assert_eq!(document.root().number_text(), Some(number));
            assert_eq!(document.root().canonical(), number.as_bytes());
        }
    }

    #[test]
    fn j_13_j_14_odd_keys_and_strings_are_passed_through() {
        let body = r#"{"__proto__":1,"constructor":{"":2},"a\u0000b":"evt\u0000x","/~":3}"#;
        let document = parse(body);
        let at = |pointer: &str| document.root().at(&Pointer::parse(pointer).unwrap()).map(Value::raw);
        assert_eq!(at("/__proto__"), Some(&b"1"[..]));
        assert_eq!(at("/constructor/"), Some(&b"2"[..]));
        assert_eq!(at("/~1~0"), Some(&b"3"[..]));
        let string = document.root().member("a\0b").unwrap();
        assert_eq!(string.as_str().unwrap(), "evt\0x");
        assert_eq!(string.raw(), br#""evt\u0000x""#);
        let long = format!("{{\"{}\":1}}", "k".repeat(64 << 10));
        let document = Document::parse(Bytes::from(long), &Limits::default()).unwrap();
        assert!(document.root().member(&"k".repeat(64 << 10)).is_some());
    }

    #[test]
    fn pointers_lead_where_rfc_6901_says() {
        let document = parse(r#" { "a" : [ 10, [ ], {"b": false} ], "\u0061b" : "x", "0": null } "#);
        let check = |pointer: &str, expected: Option<&str>| {
            let found = document.root().at(&Pointer::parse(pointer).unwrap());
            assert_eq!(found.map(Value::raw), expected.map(str::as_bytes), "{pointer}");
        };
        check("/a/0", Some("10"));
        check("/a/1", Some("[ ]"));
        check("/a/2/b", Some("false"));
        check("/ab", Some("\"x\""));
        check("/0", Some("null"));
        for nowhere in ["/b", "/a/3", "/a/-", "/a/00", "/a/+0", "/a/", "/a/0/0", "/ab/0", "/a/99999999999999999999"] {
            check(nowhere, None);
        }
    }

    #[test]
    fn each_kind_has_its_own_reading() {
        let document = parse(r#"[null, true, false, 1, "", [1, 2], {"a": 1}]"#);
        let values: Vec<Value<'_>> = document.root().elements().collect();
        let kinds: Vec<Kind> = values.iter().map(|value| value.kind()).collect();
        let expected = [Kind::Null, Kind::Bool, Kind::Bool, Kind::Number, Kind::String, Kind::Array, Kind::Object];
        assert_eq!(kinds, expected);
        let bools: Vec<_> = values.iter().map(|value| value.as_bool()).collect();
        assert_eq!(bools, [None, Some(true), Some(false), None, None, None, None]);
        let lengths: Vec<_> = values.iter().map(|value| (value.len(), value.elements().count())).collect();
        assert_eq!(lengths, [(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (2, 2), (1, 0)]);
        assert_eq!(values[4].as_str().as_deref(), Some(""));
        assert_eq!(values[3].as_str(), None);
        assert_eq!(values[4].number_text(), None);
        assert_eq!(
            values[6].members().map(|(key, value)| (key, value.raw())).collect::<Vec<_>>(),
            [("a".into(), &b"1"[..])]
        );
        assert_eq!(format!("{:?}", values[4]), "String at 23..25");
    }

    #[test]
    fn bytes_are_shared_with_the_body() {
        let document = parse(r#"{"a": [1, 2]}"#);
        let value = document.root().member("a").unwrap();
        assert_eq!(value.bytes().as_ptr(), document.body()[6..].as_ptr());
        assert_eq!(value.bytes(), value.raw());
    }

    #[test]
    fn one_canonical_text_for_all_spellings() {
        let check = |body: &'static str, expected: &str| {
            assert_eq!(String::from_utf8(parse(body).root().canonical()).unwrap(), expected);
        };
        check(" [ 1 , [ ] , { } ] ", "[1,[],{}]");
        check(
            r#"{ "b" : 1, "a\u0062" : "\u0041\/\n\u0001\u00e9", "a" : [ null , true ] }"#,
            "{\"a\":[null,true],\"ab\":\"A/\\n\\u0001é\",\"b\":1}",
        );
        check(r#"{"\uffff":1,"\ud83d\ude00":2}"#, "{\"\u{ffff}\":1,\"😀\":2}");
        check(r#"{"b":{"d":1,"c":[{"z":1,"y":2}]},"a":0}"#, r#"{"a":0,"b":{"c":[{"y":2,"z":1}],"d":1}}"#);
    }
}
