//! A map of a schema file: its subschemas, and where their references lead.

use std::collections::HashMap;

use jsonschema::{Draft, ReferencingError, Registry, RegistryBuilder, Retrieve, Uri, uri};
use serde_json::{Value as Tree, json};

use super::Problem;

/// Keywords whose value is a schema or an array of schemas.
const APPLICATORS: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value is an object of schemas.
const MAPS: &[&str] = &["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];

/// Those of both that judge the value itself and not a part of it.
const IN_PLACE: &[&str] = &["allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"];

/// Keywords that point to a schema which judges the same value.
const REFERENCES: &[&str] = &["$dynamicRef", "$recursiveRef", "$ref"];

/// The base of a schema that gives itself no `$id`, as the engine has it.
const BASE: &str = "json-schema:///";

/// One subschema.
pub(super) struct Part<'a> {
    /// Where it is in the file.
    pub(super) pointer: String,
    pub(super) schema: &'a Tree,
    /// The subschemas that judge the same value as this one, by their index.
    in_place: Vec<usize>,
}

/// All subschemas of a file, the root first.
pub(super) struct Outline<'a> {
    pub(super) parts: Vec<Part<'a>>,
}

/// Where a schema's references can lead: its own parts and the published drafts. Nothing is fetched.
pub(super) fn registry(schema: &Tree, draft: Draft) -> Result<Registry<'_>, Problem> {
    let builder = Registry::new().draft(draft).retriever(Elsewhere).add(BASE, schema);
    builder.and_then(RegistryBuilder::prepare).map_err(|error| match error {
        ReferencingError::UnknownSpecification { specification } => Problem::Draft(specification),
        error => Problem::Invalid(error.to_string()),
    })
}

impl<'a> Outline<'a> {
    /// Walks a schema. A reference that leads out of it, or nowhere, is an error with the pointer to the reference.
    pub(super) fn of(schema: &'a Tree, draft: Draft, registry: &'a Registry<'a>) -> Result<Self, (String, Problem)> {
        let invalid = |error: ReferencingError| Problem::Invalid(error.to_string());
        let base: Uri<String> = uri::from_str(BASE).map_err(|error| (String::new(), invalid(error)))?;
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut known: HashMap<*const Tree, usize> = HashMap::new();
        let mut references = Vec::new();
        let mut due = vec![(String::new(), schema, registry.resolver(base), None)];
        loop {
            if let Some((pointer, schema, resolver, judged_with)) = due.pop() {
                let index = parts.len();
                let inside = resolver.in_subresource(draft.create_resource_ref(schema));
                let resolver = inside.map_err(|error| (pointer.clone(), invalid(error)))?;
                for (keyword, step, inner) in subschemas(schema) {
                    let judged_with = IN_PLACE.contains(&keyword).then_some(index);
                    due.push((format!("{pointer}{step}"), inner, resolver.clone(), judged_with));
                }
                for keyword in REFERENCES {
                    if let Some(reference) = schema.get(keyword).and_then(Tree::as_str) {
                        references.push((index, keyword, reference, resolver.clone()));
                    }
                }
                known.insert(schema, index);
                parts.push(Part { pointer, schema, in_place: Vec::new() });
                if let Some(parent) = judged_with {
                    parts[parent].in_place.push(index);
                }
            } else if let Some((from, keyword, reference, resolver)) = references.pop() {
                let fault = |problem| Err((format!("{}/{keyword}", parts[from].pointer), problem));
                let file = reference.split_once('#').map_or(reference, |(file, _)| file);
                if resolver.lookup(file).is_ok_and(|found| is_elsewhere(found.contents())) {
                    return fault(Problem::OutsideReference(reference.into()));
                }
                let Ok(target) = resolver.lookup(reference) else {
                    return fault(Problem::DanglingReference(reference.into()));
                };
                if let Some(&target) = known.get(&std::ptr::from_ref(target.contents())) {
                    parts[from].in_place.push(target);
                } else if !is_published(target.resolver().base_uri().as_str()) {
                    // A place that no keyword makes a schema, such as `#/components/schemas/x`.
                    let (pointer, resolver) = (reference.to_owned(), target.resolver().clone());
                    due.push((pointer, target.contents(), resolver, Some(from)));
                }
            } else {
                return Ok(Self { parts });
            }
        }
    }

    /// A subschema that, by way of others, refers to itself for the same value. Such a circle decides nothing: the
    /// drafts leave it undefined, and the engine takes it for `true`.
    pub(super) fn cycle(&self) -> Option<&str> {
        let mut finished = vec![false; self.parts.len()];
        let mut on_path = vec![false; self.parts.len()];
        for start in 0..self.parts.len() {
            let mut path = vec![(start, 0)];
            while let Some((index, next)) = path.pop() {
                if let Some(&inner) = self.parts[index].in_place.get(next).filter(|_| !finished[index]) {
                    if on_path[inner] || inner == index {
                        return Some(&self.parts[inner].pointer);
                    }
                    on_path[index] = true;
                    path.extend([(index, next + 1), (inner, 0)]);
                } else {
                    on_path[index] = false;
                    finished[index] = true;
                }
            }
        }
        None
    }
}

/// Whether a keyword applies schemas, as opposed to looking at the value itself.
pub(super) fn is_applicator(keyword: &str) -> bool {
    APPLICATORS.contains(&keyword) || MAPS.contains(&keyword)
}

/// The subschemas directly inside one, each with its keyword and the step from one to the other.
fn subschemas(schema: &Tree) -> impl Iterator<Item = (&str, String, &Tree)> {
    let keywords = schema.as_object().into_iter().flatten();
    let inner = keywords.flat_map(|(keyword, value)| {
        let keyword = keyword.as_str();
        let found: Vec<(String, &Tree)> = match value {
            Tree::Array(list) if APPLICATORS.contains(&keyword) => {
                list.iter().enumerate().map(|(index, inner)| (format!("/{keyword}/{index}"), inner)).collect()
            }
            inner if APPLICATORS.contains(&keyword) => vec![(format!("/{keyword}"), inner)],
            Tree::Object(map) if MAPS.contains(&keyword) => {
                let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
                map.iter().map(|(name, inner)| (format!("/{keyword}/{}", escape(name)), inner)).collect()
            }
            _ => Vec::new(),
        };
        found.into_iter().map(move |(step, inner)| (keyword, step, inner))
    });
    inner.filter(|(_, _, inner)| inner.is_object() || inner.is_boolean())
}

/// Stands in for every file that is not this one, so that references to it can be named.
struct Elsewhere;

const ELSEWHERE: &str = "not part of this file";

impl Retrieve for Elsewhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Tree, Box<dyn std::error::Error + Send + Sync>> {
        Ok(json!({ "$comment": ELSEWHERE }))
    }
}

fn is_elsewhere(schema: &Tree) -> bool {
    schema.get("$comment").is_some_and(|comment| comment == ELSEWHERE)
}

/// Whether a schema is one of the drafts' own, which the engine knows by heart.
fn is_published(uri: &str) -> bool {
    uri.starts_with("https://json-schema.org/draft") || uri.starts_with("http://json-schema.org/draft")
}
