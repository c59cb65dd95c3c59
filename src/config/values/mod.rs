//! The single values a key can have: durations, sizes, addresses, words.

mod address;
mod quantity;
mod text;

use std::{fmt, path::PathBuf};

use jiff::Timestamp;

pub use self::{
    address::{Cidr, Header, Host, HostName, Listen, Url},
    quantity::{Ahead, Number, Rate, Size},
    text::{Glob, MediaType, MethodName, Pattern, Pointer, RequestPath, Selector, Template},
};
use crate::{
    config::{
        diagnostics::Diagnostics,
        node::{Node, Value},
        table::{FromConfig, Shape},
    },
    secret::Secret,
};

/// A value that is written as a string.
pub trait Leaf: Sized {
    /// What it must be, with the article: "a duration".
    fn want() -> String;

    /// What to write instead of `text`; of nothing, when what was there is not a string.
    fn help(text: &str) -> String;

    /// Reads it.
    fn parse(text: &str) -> Option<Self>;

    /// What it looks like, for the reference.
    fn documented() -> Shape {
        Shape::Leaf(Self::want())
    }
}

impl<T: Leaf> FromConfig for T {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let text = if let Value::Text(text) = &node.value { Some(text.as_str()) } else { None };
        let value = text.and_then(T::parse);
        if value.is_none() {
            node.mistyped(&T::want(), T::help(text.unwrap_or_default()), found);
        }
        value
    }

    fn shape() -> Shape {
        T::documented()
    }
}

/// `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The nearest of the known words, if one is near enough to be meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = word.chars().count().max(3) / 3;
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

impl Leaf for String {
    fn want() -> String {
        "a string".to_owned()
    }

    fn help(_text: &str) -> String {
        "put it in quotes".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Leaf for PathBuf {
    fn want() -> String {
        "a path of a file".to_owned()
    }

    fn help(_text: &str) -> String {
        "for example \"/run/secrets/app\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }
}

/// A secret written into the file.
impl Leaf for Secret {
    fn want() -> String {
        "a string".to_owned()
    }

    fn help(_text: &str) -> String {
        "put it in quotes".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

impl FromConfig for bool {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        if let Value::Boolean(value) = node.structured().value {
            return Some(value);
        }
        node.mistyped("true or false", "write `true` or `false`, without quotes", found);
        None
    }

    fn shape() -> Shape {
        Shape::Leaf("`true` or `false`".to_owned())
    }
}

impl FromConfig for Timestamp {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let time = match &node.value {
            Value::Text(text) | Value::Datetime(text) => text.parse().ok(),
            Value::Boolean(_) | Value::Integer(_) | Value::Float | Value::List(_) | Value::Table(_) => None,
        };
        if time.is_none() {
            node.mistyped("a time", "date, time and offset (RFC 3339): \"2026-12-01T00:00:00Z\"", found);
        }
        time
    }

    fn shape() -> Shape {
        Shape::Leaf("a time (RFC 3339)".to_owned())
    }
}

/// A plain value of JSON: what a filter or a condition compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
}

impl FromConfig for Plain {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        match &node.structured().value {
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Integer(number) => Some(Self::Integer(*number)),
            Value::Boolean(value) => Some(Self::Boolean(*value)),
            Value::Float | Value::Datetime(_) | Value::List(_) | Value::Table(_) => {
                node.mistyped("a string, a whole number, true or false", "", found);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Leaf("a string, a whole number, `true` or `false`".to_owned())
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}
