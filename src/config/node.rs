//! A merged setting before anybody has looked at its type.

use std::{borrow::Cow, collections::BTreeMap};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    key::{Key, Origin, join},
    mask::is_secret_path,
};

/// A value, and where it was written.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) key: Key,
    pub(crate) value: Value,
}

/// What TOML can say.
#[derive(Clone)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    /// Also an integer that does not fit 64 bits: neither is wanted anywhere.
    Float,
    Datetime(String),
    Text(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Value {
    /// The word for this kind of value, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float => "a fractional or very large number",
            Self::Datetime(_) => "a date",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// The value as what it must be. A variable of the environment is text; where the key wants anything else, that
    /// text is read as TOML.
    pub(crate) fn structured(&self) -> Cow<'_, Self> {
        let (Origin::Environment(_), Value::Text(text)) = (self.key.origin(), &self.value) else {
            return Cow::Borrowed(self);
        };
        match DeValue::parse(text.trim()) {
            Ok(value) => Cow::Owned(Self::from_toml(value.get_ref(), self.key.path(), self.key.origin())),
            Err(_) => Cow::Borrowed(self),
        }
    }

    /// The same table without these entries.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let mut node = self.clone();
        if let Value::Table(entries) = &mut node.value {
            entries.retain(|name, _| !names.contains(&name.as_str()));
        }
        node
    }

    /// A tree in which every node has the same origin.
    pub(crate) fn from_toml(value: &DeValue<'_>, path: &str, origin: &Origin) -> Self {
        let value = match value {
            DeValue::Boolean(it) => Value::Boolean(*it),
            DeValue::Integer(it) => integer(it).map_or(Value::Float, Value::Integer),
            DeValue::Float(_) => Value::Float,
            DeValue::Datetime(it) => Value::Datetime(it.to_string()),
            DeValue::String(it) => Value::Text(it.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::from_toml(item.get_ref(), &format!("{path}[{index}]"), origin))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(entries(table, path, origin)),
        };
        Self { key: Key::new(path, origin.clone()), value }
    }

    /// Says that the value is not what it must be; `want` starts with its article.
    pub(crate) fn mistyped(&self, want: &str, help: impl Into<String>, found: &mut Diagnostics) {
        let help = help.into();
        let mut problem = Diagnostic::error(&self.key, format!("`{}` must be {want}", self.key.path()));
        match (self.key.origin(), &self.value) {
            (Origin::Environment(_), Value::Text(text)) if !is_secret_path(self.key.path()) => {
                problem = problem.found(format!("{:?}", text.chars().take(80).collect::<String>()));
            }
            (_, Value::Text(_)) => {}
            (_, other) => problem = problem.found(other.kind()),
        }
        found.push(if help.is_empty() { problem } else { problem.help(help) });
    }
}

fn entries(table: &DeTable<'_>, path: &str, origin: &Origin) -> BTreeMap<String, Node> {
    let entry = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let name = name.get_ref();
        (name.to_string(), Node::from_toml(value.get_ref(), &join(path, name), origin))
    };
    table.iter().map(entry).collect()
}

/// The number, where it fits 64 bits.
pub(crate) fn integer(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}
