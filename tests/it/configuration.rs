//! Configurations that would protect nothing: refused when they are read, by message and key. The rules about single
//! values are tested beside the code that has them; here stand those about a source as a whole.

use std::path::Path;

use hooksieve::config::Severity;

use crate::support::{
    gateway::{K1, Setup},
    senders::{ACME, HUB, KEYED, together},
};

/// What `check` says: severity, key and message of each problem, and whether it would run.
fn judge(setup: &Setup) -> (bool, Vec<(Severity, String, String)>) {
    let (runs, found) = setup.judge();
    assert!(!found.render(false).contains(K1), "a secret is shown");
    let problems = found.iter().map(|it| (it.severity, it.key.path().to_owned(), it.message.clone()));
    (runs, problems.collect())
}

/// It does not start, because of `key`, and says why.
#[track_caller]
fn refused(setup: &Setup, key: &str, message: &str) {
    let (runs, found) = judge(setup);
    let said =
        found.iter().any(|(severity, at, text)| *severity == Severity::Error && at == key && text.contains(message));
    assert!(!runs && said, "{found:?}");
}

/// It starts, and warns of `key`.
#[track_caller]
fn warned(setup: &Setup, key: &str, message: &str) {
    let (runs, found) = judge(setup);
    let said =
        found.iter().any(|(severity, at, text)| *severity == Severity::Warning && at == key && text.contains(message));
    assert!(runs && said, "{found:?}");
}

/// It starts without a word.
#[track_caller]
fn silent(setup: &Setup) {
    let (runs, found) = judge(setup);
    assert!(runs && found.is_empty(), "{found:?}");
}

fn hub(old: &str, new: &str) -> Setup {
    assert!(HUB.contains(old), "{old}");
    Setup::new(&HUB.replace(old, new))
}

fn acme(old: &str, new: &str) -> Setup {
    assert!(ACME.contains(old), "{old}");
    Setup::new(&ACME.replace(old, new))
}

#[test]
fn the_sources_of_these_tests_are_sound() {
    silent(&Setup::new(HUB));
    silent(&Setup::new(KEYED));
    silent(&Setup::new(ACME));
}

#[test]
fn w_01_a_scheme_without_a_secret() {
    refused(&hub("secrets = [{ env = \"K1\" }]", ""), "sources.hub.auth[0].kind", "no secret to verify with");
    refused(&hub("[{ env = \"K1\" }]", "[]"), "sources.hub.auth[0].kind", "no secret to verify with");
    let preset = "[sources.s]\npath = \"/in/s\"\nprovider = \"elan\"\nupstream = \"app\"\nschema.on_violation = \"drop\"\nschema.on_unknown = \"drop\"\n";
    let (runs, found) = judge(&Setup::new(preset));
    assert!(!runs && found.iter().any(|(_, _, message)| message.contains("no secret to verify with")), "{found:?}");
    let rules = HUB.split("[[").next().unwrap();
    refused(&Setup::new(rules), "sources.hub", "does not say how its sender proves itself");
}

#[test]
fn w_02_w_04_w_05_what_is_no_secret() {
    for (value, message) in [
        ("", "the secret is empty"),
        ("   \t", "the secret is empty"),
        ("${FOO}", "placeholder"),
        ("whsec_", "placeholder"),
        ("changeme", "placeholder"),
        ("12345678", "the secret has 8 bytes"),
    ] {
        refused(&Setup::new(HUB).variable("K1", value), "sources.hub.secrets[0].env", message);
    }
    refused(&hub("env = \"K1\"", "env = \"UNSET\""), "sources.hub.secrets[0].env", "`UNSET` is not set");
    let sixteen = Setup::new(HUB).variable("K1", "0123456789abcdef");
    warned(&sixteen, "sources.hub.secrets[0].env", "the secret has only 16 bytes");
    silent(&Setup::new(HUB).variable("K1", "0123456789abcdef01234567"));
}

