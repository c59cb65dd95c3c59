//! Requests that fail for a known reason, and what is said of them. Each mistake that is looked for has a case here.

mod body;
mod credential;
mod keys;
mod other;
mod published;
mod secret;

use std::fmt::Write as _;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

use super::*;
use crate::{
    cli::ConfigFile,
    secret::Secret,
    stages::schemes::hmac::{Hash, Key},
};

/// The secret that the sender has.
pub(super) const SECRET: &str = "c0rrect-h0rse-battery-staple";

/// A body with something for everybody who writes JSON in his own way.
pub(super) const BODY: &str = r#"{"type":"order.paid","id":"evt_1","url":"https://shop.test/o/1","name":"Ēva & Søn"}"#;

/// The time of all requests.
pub(super) const NOW: &str = "2026-11-21T12:00:00Z";

/// The same in seconds.
pub(super) const SECONDS: i64 = 1_795_262_400;

/// The rule of most cases: an HMAC of the body, in hex.
pub(super) const RULE: &str = r#"kind = "hmac"
signature = { from = "header:x-signature", prefix = "sha256=" }"#;

/// A source, its secrets and a request, and what must be found out.
pub(super) struct Case<'a> {
    /// Keys of the source before its rules.
    pub(super) source: &'a str,
    /// Its rule; none when a preset has them.
    pub(super) rule: &'a str,
    /// What the variable `ACME` holds.
    pub(super) secret: String,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) body: Vec<u8>,
    /// Where it came from, as the operator says.
    pub(super) client: Option<&'a str>,
    /// The names of the mistakes.
    pub(super) mistakes: &'a [&'static str],
    /// A part of what to do.
    pub(super) remedy: &'a str,
}

impl Default for Case<'_> {
    fn default() -> Self {
        let signature = format!("sha256={}", hex(Hash::Sha256, SECRET, BODY));
        Self {
            source: "",
            rule: RULE,
            secret: SECRET.to_owned(),
            method: "POST",
            path: "/in/acme",
            headers: vec![("x-signature", signature)],
            body: BODY.as_bytes().to_vec(),
            client: None,
            mistakes: &[],
            remedy: "",
        }
    }
}

impl Case<'_> {
    /// Explains it.
    fn report(&self) -> Report {
        let rule = if self.rule.is_empty() { String::new() } else { format!("[[sources.acme.auth]]\n{}\n", self.rule) };
        let config = format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n\
             [sources.acme]\npath = \"/in/acme\"\nupstream = \"app\"\nevents.type = \"json:/type\"\nallow_weak_secret = true\n{}\n{rule}\
             [sources.other]\npath = \"/in/other\"\nupstream = \"app\"\nsecrets = [{{ env = \"OTHER\" }}]\n\
             [[sources.other.auth]]\n{RULE}\n",
            if self.source.contains("secrets") {
                self.source.to_owned()
            } else {
                format!("secrets = [{{ env = \"ACME\" }}]\n{}", self.source)
            },
        );
        let environment = Environment::from_iter([("ACME", self.secret.as_str()), ("OTHER", OTHER), ("OLD", OLD)]);
        let options = Options { client: self.client.map(|client| client.parse().unwrap()), ..options() };
        let (compiled, found) = app::load(&options.file.config, &config, &environment, false, &mut app::nowhere);
        let compiled = compiled.unwrap_or_else(|| panic!("{}", found.render(false)));
        let mut request = format!("{} {} HTTP/1.1\r\nhost: gateway.internal:8080\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            writeln!(request, "{name}: {value}\r").unwrap();
        }
        if !request.contains("content-type") {
            request.push_str("content-type: application/json\r\n");
        }
        let request = [request.as_bytes(), b"\r\n", &self.body].concat();
        options.report(&compiled, &config, &environment, &request).unwrap()
    }

    /// Explains it, and sees that the mistakes are named and nothing secret is.
    #[track_caller]
    pub(super) fn check(self) {
        let report = self.report();
        let text = report.to_string();
        let first = report.search.causes.first();
        assert_eq!(first.map(|cause| cause.mistakes.as_slice()).unwrap_or_default(), self.mistakes, "{text}");
        assert_eq!(report.answer.accepted, self.mistakes.is_empty(), "{text}");
        let remedies = first.map(|cause| cause.remedies.join("\n")).unwrap_or_default();
        assert!(remedies.contains(self.remedy), "{text}");
        let all = text + &serde_json::json!(report).to_string();
        let is_credential =
            |name: &str| !name.starts_with("x-forwarded") && !["x-time", "x-original-uri"].contains(&name);
        let credentials = self.headers.iter().filter(|(name, _)| is_credential(name)).map(|(_, value)| value);
        for hidden in credentials.chain([&self.secret]).map(String::as_str).chain([SECRET, OTHER, OLD]) {
            for part in hidden.as_bytes().windows(8) {
                let is_shown = all.as_bytes().windows(8).any(|shown| shown == part);
                assert!(!is_shown, "{:?} must not be shown\n{all}", String::from_utf8_lossy(part));
            }
        }
    }
}

