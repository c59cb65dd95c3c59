//! What a schema allows that its author may not have meant.

use std::fmt;

use serde_json::Value as Tree;

use super::outline::{Outline, Part};

/// More alternatives than this make an event's check noticeably slow.
const BRANCHES_MAX: usize = 100;

/// Keywords that say something about a schema but nothing about a value.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$id",
    "$recursiveAnchor",
    "$schema",
    "$vocabulary",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// Something to reconsider in a schema that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name the schema was given.
    pub schema: String,
    /// The JSON pointer to the part of the schema.
    pub pointer: String,
    /// What to reconsider.
    pub weakness: Weakness,
}

impl Warning {
    /// Whether this matters to a strict reader only: it is about cost, not about what passes.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        match self.weakness {
            Weakness::AcceptsEverything | Weakness::UnknownFormat(_) => false,
            Weakness::ManyBranches(_)
            | Weakness::UnboundedArray(_)
            | Weakness::UnboundedNames
            | Weakness::UnboundedString(_) => true,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema `{}`, at `#{}`: {}", self.schema, self.pointer, self.weakness)
    }
}

/// What can be weak about a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Every event conforms to it.
    #[error("accepts every event")]
    AcceptsEverything,
    /// It names a format that is not known, so that nothing is checked.
    #[error("the format `{0}` is not known here and checks nothing")]
    UnknownFormat(String),
    /// A choice with very many alternatives.
    #[error("`{0}` has more than {max} alternatives, each tried in turn", max = BRANCHES_MAX)]
    ManyBranches(&'static str),
    /// Elements are searched or compared, however many there are.
    #[error("`{0}` without `maxItems` looks at however many elements the sender puts there")]
    UnboundedArray(&'static str),
    /// A string is matched, however long it is.
    #[error("`{0}` without `maxLength` reads however much the sender writes there")]
    UnboundedString(&'static str),
    /// Names are matched, however long they are.
    #[error("`patternProperties` without `propertyNames.maxLength` reads names of any length")]
    UnboundedNames,
}

/// Lists what to reconsider, each with the pointer to it.
pub(super) fn warnings(
    outline: &Outline<'_>,
    is_known_format: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (String, Weakness)> {
    let root = outline.parts.first().filter(|part| accepts_everything(part.schema));
    let everything = root.map(|part| (part.pointer.clone(), Weakness::AcceptsEverything));
    let weak = outline.parts.iter().flat_map(move |part| {
        let found = weaknesses(part, &is_known_format);
        found.into_iter().map(|weakness| (part.pointer.clone(), weakness))
    });
    everything.into_iter().chain(weak)
}

fn accepts_everything(schema: &Tree) -> bool {
    match schema {
        Tree::Object(keywords) => keywords.keys().all(|keyword| ANNOTATIONS.contains(&keyword.as_str())),
        other => *other == Tree::Bool(true),
    }
}

fn weaknesses(part: &Part<'_>, is_known_format: impl Fn(&str) -> bool) -> Vec<Weakness> {
    let schema = part.schema;
    let has = |keyword: &str| schema.get(keyword).is_some();
    let mut found = Vec::new();
    let format = schema.get("format").and_then(Tree::as_str);
    if let Some(unknown) = format.filter(|format| !is_known_format(format)) {
        found.push(Weakness::UnknownFormat(unknown.into()));
    }
    let is_bounded = has("maxLength") || has("enum") || has("const");
    for keyword in ["pattern", "format"] {
        if has(keyword) && !is_bounded {
            found.push(Weakness::UnboundedString(keyword));
        }
    }
    if has("patternProperties") && schema.pointer("/propertyNames/maxLength").is_none() {
        found.push(Weakness::UnboundedNames);
    }
    if !has("maxItems") {
        if schema.get("uniqueItems") == Some(&Tree::Bool(true)) {
            found.push(Weakness::UnboundedArray("uniqueItems"));
        }
        if has("contains") {
            found.push(Weakness::UnboundedArray("contains"));
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if schema.get(keyword).and_then(Tree::as_array).is_some_and(|branches| branches.len() > BRANCHES_MAX) {
            found.push(Weakness::ManyBranches(keyword));
        }
    }
    found
}
