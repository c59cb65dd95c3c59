mod masking;
mod presets;

use super::*;

const PRESET: &str = r#"
name = "Cakewalk"
default_scheme = "hmac"
settings.team = { about = "the team", secret = false }
settings.region = { about = "where it runs", default = "eu", values = ["eu", "us"] }

[[schemes.hmac.auth]]
kind = "hmac"
signature = { from = "header:x-cakewalk-signature", prefix = "sha256=", encoding = "{setting:encoding}" }

[schemes.hmac.settings.encoding]
about = "how the sender writes the signature"
default = "auto"

[schemes.token]
about = "older installations"
settings.header = { about = "the header that carries the token", required = true }
settings.client_state = { about = "its second half", secret = true }
auth = [{ kind = "token", signature = { from = "header:x" } }]

[events]
type = "json:/type"
id = ["json:/id"]

[dedup]
window = "3d"
"#;

const PRESETS: &[(&str, &str)] = &[
    ("cakewalk", PRESET),
    ("broken", "name = \"Broken\"\n[dedup]\nwindow = \"3\"\n"),
    ("plain", "name = \"Plain\"\n"),
];

fn read_with(text: &str, environment: &[(&str, &str)]) -> Configuration {
    let environment = environment.iter().copied().collect();
    read(&Input { name: "hooksieve.toml", text, presets: PRESETS, environment: &environment })
}

/// Reads a file that is as it should be.
fn good(text: &str, environment: &[(&str, &str)]) -> Raw {
    let read = read_with(text, environment);
    assert!(read.diagnostics.is_empty(), "{}", read.diagnostics.render(false));
    read.raw.expect("a configuration without errors can be read")
}

/// Reads a file and compares everything that is found wrong with it.
/// Reads a file and compares everything that is found wrong with it: `LINE:COLUMN MESSAGE`, what was found, and the help.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_with(text, &[], expected);
}

#[track_caller]
fn check_with(text: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let line = |problem: &Diagnostic| {
        let place = match (problem.position(), problem.key.preset()) {
            (Some((line, column)), None) => format!("{line}:{column} "),
            (Some((line, column)), Some(preset)) => format!("{preset} {line}:{column} "),
            (None, _) => String::new(),
        };
        let found = problem.found.as_ref().map(|found| format!(" (found {found})")).unwrap_or_default();
        let help = problem.help.as_ref().map(|help| format!(" -> {help}")).unwrap_or_default();
        format!("{place}{}{found}{help}", problem.message)
    };
    let found: Vec<_> = read_with(text, environment).diagnostics.iter().map(line).collect();
    assert_eq!(found, expected);
}

/// What a person sees.
fn rendered(text: &str, environment: &[(&str, &str)]) -> String {
    read_with(text, environment).diagnostics.render(false)
}

/// A source that is as it should be, but for what is added to it.
fn source(more: &str) -> String {
    format!("[sources.a]\npath = \"/a\"\nupstream = \"app\"\n{more}\n")
}

#[test]
fn nothing_written_is_all_defaults() {
    let raw = good("", &[]);
    assert_eq!(format!("{:?}", raw.server.listen), "Many([Tcp(127.0.0.1:8080)])");
    assert!(raw.server.listen[0].key.is_default());
    assert!(raw.sources.entries.is_empty());
}

#[test]
fn the_example_of_the_design() {
    let raw = good(include_str!("../example.toml"), &[]);
    let custom = &raw.sources.entries["custom"];
    assert_eq!(&*custom.auth[0].message[0].value.0, "{sig.t}.{body}");
    assert_eq!(
        custom.auth[0].signature.as_ref().unwrap().from[0].key.path(),
        "sources.custom.auth[0].signature.from[0]"
    );
    assert_eq!(raw.upstreams.entries["app"].headers.len(), 1);
}

