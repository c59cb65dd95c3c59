//! Reads a configuration: presets, the file, the environment, in this order; the later wins. What nobody wrote has the
//! default of its declaration.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::Arc,
};

use toml::de::DeTable;

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    environment::Environment,
    key::{Key, Origin, Text},
    layers::{Layer, merge},
    mask::{mask, mask_malformed},
    node::{Node, Value},
    presets::Parsed,
    raw::{Raw, preset::Preset},
    substitute,
    table::FromConfig,
    values::did_you_mean,
};

/// What a configuration is read from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The name of the file, as it is shown.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The presets: id and text.
    pub presets: &'a [(&'a str, &'a str)],
    /// The environment.
    pub environment: &'a Environment,
}

/// A configuration as it is written.
#[derive(Debug)]
pub struct Configuration {
    /// What could be read; `None` when something outside of sources and upstreams could not. It may only be used when
    /// `diagnostics` has no errors.
    pub raw: Option<Raw>,
    /// The presets that are used, by id.
    pub presets: BTreeMap<String, Preset>,
    /// Everything that is wrong so far.
    pub diagnostics: Diagnostics,
}

/// Reads a configuration. All errors are reported at once, in the order of the text.
#[must_use]
pub fn read(input: &Input<'_>) -> Configuration {
    let mut found = Diagnostics::default();
    let mut reading = Reading { input, presets: BTreeMap::new(), broken: BTreeSet::new() };
    let raw = reading.read(&mut found);
    found.sort();
    let presets = reading.presets.into_iter().filter_map(|(id, parsed)| Some((id, parsed?.preset))).collect();
    Configuration { raw, presets, diagnostics: found }
}

/// Reads the file at `path`. What is wrong with the file itself is reported like everything else.
#[must_use]
pub fn load(path: &Path, presets: &[(&str, &str)], environment: &Environment) -> Configuration {
    let name = path.to_string_lossy();
    let problem = |message: String, text: String, span: Range<usize>| {
        let text = Arc::new(Text { name: name.to_string(), preset: None, masked: mask_malformed(&text) });
        let key = Key::new("", Origin::Text { text, key: span.clone(), value: span });
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(Diagnostic::error(&key, message));
        Configuration { raw: None, presets: BTreeMap::new(), diagnostics }
    };
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => read(&Input { name: &name, text: &text, presets, environment }),
        Ok(Err(error)) => {
            let (good, text) =
                (error.utf8_error().valid_up_to(), String::from_utf8_lossy(error.as_bytes()).into_owned());
            problem("the file is not UTF-8".to_owned(), text, good..good + char::REPLACEMENT_CHARACTER.len_utf8())
        }
        Err(error) => problem(format!("the file cannot be read: {error}"), String::new(), 0..0),
    }
}

/// Reads one preset by itself. `id` is its name without `.toml`.
#[must_use]
pub fn read_preset(id: &str, text: &str) -> (Option<Preset>, Diagnostics) {
    let mut found = Diagnostics::default();
    let parsed = Parsed::read(id, text, &mut found);
    found.sort();
    (parsed.map(|it| it.preset), found)
}

/// How many errors of syntax are reported: one slip can make an error of everything after it.
const SYNTAX_ERRORS_MAX: usize = 20;

/// Reads TOML; the errors of its syntax are reported.
pub(crate) fn parse<'a>(
    name: &str,
    text: &'a str,
    preset: Option<&str>,
    found: &mut Diagnostics,
) -> Option<DeTable<'a>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(tree.into_inner());
    }
    let shown = Text { name: name.to_owned(), preset: preset.map(str::to_owned), masked: mask_malformed(text) };
    let shown = Arc::new(shown);
    for error in errors.into_iter().take(SYNTAX_ERRORS_MAX) {
        let start = text.floor_char_boundary(error.span().map_or(0, |span| span.start));
        let end = text.ceil_char_boundary(error.span().map_or(0, |span| span.end)).max(start);
        let origin = Origin::Text { text: shown.clone(), key: start..end, value: start..end };
        let key = Key::new("", origin);
        let problem = Diagnostic::error(
            &key,
            format!("this is not TOML: {}", error.message().trim_end_matches(", expected nothing")),
        );
        let twice = error.message() == "duplicate key";
        found.push(if twice { problem.help("a key and a table can be there once only") } else { problem });
    }
    None
}

struct Reading<'a> {
    input: &'a Input<'a>,
    /// Those that were looked at; `None` when there is something wrong with it.
    presets: BTreeMap<String, Option<Parsed<'a>>>,
    /// The sources whose errors would bring forth others that are none.
    broken: BTreeSet<String>,
}

