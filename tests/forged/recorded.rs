//! The recorded requests of `tests/vectors/` that must be accepted, each with the source a user would write for it.

use std::{collections::BTreeMap, fs, path::Path};

use hooksieve::{
    app,
    config::{Environment, compile::Compiled},
    stages::receive::Received,
};
use serde::Deserialize;
use serde_json::Value;

use super::request::Request;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    vectors: Vec<Vector>,
}

/// A recorded request.
#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) scheme: Option<String>,
    secrets: Vec<Secret>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    request: Request,
    now: i64,
    expect: String,
}

/// A secret, with the name that a request may choose it by.
#[derive(Deserialize)]
#[serde(untagged)]
enum Secret {
    Nameless(String),
    Named { name: String, value: String },
}

/// All that must be accepted, in the order of their senders.
pub(crate) fn accepted() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file| serde_json::from_str::<File>(&fs::read_to_string(file).unwrap()).unwrap().vectors;
    files.into_iter().flat_map(read).filter(|vector| vector.expect == "accept").collect()
}

impl Vector {
    /// The sender and its scheme, which is what a preset is about.
    pub(crate) fn scheme(&self) -> String {
        format!("{} {}", self.provider, self.scheme.as_deref().unwrap_or("-"))
    }

    /// The secrets, or else the keys and certificates that the sender publishes.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let published = |setting: &str| self.settings.get(setting);
        if let Some(keys) = published("jwks").and_then(|set| set.get("keys")?.as_array()) {
            return keys.iter().map(Value::to_string).collect();
        }
        let Some(certificates) = published("certs").and_then(Value::as_object) else {
            return self.secrets.iter().map(|secret| secret.value().to_owned()).collect();
        };
        certificates.values().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// The source with these secrets, under the names of its own; nothing where they cannot be used.
    pub(crate) fn compile(&self, secrets: &[String]) -> Option<Compiled> {
        let url = self.request.url();
        let secret = |(index, value): (usize, &String)| {
            let name = self.secrets.get(index).and_then(Secret::name);
            let name = name.map_or_else(String::new, |name| format!("name = {}, ", Value::from(name)));
            format!("{{ {name}value = {} }}", Value::from(&**value))
        };
        let secrets: Vec<_> = secrets.iter().enumerate().map(secret).collect();
        let settings = self.settings.iter().filter(|(name, _)| !["jwks", "certs"].contains(&name.as_str()));
        let settings: Vec<_> = settings.map(|(name, value)| format!("{name} = {value}")).collect();
        let text = format!(
            "[server]\npublic_url = \"{}://{}\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.it]\n\
             path = \"{}\"\nprovider = \"{}\"\nupstream = \"app\"\nsecrets = [{}]\nsettings = {{ {} }}\n{}\n\
             allow_weak_secret = true\nallow_unauthenticated = true\ndelivery.mode = \"sync\"\n\
             schema = {{ on_violation = \"forward\", on_unknown = \"forward\" }}\n",
            url.scheme_str().unwrap(),
            url.authority().unwrap(),
            url.path(),
            self.provider,
            secrets.join(", "),
            settings.join(", "),
            self.scheme.as_ref().map_or_else(String::new, |scheme| format!("scheme = \"{scheme}\"")),
        );
        app::load(Path::new("forged.toml"), &text, &Environment::default(), false, &mut app::nowhere).0
    }

    /// The request as it came in.
    pub(crate) fn received(&self) -> Received {
        self.request.received(self.request.body(), self.now)
    }
}

impl Secret {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Nameless(_) => None,
            Self::Named { name, .. } => Some(name),
        }
    }

    fn value(&self) -> &str {
        match self {
            Self::Nameless(value) | Self::Named { value, .. } => value,
        }
    }
}
