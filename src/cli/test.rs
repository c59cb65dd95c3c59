//! `hooksieve test`: recorded requests through the real configuration language, at the time they were recorded.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, sync::Arc};

use bytes::Bytes;
use clap::Args;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{NO, read, usage};
use crate::{
    app,
    config::{self, Diagnostics, Environment},
    gateway::source::{Entry, Source},
    presets,
    stages::{
        answer::Answer,
        json::Pointer,
        receive::{Client, Head, Received},
        schemes::{
            key_set::{Form, KeySet, Reading},
            published::Published,
        },
    },
};

/// What `test` can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Files of vectors: an object with `vectors` and `handshakes`, or a list
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A file: both lists of it count.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Vectors {
    List(Vec<Vector>),
    Object {
        #[serde(default)]
        vectors: Vec<Vector>,
        #[serde(default)]
        handshakes: Vec<Vector>,
    },
}

/// One request and what must become of it.
#[derive(Clone, Debug, Deserialize)]
struct Vector {
    name: String,
    provider: String,
    scheme: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    request: Request,
    /// Seconds since 1970.
    now: i64,
    expect: Expect,
    reply: Option<Reply>,
}

#[derive(Clone, Debug, Deserialize)]
struct Request {
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

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Accept,
    Reject,
    Reply,
}

#[derive(Clone, Debug, Deserialize)]
struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

/// A setting that only vectors have: the keys that the sender publishes (RFC 7517, section 5).
const KEY_SET: &str = "jwks";

/// Another: certificates that it publishes, in PEM, by the URLs they lie at.
const CERTIFICATES: &str = "certs";