/// What is asked for in all cases.
fn options() -> Options {
    Options {
        source: "acme".to_owned(),
        file: ConfigFile { config: "hooksieve.toml".into() },
        request: "captured.http".into(),
        entry: None,
        now: Some(NOW.parse().unwrap()),
        keys: Vec::new(),
        client: None,
        format: Format::Text,
    }
}

/// The secret of the other source.
pub(super) const OTHER: &str = "an0ther-s3cret-of-an0ther";

/// A secret that has ended.
pub(super) const OLD: &str = "0ld-s3cret-0f-last-m0nth";

pub(super) fn mac(hash: Hash, secret: impl Into<Vec<u8>>, text: impl AsRef<[u8]>) -> Vec<u8> {
    Key::new(hash, &Secret::new(secret)).unwrap().sign(&[text.as_ref()])
}

pub(super) fn hex(hash: Hash, secret: impl Into<Vec<u8>>, text: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(&mac(hash, secret, text))
}

pub(super) fn base64(hash: Hash, secret: impl Into<Vec<u8>>, text: impl AsRef<[u8]>) -> String {
    BASE64.encode(&mac(hash, secret, text))
}

/// The header of most cases, for another key or text.
pub(super) fn signed<'a>(secret: impl Into<Vec<u8>>, text: impl AsRef<[u8]>) -> Vec<(&'a str, String)> {
    vec![("x-signature", format!("sha256={}", hex(Hash::Sha256, secret, text)))]
}

#[test]
fn what_is_right_needs_no_explanation() {
    Case::default().check();
}

#[test]
fn what_has_no_explanation_gets_none() {
    let case = Case { headers: signed("something else altogether", BODY), ..Case::default() };
    let report = case.report();
    assert!(report.search.causes.is_empty() && report.search.tried > 1000, "{report}");
    assert!(report.to_string().contains("No common mistake explains it"));
    let by_name = |name: &str| report.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!(by_name("authenticate").reason, Some("auth_mismatch"));
    assert!(!by_name("authenticate").hypothetical && by_name("recognize").hypothetical);
    assert!(by_name("recognize").notes[0].contains("\"order.paid\""), "{report}");
    assert!(by_name("deliver").notes[0].contains("upstream app"), "{report}");
}

/// Every mistake of the table has a case in these files.
#[test]
fn every_mistake_has_a_case() {
    let cases = [
        include_str!("secret.rs"),
        include_str!("credential.rs"),
        include_str!("body.rs"),
        include_str!("keys.rs"),
        include_str!("other.rs"),
    ];
    for hypothesis in hypotheses::all() {
        let name = format!("{:?}", hypothesis.name);
        assert!(cases.iter().any(|text| text.contains(&name)), "no case has the mistake {name}");
    }
}

#[test]
fn w_54_addresses_are_judged_where_they_are_said() {
    let source = "allow = [\"203.0.113.0/24\", \"2001:db8::/32\"]";
    for (client, outcome, said) in [
        (None, report::Outcome::Unknown, "`--client ADDRESS`"),
        (Some("203.0.113.9"), report::Outcome::Passed, "203.0.113.9 is in one of them"),
        (Some("::ffff:203.0.113.9"), report::Outcome::Passed, "is in one of them"),
        (Some("2001:db8::1"), report::Outcome::Passed, "is in one of them"),
        (Some("203.0.114.9"), report::Outcome::Refused, "203.0.114.9 is in none of them"),
    ] {
        let report = Case { source, client, ..Case::default() }.report();
        let step = report.steps.iter().find(|step| step.name == "admit").unwrap();
        assert_eq!(step.outcome, outcome, "{report}");
        assert!(step.notes.iter().any(|note| note.contains(said)), "{report}");
        assert_eq!(report.answer.accepted, outcome != report::Outcome::Refused, "{report}");
    }
    let report = Case { client: Some("203.0.114.9"), ..Case::default() }.report();
    assert!(report.answer.accepted, "without a list everybody may send\n{report}");
}

#[test]
fn the_age_of_events_is_said() {
    let check = |time: &str, said: &str| {
        let body = BODY.replace('}', &format!(",\"at\":{time}}}"));
        let source = "events.time = \"json:/at\"";
        let report = Case { source, headers: signed(SECRET, &body), body: body.into(), ..Case::default() }.report();
        assert!(report.answer.accepted && report.to_string().contains(said), "{report}");
    };
    check("\"2026-11-21T11:57:00Z\"", "happened: 3 min 0 s before now");
    check(&(SECONDS - 3600).to_string(), "happened: 1 h 0 min before now");
    check(&((SECONDS - 61) * 1000).to_string(), "happened: 1 min 1 s before now");
    check("\"yesterday\"", "happened: unknown, by `json:/at`; events without it: 1");
    let report = Case::default().report();
    assert!(!report.to_string().contains("happened"), "{report}");
}
