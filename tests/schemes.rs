//! The scheme language on the published vectors of senders that need each part of it: `tests/schemes/senders.json` has a
//! source in the words of a configuration file, and recorded requests with what must become of them.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use data_encoding::BASE64;
use hooksieve::{
    app,
    config::{Diagnostics, Environment},
    gateway::source::{Entry, Source},
    stages::{
        receive::{Client, Head, Received},
        schemes::Strength,
    },
};
use http::{HeaderMap, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Sender {
    #[serde(rename = "sender")]
    name: String,
    strength: String,
    source: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    secrets: Vec<String>,
    settings: BTreeMap<String, Value>,
    now: i64,
    expect: String,
    request: Request,
}

#[derive(Clone, Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    body_base64: Option<String>,
}

impl Request {
    fn url(&self) -> Uri {
        self.url.parse().unwrap()
    }

    fn received(&self, body: Bytes, now: i64) -> Received {
        let url = self.url();
        let headers = self.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let head = Head {
            method: self.method.parse().unwrap(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers: headers.collect::<HeaderMap>(),
            client: Client { address: None, known: false },
        };
        Received { head, body, at: Timestamp::from_second(now).unwrap() }
    }

    fn body(&self) -> Bytes {
        match &self.body_base64 {
            Some(text) => BASE64.decode(text.as_bytes()).unwrap().into(),
            None => self.body.clone().into(),
        }
    }
}

fn load(
    rules: &str,
    secrets: &[String],
    settings: &BTreeMap<String, Value>,
    url: &Uri,
) -> (Option<Source>, Diagnostics) {
    let list = |items: Vec<String>| items.join(", ");
    let secrets =
        list(secrets.iter().map(|secret| format!("{{ value = {} }}", Value::from(secret.as_str()))).collect());
    let settings = list(settings.iter().map(|(name, value)| format!("{name} = {value}")).collect());
    let text = format!(
        "[server]\npublic_url = \"{}://{}\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.s]\npath = \"{}\"\n\
         upstream = \"app\"\nsecrets = [{secrets}]\nsettings = {{ {settings} }}\nallow_weak_secret = true\n{rules}\n",
        url.scheme_str().unwrap(),
        url.authority().unwrap(),
        url.path(),
    );
    let environment = Environment::default();
    let (compiled, found) = app::load(Path::new("test.toml"), &text, &environment, false, &mut app::nowhere);
    (compiled.and_then(|compiled| compiled.sources.into_iter().next()), found)
}

fn strength(source: &Source, received: Received) -> Option<Strength> {
    let at = received.at;
    match source.enter(received, at) {
        Entry::Admitted(authentic, _) => Some(authentic.strength()),
        Entry::Greeted(_) | Entry::Refused(..) => None,
    }
}

fn check(sender: &Sender, vector: &Vector) {
    let name = format!("{}/{}", sender.name, vector.name);
    let Vector { request, now, .. } = vector;
    let (source, found) = load(&sender.source, &vector.secrets, &vector.settings, &request.url());
    let source = source.unwrap_or_else(|| panic!("{name}: {found:?}"));
    let verdict = strength(&source, request.received(request.body(), *now));
    assert_eq!(verdict.is_some(), vector.expect == "accept", "{name}");
    let Some(verdict) = verdict else { return };
    assert_eq!(verdict.as_str(), sender.strength, "{name}");
    if verdict == Strength::Verified {
        let body = request.body();
        for at in [0, body.len() / 2, body.len().saturating_sub(1)] {
            let mut wrong = body.to_vec();
            match wrong.get_mut(at) {
                Some(byte) => *byte ^= 1,
                None => wrong.push(b' '),
            }
            assert_eq!(strength(&source, request.received(wrong.into(), *now)), None, "{name}: byte {at} is another");
        }
        let longer = [body.as_ref(), b"\n"].concat();
        assert_eq!(strength(&source, request.received(longer.into(), *now)), None, "{name}: a newline more");
    }
    let bare = Request { headers: BTreeMap::new(), ..request.clone() };
    let unsigned = strength(&source, bare.received(Bytes::from_static(b"{}"), *now));
    assert_eq!(unsigned, None, "{name}: nothing is signed");
}

#[test]
fn senders_are_told_from_forgers() {
    let senders: Vec<Sender> = serde_json::from_str(include_str!("schemes/senders.json")).unwrap();
    for sender in &senders {
        assert!(!sender.vectors.is_empty(), "{}", sender.name);
        sender.vectors.iter().for_each(|vector| check(sender, vector));
    }
}

/// A source that is refused, and what is wrong with it.
fn refused(rules: &str, secret: &str, complaint: &str) {
    let url = Uri::from_static("https://hooks.example.com/in");
    let (source, found) = load(rules, &[secret.to_owned()], &BTreeMap::new(), &url);
    assert!(source.is_none(), "{rules}\nis accepted");
    let messages: Vec<_> = found.iter().filter(|problem| problem.is_error()).map(|it| it.message.clone()).collect();
    assert!(messages.iter().any(|message| message.contains(complaint)), "{rules}\n{messages:?}");
}

#[test]
fn what_protects_nothing_is_refused() {
    const HMAC: &str = "[[sources.s.auth]]\nkind = \"hmac\"\nsignature.from = \"header:x-signature\"\n";
    const DIGEST: &str = "[[sources.s.auth]]\nkind = \"digest\"\nsignature.from = \"header:x-signature\"\n";
    const KEY: &str = "a-secret-of-a-good-length";
    let hmac = |rest: &str| format!("{HMAC}{rest}\n");
    let two = |one: &str, other: &str| format!("{HMAC}when = {one}\n{HMAC}when = {other}\n");
    let token = "[[sources.s.auth]]\nkind = \"token\"\nsignature.from = \"header:x-token\"\n";
    let cases = [
        (format!("{DIGEST}message = \"{{body}}\""), "there is no secret in it"),
        (hmac("message = \"{secret}{body}\""), "the secret has no place here"),
        (hmac("message = \"{header:x-a}{body}\""), "stand side by side"),
        (hmac("message = \"{method}{header:x-a}\""), "stand side by side"),
        (hmac("each = \"/items\""), "are not what is signed"),
        (hmac("key.decode = \"pem\""), "a shared key is no public key"),
        (hmac("time.from = \"header:x-time\""), "not part of what is signed"),
        (hmac("message = \"{body|crc32}\"\ntime = { from = \"json:/time\" }"), "not part of what is signed"),
        (two("{ present = \"header:x-a\" }", "{ present = \"header:x-b\" }"), "could choose between"),
        (two("{ equal = [\"method\", \"GET\"] }", "{ present = \"header:x-b\" }"), "could choose between"),
        (
            format!("{HMAC}when = {{ absent = \"header:x-a\" }}\n{token}when = {{ present = \"header:x-a\" }}"),
            "do not protect the same",
        ),
        ("[[sources.s.auth]]\nkind = \"basic\"".to_owned(), "it must be `user:password`"),
        ("[[sources.s.auth]]\nkind = \"ed25519\"\nsignature.from = \"header:x-a\"".to_owned(), "not a PEM public key"),
        (
            "[[sources.s.auth]]\nkind = \"ecdsa\"\nhash = \"sha512\"\nsignature.from = \"header:x-a\"".to_owned(),
            "no choice of hashes",
        ),
    ];
    for (rules, complaint) in cases {
        refused(&rules, KEY, complaint);
    }
}
