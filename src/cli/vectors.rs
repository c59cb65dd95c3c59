//! Recorded requests, as files hold them (`docs/vectors.md`), and the source that each of them is for.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::documents::{CERTIFICATES, Documents, KEY_SET};
use crate::{
    app,
    config::{self, Diagnostics, Environment},
    gateway::source::Source,
    presets,
    stages::{
        answer::Answer,
        receive::{Client, Head, Received},
        schemes::published::Published,
    },
};

/// A file that is an object: both lists of it count, and nothing else.
#[derive(Debug, Deserialize)]
struct Lists {
    #[serde(default)]
    vectors: Vec<Vector>,
    #[serde(default)]
    handshakes: Vec<Vector>,
}

/// One request and what must become of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) provider: String,
    scheme: Option<String>,
    #[serde(default)]
    secrets: Vec<Secret>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    request: Request,
    /// Seconds since 1970.
    now: f64,
    pub(super) expect: Expect,
    pub(super) reply: Option<Reply>,
}

/// A secret, which has a name where requests choose it by one.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
struct Secret {
    name: Option<String>,
    value: String,
}

/// A secret as a file may have it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Nameless(String),
    Named { name: String, value: String },
}

impl From<Written> for Secret {
    fn from(written: Written) -> Self {
        match written {
            Written::Nameless(value) => value.into(),
            Written::Named { name, value } => Self { name: Some(name), value },
        }
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self { name: None, value }
    }
}

/// A recorded request.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, Lines>,
    #[serde(default)]
    body: String,
    body_base64: Option<String>,
}

/// A header that occurs once, or several times.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

/// What must become of a request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expect {
    Accept,
    Reject,
    Reply,
}

/// What must be answered.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    absent_headers: Vec<String>,
    body: Option<String>,
}

/// Who may send to the source of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doorkeeper {
    /// Who has the vector's secrets.
    Recorded,
    /// Nobody: the secret is one that no sender knows.
    Strict,
    /// Anybody.
    Open,
}

/// These, and keys that are `secrets` here.
const PUBLISHED: [&str; 4] = [KEY_SET, CERTIFICATES, "public_key_pem", "private_key"];

/// A secret of no sender's.
const NOBODYS: &str = "6e6f626f6479206b6e6f777320746869";

/// The vectors of a file. The error says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Vec<Vector>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let Lists { vectors, handshakes } = serde_json::from_str(text)?;
    Ok([vectors, handshakes].concat())
}

/// The time that a vector says, in seconds since 1970.
pub(super) fn time(seconds: f64) -> Result<Timestamp, String> {
    #[expect(clippy::cast_possible_truncation, reason = "a time that is no time is refused by `jiff`")]
    Timestamp::from_millisecond((seconds * 1000.0) as i64).map_err(|error| format!("now: {error}"))
}

impl Request {
    /// The request, as it is after it was received.
    pub(super) fn received(&self, at: Timestamp) -> Result<Received, String> {
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, lines) in &self.headers {
            let name = name.parse::<HeaderName>().map_err(|error| format!("{name}: {error}"))?;
            let lines = match lines {
                Lines::One(line) => std::slice::from_ref(line),
                Lines::Many(lines) => lines,
            };
            for line in lines {
                let value = HeaderValue::from_bytes(line.as_bytes()).map_err(|error| format!("{name}: {error}"))?;
                headers.append(name.clone(), value);
            }
        }
        let body = match &self.body_base64 {
            Some(text) => BASE64.decode(text.as_bytes()).map_err(|error| format!("body_base64: {error}"))?,
            None => self.body.clone().into_bytes(),
        };
        let client = Client { address: None, known: false };
        let (_, path, query) = self.url()?;
        let (path, query) = (path.to_owned(), query.map(str::to_owned));
        Ok(Received { head: Head { method, path, query, headers, client }, body: Bytes::from(body), at })
    }

    /// The URL as it was sent, byte for byte: what is in front of the path, the path, and the query.
    pub(super) fn url(&self) -> Result<(&str, &str, Option<&str>), String> {
        let url = self.url.split('#').next().unwrap_or_default();
        let host = url.find("://").ok_or_else(|| format!("the URL {url:?} has no scheme"))? + 3;
        let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
        let (base, target) = url.split_at(end);
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Ok((base, if path.is_empty() { "/" } else { path }, query))
    }
}

impl Vector {
    /// The request, as it is after it was received.
    pub(super) fn received(&self) -> Result<Received, String> {
        self.request.received(time(self.now)?)
    }

    /// The source that a user would write for this vector, read and compiled as any other.
    pub(super) fn source(&self, doorkeeper: Doorkeeper) -> Result<Source, String> {
        match doorkeeper {
            // What the sender publishes is looked at as if it were fetched, unless it is not recorded from where.
            Doorkeeper::Recorded if self.publishes() => {
                self.load(&[], doorkeeper).or_else(|_| self.load(&self.secrets(), doorkeeper))
            }
            Doorkeeper::Recorded => self.load(&self.secrets(), doorkeeper),
            Doorkeeper::Strict => self.load(&[NOBODYS.to_owned().into()], doorkeeper),
            Doorkeeper::Open => self.load(&[], doorkeeper),
        }
    }

    fn load(&self, secrets: &[Secret], doorkeeper: Doorkeeper) -> Result<Source, String> {
        let environment = Environment::default();
        let file = PathBuf::from(format!("{}.toml", self.provider));
        let text = self.toml(secrets, doorkeeper)?;
        let (compiled, found) = app::load(&file, &text, &environment, false, &mut app::nowhere);
        let source = compiled.and_then(|compiled| compiled.sources.into_iter().next());
        source.ok_or_else(|| format!("the configuration is refused: {}", first_error(&found)))
    }

