//! The layers of a configuration, each with the place of everything it says, and what figment makes of them together.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Tag, Value as Raw},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{
    key::{Key, Origin, Text, join},
    node::{Node, Value, integer},
};
/// What one layer says, and where.
#[derive(Clone)]
pub(crate) struct Layer {
    name: String,
    pub(crate) values: Dict,
    origins: BTreeMap<String, Origin>,
    /// The paths of dates: figment has no such type and carries them as strings.
    dates: BTreeSet<String>,
}

impl Layer {
    /// An empty layer; the name must differ from those of the others.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), values: Dict::new(), origins: BTreeMap::new(), dates: BTreeSet::new() }
    }

    /// A layer that says what `table` says.
    pub(crate) fn of_table(name: &str, table: &DeTable<'_>, text: &Arc<Text>) -> Self {
        let mut layer = Self::new(name);
        layer.origins.insert(String::new(), Origin::Text { text: text.clone(), key: 0..0, value: 0..0 });
        layer.values = layer.table(table, "", text);
        layer
    }

    fn table(&mut self, table: &DeTable<'_>, path: &str, text: &Arc<Text>) -> Dict {
        let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| {
            let name: &Cow<'_, str> = key.get_ref();
            (name.to_string(), self.value(&join(path, name), key.span(), value, text))
        };
        table.iter().map(entry).collect()
    }

    /// Takes `value` over under `path`, which need not be the path it has in its text.
    pub(crate) fn value(
        &mut self,
        path: &str,
        key: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        text: &Arc<Text>,
    ) -> Raw {
        self.origins.insert(path.to_owned(), Origin::Text { text: text.clone(), key, value: value.span() });
        match value.get_ref() {
            DeValue::Boolean(it) => Raw::from(*it),
            DeValue::Integer(it) => integer(it).map_or_else(|| Raw::from(f64::INFINITY), Raw::from),
            DeValue::Float(_) => Raw::from(f64::INFINITY),
            DeValue::String(it) => Raw::from(it.as_ref()),
            DeValue::Datetime(it) => {
                self.dates.insert(path.to_owned());
                Raw::from(it.to_string())
            }
            DeValue::Array(items) => {
                let item = |(index, item): (usize, &Spanned<_>)| {
                    self.value(&format!("{path}[{index}]"), item.span(), item, text)
                };
                Raw::from(items.iter().enumerate().map(item).collect::<Vec<_>>())
            }
            DeValue::Table(table) => Raw::from(self.table(table, path, text)),
        }
    }

    /// Says that the variable `name` sets `path`.
    pub(crate) fn variable(&mut self, path: &[String], name: &str, value: &str) {
        let mut dict = &mut self.values;
        let Some((last, parents)) = path.split_last() else { return };
        let mut at = String::new();
        for parent in parents {
            at = join(&at, parent);
            self.origins.entry(at.clone()).or_insert_with(|| Origin::Environment(name.to_owned()));
            let entry = dict.entry(parent.clone()).or_insert_with(|| Raw::from(Dict::new()));
            // A variable for the whole table gives way to those for its keys.
            if !matches!(entry, Raw::Dict(..)) {
                *entry = Raw::from(Dict::new());
            }
            let Raw::Dict(_, inner) = entry else { return };
            dict = inner;
        }
        dict.insert(last.clone(), Raw::from(value));
        self.origins.insert(join(&at, last), Origin::Environment(name.to_owned()));
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Merges the layers, the later over the earlier: tables key by key, everything else as a whole.
pub(crate) fn merge(layers: &[Layer]) -> Node {
    let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer.clone()));
    let root = figment.find_value("").unwrap_or_else(|_| Raw::from(Dict::new()));
    let by_name: HashMap<_, _> = layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
    let owner = |tag: Tag| figment.get_metadata(tag).and_then(|it| by_name.get(it.name.as_ref()).copied());
    let start = layers.iter().find_map(|layer| layer.origins.get(""));
    Merged { layers, owner: &owner }.node(root, "", start.unwrap_or(&Origin::Default))
}

struct Merged<'a> {
    layers: &'a [Layer],
    owner: &'a dyn Fn(Tag) -> Option<&'a Layer>,
}

impl Merged<'_> {
    fn node(&self, value: Raw, path: &str, parent: &Origin) -> Node {
        let owner = (self.owner)(value.tag());
        // A table belongs to every layer that adds to it; it is shown where the last text says it.
        let origin = match &value {
            Raw::Dict(..) => {
                let mut origins = self.layers.iter().rev().filter_map(|layer| layer.origins.get(path)).peekable();
                let last = origins.peek().copied();
                origins.find(|origin| matches!(origin, Origin::Text { .. })).or(last)
            }
            _ => owner.and_then(|layer| layer.origins.get(path)),
        };
        let origin = origin.unwrap_or(parent);
        let value = match value {
            Raw::Bool(_, it) => Value::Boolean(it),
            Raw::Num(_, it) => it.to_i128().and_then(|it| i64::try_from(it).ok()).map_or(Value::Float, Value::Integer),
            Raw::String(_, it) if owner.is_some_and(|layer| layer.dates.contains(path)) => Value::Datetime(it),
            Raw::String(_, it) => Value::Text(it),
            Raw::Char(_, it) => Value::Text(it.into()),
            Raw::Array(_, items) => Value::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| self.node(item, &format!("{path}[{index}]"), origin))
                    .collect(),
            ),
            Raw::Dict(_, table) => Value::Table(
                table
                    .into_iter()
                    .map(|(name, value)| {
                        let node = self.node(value, &join(path, &name), origin);
                        (name, node)
                    })
                    .collect(),
            ),
            Raw::Empty(..) => Value::Float,
        };
        Node { key: Key::new(path, origin.clone()), value }
    }
}
