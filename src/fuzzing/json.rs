//! The scanner and the splitter against `serde_json`.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, value::RawValue};

use crate::stages::{
    json::{Document, Fault, Kind, Limits, Malformed, Path, Value},
    split::{self, Envelope},
};

/// The same bodies are read, but for those refused on purpose; the same values are found in them; events lie exactly
/// where `serde_json` sees them; the canonical text is one text.
pub fn split(data: &[u8]) {
    let limits = Limits::default();
    let document = Document::parse(Bytes::copy_from_slice(data), &limits);
    match (document, serde_json::from_slice::<Tree>(data)) {
        (Err(malformed), Ok(tree)) => assert_on_purpose(malformed, &tree, data, &limits),
        // The two round differently, so at the very edge of a float one may see infinity where the other does not.
        (Ok(_), Err(error)) => {
            assert!(error.to_string().starts_with("number out of range"), "read in spite of {error}");
        }
        (Err(_), Err(_)) => {}
        (Ok(document), Ok(tree)) => {
            assert!(!tree.has_twins() && tree.depth() <= limits.depth && tree.values() <= limits.nodes);
            assert_same(document.root(), &tree);
            assert_canonical(document.root());
            assert_ranges(document, data);
        }
    }
}

/// A refused body that `serde_json` reads has just the fault that it was refused for.
fn assert_on_purpose(malformed: Malformed, tree: &Tree, data: &[u8], limits: &Limits) {
    match malformed.fault {
        Fault::DuplicateKey => assert!(tree.has_twins()),
        Fault::Depth => assert!(tree.depth() > limits.depth),
        Fault::TooManyNodes => assert!(tree.values() > limits.nodes),
        Fault::NotJson => {
            let is_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            let number: Vec<u8> = data[malformed.offset..].iter().take_while(is_number).copied().collect();
            let number = String::from_utf8(number).expect("these are ASCII");
            assert!(number.parse().is_ok_and(f64::is_infinite), "not read: {malformed}");
        }
        Fault::Encoding => panic!("not read: {malformed}"),
    }
}

fn assert_same(value: Value<'_>, tree: &Tree) {
    match tree {
        Tree::Null => assert_eq!(value.kind(), Kind::Null),
        Tree::Bool(bool) => assert_eq!(value.as_bool(), Some(*bool)),
        Tree::Number(number) => {
            assert_eq!(value.number_text().and_then(|text| text.parse().ok()).as_ref(), Some(number));
        }
        Tree::String(string) => assert_eq!(value.as_str().as_deref(), Some(string.as_str())),
        Tree::Array(elements) => {
            assert_eq!((value.kind(), value.len()), (Kind::Array, elements.len()));
            assert_eq!(value.elements().count(), elements.len());
            value.elements().zip(elements).for_each(|(value, tree)| assert_same(value, tree));
        }
        Tree::Object(members) => {
            assert_eq!((value.kind(), value.len()), (Kind::Object, members.len()));
            assert_eq!(value.members().count(), members.len());
            for ((key, value), (name, tree)) in value.members().zip(members) {
                assert_eq!(key, name.as_str());
                assert_same(value, tree);
            }
        }
    }
}

fn assert_canonical(value: Value<'_>) {
    let text = value.canonical();
    let document = Document::parse(Bytes::from(text.clone()), &Limits::default()).expect("canonical text is JSON");
    assert_eq!(document.root().canonical(), text, "canonical text is its own canonical text");
}

fn assert_ranges(document: Document, data: &[u8]) {
    let envelope = Envelope { split: vec![Path::default()], elements_max: usize::MAX, ..Envelope::default() };
    let batch = split::split(document, &envelope).expect("any body is a batch of this envelope");
    let bare = serde_json::from_slice::<&RawValue>(data).map(|value| vec![value]);
    let expected = serde_json::from_slice::<Vec<&RawValue>>(data).or(bare).expect("it was read before");
    assert_eq!(batch.len(), expected.len());
    for (event, expected) in batch.events().zip(expected) {
        let start = expected.get().as_ptr().addr() - data.as_ptr().addr();
        assert_eq!(event.value().range(), start..start + expected.get().len());
        // A bare event is the whole body, white space at its ends included.
        assert_eq!(event.bytes(), if batch.was_array() { expected.get().as_bytes() } else { data });
    }
}

/// What `serde_json` reads, with nothing dropped.
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Tree {
    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => Vec::new(),
            Self::Array(elements) => elements.iter().collect(),
            Self::Object(members) => members.iter().map(|(_, value)| value).collect(),
        }
    }

    fn depth(&self) -> usize {
        let own = usize::from(matches!(self, Self::Array(_) | Self::Object(_)));
        own + self.children().into_iter().map(Self::depth).max().unwrap_or(0)
    }

    fn values(&self) -> usize {
        1 + self.children().into_iter().map(Self::values).sum::<usize>()
    }

    fn has_twins(&self) -> bool {
        let mut keys: Vec<&str> = match self {
            Self::Object(members) => members.iter().map(|(key, _)| key.as_str()).collect(),
            _ => Vec::new(),
        };
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1]) || self.children().into_iter().any(Self::has_twins)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::from_f64(number).expect("no JSON number is infinite")))
    }

    fn visit_str<E>(self, string: &str) -> Result<Tree, E> {
        Ok(Tree::String(string.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