#[test]
fn a_person_sees_the_line_and_a_caret() {
    let text = "[server]\nlisten = \"127.0.0.1:80\"\nmax_conections = 5\ndrain_timeout = 25\n";
    insta::assert_snapshot!(rendered(text, &[("HOOKSIEVE_LOG__LEVEL", "loud")]), @r#"
    error: there is no key `max_conections` in `server`
     --> hooksieve.toml:3:1
      |
    3 | max_conections = 5
      | ^^^^^^^^^^^^^^
      |
      = help: did you mean `max_connections`?

    error: `server.drain_timeout` must be a duration
     --> hooksieve.toml:4:17
      |
    4 | drain_timeout = 25
      |                 ^^ found an integer
      |
      = help: a whole number and its unit: "300ms", "5s", "10m", "24h" or "7d"

    error: `log.level` must be "trace", "debug", "info", "warn" or "error"
     |
     = note: set by the environment variable HOOKSIEVE_LOG__LEVEL
     = note: found "loud"
    "#);
}

#[test]
fn a_machine_sees_the_same() {
    let read = read_with("[server]\nmax_conections = 5\n", &[("HOOKSIEVE_LOG__LEVEL", "loud")]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&read.diagnostics).unwrap(), @r#"
    [
      {
        "severity": "error",
        "key": "server.max_conections",
        "message": "there is no key `max_conections` in `server`",
        "help": "did you mean `max_connections`?",
        "file": "hooksieve.toml",
        "line": 2,
        "column": 1
      },
      {
        "severity": "error",
        "key": "log.level",
        "message": "`log.level` must be \"trace\", \"debug\", \"info\", \"warn\" or \"error\"",
        "found": "\"loud\"",
        "variable": "HOOKSIEVE_LOG__LEVEL"
      }
    ]
    "#);
}

#[test]
fn o_07_unknown_keys() {
    check(
        "[server]\nmax_conections = 5\n",
        &["2:1 there is no key `max_conections` in `server` -> did you mean `max_connections`?"],
    );
    check("[log]\ncolour = true\n", &["2:1 there is no key `colour` in `log` -> the keys here are `format`, `level`"]);
    check("[sorces.a]\n", &["1:2 there is no key `sorces` at the top of the file -> did you mean `sources`?"]);
    check(
        &source("secret = { env = \"A\" }"),
        &["4:1 there is no key `secret` in `sources.a` -> did you mean `secrets`?"],
    );
    check(
        &source("events.type.foo = 1"),
        &[
            r#"4:8 `sources.a.events.type` must be a selector (found a table) -> for example "header:x-signature" or "json:/id""#,
        ],
    );
    check(
        &source("auth = [{ kind = \"hmac\", signatur = {} }]"),
        &["4:26 there is no key `signatur` in `sources.a.auth[0]` -> did you mean `signature`?"],
    );
}

#[test]
fn o_07_duplicate_keys_and_bad_syntax() {
    check(
        "[log]\nlevel = \"info\"\nlevel = \"warn\"\n[log]\n",
        &[
            "3:1 this is not TOML: duplicate key -> a key and a table can be there once only",
            "4:2 this is not TOML: duplicate key -> a key and a table can be there once only",
        ],
    );
    check(
        "[server]\nlisten = 127.0.0.1:80\ndrain_timeout = 8s\n",
        &[
            "2:15 this is not TOML: invalid float",
            "3:17 this is not TOML: string values must be quoted, expected literal string",
        ],
    );
    check("[server\n", &["1:8 this is not TOML: unclosed table, expected `]`"]);
    check(
        "a = \"\\q\"\nb = [1,\n",
        &[
            r#"1:7 this is not TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`"#,
            "2:8 this is not TOML: unclosed array, expected `]`",
        ],
    );
}

#[test]
fn o_07_wrong_types_all_at_once() {
    check(
        "[server]\nlisten = 8080\ndrain_timeout = 25\nmax_connections = 0\n\
         [server.client_limit]\napply_to_private = \"no\"\nrate = \"20\"\nburst = 1e3\n",
        &[
            r#"2:10 `server.listen` must be an address to listen on (found an integer) -> an IP address and a port, or a socket: "127.0.0.1:8080", "[::]:80", "unix:/run/hooksieve.sock""#,
            r#"3:17 `server.drain_timeout` must be a duration (found an integer) -> a whole number and its unit: "300ms", "5s", "10m", "24h" or "7d""#,
            "4:19 `server.max_connections` must be a whole number from 1 to 1000000 (found 0)",
            "6:20 `server.client_limit.apply_to_private` must be true or false -> write `true` or `false`, without quotes",
            r#"7:8 `server.client_limit.rate` must be a rate -> a whole number from 1 per second, minute or hour: "50/s", "600/m", "10/h""#,
            "8:9 `server.client_limit.burst` must be a whole number from 1 to 1000000 (found a fractional or very large number)",
        ],
    );
    check(
        "server = 1\nlog = []\nsources = \"a\"\n",
        &[
            "1:10 `server` must be a table (found an integer) -> its keys are `listen`, `public_url`, `trusted_proxies`, `client_limit`, `max_connections`, `drain_timeout`, `drain_delay`, `tls`",
            "2:7 `log` must be a table (found an array) -> its keys are `format`, `level`",
            "3:11 `sources` must be a table of named tables -> write `[sources.NAME]`",
        ],
    );
    check(
        "[upstreams]\napp = \"http://127.0.0.1\"\n[upstreams.\"a b\"]\nurl = \"http://127.0.0.1\"\n",
        &[
            "2:7 `upstreams.app` must be a table -> its keys are `url`, `timeout`, `connect_timeout`, `max_in_flight`, `sign`, `headers`, `forward_headers`, `http2`",
            r#"3:12 "a b" is not a name -> a name has letters, digits, `-`, `_` and `.`, and at most 64 of them"#,
        ],
    );
    check(
        "[server]\nmax_connections = 0o777_777_777_777\npublic_url = 2026-12-01\n",
        &[
            "2:19 `server.max_connections` must be a whole number from 1 to 1000000 (found 68719476735)",
            r#"3:14 `server.public_url` must be a URL (found a date) -> scheme, host and path, without user name and fragment: "http://127.0.0.1:3000/webhooks""#,
        ],
    );
    check(
        "[upstreams.app]\n[sources.a]\n[[sources.a.auth]]\n",
        &[
            "1:12 `upstreams.app.url` is missing -> add `url = …`: Where events are posted to",
            "2:10 `sources.a.path` is missing -> add `path = …`: The path, byte for byte as the sender must request it",
            "2:10 `sources.a.upstream` is missing -> add `upstream = …`: The upstream that gets the events",
            "3:1 `sources.a.auth[0].kind` is missing -> add `kind = …`: The way to prove it",
        ],
    );
}

#[test]
fn values() {
    check(
        &source("max_body = \"1MB\""),
        &[r#"4:12 `sources.a.max_body` must be a size -> a whole number and B, KiB, MiB or GiB: "64KiB", "1MiB""#],
    );
    check(
        &source("max_body = 1048576"),
        &[
            r#"4:12 `sources.a.max_body` must be a size (found an integer) -> a whole number and B, KiB, MiB or GiB: "64KiB", "1MiB""#,
        ],
    );
    check(
        &source("deadline = \"1.5s\""),
        &[
            r#"4:12 `sources.a.deadline` must be a duration -> a whole number and its unit: "300ms", "5s", "10m", "24h" or "7d""#,
        ],
    );
    check(
        &source("deadline = \"40000d\""),
        &[
            r#"4:12 `sources.a.deadline` must be a duration -> a whole number and its unit: "300ms", "5s", "10m", "24h" or "7d""#,
        ],
    );
    for wrong in ["-1s", "9 s", "9", "s", "9S", "99999999999999999999s", ""] {
        assert_eq!(read_with(&source(&format!("deadline = {wrong:?}")), &[]).diagnostics.errors(), 1, "{wrong}");
    }
    check(
        &source("mode = \"enforced\""),
        &[r#"4:8 `sources.a.mode` must be "enforce" or "observe" -> did you mean `enforce`?"#],
    );
    check(&source("active = \"no\""), &[r#"4:10 `sources.a.active` must be true, false, "hold", "drop" or "refuse""#]);
    check(
        &source("allow = [\"10.0.0.1/8\", \"localhost\", 5]"),
        &[
            r#"4:10 `sources.a.allow[0]` must be an address or a range of addresses -> write "10.0.0.0/8" for the range, or "10.0.0.1" for the address"#,
            r#"4:24 `sources.a.allow[1]` must be an address or a range of addresses -> for example "203.0.113.0/24", "2001:db8::/32" or "192.0.2.7""#,
            r#"4:37 `sources.a.allow[2]` must be an address or a range of addresses (found an integer) -> for example "203.0.113.0/24", "2001:db8::/32" or "192.0.2.7""#,
        ],
    );
    check(
        "[sources.a]\nupstream = \"app\"\npath = \"/in a\"\n",
        &[
            "3:8 `sources.a.path` must be a path -> a path starts with `/` and is written as it is sent, percent-encoded and without a query",
        ],
    );
    check(
        &source("content_types = \"json\""),
        &[
            r#"4:17 `sources.a.content_types` must be a media type -> for example "application/json", without parameters"#,
        ],
    );
    check(
        &source("require_headers = { \"x y\" = { env = \"A\" }, \"x-a\" = \"A\" }"),
        &[
            r#"4:21 "x y" is not a header name -> for example "x-signature""#,
            r#"4:52 `sources.a.require_headers.x-a` must be a table that says where the secret is -> write `{ env = "NAME" }` or `{ file = "PATH" }`"#,
        ],
    );
    check(
        &source("limit = { rate = \"0/s\", burst = 0 }"),
        &[
            r#"4:18 `sources.a.limit.rate` must be a rate -> a whole number from 1 per second, minute or hour: "50/s", "600/m", "10/h""#,
            "4:33 `sources.a.limit.burst` must be a whole number from 1 to 1000000 (found 0)",
        ],
    );
    check(
        &source("events = { split = \"events\", where = { \"a\" = [1.5] } }"),
        &[
            r#"4:20 `sources.a.events.split` must be a JSON pointer -> a pointer is empty or starts with `/`, for example "/data/id""#,
            r#"4:40 "a" is not a JSON pointer -> a pointer is empty or starts with `/`, for example "/data/id""#,
            "4:47 `sources.a.events.where.a[0]` must be a string, a whole number, true or false (found a fractional or very large number)",
        ],
    );
    check(
        &source("delivery = { mode = \"queue\", concurrency = 10000 }"),
        &[
            r#"4:21 `sources.a.delivery.mode` must be "sync" or "queued" -> did you mean `queued`?"#,
            "4:44 `sources.a.delivery.concurrency` must be a whole number from 1 to 1024 (found 10000)",
        ],
    );
    check(
        &source("reply = { unauthenticated = 302, success = { status = 404 } }"),
        &[
            "4:29 `sources.a.reply.unauthenticated` must be a whole number from 400 to 499 (found 302)",
            "4:55 `sources.a.reply.success.status` must be a whole number from 200 to 299 (found 404)",
        ],
    );
    check(
        &source("secrets = [{ env = \"A\", until = \"tomorrow\" }]"),
        &[
            r#"4:33 `sources.a.secrets[0].until` must be a time -> date, time and offset (RFC 3339): "2026-12-01T00:00:00Z""#,
        ],
    );
    check(
        &source("handshake = [{ when = { equal = [\"method\"] }, method = \"GE T\" }]"),
        &[
            "4:33 `sources.a.handshake[0].when.equal` must be a list of two (found an array) -> write `[SELECTOR, VALUE]`",
            r#"4:56 `sources.a.handshake[0].method` must be a request method -> for example "GET""#,
        ],
    );
}

#[test]
fn o_07_variables_of_the_environment() {
    let text = &source("")[..];
    check_with(
        text,
        &[("HOOKSIEVE_LOG__LEVEL", "loud"), ("HOOKSIEVE_SERVER__MAX_CONNECTIONS", "many")],
        &[
            r#"`log.level` must be "trace", "debug", "info", "warn" or "error" (found "loud")"#,
            r#"`server.max_connections` must be a whole number from 1 to 1000000 (found "many")"#,
        ],
    );
    check_with(
        text,
        &[("HOOKSIEVE_SERVER__MAX_CONECTIONS", "5"), ("HOOKSIEVE_SEVER__LISTEN", "x")],
        &[
            "there is no key `max_conections` in `server` -> did you mean `max_connections`?",
            "there is no key `sever` at the top of the file -> did you mean `server`?",
        ],
    );
    check_with(
        text,
        &[("HOOKSIEVE_PORT", "tcp://10.0.0.1:80"), ("HOOKSIEVE_LOG____LEVEL", "info")],
        &[
            "the name of the variable HOOKSIEVE_LOG____LEVEL has an empty part -> exactly two underscores stand between levels: HOOKSIEVE_SERVER__LISTEN",
            "the variable HOOKSIEVE_PORT is ignored -> two underscores stand between levels: HOOKSIEVE_SERVER__LISTEN; where Kubernetes set it, `enableServiceLinks: false` stops that",
        ],
    );
    check_with(
        text,
        &[("HOOKSIEVE_SOURCES__A__SECRETS", "hunter2hunter2")],
        &[
            r#"`sources.a.secrets` must be a table that says where the secret is -> write `{ env = "NAME" }` or `{ file = "PATH" }`"#,
        ],
    );
    let raw = good(
        &text.replace("[sources.a]", "[sources.my-source]"),
        &[
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("HOOKSIEVE_SOURCES__MY_SOURCE__MAX_BODY", "2MiB"),
            ("HOOKSIEVE_SOURCES__MY_SOURCE__SECRETS", "[{ env = \"A\" }, { env = \"B\" }]"),
            ("HOOKSIEVE_SERVER__LISTEN", "[\"127.0.0.1:1\", \"unix:/a\"]"),
            ("HOOKSIEVE_SERVER__MAX_CONNECTIONS", "12"),
            ("HOOKSIEVE_SERVER__CLIENT_LIMIT__BURST", "7"),
            ("HOOKSIEVE_UPSTREAMS__APP__URL", "http://127.0.0.1/"),
            ("HOOKSIEVE_UPSTREAMS__APP__HTTP2", "true"),
        ],
    );
    assert_eq!(raw.sources.entries["my-source"].secrets.len(), 2);
    assert_eq!(raw.server.listen.len(), 2);
    assert_eq!(raw.server.max_connections.0, 12);
    assert_eq!(raw.server.client_limit.burst.0, 7);
    assert_eq!(raw.server.client_limit.rate.count, 20);
    assert!(raw.upstreams.entries["app"].http2.value);
}

#[test]
fn a_file_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hooksieve.toml");
    let environment = Environment::default();
    let shown = |read: &Configuration| read.diagnostics.render(false).replace(&*directory.path().to_string_lossy(), "");
    insta::assert_snapshot!(shown(&load(&path, &[], &environment)), @r#"
    error: the file cannot be read: No such file or directory (os error 2)
    --> /hooksieve.toml
    "#);
    std::fs::write(&path, b"[log]\nlevel = \"\xff\"\n").unwrap();
    insta::assert_snapshot!(shown(&load(&path, &[], &environment)), @r#"
    error: the file is not UTF-8
     --> /hooksieve.toml:2:10
      |
    2 | level = "***"
      |          ^^^
    "#);
    std::fs::write(&path, "[log]\nlevel = \"debug\"\n").unwrap();
    assert!(load(&path, &[], &environment).raw.is_some());
}
