//! Every preset can be read, and a source that names it compiles with each of its schemes. What warns is counted:
//! a preset may know better than the operator, but must not hide it.

use std::path::Path;

use hooksieve::{
    app,
    config::{
        self, Environment,
        diagnostics::Severity,
        raw::{
            auth::{Decode, Kind, Rule},
            preset::{Declaration, Preset},
        },
    },
    presets,
};

/// Base64 and hexadecimal of a key, and long enough to be one itself.
const SECRET: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A public key for `decode = "spki"`, from SendGrid's test suite.
const ECDSA_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

/// A public key for `decode = "base64"`.
const ED25519_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Warnings that a preset may give rise to: the sender leaves no choice.
const EXPECTED: [&str; 5] = [
    // The sender's own id travels in a header that it does not sign.
    "is not signed: a captured request with another value would pass as new",
    // The sender tries for longer than an hour and does not sign again.
    "this is longer than an hour",
    // Senders whose equal bodies are different events.
    "a captured request can be replayed for ever",
    // Schemes without a credential.
    "anybody can send events to this source",
    // Presets that ask for a queue.
    "the preset asks for queued delivery, which needs a journal",
];

#[test]
fn every_preset_can_be_read() {
    let all = presets::all();
    assert!(all.len() >= 4);
    for (id, text) in all {
        let (preset, found) = config::read_preset(id, text);
        assert_eq!(found.iter().count(), 0, "{id}: {}", found.render(false));
        let preset = preset.unwrap_or_else(|| panic!("{id} is no preset"));
        assert!(!preset.name.value.is_empty(), "{id} has no name");
        if let Some(name) = &preset.default_scheme {
            assert!(preset.schemes.entries.contains_key(&name.value), "{id}: there is no scheme {:?}", name.value);
        }
    }
}

#[test]
fn every_scheme_compiles() {
    for (id, text) in presets::all() {
        let preset = config::read_preset(id, text).0.expect("another test says what is wrong with it");
        let schemes: Vec<_> = preset.schemes.entries.iter().map(|(name, scheme)| (Some(name), scheme)).collect();
        if schemes.is_empty() {
            check(id, &preset, None, &preset.auth, &[]);
        }
        for (name, scheme) in schemes {
            let settings: Vec<_> = scheme.settings.iter().collect();
            check(id, &preset, name.map(String::as_str), &scheme.auth, &settings);
        }
    }
}

fn check(id: &str, preset: &Preset, scheme: Option<&str>, rules: &[Rule], own: &[(&String, &Declaration)]) {
    let settings: Vec<String> = preset
        .settings
        .iter()
        .chain(own.iter().copied())
        .filter(|(_, declared)| declared.required.value)
        .map(|(name, declared)| format!("{name} = {}", placeholder(name, declared)))
        .collect();
    let open = rules.iter().any(|rule| rule.kind.value == Kind::None);
    let text = format!(
        "[server]\npublic_url = \"https://hooks.example.com\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n\
         timeout = \"500ms\"\nconnect_timeout = \"200ms\"\n[sources.it]\npath = \"/in\"\nprovider = \"{id}\"\n\
         upstream = \"app\"\nsettings = {{ {} }}\n{}{}{}",
        settings.join(", "),
        scheme.map_or_else(String::new, |name| format!("scheme = \"{name}\"\n")),
        if open { "allow_unauthenticated = true\n" } else { "secrets = [{ env = \"SECRET\" }]\n" },
        if preset.schema.is_some() { "schema.on_violation = \"drop\"\nschema.on_unknown = \"forward\"\n" } else { "" },
    );
    let environment: Environment = [("SECRET".to_owned(), secret(id, rules))].into_iter().collect();
    let (compiled, found) = app::load(Path::new("gateway.toml"), &text, &environment, false, &mut app::nowhere);
    assert!(compiled.is_some(), "{id} {scheme:?}: {}", found.render(false));
    for problem in found.iter().filter(|problem| problem.severity == Severity::Warning) {
        let known = EXPECTED.iter().any(|expected| problem.message.contains(expected));
        assert!(known, "{id} {scheme:?}: {}", problem.message);
    }
}

fn placeholder(name: &str, declared: &Declaration) -> String {
    match declared.values.first() {
        Some(value) => format!("{:?}", value.value.to_string()),
        None if name.ends_with("url") => "\"https://hooks.example.com/in\"".to_owned(),
        None => "\"x-placeholder\"".to_owned(),
    }
}

fn secret(id: &str, rules: &[Rule]) -> String {
    if rules.iter().any(|rule| rule.key.decode.value == Decode::Jwk) {
        return recorded_key(id);
    }
    let kinds: Vec<Kind> = rules.iter().map(|rule| rule.kind.value).collect();
    let of = |kind| kinds.contains(&kind);
    let text = if of(Kind::Rsa) {
        include_str!("seeds/cakewalk/vectors/test-key.pub.pem")
    } else if of(Kind::Ecdsa) {
        ECDSA_KEY
    } else if of(Kind::Ed25519) && rules.iter().any(|rule| rule.key.decode.value == Decode::Base64) {
        ED25519_KEY
    } else if of(Kind::Basic) {
        "user:00112233445566778899aabbccddeeff"
    } else {
        SECRET
    };
    text.to_owned()
}

/// The first of the keys that the sender published when its requests were recorded.
fn recorded_key(id: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(id).with_extension("json");
    let text = std::fs::read_to_string(file).expect("a sender of published keys has recorded requests");
    let recorded: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    recorded["vectors"][0]["settings"]["jwks"]["keys"][0].to_string()
}
