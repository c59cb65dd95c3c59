//! Our tape as the schema engine sees it: it reads the body's own bytes, and no tree is built.

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;
use jsonschema::{
    JsonType,
    json::{Array, Json, Node, NodeIdentity, Object, cmp, unique},
};
use serde_json::{Number, Value as Tree};

use crate::stages::json::{Document, Elements, Kind, Limits, Members, Value};

/// A member that a keyword looks for costs a walk over the members, so one walk for all of them is always cheaper.
const KEYS_PER_LOOKUP: usize = 1 << 20;

/// The representation's name for the engine.
pub(super) struct Tape;

impl Json for Tape {
    type Node<'a> = Instance<'a>;
    type PreparedKey = String;
    type StringBuffer = Option<Document>;

    const KEYS_PER_LOOKUP: usize = KEYS_PER_LOOKUP;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Option<Document>, string: &str, f: impl FnOnce(Instance<'_>) -> T) -> T {
        let text = serde_json::to_vec(string).expect("writing a string to memory cannot fail");
        let document = Document::parse(Bytes::from(text), &Limits::default()).expect("a string is a document");
        f(Instance { value: buffer.insert(document).root(), budget: None })
    }
}

/// A value under examination.
#[derive(Clone, Copy)]
pub(super) struct Instance<'a> {
    pub(super) value: Value<'a>,
    /// How many more containers may be looked into; `None` is no limit. Used up, they look empty of faults.
    pub(super) budget: Option<&'a Cell<usize>>,
}

impl<'a> Instance<'a> {
    fn container(&self, kind: Kind) -> Option<Self> {
        let is_affordable = || self.budget.is_none_or(|left| left.replace(left.get().saturating_sub(1)) > 0);
        (self.value.kind() == kind && is_affordable()).then_some(*self)
    }

    fn inner(&self, value: Value<'a>) -> Self {
        Self { value, budget: self.budget }
    }
}

impl<'a> Node<'a, Tape> for Instance<'a> {
    type Object = Self;
    type Array = Self;
    type Number = Number;

    fn as_object(&self) -> Option<Self> {
        self.container(Kind::Object)
    }

    fn as_array(&self) -> Option<Self> {
        self.container(Kind::Array)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.value.as_str()
    }

    fn as_number(&self) -> Option<Number> {
        self.value.number_text().map(number)
    }

    fn is_number(&self) -> bool {
        self.value.kind() == Kind::Number
    }

    fn as_boolean(&self) -> Option<bool> {
        self.value.as_bool()
    }

    fn is_null(&self) -> bool {
        self.value.kind() == Kind::Null
    }

    fn json_type(&self) -> JsonType {
        match self.value.kind() {
            Kind::Null => JsonType::Null,
            Kind::Bool => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Tree) -> bool {
        equal(self.value, expected)
    }

    /// Always null: the engine asks for a tree only to put it into the text of an error, and no error of ours may carry
    /// what a sender wrote. Where a verdict depends on the value, [`Self::equals_value`] and [`Array::is_unique`] decide.
    fn to_value(&self) -> Cow<'a, Tree> {
        Cow::Owned(Tree::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let (document, place) = self.value.address();
        Some(NodeIdentity::tagged(document, place))
    }
}

impl<'a> Object<'a, Tape> for Instance<'a> {
    type Node = Self;
    type MemberName = Cow<'a, str>;
    type MembersIter = Parts<'a, Members<'a>>;

    fn len(&self) -> usize {
        self.value.len()
    }

    fn get(&self, key: &String) -> Option<Self> {
        self.value.member(key).map(|value| self.inner(value))
    }

    fn members(&self) -> Self::MembersIter {
        Parts { parts: self.value.members(), of: *self }
    }
}

impl<'a> Array<'a, Tape> for Instance<'a> {
    type Node = Self;
    type ElementsIter = Parts<'a, Elements<'a>>;

    fn len(&self) -> usize {
        self.value.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        Parts { parts: self.value.elements(), of: *self }
    }

    fn is_unique(&self) -> bool {
        let elements: Vec<Tree> = self.value.elements().map(tree).collect();
        unique::is_unique(&elements)
    }
}

/// The parts of an instance, under its budget.
pub(super) struct Parts<'a, I> {
    parts: I,
    of: Instance<'a>,
}

impl<'a> Iterator for Parts<'a, Members<'a>> {
    type Item = (Cow<'a, str>, Instance<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.parts.next().map(|(key, value)| (key, self.of.inner(value)))
    }
}

impl<'a> Iterator for Parts<'a, Elements<'a>> {
    type Item = Instance<'a>;

    fn next(&mut self) -> Option<Instance<'a>> {
        self.parts.next().map(|value| self.of.inner(value))
    }
}

/// A number as the engine computes with it: an integer of 64 bits where it is one, else a float.
fn number(text: &str) -> Number {
    // The parsers of serde_json and of the standard library round differently; one may overflow where the other does not.
    let rounded = || text.parse().ok().and_then(Number::from_f64);
    text.parse().ok().or_else(rounded).expect("the scanner takes finite numbers only")
}

/// Equality as JSON Schema means it: numbers by value, objects without order. Goes no deeper than the schema's own value.
fn equal(value: Value<'_>, expected: &Tree) -> bool {
    match expected {
        Tree::Null => value.kind() == Kind::Null,
        Tree::Bool(expected) => value.as_bool() == Some(*expected),
        Tree::Number(_) => value.number_text().is_some_and(|text| cmp::equal(&Tree::Number(number(text)), expected)),
        Tree::String(expected) => value.as_str().is_some_and(|string| string == expected.as_str()),
        Tree::Array(expected) => {
            let mut pairs = value.elements().zip(expected);
            value.kind() == Kind::Array
                && value.len() == expected.len()
                && pairs.all(|(element, expected)| equal(element, expected))
        }
        Tree::Object(expected) => {
            let same = |(key, member): (Cow<'_, str>, _)| {
                expected.get(key.as_ref()).is_some_and(|expected| equal(member, expected))
            };
            value.kind() == Kind::Object && value.len() == expected.len() && value.members().all(same)
        }
    }
}

/// A copy of the value, for the one keyword that compares elements with each other. Goes as deep as the value, which
/// the scanner has bounded.
fn tree(value: Value<'_>) -> Tree {
    match value.kind() {
        Kind::Null => Tree::Null,
        Kind::Bool => Tree::Bool(value.as_bool() == Some(true)),
        Kind::Number => value.number_text().map_or(Tree::Null, |text| Tree::Number(number(text))),
        Kind::String => value.as_str().map_or(Tree::Null, |string| Tree::String(string.into_owned())),
        Kind::Array => Tree::Array(value.elements().map(tree).collect()),
        Kind::Object => Tree::Object(value.members().map(|(key, value)| (key.into_owned(), tree(value))).collect()),
    }
}
