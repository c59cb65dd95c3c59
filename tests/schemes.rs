//! The scheme language on the published vectors of senders that need each part of it: `tests/schemes/senders.json` has a
//! source in the words of a configuration file, and recorded requests with what must become of them.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "support/recorded.rs"]
mod recorded;

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hooksieve::{
    app,
    config::{Diagnostics, Environment},
    gateway::source::{Entry, Source},
    secret::Secret,
    stages::{
        receive::Received,
        schemes::{
            Strength,
            hmac::{Hash, Key},
        },
    },
};
use http::Uri;
use serde::Deserialize;
use serde_json::Value;

use self::recorded::Request;

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

fn load(
    rules: &str,
    secrets: &[String],
    settings: &BTreeMap<String, Value>,
    url: &Uri,
) -> (Option<Source>, Diagnostics) {
    let list = |items: Vec<String>| items.join(", ");
    let secrets =
        list(secrets.iter().map(|secret| format!("{{ value = {} }}", Value::from(secret.as_str()))).collect());
    let settings: Vec<_> = settings.iter().map(|(name, value)| format!("settings.{name} = {value}")).collect();
    let settings = settings.join("\n");
    let text = format!(
        "[server]\npublic_url = \"{}://{}\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.s]\npath = \"{}\"\n\
         upstream = \"app\"\nsecrets = [{secrets}]\n{settings}\nallow_weak_secret = true\n{rules}\n",
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
    match source.enter(received.into(), at) {
        Entry::Admitted(authentic, _) => Some(authentic.strength()),
        Entry::Denied(..) | Entry::Greeted(_) | Entry::Refused(..) => None,
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
        (format!("events.forms = true\ndelivery.batch = \"array\"\n{HMAC}"), "a form cannot stand in an array"),
        (
            format!("settings.version = 1\n{}", hmac("when = { equal = [\"setting:version\", \"2\"] }")),
            "no rule of the source applies",
        ),
        (
            "[[sources.s.auth]]\nkind = \"ecdsa\"\nhash = \"sha512\"\nsignature.from = \"header:x-a\"".to_owned(),
            "no choice of hashes",
        ),
    ];
    for (rules, complaint) in cases {
        refused(&rules, KEY, complaint);
    }
}

const SECRET: &str = "a-secret-of-a-good-length";
const NOW: i64 = 1_767_225_600;

/// What becomes of a request with these header lines: `ok`, or why it is refused.
fn verdict(rules: &str, secret: &str, lines: &[(&str, &str)], body: &str) -> &'static str {
    let url = Uri::from_static("https://hooks.example.com/in");
    let (source, found) = load(rules, &[secret.to_owned()], &BTreeMap::new(), &url);
    let source = source.unwrap_or_else(|| panic!("{rules}\n{found:?}"));
    let none = Request {
        method: "POST".into(),
        url: url.to_string(),
        headers: BTreeMap::new(),
        body: String::new(),
        body_base64: None,
    };
    let mut received = none.received(body.to_owned().into(), NOW);
    for (name, value) in lines {
        received.head.headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let at = received.at;
    match source.enter(received.into(), at) {
        Entry::Admitted(..) => "ok",
        Entry::Greeted(_) => "greeted",
        Entry::Denied(refusal, _) | Entry::Refused(refusal, _) => refusal.as_str(),
    }
}

fn signed(key: &str, text: &str) -> Vec<u8> {
    Key::new(Hash::Sha256, &Secret::new(key)).unwrap().sign(&[text.as_bytes()])
}

#[test]
fn w_42_basic() {
    let rules = "[[sources.s.auth]]\nkind = \"basic\"";
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let right = basic("somebody:pass:words");
    for (credential, expected) in [
        (right.clone(), "ok"),
        (right.replace("Basic", "bAsIc"), "ok"),
        (basic("nobody:pass:words"), "auth_mismatch"),
        (basic("somebody:pass:words!"), "auth_mismatch"),
        (basic("somebody:pass:wordt"), "auth_mismatch"),
        (basic("somebody"), "auth_mismatch"),
        (basic(""), "auth_mismatch"),
        (format!("{right} "), "auth_malformed"),
        (right.replace("Basic ", "Basic  "), "auth_malformed"),
        (right.trim_end_matches('=').to_owned(), "auth_malformed"),
        (right.replace("Basic ", "Bearer "), "auth_malformed"),
        (right.replace("Basic ", ""), "auth_malformed"),
        ("Basic".to_owned(), "auth_malformed"),
        (String::new(), "auth_missing"),
    ] {
        let lines = [("authorization", credential.as_str())];
        assert_eq!(verdict(rules, "somebody:pass:words", &lines, "{}"), expected, "{credential:?}");
    }
    let twice = [("authorization", right.as_str()), ("authorization", right.as_str())];
    assert_eq!(verdict(rules, "somebody:pass:words", &twice, "{}"), "auth_ambiguous");
}

#[test]
fn w_25_several_signatures_only_where_they_are_foreseen() {
    let one = "[[sources.s.auth]]\nkind = \"hmac\"\nsignature = { from = [\"header:x-a\", \"header:x-b\"] }";
    let any =
        "[[sources.s.auth]]\nkind = \"hmac\"\nsignature = { from = [\"header:x-a\", \"header:x-b-*\"], any_of = true }";
    let right = HEXLOWER.encode(&signed(SECRET, "{}"));
    let wrong = HEXLOWER.encode(&signed(SECRET, "[]"));
    let (right, wrong) = (right.as_str(), wrong.as_str());
    for (rules, lines, expected) in [
        (one, vec![("x-a", right), ("x-b", right)], "ok"),
        (one, vec![("x-a", right), ("x-b", wrong)], "auth_ambiguous"),
        (one, vec![("x-a", right), ("x-a", right)], "auth_ambiguous"),
        (any, vec![("x-a", wrong), ("x-b-2", right)], "ok"),
        (any, vec![("x-a", wrong), ("x-a", right)], "ok"),
        (any, vec![("x-b-1", "?"), ("x-b-77", right)], "ok"),
        (any, vec![("x-a", wrong), ("x-b-1", wrong)], "auth_mismatch"),
        (any, vec![("x-a", "?")], "auth_malformed"),
        (any, vec![("x-b", right)], "auth_missing"),
        (any, vec![("x-a", right); 129], "auth_malformed"),
    ] {
        assert_eq!(verdict(rules, SECRET, &lines, "{}"), expected, "{} lines", lines.len());
    }
}

#[test]
fn w_26_groups_have_times_of_their_own() {
    let rules = "[[sources.s.auth]]\nkind = \"hmac\"\nmessage = \"{sig.t}.{body}\"\ntime.from = \"sig.t\"\n\
                 signature = { from = \"header:x-a\", groups = \" \", split = \",\", pair = \"=\", take = [\"v1\"] }";
    let group = |signed_at: i64, sent: i64| {
        format!("t={sent},v1={}", HEXLOWER.encode(&signed(SECRET, &format!("{signed_at}.{{}}"))))
    };
    let (right, stale, moved) = (group(NOW, NOW), group(NOW - 999, NOW - 999), group(NOW - 999, NOW));
    for (header, expected) in [
        (right.clone(), "ok"),
        (format!("{moved} {right}"), "ok"),
        (format!("{right} {moved}"), "ok"),
        (moved.clone(), "auth_mismatch"),
        (format!("{stale} {moved}"), "auth_mismatch"),
        (stale.clone(), "timestamp_stale"),
        (format!("t={NOW} {}", stale.replace(&format!("t={},", NOW - 999), "")), "auth_missing"),
        (format!("{stale} {stale} {stale} {stale} {right}"), "auth_malformed"),
        (String::new(), "auth_malformed"),
    ] {
        assert_eq!(verdict(rules, SECRET, &[("x-a", header.as_str())], "{}"), expected, "{header}");
    }
}

#[test]
fn each_element_is_signed() {
    let rules = "[sources.s.events]\nsplit = \"/items\"\n[[sources.s.auth]]\nkind = \"hmac\"\neach = \"/items\"\n\
                 message = \"{json:/id}\"\nsignature.from = \"json:/mac\"";
    let item = |id: &str, of: &str| format!(r#"{{"id":"{id}","mac":"{}"}}"#, HEXLOWER.encode(&signed(SECRET, of)));
    let (a, b, forged) = (item("a", "a"), item("b", "b"), item("c", "a"));
    for (items, expected) in [
        (format!("[{a},{b}]"), "ok"),
        (format!("[{a},{forged}]"), "auth_mismatch"),
        (format!("[{forged},{a}]"), "auth_mismatch"),
        (format!(r#"[{a},{{"id":"x"}}]"#), "auth_missing"),
        (format!("[{a},1]"), "auth_missing"),
        ("[]".to_owned(), "auth_missing"),
        (a.clone(), "auth_missing"),
    ] {
        assert_eq!(verdict(rules, SECRET, &[], &format!(r#"{{"items":{items}}}"#)), expected, "{items}");
    }
    assert_eq!(verdict(rules, SECRET, &[], "no json"), "auth_missing");
}

fn jwt(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signed(SECRET, &text)))
}

#[test]
fn w_18_tokens_do_not_choose() {
    let rules = "[[sources.s.auth]]\nkind = \"jwt\"\nalgorithms = [\"HS256\"]\nsignature = { from = \"header:x-jwt\" }\n\
                 require = { equal = [\"claim:/iss\", \"them\"] }";
    let head = r#"{"alg":"HS256"}"#;
    let good = jwt(head, r#"{"iss":"them"}"#);
    let lifetime = |claim: &str, at: i64| jwt(head, &format!(r#"{{"iss":"them","{claim}":{at}}}"#));
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    for (token, expected) in [
        (good.clone(), "ok"),
        (lifetime("exp", NOW + 1), "ok"),
        (lifetime("exp", NOW), "timestamp_stale"),
        (lifetime("nbf", NOW + 60), "ok"),
        (lifetime("nbf", NOW + 61), "timestamp_future"),
        (jwt(head, r#"{"iss":"them","exp":"never"}"#), "auth_malformed"),
        (jwt(head, r#"{"iss":"us"}"#), "auth_mismatch"),
        (jwt(head, "{}"), "auth_mismatch"),
        (jwt(head, r#"{"iss":"us","iss":"them"}"#), "auth_malformed"),
        (jwt(head, r#"["them"]"#), "auth_malformed"),
        (jwt(r#"{"alg":"none"}"#, r#"{"iss":"them"}"#), "auth_mismatch"),
        (jwt(r#"{"alg":"HS512"}"#, r#"{"iss":"them"}"#), "auth_mismatch"),
        (jwt(r#"{"alg":"hs256"}"#, r#"{"iss":"them"}"#), "auth_mismatch"),
        (jwt(r#"{"alg":"none","alg":"HS256"}"#, r#"{"iss":"them"}"#), "auth_malformed"),
        (jwt(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, r#"{"iss":"them"}"#), "auth_malformed"),
        (jwt(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"iss":"them"}"#), "auth_malformed"),
        (jwt("{}", r#"{"iss":"them"}"#), "auth_malformed"),
        (format!("{unsigned}."), "auth_mismatch"),
        (unsigned.to_owned(), "auth_malformed"),
        (format!("{good}."), "auth_malformed"),
        (format!("{good}="), "auth_malformed"),
        (format!("{good} "), "auth_malformed"),
        ("..".to_owned(), "auth_malformed"),
        (String::new(), "auth_missing"),
    ] {
        assert_eq!(verdict(rules, SECRET, &[("x-jwt", token.as_str())], "{}"), expected, "{token}");
    }
    for at in 0..good.len() {
        let mut wrong = good.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        let wrong = String::from_utf8(wrong).unwrap();
        assert_ne!(verdict(rules, SECRET, &[("x-jwt", wrong.as_str())], "{}"), "ok", "letter {at} is another");
    }
}

#[test]
fn w_19_a_public_key_is_no_shared_one() {
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let rules = "[[sources.s.auth]]\nkind = \"ed25519\"\nkey.decode = \"hex\"\n\
                 signature = { from = \"header:x-a\", split = \" \", pair = \",\", take = [\"v1a\"], encoding = \"base64\" }";
    let bytes = HEXLOWER.decode(key.as_bytes()).unwrap();
    let forged = Key::new(Hash::Sha512, &Secret::new(bytes)).unwrap().sign(&[b"{}"]);
    for version in ["v1", "v1a"] {
        let header = format!("{version},{}", BASE64.encode(&forged));
        assert_ne!(verdict(rules, key, &[("x-a", header.as_str())], "{}"), "ok", "{version}");
    }
    let mixed =
        "[[sources.s.auth]]\nkind = \"jwt\"\nalgorithms = [\"RS256\", \"HS256\"]\nsignature.from = \"header:x-a\"";
    refused(mixed, SECRET, "do not go together");
    refused(
        "[[sources.s.auth]]\nkind = \"jwt\"\nsignature.from = \"header:x-a\"",
        SECRET,
        "does not pin its algorithm",
    );
}

#[test]
fn w_38_a_detached_signature_is_over_the_body() {
    let rules = "[[sources.s.auth]]\nkind = \"jws\"\nalgorithms = \"HS256\"\nsignature.from = \"header:x-jws\"";
    let jws = |header: &str, payload: &str| {
        let header = BASE64URL_NOPAD.encode(header.as_bytes());
        format!("{header}..{}", BASE64URL_NOPAD.encode(&signed(SECRET, &format!("{header}.{payload}"))))
    };
    let raw = r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#;
    let encoded = BASE64URL_NOPAD.encode(b"{}");
    for (token, expected) in [
        (jws(r#"{"alg":"HS256"}"#, &encoded), "ok"),
        (jws(raw, "{}"), "ok"),
        (jws(raw, &encoded), "auth_mismatch"),
        (jws(r#"{"alg":"HS256"}"#, "{}"), "auth_mismatch"),
        (jws(r#"{"alg":"HS256","b64":false}"#, "{}"), "auth_malformed"),
        (jwt(r#"{"alg":"HS256"}"#, "{}"), "auth_malformed"),
    ] {
        assert_eq!(verdict(rules, SECRET, &[("x-jws", token.as_str())], "{}"), expected, "{token}");
    }
}

#[test]
fn w_18_rsa_is_padded_as_it_must_be() {
    let rsa: BTreeMap<String, String> = serde_json::from_str(include_str!("schemes/rsa.json")).unwrap();
    let rules = |form: &str| {
        let signature = format!("signature = {{ from = \"header:x-a\", encoding = \"base64\"{form} }}");
        format!("[[sources.s.auth]]\nkind = \"rsa\"\nkey.decode = \"pem\"\n{signature}")
    };
    let (pkcs1, pss) = (rules(""), rules(", form = \"pss\""));
    for (rules, signature, expected) in [
        (&pkcs1, "pkcs1", "ok"),
        (&pkcs1, "pss", "auth_mismatch"),
        (&pss, "pss", "ok"),
        (&pss, "pkcs1", "auth_mismatch"),
        (&pss, "pss_without_salt", "auth_mismatch"),
    ] {
        assert_eq!(verdict(rules, &rsa["key"], &[("x-a", &rsa[signature])], "{}"), expected, "{signature}");
        assert_ne!(verdict(rules, &rsa["key"], &[("x-a", &rsa[signature])], "{ }"), "ok", "{signature}");
    }
    let jwt = |algorithm: &str| {
        format!(
            "[[sources.s.auth]]\nkind = \"jwt\"\nalgorithms = \"{algorithm}\"\nkey.decode = \"pem\"\n\
             signature.from = \"header:x-a\""
        )
    };
    assert_eq!(verdict(&jwt("PS256"), &rsa["key"], &[("x-a", &rsa["token"])], "{}"), "ok");
    assert_eq!(verdict(&jwt("RS256"), &rsa["key"], &[("x-a", &rsa["token"])], "{}"), "auth_mismatch");
    refused(&format!("{pss}\nhash = \"sha1\""), &rsa["key"], "SHA-1 is not taken");
    let hmac = "[[sources.s.auth]]\nkind = \"ecdsa\"\nsignature = { from = \"header:x-a\", form = \"pss\" }";
    refused(hmac, SECRET, "has no such form");
}

#[test]
fn w_51_a_request_names_its_secret() {
    let rules = "[[sources.s.auth]]\nkind = \"hmac\"\nsignature.from = \"header:x-a\"\n\
                 key.chosen_by = \"header:x-key\"\n\
                 secrets = [{ name = \"one\", value = \"a-secret-of-a-good-length\" }, { name = \"two\", value = \"another-secret-of-a-length\" }]";
    let right = HEXLOWER.encode(&signed(SECRET, "{}"));
    let other = HEXLOWER.encode(&signed("another-secret-of-a-length", "{}"));
    for (lines, expected) in [
        (vec![("x-a", right.as_str()), ("x-key", "one")], "ok"),
        (vec![("x-a", other.as_str()), ("x-key", "two")], "ok"),
        (vec![("x-a", right.as_str()), ("x-key", "two")], "auth_mismatch"),
        (vec![("x-a", right.as_str()), ("x-key", "three")], "auth_mismatch"),
        (vec![("x-a", right.as_str()), ("x-key", "")], "auth_mismatch"),
        (vec![("x-a", right.as_str())], "auth_missing"),
        (vec![("x-a", right.as_str()), ("x-key", "one"), ("x-key", "one")], "auth_ambiguous"),
    ] {
        assert_eq!(verdict(rules, SECRET, &lines, "{}"), expected, "{lines:?}");
    }
    let nameless =
        "[[sources.s.auth]]\nkind = \"hmac\"\nsignature.from = \"header:x-a\"\nkey.chosen_by = \"header:x-key\"";
    refused(nameless, SECRET, "has no name that a request could choose it by");
}