    /// Whether keys or certificates are recorded that the sender publishes.
    fn publishes(&self) -> bool {
        [KEY_SET, CERTIFICATES].iter().any(|name| self.settings.contains_key(*name))
    }

    /// What the sender publishes, for a request that cannot be judged without.
    pub(super) fn published(&self, source: &Source, received: &Received) -> Published {
        Documents::recorded(&self.settings).published(&source.wants(received, received.at)).0
    }

    /// Whether nothing is recorded that the sender could have proved itself with.
    pub(super) fn has_no_secret(&self) -> bool {
        self.secrets().is_empty()
    }

    /// The secrets of the vector. Where it has the keys or certificates that the sender publishes, those, to be pinned.
    fn secrets(&self) -> Vec<Secret> {
        let texts = |value: &Value| -> Vec<String> {
            match value {
                Value::String(text) => vec![text.clone()],
                Value::Object(members) => match members.get("keys").and_then(Value::as_array) {
                    Some(keys) => keys.iter().map(Value::to_string).collect(),
                    None => members.values().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
                },
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Vec::new(),
            }
        };
        let settings = PUBLISHED.iter().filter_map(|name| self.settings.get(*name));
        let published: Vec<Secret> = settings.flat_map(texts).map(Secret::from).collect();
        if published.is_empty() { self.secrets.clone() } else { published }
    }

    /// The settings of the vector. A handshake may be recorded without those that the preset needs for events alone;
    /// they are then made up.
    fn settings(&self) -> BTreeMap<String, Value> {
        let mut settings = self.settings.clone();
        settings.retain(|name, _| !PUBLISHED.contains(&name.as_str()));
        let preset = presets::text(&self.provider).and_then(|text| config::read_preset(&self.provider, text).0);
        for (name, declared) in preset.iter().flat_map(|preset| &preset.settings) {
            if self.expect == Expect::Reply && declared.required.value && !settings.contains_key(name) {
                settings.insert(name.clone(), Value::from("not-recorded"));
            }
        }
        settings
    }

    fn toml(&self, secrets: &[Secret], doorkeeper: Doorkeeper) -> Result<String, String> {
        let (base, path, _) = self.request.url()?;
        let secrets: Vec<String> = secrets.iter().map(Secret::toml).collect();
        let settings: Vec<String> = self
            .settings()
            .iter()
            .filter_map(|(name, value)| Some(format!("{} = {}", quoted(name), inline(value)?)))
            .collect();
        let mut text = format!(
            "[server]\npublic_url = {}\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.vector]\n\
             path = {}\nprovider = {}\nupstream = \"app\"\nsecrets = [{}]\nsettings = {{ {} }}\n\
             allow_weak_secret = true\nallow_unauthenticated = true\n\
             schema = {{ on_violation = \"forward\", on_unknown = \"forward\" }}\ndelivery.mode = \"sync\"\n",
            quoted(base),
            quoted(path),
            quoted(&self.provider),
            secrets.join(", "),
            settings.join(", "),
        );
        if let Some(scheme) = &self.scheme {
            let _ = writeln!(text, "scheme = {}", quoted(scheme));
        }
        if doorkeeper == Doorkeeper::Open {
            text.push_str("[[sources.vector.auth]]\nkind = \"none\"\n");
        }
        Ok(text)
    }
}

impl Secret {
    fn toml(&self) -> String {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!("name = {}, ", quoted(name)));
        format!("{{ {name}value = {} }}", quoted(&self.value))
    }
}

/// A JSON string is a TOML string, too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A JSON value as a TOML value on one line; there is no null in TOML.
fn inline(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().filter_map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| Some(format!("{} = {}", quoted(name), inline(value)?));
            format!("{{ {} }}", members.iter().filter_map(member).collect::<Vec<_>>().join(", "))
        }
    })
}

fn first_error(found: &Diagnostics) -> String {
    let error = found.iter().find(|problem| problem.is_error());
    error.map_or_else(|| "no reason was given".to_owned(), |error| error.message.clone())
}

impl Reply {
    /// Compares an answer by its status, the headers that are listed, and its body; bodies of JSON as JSON.
    pub(super) fn compare(&self, answer: &Answer) -> Result<(), String> {
        if answer.status.as_u16() != self.status {
            return Err(format!("must be answered with {}, is answered with {}", self.status, answer.status.as_u16()));
        }
        let header = |name: &str| answer.headers.iter().find(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
        for (name, want) in &self.headers {
            if header(name).is_none_or(|(_, value)| value.as_bytes() != want.as_bytes()) {
                return Err(format!("the answer's header {name} must be {want:?}"));
            }
        }
        if let Some(name) = self.absent_headers.iter().find(|name| header(name).is_some()) {
            return Err(format!("the answer must have no header {name}"));
        }
        let Some(want) = &self.body else { return Ok(()) };
        let same_json = || {
            let (want, have) = (serde_json::from_str::<Value>(want), serde_json::from_slice::<Value>(&answer.body));
            matches!((want, have), (Ok(want), Ok(have)) if want == have)
        };
        if *want.as_bytes() == *answer.body || same_json() {
            return Ok(());
        }
        Err(format!("the answer's body must be {want:?}, is {:?}", String::from_utf8_lossy(&answer.body)))
    }
}
