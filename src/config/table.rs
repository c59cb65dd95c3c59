//! One declaration per key: [`table!`] and [`words!`] make the raw type, its reader, its defaults and its documentation.
//!
//! A reader collects every error and never stops at the first. What it cannot read is `None` up to the nearest named
//! table (a source, an upstream), so that one bad source does not hide what is wrong with the others.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use toml::de::DeValue;

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    key::{At, Key, Origin, join},
    node::{Node, Value},
    values::{Leaf, did_you_mean},
};

/// Something that can be read from a configuration.
pub(crate) trait FromConfig: Sized {
    /// Reads it; `None` when an error was added to `found`.
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self>;

    /// What it is when nobody wrote it; `None` when it must be written (or has a default in its table).
    fn absent() -> Option<Self> {
        None
    }

    /// What it looks like, for the reference.
    fn shape() -> Shape;
}

/// What a setting looks like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A single value; the words that say which.
    Leaf(String),
    /// One of a closed list of words; each with what it means.
    Words(&'static [(&'static str, &'static str)]),
    /// A table with keys of its own.
    Table(&'static Table),
    /// A list.
    List(Box<Self>),
    /// A list, or one value alone.
    Many(Box<Self>),
    /// A table whose keys the operator chooses.
    Map(Box<Self>),
}

/// A table of the configuration, as it is documented.
#[derive(Debug)]
pub struct Table {
    /// The name of its type.
    pub name: &'static str,
    /// What it is, line by line.
    pub doc: &'static [&'static str],
    /// Its keys in the order of the reference.
    pub keys: &'static [Setting],
}

/// A key of a table, as it is documented.
#[derive(Debug)]
pub struct Setting {
    pub(crate) identifier: &'static str,
    /// What it is, line by line.
    pub doc: &'static [&'static str],
    /// The default, as it would be written in the file.
    pub default: Option<&'static str>,
    /// Whether there is neither a default nor a meaning for its absence.
    pub required: fn() -> bool,
    /// What its value looks like.
    pub shape: fn() -> Shape,
}

impl Setting {
    /// The key as written in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.identifier.trim_start_matches("r#")
    }
}