impl Reading<'_> {
    fn read(&mut self, found: &mut Diagnostics) -> Option<Raw> {
        let tree = parse(self.input.name, self.input.text, None, found)?;
        let masked = mask(self.input.text, &tree, &self.secret_settings(&tree, found));
        let text = Arc::new(Text { name: self.input.name.to_owned(), preset: None, masked });
        let file = Layer::of_table("file", &tree, &text);
        let environment = self.input.environment.layer(&file, found);

        let written = merge(&[file.clone(), environment.clone()]);
        let mut layers = self.preset_layers(&written, found);
        layers.extend([file, environment]);
        let mut merged = merge(&layers);
        substitute::into_sources(&mut merged);
        // What is wrong with the server's own tables should not hide what is wrong with a source.
        let rest = || Raw::read(&merged.without(&["server", "admin", "log", "journal"]), &mut Diagnostics::default());
        let mut raw = Raw::read(&merged, found).or_else(rest)?;
        for (name, source) in &raw.sources.entries {
            let preset = source.provider.as_ref().and_then(|id| self.presets.get(id.as_str())?.as_ref());
            let before = found.errors();
            if let Some(parsed) = preset {
                parsed.preset.check_settings(source, found);
            }
            if found.errors() > before {
                self.broken.insert(name.clone());
            }
        }
        for name in std::mem::take(&mut self.broken) {
            raw.sources.entries.remove(&name);
            raw.sources.unreadable.insert(name);
        }
        Some(raw)
    }

    /// The names of secret settings of all presets the file names: they are masked before anything is shown.
    fn secret_settings(&mut self, tree: &DeTable<'_>, found: &mut Diagnostics) -> BTreeSet<String> {
        let sources = tree.get("sources").and_then(|it| it.get_ref().as_table());
        let provider = |source: &toml::de::DeValue<'_>| Some(source.get("provider")?.get_ref().as_str()?.to_owned());
        let ids: BTreeSet<String> =
            sources.into_iter().flatten().filter_map(|(_, it)| provider(it.get_ref())).collect();
        let mut names = BTreeSet::new();
        for id in ids {
            if let Some(parsed) = self.preset(&id, found) {
                names.extend(parsed.secret_settings().map(str::to_owned));
            }
        }
        names
    }

    /// Reads a preset when it is asked for first.
    fn preset(&mut self, id: &str, found: &mut Diagnostics) -> Option<&Parsed<'_>> {
        if !self.presets.contains_key(id) {
            let (_, text) = self.input.presets.iter().find(|(known, _)| *known == id)?;
            self.presets.insert(id.to_owned(), Parsed::read(id, text, found));
        }
        self.presets.get(id)?.as_ref()
    }

    /// What each source takes over from its preset. `written` is what the operator wrote.
    fn preset_layers(&mut self, written: &Node, found: &mut Diagnostics) -> Vec<Layer> {
        let ids: Vec<&str> = self.input.presets.iter().map(|(id, _)| *id).collect();
        let mut layers = Vec::new();
        for (name, source) in table(written, "sources").into_iter().flatten() {
            let before = found.errors();
            let chosen = text(source, "scheme");
            if let Some((key, id)) = text(source, "provider") {
                if let Some(parsed) = self.preset(id, found) {
                    let settings = table(source, "settings");
                    let given = |name: &str| settings.is_some_and(|settings| settings.contains_key(name));
                    parsed.preset.check_choice(&source.key, chosen, &given, entry(source, "auth").is_some(), found);
                    let scheme = parsed.preset.scheme(chosen.map(|(_, name)| name), &given);
                    layers.push(parsed.layer(name, scheme.map(|(name, _)| name)));
                } else if ids.contains(&id) {
                    self.broken.insert(name.clone());
                } else {
                    // `sns` and `amazon-sns` are the words of people who look for `aws-sns`.
                    let shares_a_word = |known: &&&str| known.split('-').any(|word| id.split('-').any(|it| it == word));
                    let akin = || ids.iter().find(shares_a_word).map(|known| format!("did you mean `{known}`?"));
                    let help = did_you_mean(id, ids.iter().copied()).or_else(akin);
                    let help = help.unwrap_or_else(|| "`hooksieve presets` lists them".to_owned());
                    found.error_at(key, format!("there is no preset {id:?}"), help);
                }
            } else if let Some((key, _)) = chosen {
                let help = "name the preset with `provider = …`, or describe the sender with `[[…auth]]` tables";
                found.push(Diagnostic::error(key, "a scheme is chosen, but no preset").help(help).under_key());
            }
            if found.errors() > before {
                self.broken.insert(name.clone());
            }
        }
        layers
    }
}

fn entry<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    if let Value::Table(table) = &node.value { table.get(name) } else { None }
}

fn table<'a>(node: &'a Node, name: &str) -> Option<&'a BTreeMap<String, Node>> {
    if let Value::Table(table) = &entry(node, name)?.value { Some(table) } else { None }
}

fn text<'a>(node: &'a Node, name: &str) -> Option<(&'a Key, &'a str)> {
    let node = entry(node, name)?;
    if let Value::Text(text) = &node.value { Some((&node.key, text)) } else { None }
}

#[cfg(test)]
mod tests;
