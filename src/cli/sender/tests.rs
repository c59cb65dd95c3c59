//! Every preset's sender can be played: what is sent is accepted by a gateway, and each way to break it is refused as the
//! documentation says.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tokio::runtime::Runtime;

use super::*;
use crate::{
    app,
    cli::private_key::PrivateKey,
    cli::send::key_kind,
    clock::SystemClock,
    config::{
        self, Environment,
        raw::{
            auth::{Decode, Kind, Rule as Written},
            preset::{Declaration, Preset},
        },
    },
    gateway::Gateway,
    presets,
    server::Handler as _,
    stages::answer::AnswerPolicy,
    upstream::{Attempt, BoxFuture, Delivered, Outbound, Settings, Upstream},
};

/// Presets whose events are forms.
const FORMS: [&str; 2] = ["braintree", "twilio"];

/// Text, base64 and hexadecimal of a key, all at once.
const SECRET: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// Made for these tests: whoever reads it can do nothing with it.
const RSA: &str = include_str!("../../../tests/keys/rsa.pem");

/// An application that takes everything.
struct Taking;

impl Upstream for Taking {
    fn deliver(&self, _: Outbound) -> BoxFuture<'_, Attempt> {
        Box::pin(async {
            // The answer of an application is made where answers are made.
            let status = Answer::new(AnswerPolicy::default().conclude(&[Verdict::Forward], None).status, "").status;
            Attempt::Delivered(Delivered { status, relay: None })
        })
    }
}

/// A source of one preset and scheme, at work, and its sender.
struct Stage {
    name: String,
    compiled: Compiled,
    gateway: Arc<Gateway>,
    key: Option<PrivateKey>,
}

impl Stage {
    fn of(
        id: &str,
        preset: &Preset,
        scheme: Option<&str>,
        rules: &[Written],
        own: &BTreeMap<String, Declaration>,
    ) -> Self {
        let name = format!("{id} {}", scheme.unwrap_or_default());
        let key = private_key(rules);
        let secret = secret(rules, key.as_ref());
        let required = preset.settings.iter().chain(own).filter(|(_, declared)| declared.required.value);
        let settings: Vec<_> =
            required.map(|(name, declared)| format!("{name} = {}", placeholder(name, declared))).collect();
        let text = format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n\
             timeout = \"500ms\"\nconnect_timeout = \"200ms\"\n[sources.it]\npath = \"/in\"\nprovider = \"{id}\"\n\
             upstream = \"app\"\nsecrets = [{{ name = \"key\", env = \"SECRET\" }}]\nsettings = {{ {} }}\ndelivery.mode = \"sync\"\n{}{}",
            settings.join(", "),
            scheme.map_or_else(String::new, |name| format!("scheme = \"{name}\"\n")),
            if preset.schema.is_some() {
                "schema.on_violation = \"reject\"\nschema.on_unknown = \"forward\"\n"
            } else {
                ""
            },
        );
        let environment: Environment = [("SECRET".to_owned(), secret)].into_iter().collect();
        let load = || {
            let mut taking = |_: &str, _: Settings| Ok(Arc::new(Taking) as Arc<dyn Upstream>);
            let (compiled, found) = app::load(Path::new("gateway.toml"), &text, &environment, false, &mut taking);
            compiled.unwrap_or_else(|| panic!("{name}: {}", found.render(false)))
        };
        let (compiled, running) = (load(), load());
        let ground = app::Ground::new(Arc::new(SystemClock));
        let gateway = Arc::new(ground.gateway(running.sources, running.client_limit));
        Self { name, compiled, gateway, key }
    }

    fn stand_in(&self) -> StandIn<'_> {
        let stand_in = StandIn::of(&self.compiled, "it", &SystemClock).unwrap();
        match &self.key {
            Some(key) => stand_in.with_key(key),
            None => stand_in,
        }
    }

    /// What the gateway answers.
    fn answer(&self, runtime: &Runtime, request: &Received) -> Answer {
        match self.gateway.open(&request.head) {
            Ok(allowance) => runtime.block_on(self.gateway.clone().handle(allowance.route, request.clone().into())),
            Err(answer) => answer,
        }
    }

    /// A complaint, where something else is answered.
    fn expect(&self, runtime: &Runtime, what: &str, request: &Received, expected: Expected) -> Result<(), String> {
        let answer = self.answer(runtime, request);
        let source = self.stand_in().source;
        let is_told = source.answers.success.is_none() && !source.delivery.relay;
        if expected.is_met(answer.status, &answer.body, is_told) {
            return Ok(());
        }
        let (body, sent) = (String::from_utf8_lossy(&answer.body), String::from_utf8_lossy(&request.body));
        let why = match source.enter(request.clone().into(), SystemClock.now().wall) {
            Entry::Denied(refusal, _) | Entry::Refused(refusal, _) => refusal.as_str(),
            Entry::Admitted(..) | Entry::Greeted(_) => "it is authentic",
        };
        Err(format!("{what}: {} {body} ({why}) instead of {expected}; sent: {sent}", answer.status))
    }
}

