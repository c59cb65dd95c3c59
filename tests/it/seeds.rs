//! The four first senders: every request, sample and signature of `tests/seeds`, over a socket, with the presets as
//! they are. Section 9 of the design says how the cases are written as configuration; a sender whose preset queues is
//! answered 202 where they say 200 and `forward`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde_json::{Value, value::RawValue};

use hooksieve::state::journal::State;

use crate::support::{
    application::{Act, Seen},
    gateway::{Gateway, K1, Setup, T},
    request::{Reply, Request, label},
    senders::sha256,
};

const SENDERS: [&str; 4] = ["awork", "cakewalk", "elan", "skillmine-auth"];

fn directory(sender: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(sender)
}

fn read(sender: &str, file: &str) -> Vec<u8> {
    let path = directory(sender).join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn facts(sender: &str, file: &str, list: &str) -> Vec<Value> {
    let facts: Value = serde_json::from_slice(&read(sender, file)).unwrap();
    let list = facts[list].as_array().expect("a list").clone();
    assert!(!list.is_empty());
    list
}

/// A source for this sender, with these lines in its table.
fn setup(sender: &str, lines: &str) -> Setup {
    let head = format!("[sources.s]\npath = \"/in/{sender}\"\nprovider = \"{sender}\"\nupstream = \"app\"\n");
    Setup::new(&format!("{head}{lines}")).directory(&directory(sender)).journal()
}

/// Whether its preset queues.
fn queues(sender: &str) -> bool {
    sender == "awork"
}

/// What is counted, and answered, where the file says `forward`.
fn accepted(sender: &str, verdict: &str, status: u64) -> (String, u16) {
    let status = u16::try_from(status).unwrap();
    if verdict == "forward" && queues(sender) { ("queue".to_owned(), 202) } else { (verdict.to_owned(), status) }
}

/// The keys of a case, in the language of the file.
fn lines(config: &Value) -> String {
    let text = |key: &str| config[key].as_str();
    let mut lines = String::new();
    let mut say = |key: &str, value: String| writeln!(lines, "{key} = {value}").unwrap();
    let scheme = match text("auth").expect("every case says how the sender proves itself") {
        "api-key-header" => "header",
        "api-key-query" => "query",
        scheme => scheme,
    };
    say("scheme", format!("{scheme:?}"));
    let mut secrets = Vec::new();
    secrets.extend(text("public_key_file").map(|file| format!("{{ file = {file:?} }}")));
    for key in ["secret", "previous_secret", "value"] {
        secrets.extend(text(key).map(|secret| format!("{{ value = {secret:?} }}")));
    }
    if text("value").is_some() {
        say("allow_weak_secret", "true".to_owned());
    }
    if !secrets.is_empty() {
        say("secrets", format!("[{}]", secrets.join(", ")));
    }
    for (key, setting) in [("encoding", "encoding"), ("header", "header"), ("parameter", "query")] {
        if let Some(value) = text(key) {
            say(&format!("settings.{setting}"), format!("{value:?}"));
        }
    }
    for (key, value) in config.as_object().expect("a table") {
        match key.as_str() {
            "allow_unauthenticated" => say("allow_unauthenticated", value.to_string()),
            "handshake.allow_unsigned" => say("settings.allow_unsigned_handshake", value.to_string()),
            "only" => say("events.allow", value.to_string()),
            "allow_organizations" => {
                say("events.where", format!("{{ \"/organization_id\" = {value} }}"));
                say("events.on_filtered", "\"quarantine\"".to_owned());
            }
            "on_schema_violation" | "on_partial_batch" => say("schema.on_violation", value.to_string()),
            "and_header" => {
                for (name, value) in value.as_object().expect("a table") {
                    say(&format!("require_headers.{name}"), format!("{{ value = {value} }}"));
                }
            }
            "auth" | "public_key_file" | "secret" | "previous_secret" | "value" | "encoding" | "header"
            | "parameter" | "upstream" => {}
            other => panic!("nobody said how to write `{other}`"),
        }
    }
    lines
}

#[tokio::test]
async fn every_case() {
    let mut cases = 0;
    for sender in SENDERS {
        for case in facts(sender, "cases.json", "cases") {
            let name = case["name"].as_str().unwrap();
            println!("{sender}: {name}");
            cases += 1;
            self::case(sender, &case).await;
        }
    }
    assert_eq!(cases, 35);
}

async fn case(sender: &str, case: &Value) {
    let setup = setup(sender, &lines(&case["config"]));
    if case["expect"]["reason"] == "config_refused" {
        let (runs, found) = setup.judge();
        assert!(!runs && found.has_errors());
        return;
    }
    let slow = case["config"]["upstream"].is_string();
    let setup = if slow { setup.variable("HOOKSIEVE_UPSTREAMS__APP__TIMEOUT", "500ms") } else { setup };
    let gateway = setup.start().await;
    if slow {
        gateway.application.then(Act::Hang);
    }
    let reply = request(sender, &gateway, &case["request"]).send().await;
    check(sender, &gateway, &reply, &case["expect"], slow).await;
    for _ in 0..case["then"]["repeat"].as_u64().unwrap_or(0) {
        let reply = request(sender, &gateway, &case["request"]).send().await;
        check(sender, &gateway, &reply, &case["then"]["expect"], false).await;
    }
}

fn request<'g>(sender: &str, gateway: &'g Gateway, written: &Value) -> Request<'g> {
    let query = written["query"].as_str().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = gateway.request(written["method"].as_str().unwrap(), &format!("/in/{sender}{query}"));
    for (name, value) in written["headers"].as_object().unwrap() {
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    request.body(read(sender, written["body_file"].as_str().unwrap()))
}

