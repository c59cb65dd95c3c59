//! Requests of senders that publish their keys, as they are recorded in `tests/vectors/`: with the keys at hand and
//! without.

use std::{fs, path::PathBuf};

use serde_json::{Map, Value};

use super::*;

/// A sender, its secret where its keys are asked for with one, and what else its preset asks for.
struct Sender {
    provider: &'static str,
    /// A request that is right.
    accepted: &'static str,
    more: &'static str,
    /// What is said of where its keys lie.
    place: &'static str,
    remedy: &'static str,
}

const SENDERS: [Sender; 4] = [
    Sender {
        provider: "aws-sns",
        accepted: "notification_v2_sha256_with_subject_accept",
        more: "",
        place: "published at https://sns.us-east-1.amazonaws.com/SimpleNotificationService-",
        remedy: "curl -sSfo FILE https://sns.us-east-1.amazonaws.com/SimpleNotificationService-",
    },
    Sender {
        provider: "gcp-pubsub-push",
        accepted: "oidc_token_accept",
        more: "",
        place: "googleapis.com/oauth2/v3/certs; the request names the key \"gk1\"",
        remedy: "curl -sSfo FILE https://www.googleapis.com/oauth2/v3/certs",
    },
    Sender {
        provider: "paypal",
        accepted: "crc32_string_accept",
        more: "",
        place: "published at https://api.sandbox.paypal.com/v1/notifications/certs/CERT-",
        remedy: "curl -sSfo FILE https://api.sandbox.paypal.com/v1/notifications/certs/CERT-",
    },
    Sender {
        provider: "plaid",
        accepted: "body_sha256_claim_accept",
        more: "client_id = \"an-id\", secret = { env = \"ACME\" }",
        place: "the request names the key \"6c5516e1-92dc-479e-a8ff-5a51992e0001\"",
        remedy: "plaid.com/webhook_verification_key/get answers a `POST` of what `keys.post` says",
    },
];

impl Sender {
    /// A recorded request.
    fn vector(&self, name: &str) -> Value {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{}.json", self.provider));
        let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        json["vectors"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap().clone()
    }

    /// What is said of a request.
    fn report(&self, vector: &Value, keys: Vec<PathBuf>) -> Report {
        let settings: Map<String, Value> = vector["settings"].as_object().unwrap().clone();
        let recorded = settings.iter().filter(|(name, _)| !["jwks", "certs"].contains(&name.as_str()));
        let mut settings: Vec<_> = recorded.map(|(name, value)| format!("{name} = {value}")).collect();
        settings.extend((!self.more.is_empty()).then(|| self.more.to_owned()));
        let config = format!(
            "[server]\npublic_url = \"https://hooks.example.com\"\n[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n\
             [sources.acme]\npath = \"/in\"\nprovider = \"{}\"\nupstream = \"app\"\nsettings = {{ {} }}\n",
            self.provider,
            settings.join(", "),
        );
        let environment = Environment::from_iter([("ACME", SECRET)]);
        let options = Options { keys, now: None, ..options() };
        let (compiled, found) = app::load(&options.file.config, &config, &environment, false, &mut app::nowhere);
        let compiled = compiled.unwrap_or_else(|| panic!("{}", found.render(false)));
        options.report(&compiled, &config, &environment, vector.to_string().as_bytes()).unwrap()
    }

    /// A request that is right, without the keys that are recorded beside it.
    fn bare(&self) -> Value {
        let mut vector = self.vector(self.accepted);
        vector["settings"].as_object_mut().unwrap().retain(|name, _| !["jwks", "certs"].contains(&name.as_str()));
        vector
    }
}

/// The step of that name.
fn step<'r>(report: &'r Report, name: &str) -> &'r report::Step {
    report.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no {name}\n{report}"))
}

#[test]
fn recorded_keys_are_judged_with() {
    for sender in &SENDERS {
        let report = sender.report(&sender.vector(sender.accepted), Vec::new());
        assert!(report.answer.accepted && report.unjudged.is_none(), "{report}");
        assert!(step(&report, "authenticate").notes.iter().any(|note| note.contains(sender.place)), "{report}");
        assert_eq!(step(&report, "deliver").outcome, report::Outcome::Passed, "{report}");
    }
}

#[test]
fn without_keys_the_signature_is_not_judged_and_all_else_is() {
    for sender in &SENDERS {
        let report = sender.report(&sender.bare(), Vec::new());
        assert_eq!(step(&report, "authenticate").outcome, report::Outcome::Unknown, "{report}");
        assert!(step(&report, "authenticate").notes.iter().any(|note| note.contains(sender.place)), "{report}");
        assert_eq!(step(&report, "deliver").outcome, report::Outcome::Passed, "{report}");
        assert_eq!((report.answer.status, report.answer.accepted), (200, false), "{report}");
        assert!(report.unjudged.as_ref().unwrap().remedies[0].contains(sender.remedy), "{report}");
        assert!(report.search.causes.is_empty() && report.search.tried == 0, "{report}");
        assert!(report.to_string().contains("200 if the signature is right"), "{report}");
    }
}

