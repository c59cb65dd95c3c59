//! `{setting:NAME}` in a preset stands for what the operator said. It is put in before the preset's words are read, so
//! it may be a header's name or an encoding as well as a part of a template. Secrets are never put in.

use std::collections::BTreeMap;

use crate::config::{
    key::Key,
    node::{Node, Value},
};

const OPEN: &str = "{setting:";

/// Plain settings by name: as text, and where they were written.
type Settings = BTreeMap<String, (String, Key)>;

/// Puts the settings of every source into what it takes over from its preset.
pub(crate) fn into_sources(raw: &mut Node) {
    let Some(sources) = table_mut(raw).and_then(|raw| raw.get_mut("sources")).and_then(table_mut) else { return };
    for source in sources.values_mut() {
        let settings = child(source, "settings").map(plain).unwrap_or_default();
        let Some(source) = table_mut(source) else { continue };
        source.iter_mut().filter(|(name, _)| *name != "settings").for_each(|(_, node)| put(node, &settings));
    }
}

/// Puts the declared defaults into a preset that is read by itself.
pub(crate) fn into_preset(preset: &mut Node) {
    let mut settings = child(preset, "settings").map(defaults).unwrap_or_default();
    let schemes = child(preset, "schemes").and_then(table).map(|schemes| schemes.values().collect::<Vec<_>>());
    for scheme in schemes.into_iter().flatten() {
        settings.extend(child(scheme, "settings").map(defaults).unwrap_or_default());
    }
    put(preset, &settings);
}

fn put(node: &mut Node, settings: &Settings) {
    match &mut node.value {
        Value::Text(text) if text.contains(OPEN) => {
            let whole = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix('}'));
            // A problem with a word that is nothing but the setting is a problem of the setting.
            if let Some((_, key)) = whole.and_then(|name| settings.get(name)) {
                node.key = key.clone();
            }
            *text = replaced(text, settings);
        }
        Value::List(items) => items.iter_mut().for_each(|item| put(item, settings)),
        Value::Table(entries) => entries.values_mut().for_each(|entry| put(entry, settings)),
        Value::Boolean(_) | Value::Datetime(_) | Value::Float | Value::Integer(_) | Value::Text(_) => {}
    }
}

/// What is not known stays as it is; whoever reads it then says so.
fn replaced(text: &str, settings: &Settings) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let value = after.split_once('}').and_then(|(name, end)| Some((&settings.get(name)?.0, end)));
        if let Some((value, end)) = value {
            out.push_str(value);
            rest = end;
        } else {
            out.push_str(OPEN);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn plain(settings: &Node) -> Settings {
    let entries = table(settings).into_iter().flatten();
    entries.filter_map(|(name, node)| Some((name.clone(), (text(node)?, node.key.clone())))).collect()
}

fn defaults(declarations: &Node) -> Settings {
    let entries = table(declarations).into_iter().flatten();
    let default = |node: &Node| child(node, "default").and_then(|node| Some((text(node)?, node.key.clone())));
    entries.filter_map(|(name, node)| Some((name.clone(), default(node)?))).collect()
}

fn text(node: &Node) -> Option<String> {
    match &node.structured().value {
        Value::Boolean(it) => Some(it.to_string()),
        Value::Integer(it) => Some(it.to_string()),
        Value::Text(it) => Some(it.clone()),
        Value::Datetime(_) | Value::Float | Value::List(_) | Value::Table(_) => None,
    }
}

fn child<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    table(node)?.get(name)
}

fn table(node: &Node) -> Option<&BTreeMap<String, Node>> {
    if let Value::Table(entries) = &node.value { Some(entries) } else { None }
}

fn table_mut(node: &mut Node) -> Option<&mut BTreeMap<String, Node>> {
    if let Value::Table(entries) = &mut node.value { Some(entries) } else { None }
}
