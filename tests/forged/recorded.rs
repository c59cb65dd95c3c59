//! The recorded requests of `tests/vectors/` that must be accepted, each with the source a user would write for it.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use data_encoding::BASE64;
use hooksieve::{
    app,
    config::{Environment, compile::Compiled},
    stages::receive::{Client, Head, Received},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

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
    secrets: Vec<String>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    request: Request,
    now: i64,
    expect: String,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: String,
    body_base64: Option<String>,
}

/// Requests with a second signature, of somebody else's, that is not looked at: by sender and name.
const OF_TWO: [(&str, &str); 1] = [("mailgun", "parent_accept")];

/// All that must be accepted, in the order of their senders.
pub(crate) fn accepted() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file| serde_json::from_str::<File>(&fs::read_to_string(file).unwrap()).unwrap().vectors;
    let is_whole =
        |vector: &Vector| !OF_TWO.iter().any(|(sender, name)| *sender == vector.provider && *name == vector.name);
    files.into_iter().flat_map(read).filter(|vector| vector.expect == "accept").filter(is_whole).collect()
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
        let Some(certificates) = published("certs").and_then(Value::as_object) else { return self.secrets.clone() };
        certificates.values().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// The source with these secrets; nothing where they cannot be used.
    pub(crate) fn compile(&self, secrets: &[String]) -> Option<Compiled> {
        let url: Uri = self.request.url.parse().unwrap();
        let secrets: Vec<_> =
            secrets.iter().map(|secret| format!("{{ value = {} }}", Value::from(&**secret))).collect();
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
        let url: Uri = self.request.url.parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, lines) in &self.request.headers {
            for line in lines.as_array().map_or_else(|| std::slice::from_ref(lines), Vec::as_slice) {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_bytes(line.as_str().unwrap().as_bytes()).unwrap());
            }
        }
        let body = match &self.request.body_base64 {
            Some(text) => BASE64.decode(text.as_bytes()).unwrap().into(),
            None => Bytes::from(self.request.body.clone()),
        };
        let head = Head {
            method: self.request.method.parse().unwrap(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers,
            client: Client { address: None, known: false },
        };
        Received { head, body, at: Timestamp::from_second(self.now).unwrap() }
    }
}