#[test]
fn what_no_key_could_make_right_is_refused_without_them() {
    let plaid = &SENDERS[3];
    let mut unsigned = plaid.bare();
    unsigned["request"]["headers"].as_object_mut().unwrap().retain(|name, _| name.eq_ignore_ascii_case("content-type"));
    let report = plaid.report(&unsigned, Vec::new());
    assert_eq!(step(&report, "authenticate").reason, Some("auth_missing"), "{report}");
    assert!(report.unjudged.is_none() && !report.answer.accepted, "{report}");
    let mut event = plaid.bare();
    event["request"]["method"] = Value::from("GET");
    let report = plaid.report(&event, Vec::new());
    assert!(report.unjudged.is_some() && !report.to_string().contains("if the signature is right"), "{report}");
}

#[test]
fn keys_of_files_stand_for_the_network() {
    let directory = tempfile::tempdir().unwrap();
    let (keys, other) = (directory.path().join("keys"), directory.path().join("other"));
    for sender in &SENDERS {
        let vector = sender.vector(sender.accepted);
        let settings = &vector["settings"];
        let certificate =
            || settings["certs"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        fs::write(&keys, settings.get("jwks").map_or_else(certificate, Value::to_string)).unwrap();
        fs::write(&other, r#"{"keys":[]}"#).unwrap();
        let report = sender.report(&sender.bare(), vec![other.clone()]);
        assert!(report.unjudged.is_some() && report.to_string().contains("is not this document"), "{report}");
        let report = sender.report(&sender.bare(), vec![other.clone(), keys.clone()]);
        // A recorded certificate is good for a while only, and a file stands for what is fetched now.
        let is_good = sender.provider != "paypal";
        assert_eq!((report.answer.accepted, report.unjudged.is_none()), (is_good, true), "{report}");
        assert_eq!(report.to_string().contains("none of them is good at this time"), !is_good, "{report}");
    }
    let missing = Options { keys: vec![directory.path().join("none")], ..options() };
    assert!(Documents::of_files(&missing.keys).unwrap_err().contains("none"));
}

#[test]
fn mistakes_are_found_with_published_keys() {
    for sender in &SENDERS {
        let mut vector = sender.vector(sender.accepted);
        let body = vector["request"]["body"].as_str().unwrap().to_owned() + "\n";
        let binds_the_whole = !["aws-sns", "gcp-pubsub-push"].contains(&sender.provider);
        vector["request"]["body"] = Value::from(body);
        let report = sender.report(&vector, Vec::new());
        let mistakes = report.search.causes.first().map(|cause| cause.mistakes.as_slice()).unwrap_or_default();
        assert_eq!(mistakes == ["body_newline"], binds_the_whole, "{report}");
    }
    let plaid = &SENDERS[3];
    let report = plaid.report(&plaid.vector("iat_older_than_5_minutes_reject"), Vec::new());
    assert_eq!(report.search.causes[0].mistakes, ["clock"], "{report}");
    let google = &SENDERS[1];
    let report = google.report(&google.vector("wrong_audience_reject"), Vec::new());
    assert_eq!(report.search.causes[0].mistakes, ["condition"], "{report}");
}

#[test]
fn w_52_an_address_that_is_not_on_the_list_is_the_reason() {
    let sns = &SENDERS[0];
    for name in ["cert_on_lookalike_host_reject", "cert_on_s3_bucket_reject", "cert_over_plain_http_reject"] {
        let report = sns.report(&sns.vector(name), Vec::new());
        assert_eq!(step(&report, "authenticate").outcome, report::Outcome::Refused, "{report}");
        assert!(report.to_string().contains("nobody goes there"), "{report}");
        assert_eq!(report.search.tried, 0, "{report}");
    }
}

#[test]
fn another_key_than_those_at_hand() {
    let plaid = &SENDERS[3];
    let mut vector = plaid.vector(plaid.accepted);
    vector["settings"]["jwks"]["keys"][0]["kid"] = Value::from("another");
    let report = plaid.report(&vector, Vec::new());
    assert_eq!(step(&report, "authenticate").reason, Some("auth_mismatch"), "{report}");
    assert!(report.to_string().contains("none of them has this name"), "{report}");
    assert_eq!(report.search.tried, 0, "{report}");
}