/// Runs all vectors of all files.
pub(super) fn test(options: &Options) -> u8 {
    let (mut passed, mut failed) = (0, 0);
    for file in &options.files {
        let text = match read(file) {
            Ok(text) => text,
            Err(problem) => return usage(&problem),
        };
        let vectors = match serde_json::from_str(&text) {
            Ok(Vectors::List(vectors)) => vectors,
            Ok(Vectors::Object { vectors, handshakes }) => [vectors, handshakes].concat(),
            Err(error) => {
                let help = "a vector has name, provider, secrets, settings, request, now and expect";
                return usage(&format!("error: {} holds no vectors: {error}\n  help: {help}", file.display()));
            }
        };
        for vector in vectors {
            match vector.run() {
                Ok(()) => passed += 1,
                Err(mismatch) => {
                    failed += 1;
                    println!("{}: {}/{}: {mismatch}", file.display(), vector.provider, vector.name);
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { 0 } else { NO }
}

impl Vector {
    /// The mismatch, in one line, if there is one.
    fn run(&self) -> Result<(), String> {
        let url: Uri = self.request.url.parse().map_err(|error| format!("the URL cannot be read: {error}"))?;
        let source = self.source(&url)?;
        let received = self.request.received(&url, self.now)?;
        let at = received.at;
        let published = self.published(&source, &received);
        // A signed handshake is as authentic as an event: `accept` is about the proof, `reply` about the answer.
        if self.expect == Expect::Accept && source.authenticator.admit_with(received.clone(), &published, at).is_ok() {
            return Ok(());
        }
        match (self.expect, source.enter_with(received, &published, at)) {
            (Expect::Accept, Entry::Admitted(..)) | (Expect::Reject, Entry::Refused(..)) => Ok(()),
            (Expect::Reply, Entry::Greeted(welcome)) => {
                self.reply.as_ref().map_or(Ok(()), |reply| reply.compare(&welcome.answer))
            }
            (Expect::Accept, Entry::Greeted(_)) => Err("must be accepted, is answered as a handshake".to_owned()),
            (Expect::Accept, Entry::Refused(refusal, _)) => {
                Err(format!("must be accepted, is refused: {}", refusal.as_str()))
            }
            (Expect::Reject, Entry::Admitted(..)) => Err("must be refused, is accepted".to_owned()),
            (Expect::Reject, Entry::Greeted(_)) => Err("must be refused, is answered as a handshake".to_owned()),
            (Expect::Reply, Entry::Admitted(..)) => Err("must be answered as a handshake, is accepted".to_owned()),
            (Expect::Reply, Entry::Refused(refusal, _)) => {
                Err(format!("must be answered as a handshake, is refused: {}", refusal.as_str()))
            }
        }
    }

    /// The source that a user would write for this vector, read and compiled as any other.
    fn source(&self, url: &Uri) -> Result<Source, String> {
        let environment = Environment::default();
        let file = PathBuf::from(format!("{}.toml", self.provider));
        let load = |secrets: &[String]| {
            let (compiled, found) = app::load(&file, &self.toml(url, secrets), &environment, false, &mut app::nowhere);
            let source = compiled.and_then(|compiled| compiled.sources.into_iter().next());
            source.ok_or_else(|| format!("the configuration is refused: {}", first_error(&found)))
        };
        match self.pinned() {
            None => load(&self.secrets),
            // What the sender publishes is looked at as if it were fetched, unless it is not recorded from where.
            Some(pinned) => load(&[]).or_else(|_| load(&pinned)),
        }
    }

    /// The keys or certificates that the sender publishes, as secrets.
    fn pinned(&self) -> Option<Vec<String>> {
        let keys = self.settings.get(KEY_SET).and_then(|set| set.get("keys")?.as_array());
        let certificates = self.settings.get(CERTIFICATES).and_then(Value::as_object);
        let keys = keys.map(|keys| keys.iter().map(Value::to_string).collect());
        keys.or_else(|| Some(certificates?.values().filter_map(|it| it.as_str().map(str::to_owned)).collect()))
    }

    /// What the sender publishes, for a request that cannot be judged without.
    fn published(&self, source: &Source, received: &Received) -> Published {
        let mut published = Published::default();
        for wanted in source.wants(received, received.at) {
            let at_address = || self.settings.get(CERTIFICATES)?.get(wanted.errand.address.to_string())?.as_str();
            let (document, form) = match self.settings.get(KEY_SET) {
                Some(set) => (Some(set.to_string()), Form::Jwks),
                None => (at_address().map(str::to_owned), wanted.reading.form),
            };
            let reading = Reading { form, at: Pointer::default(), ..wanted.reading.clone() };
            let keys = document.map(|document| KeySet::read(&document.into(), &reading));
            if let Some(Ok(keys)) = keys {
                // What is recorded was made up some day, and need not have been good at the time of the request.
                published.add(&wanted, Arc::new(keys.timeless()));
            }
        }
        published
    }

    /// The settings of the vector. A handshake may be recorded without those that the preset needs for events alone;
    /// they are then made up.
    fn settings(&self) -> BTreeMap<String, Value> {
        let mut settings = self.settings.clone();
        settings.remove(KEY_SET);
        settings.remove(CERTIFICATES);
        let preset = presets::text(&self.provider).and_then(|text| config::read_preset(&self.provider, text).0);
        for (name, declared) in preset.iter().flat_map(|preset| &preset.settings) {
            if self.expect == Expect::Reply && declared.required.value && !settings.contains_key(name) {
                settings.insert(name.clone(), Value::from("not-recorded"));
            }
        }
        settings
    }

    fn toml(&self, url: &Uri, secrets: &[String]) -> String {
        let mut text = String::new();
        let base =
            format!("{}://{}", url.scheme_str().unwrap_or("https"), url.authority().map_or("", |it| it.as_str()));
        let secrets: Vec<String> = secrets.iter().map(|secret| format!("{{ value = {} }}", quoted(secret))).collect();
        let settings: Vec<String> = self
            .settings()
            .iter()
            .filter_map(|(name, value)| Some(format!("{} = {}", quoted(name), inline(value)?)))
            .collect();
        let _ = write!(
            text,
            "[server]\npublic_url = {}\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.vector]\n\
             path = {}\nprovider = {}\nupstream = \"app\"\nsecrets = [{}]\nsettings = {{ {} }}\n\
             allow_weak_secret = true\nallow_unauthenticated = true\n\
             schema = {{ on_violation = \"forward\", on_unknown = \"forward\" }}\ndelivery.mode = \"sync\"\n",
            quoted(&base),
            quoted(url.path()),
            quoted(&self.provider),
            secrets.join(", "),
            settings.join(", "),
        );
        if let Some(scheme) = &self.scheme {
            let _ = writeln!(text, "scheme = {}", quoted(scheme));
        }
        // A handshake that is recorded without a secret proves nothing, so it is answered by a source without one.
        if self.expect == Expect::Reply && self.secrets.is_empty() {
            text.push_str("[[sources.vector.auth]]\nkind = \"none\"\n");
        }
        text
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

impl Request {
    fn received(&self, url: &Uri, now: i64) -> Result<Received, String> {
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
        let (path, query) = (url.path().to_owned(), url.query().map(str::to_owned));
        let at = Timestamp::from_second(now).map_err(|error| format!("now: {error}"))?;
        Ok(Received { head: Head { method, path, query, headers, client }, body: Bytes::from(body), at })
    }
}

impl Reply {
    fn compare(&self, answer: &Answer) -> Result<(), String> {
        if answer.status.as_u16() != self.status {
            return Err(format!("must be answered with {}, is answered with {}", self.status, answer.status.as_u16()));
        }
        for (name, want) in &self.headers {
            let have = answer.headers.iter().find(|(known, _)| known.as_str().eq_ignore_ascii_case(name));
            if have.is_none_or(|(_, value)| value.as_bytes() != want.as_bytes()) {
                return Err(format!("the answer's header {name} must be {want:?}"));
            }
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
