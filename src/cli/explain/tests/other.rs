//! Mistakes with the URL, the time, the signed text and further demands.

use super::*;

const URL_RULE: &str = "kind = \"hmac\"\nsignature = { from = \"header:x-signature\", prefix = \"sha256=\" }\n\
                        message = \"{url}\\n{body}\"";

fn check_url(url: &str, path: &str, mistake: &'static str, remedy: &str) {
    let headers = signed(SECRET, format!("{url}\n{BODY}"));
    Case { rule: URL_RULE, path, headers, mistakes: &[mistake], remedy, ..Case::default() }.check();
}

#[test]
fn urls() {
    check_url("http://hooks.example.com/in/acme", "/in/acme", "public_url", "\"http://hooks.example.com\"");
    check_url("http://gateway.internal:8080/in/acme", "/in/acme", "public_url", "hooksieve.toml:2:14");
    check_url("https://gateway.internal/in/acme", "/in/acme", "public_url", "\"https://gateway.internal\"");
    check_url("https://hooks.example.com/in/acme/", "/in/acme", "trailing_slash", "exactly as `path`");
    check_url("https://hooks.example.com/in/acme", "/in/acme?from=proxy", "query_dropped", "add to the URL");
    let mut headers = signed(SECRET, format!("https://front.test/in/acme\n{BODY}"));
    headers.push(("x-forwarded-host", "front.test".to_owned()));
    Case { rule: URL_RULE, headers, mistakes: &["public_url"], remedy: "https://front.test", ..Case::default() }
        .check();
}

#[test]
fn paths_that_proxies_rewrite() {
    let mut headers = signed(SECRET, format!("https://hooks.example.com/hooks/in/acme?a=1\n{BODY}"));
    headers.push(("x-original-uri", "/hooks/in/acme?a=1".to_owned()));
    Case { rule: URL_RULE, headers, mistakes: &["path_rewritten"], remedy: "public_url", ..Case::default() }.check();
}

#[test]
fn hmac_for_hash() {
    let digest = |text: String| HEXLOWER.encode(&Hash::Sha256.digest([text.as_bytes()]));
    for (text, remedy) in [(format!("{SECRET}{BODY}"), "{secret}{body}"), (format!("{BODY}{SECRET}"), "{body}{secret}")]
    {
        let headers = vec![("x-signature", format!("sha256={}", digest(text)))];
        Case { headers, mistakes: &["kind"], remedy, ..Case::default() }.check();
    }
    let rule = "kind = \"digest\"\nmessage = \"{secret}{body}\"\nallow_side_by_side = true\n\
                signature = { from = \"header:x-signature\", prefix = \"sha256=\" }";
    Case { rule, mistakes: &["kind"], remedy: "kind = \"hmac\"", ..Case::default() }.check();
}

#[test]
fn urls_in_settings() {
    for url in ["https://hooks.example.com/in/acme/", "http://hooks.example.com/in/acme"] {
        let signature = base64(Hash::Sha1, SECRET, format!("{BODY}{url}"));
        Case {
            source: "provider = \"trello\"\nsettings = { callback_url = \"https://hooks.example.com/in/acme\" }",
            rule: "",
            headers: vec![("x-trello-webhook", signature)],
            mistakes: &["url_setting"],
            remedy: &format!("callback_url = \"{url}\""),
            ..Case::default()
        }
        .check();
    }
}

const TIMED: &str = "kind = \"hmac\"\nsignature = { from = \"header:x-signature\", prefix = \"sha256=\" }\n\
                     message = \"{header:x-time}.{body}\"\ntime = { from = \"header:x-time\" }";

fn timed<'a>(time: &dyn ToString) -> Vec<(&'a str, String)> {
    let mut headers = signed(SECRET, format!("{}.{BODY}", time.to_string()));
    headers.push(("x-time", time.to_string()));
    headers
}

