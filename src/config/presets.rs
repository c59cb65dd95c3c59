//! Presets as layers: what a source takes over from the preset it names, and what the preset asks for.

use std::{collections::BTreeSet, sync::Arc};

use figment::value::{Dict, Value as Raw};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    key::{Key, Text, join},
    layers::{Layer, merge},
    mask::mask,
    raw::{
        preset::{Declaration, Preset, Scheme},
        secret::SettingValue,
        source::Source,
    },
    read::parse,
    substitute,
    table::FromConfig,
    values::{did_you_mean, one_of},
};

/// A preset, read, and its text.
pub(crate) struct Parsed<'a> {
    pub(crate) preset: Preset,
    tree: DeTable<'a>,
    text: Arc<Text>,
}

impl<'a> Parsed<'a> {
    /// Reads a preset; `None` when there is something wrong with it.
    pub(crate) fn read(id: &str, text: &'a str, found: &mut Diagnostics) -> Option<Self> {
        let name = format!("presets/{id}.toml");
        let tree = parse(&name, text, Some(id), found)?;
        let masked = mask(text, &tree, &BTreeSet::new());
        let text = Arc::new(Text { name, preset: Some(id.to_owned()), masked });
        let before = found.errors();
        let mut merged = merge(&[Layer::of_table("preset", &tree, &text)]);
        substitute::into_preset(&mut merged);
        let preset = Preset::read(&merged, found)?;
        (found.errors() == before).then_some(Self { preset, tree, text })
    }

    /// The names of the settings that hold secrets.
    pub(crate) fn secret_settings(&self) -> impl Iterator<Item = &str> {
        let schemes = self.preset.schemes.entries.values().flat_map(|scheme| &scheme.settings);
        let all = self.preset.settings.iter().chain(schemes);
        all.filter(|(_, declared)| declared.secret.value).map(|(name, _)| name.as_str())
    }

    /// What the source `name` takes over, with the rules of `scheme`.
    pub(crate) fn layer(&self, name: &str, scheme: Option<&str>) -> Layer {
        let path = join("sources", name);
        let mut layer = Layer::new(format!("preset of {path}"));
        let mut source = Dict::new();
        for (key, value) in &self.tree {
            let shared =
                |key: &str| key != "settings" && Source::TABLE.keys.iter().any(|setting| setting.name() == key);
            if shared(key.get_ref()) {
                self.take(&mut layer, &mut source, &path, key, value);
            }
        }
        let scheme = scheme.and_then(|name| self.tree.get("schemes")?.get_ref().get(name)?.get_ref().as_table());
        if let Some((key, value)) = scheme.and_then(|scheme| scheme.get_key_value("auth")) {
            self.take(&mut layer, &mut source, &path, key, value);
        }
        let mut settings = Dict::new();
        let declared = [Some(&self.tree), scheme].into_iter().flatten().filter_map(|it| it.get("settings"));
        for (key, declaration) in declared.filter_map(|it| it.get_ref().as_table()).flatten() {
            let default = declaration.get_ref().as_table().and_then(|it| it.get_key_value("default"));
            if let Some((at, value)) = default {
                let value = layer.value(&join(&join(&path, "settings"), key.get_ref()), at.span(), value, &self.text);
                settings.insert(key.get_ref().to_string(), value);
            }
        }
        if !settings.is_empty() {
            source.insert("settings".to_owned(), Raw::from(settings));
        }
        let sources = Dict::from([(name.to_owned(), Raw::from(source))]);
        layer.values = Dict::from([("sources".to_owned(), Raw::from(sources))]);
        layer
    }

    fn take(
        &self,
        layer: &mut Layer,
        source: &mut Dict,
        path: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let name = key.get_ref();
        source.insert(name.to_string(), layer.value(&join(path, name), key.span(), value, &self.text));
    }
}

impl Preset {
    /// The scheme of a source that says `chosen`, or nothing: the one chosen, the default, the only one, or the only
    /// one of which every required setting is `given`.
    #[must_use]
    pub fn scheme(&self, chosen: Option<&str>, given: &dyn Fn(&str) -> bool) -> Option<(&str, &Scheme)> {
        let schemes = &self.schemes.entries;
        let only = || schemes.keys().next().filter(|_| schemes.len() == 1);
        let satisfied = || {
            let required = |scheme: &Scheme| {
                let mut required = scheme.settings.iter().filter(|(_, it)| it.required.value).peekable();
                required.peek().is_some() && required.all(|(name, _)| given(name))
            };
            let mut fitting = schemes.iter().filter(|(_, scheme)| required(scheme)).map(|(name, _)| name);
            fitting.next().filter(|_| fitting.next().is_none())
        };
        let default = self.default_scheme.as_ref().map(|it| it.as_str());
        let name = chosen.or(default).or_else(|| only().or_else(satisfied).map(String::as_str))?;
        schemes.get_key_value(name).map(|(name, scheme)| (name.as_str(), scheme))
    }