async fn check(sender: &str, gateway: &Gateway, reply: &Reply, expect: &Value, slow: bool) {
    let verdict = expect["verdict"].as_str().unwrap();
    let reason = match expect["reason"].as_str() {
        None if verdict == "drop" => "unwanted",
        reason => reason.unwrap_or_default(),
    };
    let (verdict, status) = accepted(sender, verdict, expect["answer"].as_u64().unwrap());
    reply.is(status, format!("{verdict} {reason}").trim_end());
    let wanted = expect["upstream"].as_u64().unwrap();
    let mut late = Vec::new();
    if slow {
        // The application hangs, so its event stays in the journal, to be tried again.
        late.push(gateway.arrived().await);
        gateway.counted("hooksieve_upstream_attempts_total", 1).await;
    } else {
        late.extend(gateway.emptied().await);
    }
    let events: Vec<_> = reply.events.iter().chain(&late).collect();
    assert_eq!(events.len() as u64, wanted);
    for seen in events {
        let head = seen.head.to_lowercase();
        for credential in ["authorization:", "x-awork-token:", "x-api-key:", "apikey", "x-signature:", "skm-sample"] {
            assert!(!head.contains(credential), "{credential} is not for the application:\n{head}");
        }
    }
    let aside = gateway.kept().await.into_iter().filter(|row| row.state == State::Quarantined).count();
    assert_eq!(aside > 0, verdict == "quarantine" || expect["element_verdicts"].to_string().contains("quarantine"));
}

#[tokio::test]
async fn every_sample() {
    let mut samples = 0;
    for sender in SENDERS {
        for expected in facts(sender, "expected.json", "samples") {
            println!("{sender}: {}", expected["file"].as_str().unwrap());
            samples += 1;
            sample(sender, &expected).await;
        }
    }
    assert_eq!(samples, 182);
}

async fn sample(sender: &str, expected: &Value) {
    let (scheme, header) = match sender {
        "cakewalk" => ("scheme = \"hmac\"", "x-signature"),
        "elan" => ("scheme = \"hmac\"", "x-webhook-signature"),
        _ => ("scheme = \"header\"\nsettings.header = \"x-key\"", "x-key"),
    };
    let body = read(sender, expected["file"].as_str().unwrap());
    let gateway = setup(sender, &format!("{scheme}\nsecrets = [{{ name = \"k\", env = \"K1\" }}]")).start().await;
    let credential = if header == "x-key" { K1.to_owned() } else { HEXLOWER.encode(&sha256(K1.as_bytes(), &[&body])) };
    let reply = gateway.post(&format!("/in/{sender}")).header(header, credential).body(&body).send().await;

    let reason = expected["reason"].as_str().unwrap_or_default();
    let verdict = expected["verdict"].as_str().unwrap();
    let (verdict, status) = accepted(sender, verdict, if verdict == "reject" { 400 } else { 200 });
    reply.is(status, format!("{verdict} {reason}").trim_end());
    let late = gateway.emptied().await;
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    let whole = vec![expected["verdict"].clone()];
    let verdicts = expected["element_verdicts"].as_array().unwrap_or(&whole);
    for verdict in verdicts.iter().filter_map(Value::as_str) {
        match verdict {
            "reject" | "accept-empty" => {}
            "quarantine" => *wanted.entry(format!("quarantine {reason}")).or_default() += 1,
            verdict => *wanted.entry(accepted(sender, verdict, 200).0).or_default() += 1,
        }
    }
    let counts = gateway.counts("hooksieve_events_total").into_iter();
    let counts = counts.map(|(it, count)| (format!("{} {}", label(&it, "verdict"), label(&it, "reason")), count));
    let counts: BTreeMap<_, _> = counts.map(|(verdict, count)| (verdict.trim_end().to_owned(), count)).collect();
    assert_eq!(counts, wanted);
    let record = gateway.record();
    assert_eq!(
        (&record["pointer"], &record["keyword"]),
        (&expected["error"]["pointer"], &expected["error"]["keyword"])
    );

    let types = expected["event_types"].as_array();
    let strength = if header == "x-key" { "token; key=k" } else { "verified; key=k" };
    let events: Vec<_> = reply.events.iter().chain(&late).collect();
    forwarded(&events, &body, verdicts, types, strength);
}

