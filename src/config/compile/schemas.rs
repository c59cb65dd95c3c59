//! Schemas: found beside the preset or in the operator's directory, compiled once.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use super::Context;
use crate::{
    config::{Key, raw::events},
    stages::{
        check::{Checker, Policy},
        schema::Schema,
    },
};

/// The schema of every event of a source, in its directory.
const ENVELOPE: &str = "envelope";

impl Context<'_> {
    /// The schemas of the source, from its preset, then from its own directory and files, which win.
    pub(super) fn checker(&mut self) -> Option<Checker> {
        let Some(written) = &self.written.schema else { return Some(Checker::default()) };
        let mut texts: HashMap<String, (String, String)> = HashMap::new();
        if let Some(id) = self.written.provider.as_ref().filter(|_| written.directory.is_none()) {
            for (name, text) in (self.surroundings.schemas)(id.as_str()) {
                texts.insert(name.clone(), (format!("presets/{id}/{name}.json", id = id.as_str()), text.to_owned()));
            }
        }
        if let Some(directory) = &written.directory {
            self.directory(&self.surroundings.root.join(&directory.value), &directory.key, &mut texts)?;
        }
        for (name, path) in &written.files {
            let path_shown = self.surroundings.root.join(&path.value);
            let text = self.read(&path_shown, &path.key)?;
            texts.insert(name.clone(), (path.value.display().to_string(), text));
        }
        let (mut envelope, mut types) = (None, HashMap::new());
        let mut names: Vec<_> = texts.into_iter().collect();
        names.sort();
        for (name, (shown, text)) in names {
            let schema = Arc::new(self.schema(&shown, &text, &written.at)?);
            if name == ENVELOPE {
                envelope = Some(schema);
            } else {
                types.insert(name, schema);
            }
        }
        let on_violation = policy(written.on_violation.value);
        let on_unknown = policy(written.on_unknown.value);
        Some(Checker { envelope, types, on_violation, on_unknown })
    }

    fn directory(&mut self, directory: &Path, key: &Key, texts: &mut HashMap<String, (String, String)>) -> Option<()> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let help = "a relative path starts at the configuration file";
                self.error(key, format!("the directory cannot be read: {error}"), help);
                return None;
            }
        };
        let paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let text = self.read(path, key)?;
            texts.insert(name.to_owned(), (path.display().to_string(), text));
        }
        if texts.is_empty() {
            self.error(
                key,
                "there is no schema in this directory",
                "schemas are named `TYPE.json`, and `envelope.json` for every type",
            );
            return None;
        }
        Some(())
    }

    fn read(&mut self, path: &Path, key: &Key) -> Option<String> {
        let text = fs::read_to_string(path);
        let shown = path.display();
        text.map_err(|error| {
            self.error(key, format!("{shown} cannot be read: {error}"), "check the path and its permissions");
        })
        .ok()
    }

    fn schema(&mut self, shown: &str, text: &str, key: &Key) -> Option<Schema> {
        match Schema::compile(shown, text) {
            Ok((schema, warnings)) => {
                for warning in warnings.iter().filter(|warning| !warning.is_strict() || self.surroundings.strict) {
                    self.found.warn_at(
                        key,
                        warning.to_string(),
                        "the schema works, but says less than it seems to, or costs more",
                    );
                }
                Some(schema)
            }
            Err(fault) => {
                self.error(key, fault.to_string(), "mend the schema: no event can be checked with it");
                None
            }
        }
    }
}

/// The word for a policy, as it runs.
fn policy(written: events::OnViolation) -> Policy {
    match written {
        events::OnViolation::Drop => Policy::Drop,
        events::OnViolation::Forward => Policy::Forward,
        events::OnViolation::Quarantine => Policy::Quarantine,
        events::OnViolation::Reject => Policy::Reject,
    }
}
