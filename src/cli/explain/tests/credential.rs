//! Mistakes with the credential.

use super::*;

fn check(headers: Vec<(&str, String)>, mistake: &'static str, remedy: &str) {
    Case { headers, mistakes: &[mistake], remedy, ..Case::default() }.check();
}

fn signature() -> String {
    hex(Hash::Sha256, SECRET, BODY)
}

#[test]
fn another_hash_or_encoding() {
    for (hash, word) in [(Hash::Sha1, "sha1"), (Hash::Sha384, "sha384"), (Hash::Sha512, "sha512")] {
        let headers = vec![("x-signature", format!("sha256={}", hex(hash, SECRET, BODY)))];
        check(headers, "hash", &format!("hash = \"{word}\""));
    }
    let headers = vec![("x-signature", format!("sha256={}", base64(Hash::Sha256, SECRET, BODY)))];
    check(headers, "encoding", "encoding = \"base64\"");
    let url = BASE64URL_NOPAD.encode(&mac(Hash::Sha256, SECRET, BODY));
    check(vec![("x-signature", format!("sha256={url}"))], "encoding", "encoding = \"base64url\"");
}

#[test]
fn base64_of_hex() {
    for prefix in ["sha256=", ""] {
        let rule = format!(
            "kind = \"hmac\"\nsignature = {{ from = \"header:x-signature\", prefix = \"{prefix}\", encoding = \"base64\" }}"
        );
        let headers = vec![("x-signature", format!("{prefix}{}", BASE64.encode(signature().as_bytes())))];
        Case { rule: &rule, headers, mistakes: &["encoded_twice"], remedy: "hash_hmac", ..Case::default() }.check();
    }
}

#[test]
fn prefixes() {
    check(vec![("x-signature", signature())], "prefix_missing", "hooksieve.toml:");
    check(vec![("x-signature", format!("v0={}", signature()))], "prefix_unexpected", "prefix = \"v0=\"");
    check(vec![("x-signature", format!("sha256=sha256={}", signature()))], "prefix_doubled", "let one of them");
    Case {
        rule: "kind = \"hmac\"\nsignature = { from = \"header:x-signature\" }",
        mistakes: &["prefix_unexpected"],
        remedy: "prefix = \"sha256=\"",
        ..Case::default()
    }
    .check();
}

#[test]
fn places() {
    check(
        vec![("x-hub-signature-256", format!("sha256={}", signature()))],
        "header_name",
        "header:x-hub-signature-256",
    );
    let twice = vec![("x-signature", format!("sha256={}", signature())), ("x-signature", "sha256=00".to_owned())];
    check(twice, "credential_twice", "find out what");
    let path = format!("/in/acme?key={SECRET}");
    Case {
        rule: "kind = \"token\"\nsignature = { from = \"query:token\" }",
        path: &path,
        headers: Vec::new(),
        mistakes: &["header_name"],
        remedy: "from = \"query:key\"",
        ..Case::default()
    }
    .check();
}

#[test]
fn spelling() {
    Case {
        rule: "kind = \"token\"\nsignature = { from = \"header:x-token\" }",
        headers: vec![("x-token", SECRET.to_uppercase())],
        mistakes: &["credential_case"],
        remedy: "the case of letters counts",
        ..Case::default()
    }
    .check();
    check(vec![("x-signature", format!("\"sha256={}\"", signature()))], "credential_wrapped", "without quotes");
    check(vec![("x-signature", format!("sha256%3D{}", signature()))], "credential_wrapped", "without quotes");
}

#[test]
fn headers_of_items() {
    let header = |name: &str| vec![("x-signature", format!("t={SECONDS},{name}={}", signature()))];
    check(header("v1"), "items", "split = \",\", pair = \"=\", take = [\"v1\"]");
    let rule =
        "kind = \"hmac\"\nsignature = { from = \"header:x-signature\", split = \",\", pair = \"=\", take = [\"v1\"] }";
    Case { rule, headers: header("v2"), mistakes: &["items"], remedy: "take = [\"v2\"]", ..Case::default() }.check();
    let headers = vec![("x-signature", signature())];
    Case { rule, headers, mistakes: &["items"], remedy: "leave `split`", ..Case::default() }.check();
}

#[test]
fn two_mistakes_at_once() {
    Case {
        secret: format!("{SECRET}\n"),
        headers: vec![("x-acme-signature", format!("sha256={}", signature()))],
        mistakes: &["secret_newline", "header_name"],
        remedy: "from = \"header:x-acme-signature\"",
        ..Case::default()
    }
    .check();
    Case {
        headers: vec![("x-acme-signature", base64(Hash::Sha256, SECRET, BODY))],
        rule: "kind = \"hmac\"\nsignature = { from = \"header:x-signature\" }",
        mistakes: &["encoding", "header_name"],
        remedy: "encoding = \"base64\"",
        ..Case::default()
    }
    .check();
    Case {
        secret: format!("'{SECRET}'"),
        body: format!("{BODY}\n").into_bytes(),
        mistakes: &["secret_quotes", "body_newline"],
        ..Case::default()
    }
    .check();
}

#[test]
fn the_other_scheme_of_a_preset() {
    let (id, time) = ("msg_1".to_owned(), SECONDS.to_string());
    let bytes: Vec<u8> = (100..132).collect();
    let signature = base64(Hash::Sha256, bytes.as_slice(), format!("{id}.{time}.{BODY}"));
    let headers =
        vec![("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", format!("v1,{signature}"))];
    Case {
        source: "provider = \"gitlab\"\nscheme = \"static-token\"",
        rule: "",
        secret: format!("whsec_{}", BASE64.encode(&bytes)),
        headers,
        mistakes: &["scheme"],
        remedy: "scheme = \"signing-token\"",
        ..Case::default()
    }
    .check();
}
