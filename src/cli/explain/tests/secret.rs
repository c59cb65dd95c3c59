//! Mistakes with the secret.

use super::*;

fn check(secret: &str, mistake: &'static str, remedy: &str) {
    Case { secret: secret.to_owned(), mistakes: &[mistake], remedy, ..Case::default() }.check();
}

#[test]
fn something_around_the_secret() {
    check(&format!("{SECRET}\n"), "secret_newline", "the environment variable ACME");
    check(&format!("{SECRET}\r\n"), "secret_newline", "printf");
    check(&format!(" {SECRET}"), "secret_newline", "the environment variable ACME");
    check(&format!("\"{SECRET}\""), "secret_quotes", "the environment variable ACME");
    check(&format!("'{SECRET}'"), "secret_quotes", "the environment variable ACME");
    check(&format!("ACME={SECRET}"), "secret_assignment", "after the `=`");
    check(&format!("export ACME=\"{SECRET}\""), "secret_assignment", "after the `=`");
    check(&SECRET.to_uppercase(), "secret_case", "with its letters as they are");
}

#[test]
fn a_newline_at_the_sender() {
    let headers = signed(format!("{SECRET}\n"), BODY);
    Case { headers, mistakes: &["secret_newline_at_sender"], remedy: "suffix = \"\\n\"", ..Case::default() }.check();
}

#[test]
fn text_for_base64_for_hex() {
    let bytes: Vec<u8> = (0..24).map(|index| index * 7 + 3).collect();
    let rule = |decode: &str| format!("{RULE}\nkey = {{ decode = \"{decode}\" }}");
    let check = |secret: String, configured: &str, key: &[u8], remedy: &str| {
        let (rule, headers) = (rule(configured), signed(key, BODY));
        Case { rule: &rule, secret, headers, mistakes: &["secret_decoding"], remedy, ..Case::default() }.check();
    };
    let (hex, base64) = (HEXLOWER.encode(&bytes), BASE64.encode(&bytes));
    check(hex.clone(), "utf8", &bytes, "decode = \"hex\"");
    check(base64.clone(), "utf8", &bytes, "decode = \"base64\"");
    check(hex.clone(), "hex", hex.as_bytes(), "decode = \"utf8\"");
    check(base64.clone(), "base64", base64.as_bytes(), "decode = \"utf8\"");
    // Hex digits are base64 as well, and mean something else there.
    check(hex.clone(), "base64", &bytes, "decode = \"hex\"");
    check(hex.clone(), "hex", &BASE64.decode(hex.as_bytes()).unwrap(), "decode = \"base64\"");
}

#[test]
fn prefixes_of_secrets() {
    let bytes: Vec<u8> = (0..24).map(|index| index * 5 + 9).collect();
    let secret = format!("whsec_{}", BASE64.encode(&bytes));
    let stripping = format!("{RULE}\nkey = {{ strip = \"whsec_\", decode = \"base64\" }}");
    let check = |rule: &str, key: &[u8], remedy: &str| {
        let (secret, headers) = (secret.clone(), signed(key, BODY));
        Case { rule, secret, headers, mistakes: &["secret_prefix"], remedy, ..Case::default() }.check();
    };
    check(&stripping, secret.as_bytes(), "without `strip`");
    check(RULE, &bytes, "strip = \"whsec_\", decode = \"base64\"");
    check(RULE, BASE64.encode(&bytes).as_bytes(), "strip = \"whsec_\", decode = \"utf8\"");
}

#[test]
fn base64url_for_base64() {
    let bytes: Vec<u8> = (200..=251).collect();
    let secret = BASE64URL_NOPAD.encode(&bytes);
    let headers = signed(bytes, BODY);
    Case { secret, headers, mistakes: &["secret_base64url"], remedy: "standard base64", ..Case::default() }.check();
}

#[test]
fn whose_secret_it_is() {
    Case {
        headers: signed(OTHER, BODY),
        mistakes: &["secret_of_other_source"],
        remedy: "the path of `other`",
        ..Case::default()
    }
    .check();
    Case {
        source: "secrets = [{ env = \"ACME\" }, { name = \"old\", env = \"OLD\", until = \"2026-11-01T00:00:00Z\" }]",
        headers: signed(OLD, BODY),
        mistakes: &["secret_expired"],
        remedy: "the environment variable OLD ended at 2026-11-01T00:00:00Z",
        ..Case::default()
    }
    .check();
}

#[test]
fn a_token_with_its_prefix() {
    Case {
        rule: "kind = \"token\"\nsignature = { from = \"header:authorization\", prefix = \"Bearer \" }",
        secret: format!("Bearer {SECRET}"),
        headers: vec![("authorization", format!("Bearer {SECRET}"))],
        mistakes: &["secret_with_prefix"],
        remedy: "take the prefix away from the environment variable ACME",
        ..Case::default()
    }
    .check();
}