/// Declares tables: the struct, its reader, its defaults (as TOML) and its documentation.
///
/// Every struct also has `at`, the place of the table itself.
macro_rules! table {
    ($(
        $(#[doc = $table_doc:literal])+
        $table:ident { $( $(#[doc = $doc:literal])+ $field:ident: $type:ty $(= $default:literal)?, )+ }
    )+) => { $(
        $(#[doc = $table_doc])+
        #[derive(Clone, Debug)]
        pub struct $table {
            /// Where the table stands.
            pub at: $crate::config::key::Key,
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl $table {
            /// Its keys, for the reference.
            pub const TABLE: &'static $crate::config::table::Table = &$crate::config::table::Table {
                name: stringify!($table),
                doc: &[$($table_doc),+],
                keys: &[$( $crate::config::table::Setting {
                    identifier: stringify!($field),
                    doc: &[$($doc),+],
                    default: $crate::config::table::table!(@default $($default)?),
                    required: || $crate::config::table::table!(@required $type $(, $default)?),
                    shape: <$type as $crate::config::table::FromConfig>::shape,
                } ),+],
            };
        }

        impl $crate::config::table::FromConfig for $table {
            fn read(
                node: &$crate::config::node::Node,
                found: &mut $crate::config::diagnostics::Diagnostics,
            ) -> Option<Self> {
                let node = node.structured();
                let mut reader = $crate::config::table::Reader::open(&node, Self::TABLE, found)?;
                $( let $field = reader.field::<$type>(found); )+
                Some(Self { at: node.key.clone(), $( $field: $field? ),+ })
            }

            fn shape() -> $crate::config::table::Shape {
                $crate::config::table::Shape::Table(Self::TABLE)
            }
        }
    )+ };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
    (@required $type:ty) => { <$type as $crate::config::table::FromConfig>::absent().is_none() };
    (@required $type:ty, $default:literal) => { false };
}
pub(crate) use table;

/// Declares closed lists of words.
macro_rules! words {
    ($(
        $(#[doc = $list_doc:literal])+
        $list:ident { $( $(#[doc = $doc:literal])+ $member:ident = $word:literal, )+ }
    )+) => { $(
        $(#[doc = $list_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list { $( $(#[doc = $doc])+ $member, )+ }

        impl $list {
            /// The words, as written in the file, and what they mean.
            pub const WORDS: &'static [(&'static str, &'static str)] = &[$( ($word, concat!($($doc),+)) ),+];

            /// The word, as written in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$member => $word ),+ }
            }
        }

        impl $crate::config::values::Leaf for $list {
            fn want() -> String {
                $crate::config::values::one_of(&Self::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>())
            }

            fn help(text: &str) -> String {
                $crate::config::values::did_you_mean(text, Self::WORDS.iter().map(|(word, _)| *word)).unwrap_or_default()
            }

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $( $word => Some(Self::$member), )+
                    _ => None,
                }
            }

            fn documented() -> $crate::config::table::Shape {
                $crate::config::table::Shape::Words(Self::WORDS)
            }
        }
    )+ };
}
pub(crate) use words;

/// Reads the keys of one table, in the order in which they are declared.
pub(crate) struct Reader<'a> {
    key: &'a Key,
    entries: &'a BTreeMap<String, Node>,
    settings: std::slice::Iter<'static, Setting>,
}

impl<'a> Reader<'a> {
    /// Makes sure that it is a table, and adds an error for every key that does not belong in it.
    pub(crate) fn open(node: &'a Node, table: &'static Table, found: &mut Diagnostics) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            node.mistyped("a table", format!("its keys are {}", listed(table)), found);
            return None;
        };
        for (name, entry) in entries {
            if !table.keys.iter().any(|setting| setting.name() == name) {
                found.push(unknown(&entry.key, name, node.key.path(), table));
            }
        }
        Some(Self { key: &node.key, entries, settings: table.keys.iter() })
    }

    /// Reads the next key.
    pub(crate) fn field<T: FromConfig>(&mut self, found: &mut Diagnostics) -> Option<T> {
        let setting = self.settings.next().expect("the macro asks once for each key it declares");
        if let Some(node) = self.entries.get(setting.name()) {
            return T::read(node, found);
        }
        if let Some(default) = setting.default {
            let value = DeValue::parse(default).expect("a default is TOML: the reference is made from it");
            let node = Node::from_toml(value.get_ref(), &join(self.key.path(), setting.name()), &Origin::Default);
            return T::read(&node, found);
        }
        let absent = T::absent();
        if absent.is_none() {
            let key = self.key.child(setting.name());
            let about = setting.doc[0].trim().split_inclusive(". ").next().unwrap_or_default();
            let help = format!("add `{} = …`: {}", setting.name(), about.trim().trim_end_matches('.'));
            found.push(Diagnostic::error(&key, format!("`{}` is missing", key.path())).help(help).under_key());
        }
        absent
    }
}

fn unknown(key: &Key, name: &str, parent: &str, table: &'static Table) -> Diagnostic {
    let names = || table.keys.iter().map(Setting::name);
    let help = did_you_mean(name, names());
    let place = if parent.is_empty() { "at the top of the file".to_owned() } else { format!("in `{parent}`") };
    Diagnostic::error(key, format!("there is no key `{name}` {place}"))
        .help(help.unwrap_or_else(|| format!("the keys here are {}", listed(table))))
        .under_key()
}

fn listed(table: &'static Table) -> String {
    table.keys.iter().map(|setting| format!("`{}`", setting.name())).collect::<Vec<_>>().join(", ")
}

/// Tables under names that the operator chooses.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// Those that could be read.
    pub entries: BTreeMap<String, T>,
    /// The names of those that could not; what is wrong with them is told already.
    pub unreadable: BTreeSet<String>,
}

impl<T: FromConfig> FromConfig for Named<T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let node = node.structured();
        let Value::Table(table) = &node.value else {
            node.mistyped("a table of named tables", format!("write `[{}.NAME]`", node.key.path()), found);
            return None;
        };
        let mut named = Self { entries: BTreeMap::new(), unreadable: BTreeSet::new() };
        for (name, entry) in table {
            let good = is_name(name);
            if !good {
                let message = format!("{name:?} is not a name");
                let help = "a name has letters, digits, `-`, `_` and `.`, and at most 64 of them";
                found.push(Diagnostic::error(&entry.key, message).help(help).under_key());
            }
            // Any error counts, also a misspelt key: what it was meant to say would be missed later.
            let before = found.errors();
            match T::read(entry, found) {
                Some(value) if good && found.errors() == before => drop(named.entries.insert(name.clone(), value)),
                _ => drop(named.unreadable.insert(name.clone())),
            }
        }
        Some(named)
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}

/// Names go into log lines, metric labels and header values as they are.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

impl<T: FromConfig> FromConfig for At<T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        T::read(node, found).map(|value| Self { value, key: node.key.clone() })
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: FromConfig> FromConfig for Option<T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        T::read(node, found).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: FromConfig> FromConfig for Vec<T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let node = node.structured();
        let Value::List(items) = &node.value else {
            node.mistyped("a list", "put it in brackets: `[ … ]`", found);
            return None;
        };
        all(items.iter().map(|item| T::read(item, found)))
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

/// A list that may be written without brackets when it has one member.
#[derive(Clone, Debug)]
pub struct Many<T>(pub Vec<T>);

impl<T> std::ops::Deref for Many<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: FromConfig> FromConfig for Many<T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let structured = node.structured();
        if matches!(structured.value, Value::List(_)) {
            Vec::read(&structured, found).map(Self)
        } else {
            T::read(node, found).map(|value| Self(vec![value]))
        }
    }

    fn shape() -> Shape {
        Shape::Many(Box::new(T::shape()))
    }
}

impl<K: Leaf + Ord, T: FromConfig> FromConfig for BTreeMap<K, T> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let node = node.structured();
        let Value::Table(table) = &node.value else {
            node.mistyped("a table", "write `{ name = … }`", found);
            return None;
        };
        let mut entries = Self::new();
        for (name, entry) in table {
            let value = T::read(entry, found);
            let Some(key) = K::parse(name) else {
                let message = format!("{name:?} is not {}", K::want());
                found.push(Diagnostic::error(&entry.key, message).help(K::help(name)).under_key());
                continue;
            };
            match (entries.entry(key), value) {
                (Entry::Occupied(_), _) => {
                    let message = format!("{name:?} is there twice, in two spellings");
                    found.push(Diagnostic::error(&entry.key, message).help("leave one of them out").under_key());
                }
                (Entry::Vacant(place), Some(value)) => drop(place.insert(value)),
                (Entry::Vacant(_), None) => {}
            }
        }
        (entries.len() == table.len()).then_some(entries)
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}

/// All of them, or nothing when one is missing; looks at every one, so that every error is told.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut complete = true;
    let read: Vec<T> = items
        .filter_map(|item| {
            complete &= item.is_some();
            item
        })
        .collect();
    complete.then_some(read)
}