/// Each forwarded element came with its own bytes, and with its type and place in the headers.
fn forwarded(events: &[&Seen], body: &[u8], verdicts: &[Value], types: Option<&Vec<Value>>, strength: &str) {
    let array: Option<Vec<&RawValue>> = serde_json::from_slice(body).ok();
    let ours = verdicts.iter().enumerate().filter(|(_, verdict)| *verdict == "forward").map(|(index, _)| index);
    let mut seen = 0;
    for index in ours {
        let batch = array.as_ref().map(|array| format!("{}/{}", index + 1, array.len()));
        let event = events.iter().find(|event| event.header("hooksieve-batch") == batch.as_deref());
        let event = event.unwrap_or_else(|| panic!("{batch:?} is not among {events:?}"));
        match &array {
            Some(array) => assert_eq!(event.body, array[index].get().as_bytes(), "the element's own bytes"),
            None => assert_eq!(event.body, body, "the body's own bytes"),
        }
        if let Some(types) = types {
            assert_eq!(event.header("hooksieve-event-type"), types[index].as_str());
        }
        assert_eq!(event.header("hooksieve-source"), Some("s"));
        assert_eq!(event.header("hooksieve-verified"), Some(strength));
        assert_eq!(event.header("hooksieve-attempt"), Some("1"));
        assert_eq!(event.header("webhook-timestamp"), Some(T.to_string().as_str()));
        assert_eq!(event.header("hooksieve-received-at"), Some("2026-01-01T00:00:00Z"));
        assert_eq!(event.header("content-type"), Some("application/json"));
        assert_eq!(event.header("webhook-signature"), None, "nobody asked for our signature");
        seen += 1;
    }
    assert_eq!(events.len(), seen);
}

#[tokio::test]
async fn every_vector() {
    let mut vectors = 0;
    for (sender, file, header, scheme) in [
        ("cakewalk", "vectors/rsa-pkcs1v15-sha256.json", "x-signature", "rsa"),
        ("cakewalk", "vectors/hmac-sha256.json", "x-signature", "hmac"),
        ("elan", "vectors/hmac-sha256.json", "x-webhook-signature", "hmac"),
    ] {
        let whole: Value = serde_json::from_slice(&read(sender, file)).unwrap();
        for vector in facts(sender, file, "vectors") {
            println!("{sender}: {}", vector["name"].as_str().unwrap());
            vectors += 1;
            let secrets: Vec<_> = [
                ("key", "file", &vector["key"]),
                ("current", "value", &whole["secret"]),
                ("previous", "value", &whole["previous_secret"]),
            ]
            .into_iter()
            .filter(|(_, _, value)| value.is_string())
            .map(|(name, place, value)| format!("{{ name = {name:?}, {place} = {value} }}"))
            .collect();
            let setup = setup(sender, &format!("scheme = {scheme:?}\nsecrets = [{}]", secrets.join(", ")));
            self::vector(&setup.start().await, sender, header, &vector).await;
        }
    }
    assert_eq!(vectors, 26);
}

async fn vector(gateway: &Gateway, sender: &str, header: &str, vector: &Value) {
    let body = read(sender, vector["body_file"].as_str().unwrap());
    let signature = vector["signature"].as_str().unwrap();
    let reply = gateway.post(&format!("/in/{sender}")).header(header, signature).body(body).send().await;
    match vector["expect"].as_str().unwrap() {
        "ok" => {
            let handshake = vector["body_file"] == "samples/valid/test.json";
            reply.is(200, if handshake { "handshake" } else { "forward" });
            assert_ne!(gateway.record()["key"], "previous");
        }
        "ok-previous" => {
            reply.is(200, "forward");
            assert_eq!(gateway.record()["key"], "previous");
        }
        "missing" => _ = reply.is_401("auth_missing"),
        "malformed" | "malformed-or-mismatch" => _ = reply.is_401("auth_malformed"),
        "mismatch" => _ = reply.is_401("auth_mismatch"),
        other => panic!("what is {other}?"),
    }
}