    /// Makes sure that a source says clearly which scheme it uses. `source` is its table, `chosen` what it says.
    pub(crate) fn check_choice(
        &self,
        source: &Key,
        chosen: Option<(&Key, &str)>,
        given: &dyn Fn(&str) -> bool,
        own_rules: bool,
        found: &mut Diagnostics,
    ) {
        let names: Vec<&str> = self.schemes.entries.keys().map(String::as_str).collect();
        if self.scheme(chosen.map(|(_, name)| name), given).is_some() {
            return;
        }
        let list = one_of(&names);
        match chosen {
            Some((key, name)) if names.is_empty() => {
                found.error_at(
                    key,
                    format!("there is no scheme {name:?}"),
                    "this preset has one scheme only: leave the line out",
                );
            }
            Some((key, name)) => {
                let help =
                    did_you_mean(name, names.iter().copied()).unwrap_or_else(|| format!("this preset has {list}"));
                found.error_at(key, format!("there is no scheme {name:?} in this preset"), help);
            }
            None if names.is_empty() || own_rules => {}
            None => {
                let message = format!("`{}` does not say which scheme", source.path());
                found.push(
                    Diagnostic::error(source, message)
                        .help(format!("add `scheme = …`: {list}{}", self.alternatives()))
                        .under_key(),
                );
            }
        }
    }

    /// The settings that tell which scheme is meant, for a source that gives none of them.
    fn alternatives(&self) -> String {
        let required = self.schemes.entries.values().flat_map(|scheme| &scheme.settings);
        let names: Vec<_> =
            required.filter(|(_, it)| it.required.value).map(|(name, _)| format!("`settings.{name}`")).collect();
        if names.is_empty() { String::new() } else { format!("; or say {}", names.join(" or ")) }
    }

    /// Compares what the operator said with what the preset asks for.
    pub(crate) fn check_settings(&self, source: &Source, found: &mut Diagnostics) {
        let given = |name: &str| source.settings.contains_key(name);
        let scheme = self.scheme(source.scheme.as_ref().map(|it| it.as_str()), &given);
        let of_scheme = scheme.iter().flat_map(|(_, scheme)| &scheme.settings);
        let declared: Vec<(&String, &Declaration)> = self.settings.iter().chain(of_scheme).collect();
        for (name, value) in &source.settings {
            if let Some((_, declaration)) = declared.iter().find(|(known, _)| *known == name) {
                check_setting(declaration, name, &value.value, &value.key, found);
                continue;
            }
            let known: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
            let help = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known[..] {
                [] => "it asks for none here: leave it out".to_owned(),
                _ => format!("it asks for `{}`", known.join("`, `")),
            });
            let message = format!("the preset does not ask for a setting `{name}`");
            found.push(Diagnostic::error(&value.key, message).help(help).under_key());
        }
        for (name, declaration) in declared {
            if declaration.required.value && !source.settings.contains_key(name) {
                let message = format!("`{}.settings.{name}` is missing", source.at.path());
                let help = format!("add `settings = {{ {name} = … }}`: {}", declaration.about.value);
                found.push(Diagnostic::error(&source.at, message).help(help).under_key());
            }
        }
    }
}

fn check_setting(declared: &Declaration, name: &str, value: &SettingValue, key: &Key, found: &mut Diagnostics) {
    let about = || declared.about.value.clone();
    match value {
        SettingValue::Secret(_) if !declared.secret.value => {
            found.error_at(
                key,
                format!("the setting `{name}` is not a secret"),
                format!("write the value itself: {}", about()),
            );
        }
        SettingValue::Plain(_) | SettingValue::List(_) if declared.secret.value => {
            found.error_at(
                key,
                format!("the setting `{name}` is a secret"),
                format!("write `{{ env = \"NAME\" }}` or `{{ file = \"PATH\" }}`: {}", about()),
            );
        }
        SettingValue::Plain(given)
            if !declared.values.is_empty() && !declared.values.iter().any(|it| it.value == *given) =>
        {
            let values: Vec<String> = declared.values.iter().map(|it| it.to_string()).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let help = did_you_mean(&given.to_string(), values.iter().copied()).unwrap_or_else(about);
            found.error_at(key, format!("the setting `{name}` must be {}", one_of(&values)), help);
        }
        SettingValue::Plain(_) | SettingValue::List(_) | SettingValue::Secret(_) => {}
    }
}