#[test]
fn times() {
    Case { rule: TIMED, headers: timed(&SECONDS), ..Case::default() }.check();
    let headers = timed(&(SECONDS * 1000));
    Case { rule: TIMED, headers, mistakes: &["time_unit"], remedy: "unit = \"ms\"", ..Case::default() }.check();
    let headers = timed(&NOW);
    Case { rule: TIMED, headers, mistakes: &["time_unit"], remedy: "unit = \"rfc3339\"", ..Case::default() }.check();
    for time in [SECONDS - 3 * 3600, SECONDS + 3600] {
        Case { rule: TIMED, headers: timed(&time), mistakes: &["clock"], remedy: "--now", ..Case::default() }.check();
    }
    // A right signature and an old time: the mistake is named, and the time as well.
    let secret = format!("{SECRET}\n");
    let headers = timed(&(SECONDS - 7200));
    let case = Case { rule: TIMED, secret, headers, mistakes: &["secret_newline"], remedy: "--now", ..Case::default() };
    assert!(case.report().to_string().contains("it is 2 h 0 min before now"));
    case.check();
}

#[test]
fn texts_that_are_signed() {
    let check = |text: String, more: Vec<(&'static str, String)>, message: &str| {
        let headers = [signed(SECRET, text), more].concat();
        Case { headers, mistakes: &["message"], remedy: message, ..Case::default() }.check();
    };
    let time = || vec![("x-time", SECONDS.to_string()), ("x-id", "evt_12345".to_owned())];
    check(format!("{SECONDS}.{BODY}"), time(), "message = \"{header:x-time}.{body}\"");
    check(format!("v0:{SECONDS}:{BODY}"), time(), "message = \"v0:{header:x-time}:{body}\"");
    check(format!("evt_12345.{SECONDS}.{BODY}"), time(), "{header:x-id}.{header:x-time}.{body}");
    check(format!("https://hooks.example.com/in/acme{BODY}"), Vec::new(), "message = \"{url}{body}\"");
    let body = b"b=2&a=1".to_vec();
    let headers = signed(SECRET, "https://hooks.example.com/in/acmea1b2");
    let remedy = "message = \"{url}{body|sorted-form}\"";
    Case { headers, body, mistakes: &["message"], remedy, ..Case::default() }.check();
    let headers = signed(SECRET, BODY).into_iter().chain(time()).collect();
    Case { rule: TIMED, headers, mistakes: &["message"], remedy: "message = \"{body}\"", ..Case::default() }.check();
}

#[test]
fn further_demands() {
    let rule = format!("{RULE}\nrequire = {{ equal = [\"header:x-account\", \"a-12345678\"] }}");
    let headers = || [signed(SECRET, BODY), vec![("x-account", "b-12345678".to_owned())]].concat();
    let mistakes = &["condition"];
    Case { rule: &rule, headers: headers(), mistakes, remedy: "auth[0].require", ..Case::default() }.check();
    let rule = format!("{RULE}\nwhen = {{ equal = [\"header:x-account\", \"a-12345678\"] }}");
    let mistakes = &["rule_not_applied"];
    Case { rule: &rule, headers: headers(), mistakes, remedy: "auth[0]", ..Case::default() }.check();
    let source = "require_headers = { x-env = { value = \"production\" } }";
    Case { source, mistakes: &["fixed_header"], remedy: "require_headers", ..Case::default() }.check();
}

#[test]
fn handshakes() {
    let path = format!("/in/acme?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={SECRET}");
    let case = |secret: &str, mistakes| Case {
        source: "provider = \"meta\"",
        rule: "",
        secret: secret.to_owned(),
        method: "GET",
        path: &path,
        headers: Vec::new(),
        body: Vec::new(),
        mistakes,
        ..Case::default()
    };
    let answered = case(SECRET, &[]).report();
    assert_eq!(answered.steps.last().unwrap().outcome, report::Outcome::Answered, "{answered}");
    case(SECRET, &[]).check();
    case(&format!("{SECRET}\n"), &["secret_newline"]).check();
}
