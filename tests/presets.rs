//! Every preset can be read, and a source that names it compiles with each of its schemes. What warns is counted:
//! a preset may know better than the operator, but must not hide it.

use std::{fmt::Write as _, fs, path::Path};

use hooksieve::{
    app,
    config::{
        self, Environment,
        compile::Compiled,
        diagnostics::Severity,
        raw::{
            auth::{Decode, Kind, Rule},
            preset::{Declaration, Preset},
        },
    },
    presets,
    stages::schemes::Strength,
};

/// Settings that a scheme declares.
type Settings<'a> = Vec<(&'a String, &'a Declaration)>;

/// What senders that have a preset can do besides, and why the preset leaves it out.
const LEFT_OUT: [(&str, &str); 6] = [
    (
        "Atlassian Connect: the `installed` callback",
        "it hands a tenant's secret over while the gateway runs, signed with a key that has to be fetched",
    ),
    (
        "Mailgun routes with attachments, SendGrid Inbound Parse",
        "multipart bodies would have to be read before they are verified",
    ),
    (
        "Microsoft Entra tokens of Event Grid, resource data of Graph",
        "tokens of keys that have to be fetched, and encrypted payloads",
    ),
    ("Mollie's classic webhooks", "nothing proves the sender, and the event has to be fetched"),
    ("SNS with raw message delivery", "nothing is signed"),
    ("Vonage SMS", "a hash of sorted parameters with MD5 as an option; its pages were not read"),
];

const INTRODUCTION: &str = "\
# Presets

<!-- Written by tests/presets.rs from presets/. Change it there. -->

A source that says `provider = \"ID\"` takes over what is known of a sender; `hooksieve presets show ID` prints it, with
what is documented, what is assumed and where it was read. Each is proved by recorded requests in `tests/vectors/`.

- *Schemes*: say `scheme = …` for another than the one in bold. Empty: there is one.
- *Strength* is what a right credential binds: `verified` the whole body, `partial` a part of it, `token` nothing of it,
  and with `none` anybody can send.
- *Identity* is what makes an event the same when it comes again. *Not signed*: a captured request with another value
  would pass as new; `dedup.on_conflict` and a path that nobody can guess are what is left.
- *Handshake*: the sender's challenges are answered by the gateway.

| id | sender | schemes | strength | identity | handshake |
|---|---|---|---|---|---|
";

/// Base64 and hexadecimal of a key, and long enough to be one itself.
const SECRET: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A public key for `decode = "spki"`, from a test suite of its sender's.
const ECDSA_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

/// A public key for `decode = "base64"`.
const ED25519_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Warnings that a preset may give rise to: the sender leaves no choice.
const EXPECTED: [&str; 4] = [
    // The sender's own id travels in a header that it does not sign.
    "is not signed: a captured request with another value would pass as new",
    // The sender tries for longer than an hour and does not sign again.
    "this is longer than an hour",
    // Senders whose equal bodies are different events.
    "a captured request can be replayed for ever",
    // Schemes without a credential.
    "anybody can send events to this source",
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

/// What the comment at the top of a preset says, in this order, each at the beginning of a line.
const HEADINGS: [&str; 5] = ["Documented", "Assumed", "Deadline and retries", "Identity", "Sources"];

#[test]
fn every_preset_says_what_is_known_and_what_is_not() {
    for (id, text) in presets::all() {
        let comment: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        assert!(comment.first().is_some_and(|line| !line.is_empty()), "{id}: the first line says who sends what");
        let mut rest = comment.iter();
        for heading in HEADINGS {
            let found = rest.find_map(|line| line.strip_prefix(heading)?.strip_prefix(": "));
            let help = format!("write `# {heading}: …`, in the order {HEADINGS:?}; see CONTRIBUTING.md");
            assert!(found.is_some_and(|about| !about.is_empty()), "{id}: {help}");
        }
        let preset = config::read_preset(id, text).0.expect("another test says what is wrong with it");
        let points = text.contains("under `documentation`");
        assert!(!points || !preset.documentation.is_empty(), "{id}: there are no pages under `documentation`");
    }
}

#[test]
fn every_scheme_compiles() {
    for (id, text) in presets::all() {
        let preset = config::read_preset(id, text).0.expect("another test says what is wrong with it");
        for (scheme, rules, settings) in schemes(&preset) {
            let (_, warnings) = compiled(id, &preset, scheme, rules, &settings);
            for warning in warnings {
                let known = EXPECTED.iter().any(|expected| warning.contains(expected));
                assert!(known, "{id} {scheme:?}: {warning}");
            }
        }
    }
}

/// `docs/presets.md` says what the presets say.
#[test]
fn page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/presets.md");
    let mut want = String::from(INTRODUCTION);
    for (id, text) in presets::all() {
        let preset = config::read_preset(id, text).0.expect("another test says what is wrong with it");
        row(&mut want, id, &preset);
    }
    want.push_str("\n## Left out, and why\n\n| what | why |\n|---|---|\n");
    for (sender, why) in LEFT_OUT {
        let _ = writeln!(want, "| {sender} | {why} |");
    }
    if fs::read_to_string(&path).ok().as_deref() != Some(&want) {
        fs::write(&path, want).expect("docs/presets.md can be written");
        panic!("docs/presets.md was out of date and has been written anew: look at it and commit it");
    }
}