#[test]
fn w_06_a_badly_encoded_secret() {
    for (decode, secret) in [
        ("decode = \"base64\", strip = [\"whsec_\"]", "whsec_!!!no-base64!!!abcdefghij"),
        ("decode = \"base64\"", "not_base64_at_all_but_long_enough"),
        ("decode = \"hex\"", "0123456789abcdef0123456789abcdef0"),
        ("decode = \"hex\"", "g123456789abcdef0123456789abcdef"),
    ] {
        let setup = hub("kind = \"hmac\"", &format!("kind = \"hmac\"\nkey = {{ {decode} }}")).variable("K1", secret);
        refused(&setup, "sources.hub.auth[0].kind", "cannot be used");
    }
}

#[test]
fn w_07_a_list_with_a_hole() {
    let setup = hub("[{ env = \"K1\" }]", "[{ env = \"K1\" }, { env = \"EMPTY\" }]").variable("EMPTY", "");
    refused(&setup, "sources.hub.secrets[1].env", "the secret is empty");
}

#[test]
fn w_08_a_shared_secret() {
    let setup = Setup::new(&together(&[HUB, KEYED]));
    warned(&setup, "sources.keyed", "`hub` and `keyed` have the same secret");
    silent(&Setup::new(&together(&[HUB, &KEYED.replace("K1", "K2")])));
}

#[test]
fn w_09_no_authentication_at_all() {
    let open =
        "[sources.open]\npath = \"/in/open\"\nupstream = \"app\"\nMORE\n[[sources.open.auth]]\nkind = \"none\"\n";
    refused(&Setup::new(&open.replace("MORE", "")), "sources.open.auth[0].kind", "no authentication");
    let allowed = Setup::new(&open.replace("MORE", "allow_unauthenticated = true"));
    let (runs, found) = judge(&allowed);
    assert!(runs && found.iter().any(|(severity, ..)| *severity == Severity::Warning), "{found:?}");
    let beside =
        HUB.replace("upstream", "allow_unauthenticated = true\nupstream") + "[[sources.hub.auth]]\nkind = \"none\"\n";
    refused(&Setup::new(&beside), "sources.hub.auth[1].kind", "stands beside other rules");
}

#[test]
fn o_22_an_open_admin_listener() {
    let admin = |written: &str| Setup::new(&format!("{HUB}[admin]\n{written}\n"));
    let at = |listen: &str, more: &str| admin(more).variable("HOOKSIEVE_ADMIN__LISTEN", listen);
    for listen in ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464", "[::ffff:10.0.0.1]:9464"] {
        refused(&at(listen, ""), "admin.listen", "could read and replay events");
        silent(&at(listen, "token = { env = \"K2\" }"));
    }
    for listen in ["127.0.0.1:9464", "127.8.8.8:9464", "[::1]:9464", "[::ffff:127.0.0.1]:9464", "unix:/run/a.sock"] {
        silent(&at(listen, ""));
    }
    refused(&admin("token = { env = \"UNSET\" }"), "admin.token.env", "`UNSET` is not set");
    refused(&admin("token = { env = \"SHORT\" }").variable("SHORT", "12345678"), "admin.token.env", "8 bytes");
    refused(&admin("hosts = [\"http://hooks.internal\"]"), "admin.hosts[0]", "the name of a host");
    silent(&admin("hosts = [\"hooks.internal\"]"));
}

#[test]
fn w_30_many_secrets() {
    let nine: Vec<_> = (0..9).map(|number| format!("{{ name = \"n{number}\", env = \"K1\" }}")).collect();
    let setup = hub("[{ env = \"K1\" }]", &format!("[{}]", nine.join(", ")));
    refused(&setup, "sources.hub.secrets[8]", "8 are the most");
}

#[test]
fn w_39_an_ambiguous_template() {
    for message in ["{header:x}{body}", "{body}{header:date}", "{header:a}-{header:b}{body}"] {
        let setup = hub("kind = \"hmac\"", &format!("kind = \"hmac\"\nmessage = \"{message}\""));
        refused(&setup, "sources.hub.auth[0].message", "stand side by side");
    }
    let setup = hub("kind = \"hmac\"", "kind = \"hmac\"\nmessage = \"{header:x}:{body}\"");
    assert!(setup.judge().0);
}

