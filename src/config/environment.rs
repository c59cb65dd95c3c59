//! The variables of the environment: `HOOKSIEVE_SERVER__LISTEN` is `server.listen`.

use std::{collections::BTreeMap, fmt};

use figment::value::{Dict, Value};

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    key::{Key, Origin},
    layers::Layer,
};

/// Every variable with this prefix is a setting; no other variable is looked at.
const PREFIX: &str = "HOOKSIEVE_";

/// The variables of an environment. Its `Debug` shows no value.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of the process. A variable that is not UTF-8 counts as not set.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(&self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let mut all = self.0.clone();
        all.insert(name.into(), value.into());
        Self(all)
    }

    /// The settings it makes. `file` is needed for the names the operator chose: a variable cannot spell `my-source`,
    /// so `MY_SOURCE` stands for it.
    pub(crate) fn layer(&self, file: &Layer, found: &mut Diagnostics) -> Layer {
        let mut layer = Layer::new("environment");
        for (name, value) in &self.0 {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let key = Key::new(rest.to_lowercase().replace("__", "."), Origin::Environment(name.clone()));
            let parts: Vec<&str> = rest.split("__").collect();
            if let [_] = parts[..] {
                // Kubernetes sets such variables for a service named hooksieve, so they cannot be errors.
                let help = "two underscores stand between levels: HOOKSIEVE_SERVER__LISTEN; where Kubernetes set it, \
                            `enableServiceLinks: false` stops that";
                found.push(Diagnostic::warning(&key, format!("the variable {name} is ignored")).help(help));
            } else if parts.contains(&"") {
                let help = "exactly two underscores stand between levels: HOOKSIEVE_SERVER__LISTEN";
                found.error_at(&key, format!("the name of the variable {name} has an empty part"), help);
            } else {
                layer.variable(&spell(&parts, &file.values), name, value);
            }
        }
        layer
    }
}

/// The keys that the parts of a variable's name stand for: those of the file where they fit, else in lower case.
fn spell(parts: &[&str], file: &Dict) -> Vec<String> {
    let mut level = Some(file);
    let mut keys = Vec::with_capacity(parts.len());
    for part in parts {
        let fits = |key: &&String| key.replace('-', "_").eq_ignore_ascii_case(part);
        let written = level.and_then(|dict| dict.keys().find(fits));
        let key = written.cloned().unwrap_or_else(|| part.to_lowercase());
        level = level.and_then(|dict| dict.get(&key)).and_then(Value::as_dict);
        keys.push(key);
    }
    keys
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}