fn row(page: &mut String, id: &str, preset: &Preset) {
    let default = preset.default_scheme.as_ref().map(|name| name.value.as_str());
    let (mut named, mut strengths, mut signed) = (Vec::new(), Vec::new(), true);
    for (scheme, rules, settings) in schemes(preset) {
        let (compiled, warnings) = compiled(id, preset, scheme, rules, &settings);
        let strength = compiled.senders["it"].rules.iter().map(|(rule, _)| match &rule.each {
            Some(_) => rule.scheme.strength().min(Strength::Partial),
            None => rule.scheme.strength(),
        });
        let strength = strength.max().expect("a source has a rule").as_str();
        if !strengths.contains(&strength) {
            strengths.push(strength);
        }
        signed &= !warnings.iter().any(|warning| warning.contains(EXPECTED[0]));
        named.extend(scheme.map(|name| if Some(name) == default { format!("**{name}**") } else { name.to_owned() }));
    }
    let identities = preset.events.id.0.iter().map(|parts| {
        let parts = parts.iter().map(|part| format!("`{}`", part.value.0.replace('|', "\\|")));
        parts.collect::<Vec<_>>().join(", ")
    });
    let identities: Vec<String> = identities.collect();
    let identity = match (preset.dedup.enabled.value, identities.is_empty()) {
        (false, _) => "none".to_owned(),
        (true, true) => "the event's bytes".to_owned(),
        (true, false) => identities.join("; or "),
    };
    let _ = writeln!(
        page,
        "| `{id}` | {} | {} | {} | {identity}{} | {} |",
        preset.name.value,
        named.join(", "),
        strengths.join(", "),
        if signed { "" } else { " (not signed)" },
        if preset.handshake.is_empty() { "" } else { "yes" },
    );
}

/// The schemes of a preset: name, rules and settings. One without a name is all there is.
fn schemes(preset: &Preset) -> Vec<(Option<&str>, &[Rule], Settings<'_>)> {
    if preset.schemes.entries.is_empty() {
        return vec![(None, &preset.auth, Vec::new())];
    }
    let entries = preset.schemes.entries.iter();
    entries.map(|(name, it)| (Some(name.as_str()), it.auth.as_slice(), it.settings.iter().collect())).collect()
}

/// The smallest source that names the preset, and the warnings it gives rise to.
fn compiled(
    id: &str,
    preset: &Preset,
    scheme: Option<&str>,
    rules: &[Rule],
    own: &[(&String, &Declaration)],
) -> (Compiled, Vec<String>) {
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
         timeout = \"500ms\"\nconnect_timeout = \"200ms\"\n[journal]\npath = \"h.db\"\n[sources.it]\npath = \"/in\"\nprovider = \"{id}\"\n\
         upstream = \"app\"\nsettings = {{ {} }}\n{}{}",
        settings.join(", "),
        scheme.map_or_else(String::new, |name| format!("scheme = \"{name}\"\n")),
        if open { "allow_unauthenticated = true\n" } else { "secrets = [{ name = \"key\", env = \"SECRET\" }]\n" },
    );
    let environment: Environment = [("SECRET".to_owned(), secret(id, rules))].into_iter().collect();
    let (compiled, found) = app::load(Path::new("gateway.toml"), &text, &environment, false, &mut app::nowhere);
    let warnings = found.iter().filter(|problem| problem.severity == Severity::Warning);
    let warnings = warnings.map(|problem| problem.message.clone()).collect();
    (compiled.unwrap_or_else(|| panic!("{id} {scheme:?}: {}", found.render(false))), warnings)
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
    let text = fs::read_to_string(file).expect("a sender of published keys has recorded requests");
    let recorded: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    recorded["vectors"][0]["settings"]["jwks"]["keys"][0].to_string()
}