#[test]
fn w_40_a_timestamp_that_is_not_signed() {
    let setup = hub("kind = \"hmac\"", "kind = \"hmac\"\ntime = { from = \"header:x-ts\" }");
    refused(&setup, "sources.hub.auth[0].time.from", "not part of what is signed");
    let explicit =
        hub("kind = \"hmac\"", "kind = \"hmac\"\ntime = { from = \"header:x-ts\" }\nallow_unsigned_time = true");
    assert!(explicit.judge().0);
}

#[test]
fn r_06_tolerances() {
    for (tolerance, message) in [("0s", "a tolerance of nothing"), ("-5m", "")] {
        let time = format!("\"header:webhook-timestamp\", past = {tolerance:?} }}");
        refused(&acme("\"header:webhook-timestamp\" }", &time), "sources.acme.auth[0].time.past", message);
    }
    let time = "\"header:webhook-timestamp\", past = \"2h\" }";
    warned(&acme("\"header:webhook-timestamp\" }", time), "sources.acme.auth[0].time.past", "longer than an hour");
}

#[test]
fn r_12_a_window_shorter_than_the_tolerance() {
    let setup = |window: &str| Setup::new(&format!("{ACME}[sources.acme.dedup]\nwindow = {window:?}\n"));
    refused(&setup("300s"), "sources.acme.dedup.window", "a gap in which a replay passes");
    // Twice 300 s, and the lease: the upstream's 8 s and 5 s.
    refused(&setup("612s"), "sources.acme.dedup.window", "a gap in which a replay passes");
    silent(&setup("613s"));
    refused(&setup("8d"), "sources.acme.dedup.window", "longer than seven days");
}

#[test]
fn r_16_an_identity_that_is_not_signed() {
    let unsigned = format!("{HUB}[sources.hub.events]\nid = \"header:x-github-delivery\"\n");
    warned(&Setup::new(&unsigned), "sources.hub.events.id", "is not signed");
    silent(&Setup::new(&format!("{HUB}[sources.hub.events]\nid = \"json:/id\"\n")));
}

#[test]
fn d_13_a_lease_shorter_than_the_timeout() {
    let lease = |lease: &str| Setup::new(&format!("{ACME}[sources.acme.dedup]\nlease = {lease:?}\n"));
    refused(&lease("12s"), "sources.acme.dedup.lease", "the upstream may still answer");
    silent(&lease("13s"));
    let slow = lease("13s").variable("HOOKSIEVE_UPSTREAMS__APP__TIMEOUT", "15s");
    refused(&slow, "sources.acme.dedup.lease", "the upstream may still answer");
}

#[test]
fn w_51_one_path_for_two_sources() {
    let twice = together(&[HUB, &KEYED.replace("/in/keyed", "/in/hub").replace("K1", "K2")]);
    refused(&Setup::new(&twice), "sources.keyed.path", "has this path already");
}

#[test]
fn j_27_j_28_j_31_schemas_that_cannot_be_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let judge = |schema: &str| {
        std::fs::write(directory.path().join("paid.json"), schema).unwrap();
        let text =
            format!("{HUB}[sources.hub.events]\ntype = \"json:/type\"\n[sources.hub.schema]\ndirectory = \".\"\n");
        judge(&Setup::new(&text).directory(Path::new(directory.path())))
    };
    for schema in [
        r#"{"$ref":"http://127.0.0.1:9/x"}"#,
        r#"{"$ref":"https://example.com/x.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r##"{"$ref":"#"}"##,
        r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
        r#"{"pattern":"^(a|aa)+\\1$"}"#,
        r#"{"type":"strong"}"#,
        "{",
    ] {
        let (runs, found) = judge(schema);
        assert!(!runs, "{schema}: {found:?}");
    }
    let (runs, found) = judge("true");
    assert!(runs && !found.is_empty(), "a schema that accepts everything is worth a warning: {found:?}");
}

const JOURNAL: &str = "[journal]\npath = \"h.db\"\n";