#[test]
fn every_sender_can_be_played() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (mut played, mut complaints) = (0, Vec::new());
    for (id, text) in presets::all() {
        let preset = config::read_preset(id, text).0.expect("another test says what is wrong with it");
        let none = BTreeMap::new();
        let entries = preset.schemes.entries.iter();
        let mut schemes: Vec<_> = entries.map(|(name, it)| (Some(name.as_str()), &it.auth, &it.settings)).collect();
        if schemes.is_empty() {
            schemes.push((None, &preset.auth, &none));
        }
        for (scheme, rules, settings) in schemes {
            if rules.iter().any(|rule| rule.kind.value == Kind::None) {
                continue;
            }
            let stage = Stage::of(id, &preset, scheme, rules, settings);
            complaints.extend(play(&runtime, id, &stage).err().map(|problem| format!("{}: {problem}", stage.name)));
            played += 1;
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert!(played > 100, "{played} were played");
}

fn play(runtime: &Runtime, id: &str, stage: &Stage) -> Result<(), String> {
    let stand_in = stage.stand_in();
    let source = stand_in.source;
    let refused = |refusal| Expected::Status(source.refuse(refusal, None).status);
    let rules: Vec<&Rule> = stage.compiled.senders["it"].rules.iter().map(|(rule, _)| rule).collect();
    let draft = stand_in.sample(None)?;
    let right = stand_in.sign(&draft)?;
    if FORMS.contains(&id) && draft.0.body.starts_with(b"sample=") {
        stage.expect(runtime, "a form", &right, stand_in.expected(&right))?;
    } else {
        stage.expect(runtime, "what is right", &right, Expected::Success)?;
        stage.expect(runtime, "a duplicate", &right, stand_in.repeated(&right))?;
        // What is cut off of a form leaves another form, unless there is JSON in it.
        let is_json = [b"{", b"["].iter().any(|start| draft.0.body.starts_with(*start));
        if is_json || !source.envelope.form_json.is_empty() {
            // A credential inside of JSON, or a text inside of a form, is not found in what is none.
            let rules = format!("{rules:?}");
            let looks_inside = ["json:", "raw:", "form:"].iter().any(|place| rules.contains(place));
            let cut = stand_in.cut(&draft)?;
            let expected = if looks_inside { stand_in.expected(&cut) } else { refused(Refusal::NotJson) };
            assert!(expected != Expected::Success, "{}", stage.name);
            stage.expect(runtime, "json that is cut", &cut, expected)?;
        }
    }
    stage.expect(runtime, "a forgery", &stand_in.forge(&draft)?, refused(Refusal::AuthMismatch))?;
    match stand_in.stale(&draft) {
        Ok(late) => stage.expect(runtime, "what is stale", &late, refused(Refusal::TimestampStale))?,
        Err(_) if rules.iter().all(|rule| rule.scheme.window().is_none()) => {}
        Err(problem) => return Err(problem),
    }
    if source.checker.types.is_empty() && source.checker.envelope.is_none() {
        return stand_in.misshapen(&draft).map_or(Ok(()), |_| Err("there is no schema, and it is broken".to_owned()));
    }
    stage.expect(runtime, "a broken schema", &stand_in.misshapen(&draft)?, refused(Refusal::Schema))
}

fn placeholder(name: &str, declared: &Declaration) -> String {
    match declared.values.first() {
        Some(value) => format!("{:?}", value.value.to_string()),
        None if name.ends_with("url") => "\"https://hooks.example.com/in\"".to_owned(),
        None => "\"x-placeholder\"".to_owned(),
    }
}

/// A key of the kind that the rules take, where they take one.
fn private_key(rules: &[Written]) -> Option<PrivateKey> {
    let rule = rules.first()?;
    let kind = key_kind(rule);
    let pem = match kind {
        Kind::Rsa => RSA.to_owned(),
        Kind::Ecdsa | Kind::Ed25519 => PrivateKey::make(kind).unwrap().to_string(),
        Kind::Basic | Kind::Digest | Kind::Hmac | Kind::Jws | Kind::Jwt | Kind::None | Kind::Token => return None,
    };
    Some(PrivateKey::from_pem(&pem).unwrap())
}

/// A secret that the rules take.
fn secret(rules: &[Written], key: Option<&PrivateKey>) -> String {
    let decode = rules.first().map_or(Decode::Utf8, |rule| rule.key.decode.value);
    match key {
        Some(key) => key.public_as(decode).unwrap(),
        None if rules.iter().any(|rule| rule.kind.value == Kind::Basic) => {
            "user:00112233445566778899aabbccddeeff".to_owned()
        }
        None => SECRET.to_owned(),
    }
}