/// `ACME` with these keys, and with a journal.
fn journaled(keys: &str) -> Setup {
    Setup::new(&format!("{}{JOURNAL}", ACME.replacen("upstream = \"app\"", &format!("upstream = \"app\"\n{keys}"), 1)))
}

#[test]
fn promises_that_need_a_journal() {
    for (keys, key) in [
        ("delivery.mode = \"queued\"", "delivery.mode"),
        ("active = \"hold\"", "active"),
        ("schema.on_violation = \"quarantine\"", "schema.on_violation"),
        ("schema.on_unknown = \"quarantine\"", "schema.on_unknown"),
        ("dedup.on_conflict = \"quarantine\"", "dedup.on_conflict"),
    ] {
        let setup = acme("upstream = \"app\"", &format!("upstream = \"app\"\n{keys}"));
        refused(&setup, &format!("sources.acme.{key}"), "needs a journal, and there is none");
        assert!(setup.judge().1.render(false).contains("add `[journal]`"));
        silent(&journaled(keys));
    }
    let filtered = ACME.replace("id = ", "on_filtered = \"quarantine\"\nid = ");
    refused(&Setup::new(&filtered), "sources.acme.events.on_filtered", "needs a journal");
    silent(&Setup::new(&format!("{filtered}{JOURNAL}")));
}

#[test]
fn a_preset_that_needs_a_journal() {
    let source = "[sources.s]\npath = \"/in/s\"\nprovider = \"awork\"\nsettings.header = \"x-t\"\nupstream = \"app\"\nsecrets = { env = \"K1\" }\n";
    for message in ["`schema.on_violation = \"quarantine\"` (from the preset `awork`)", "`delivery.mode = \"queued\"`"]
    {
        refused(&Setup::new(source), "sources.s", message);
    }
    silent(&Setup::new(&format!("{source}{JOURNAL}")));
    let rejects = format!("{source}schema.on_violation = \"reject\"\n{JOURNAL}");
    warned(&Setup::new(&rejects), "sources.s.schema.on_violation", "awork pauses a webhook");
}

#[test]
fn d_13_a_queue_that_cannot_work() {
    let queued = |keys: &str| journaled(&format!("delivery.mode = \"queued\"\n{keys}"));
    for (keys, key, message) in [
        ("delivery.relay = true", "delivery.relay", "answered before the application is asked"),
        ("delivery.give_up = \"4s\"", "delivery.give_up", "given up before it is tried again"),
        ("delivery.backoff.first = \"0s\"", "delivery.backoff.first", "asked again and again"),
        ("delivery.backoff.max = \"1s\"", "delivery.backoff.max", "shorter than the first"),
        ("delivery.ordered = \"json:/a\"\ndelivery.batch = \"array\"", "delivery.batch", "no place in the order"),
        // What is claimed is held while the journal writes, and that may take until the answer is due.
        ("dedup.lease = \"13s\"", "dedup.lease", "the lease ends while the journal may still answer"),
        ("deadline = \"56s\"", "deadline", "longer than any lease"),
    ] {
        refused(&queued(keys), &format!("sources.acme.{key}"), message);
    }
    for keys in ["dedup.lease = \"14s\"", "delivery.ordered = \"json:/a\"", "delivery.give_up_on = [400, 410]"] {
        silent(&queued(keys));
    }
    // Nobody waits for the application, so it may take longer than the sender does.
    silent(&queued("").variable("HOOKSIEVE_UPSTREAMS__APP__TIMEOUT", "30s"));
    // An event is known for as long as it waits, however short the window is (D-40).
    silent(&queued("dedup.window = \"23h\""));
    refused(&Setup::new(&format!("{JOURNAL}max_size = \"1KiB\"\n")), "journal.max_size", "full before it began");
}

#[test]
fn d_38_nothing_is_acknowledged_before_it_is_synced() {
    let lazy = format!("{ACME}{JOURNAL}fsync = \"interval\"\n");
    refused(&Setup::new(&lazy), "journal.fsync", "there is no key");
}
