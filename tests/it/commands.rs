//! The program itself, as it is run from a shell.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use super::support::{
    application::{Application, OK},
    shell::{Ran, SECRETS, Served, Shell},
};

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The example at work: on a socket in the folder, which `send` finds by itself, and on a port.
struct Gateway {
    shell: Shell,
    served: Served,
    url: String,
    application: Application,
}

impl Gateway {
    async fn start() -> Self {
        let application = Application::start().await;
        for _ in 0..200 {
            application.then(OK);
        }
        let upstream = format!("http://{}/", application.address);
        let shell = Shell::with(EXAMPLE);
        let socket = shell.folder.path().join("gw.sock");
        let shell = shell
            .set("HOOKSIEVE_SERVER__LISTEN", format!("[\"unix:{}\", \"127.0.0.1:0\"]", socket.display()))
            .set("HOOKSIEVE_ADMIN__LISTEN", "127.0.0.1:0")
            .set("HOOKSIEVE_UPSTREAMS__APP__URL", upstream.clone())
            .set("HOOKSIEVE_UPSTREAMS__BILLING__URL", upstream);
        let mut child = shell.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let served = Served(child);
        let url = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            match record["listen"].as_str() {
                Some(address) if address.starts_with("127.") => break format!("http://{address}"),
                _ => {}
            }
        };
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { shell, served, url, application }
    }
}

#[test]
fn the_example_is_as_it_should_be() {
    let shell = Shell::with(EXAMPLE);
    let ran = shell.expect(0, &["check"]);
    assert_eq!(ran.err, "");
    let sources: Vec<_> = ran.out.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(sources, ["acme", "awork", "cakewalk", "elan", "shop", "skillmine"]);
    let json = shell.expect(0, &["check", "--format", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sources"][0]["path"], "/in/acme");
}

/// Keys that stand in no line of their own in the example, and why.
const NOT_SHOWN: [(&str, &str); 3] = [
    ("sources.NAME.auth.when.absent", "the comment beside `present` names it"),
    ("sources.NAME.auth.when.equal", "the comment beside `present` names it"),
    ("sources.NAME.auth.when.in_list", "the comment beside `present` names it"),
];

#[test]
fn the_example_shows_every_key() {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config-reference.md")).unwrap();
    let about_files = reference.split("\n# Presets").next().unwrap();
    let (mut table, mut keys) = (String::new(), 0);
    for line in about_files.lines() {
        if let Some(title) = line.strip_prefix("## `[") {
            table = title.trim_matches(['[', ']', '`']).to_owned();
        }
        let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        keys += 1;
        let path = format!("{table}.{key}");
        let is_excused = NOT_SHOWN.iter().any(|(excused, _)| *excused == path);
        assert!(is_shown(key) || is_excused, "config.example.toml does not show `{path}`");
    }
    assert!(keys > 80, "only {keys} keys were found in the reference");
}

/// Whether a line assigns to the key or opens its table, commented out or not.
fn is_shown(key: &str) -> bool {
    EXAMPLE.lines().any(|line| {
        let line = line.trim_start_matches("# ");
        let is_word = |at: usize| !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
        let assigned = line.match_indices(&format!("{key} = ")).any(|(at, _)| is_word(at));
        let title = line.strip_prefix('[').and_then(|line| line.split(']').next()).unwrap_or_default();
        assigned || title.trim_start_matches('[').split('.').any(|part| part == key)
    })
}

#[test]
fn a_bad_configuration_is_shown_with_its_place() {
    let shell = Shell::with("[server]\nlisten = [\"127.0.0.1:0\"]\nmax_conections = 5\n");
    for command in ["run", "check"] {
        let ran = shell.expect(2, &[command]);
        assert!(ran.err.contains("hooksieve.toml:3:1"), "{}", ran.err);
        assert!(ran.err.contains("^^^^^^^^^^^^^^"), "{}", ran.err);
        assert!(ran.err.contains("max_connections"), "{}", ran.err);
    }
    let ran = shell.expect(2, &["run", "-c", "nowhere.toml"]);
    assert!(ran.err.contains("cannot read nowhere.toml"), "{}", ran.err);
    shell.expect(2, &["no-such-command"]);
}

#[test]
fn o_08_check_says_of_the_journal_what_run_would_say() {
    let text = "[journal]\npath = \"kept/journal.db\"\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                [upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.it]\npath = \"/in\"\nupstream = \"app\"\n\
                allow_unauthenticated = true\nauth = [{ kind = \"none\" }]\n";
    let shell = Shell::with(text);
    let folder = shell.folder.path().join("kept");
    let files = || {
        let files = fs::read_dir(&folder).map(|files| files.map(|file| file.unwrap().path()).collect::<Vec<_>>());
        let mut files = files.unwrap_or_default();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).ok(), path)).collect::<Vec<_>>()
    };
    let refused = |words: &str| {
        let before = files();
        let checked = shell.expect(2, &["check"]);
        assert!(checked.err.contains("the journal cannot be used") && checked.err.contains(words), "{}", checked.err);
        assert_eq!(files(), before, "something was made or changed");
        let json: serde_json::Value = serde_json::from_str(&shell.run(&["check", "--format", "json"]).out).unwrap();
        assert!(json["journal"].as_str().unwrap().contains(words), "{json}");
        let ran = shell.expect(2, &["run"]);
        let said = |err: &str| err.lines().find(|line| line.contains("cannot be used")).map(str::to_owned);
        assert_eq!(said(&ran.err), said(&checked.err), "run says the same");
    };
    refused("there is no directory");
    fs::write(&folder, "").unwrap();
    refused("is not a directory");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    shell.expect(0, &["check"]);
    assert_eq!(files(), [], "it makes nothing");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    refused("others can put files into");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let file = folder.join("journal.db");
    symlink("elsewhere.db", &file).unwrap();
    refused("is a symbolic link");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("is not a regular file");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, [b'x'; 5_000]).unwrap();
    refused("is damaged");
    fs::remove_file(&file).unwrap();
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE other (id)").unwrap();
    refused("is a database of another program");
    db.execute_batch("DROP TABLE other; PRAGMA application_id = 1752133483; PRAGMA user_version = 99").unwrap();
    drop(db);
    refused("was written by a newer hooksieve (version 99");
}

#[test]
fn presets_are_listed_and_shown() {
    let shell = Shell::with("");
    let list = shell.expect(0, &["presets"]).out;
    for id in ["awork", "cakewalk", "elan", "skillmine-auth"] {
        assert!(list.lines().any(|line| line.starts_with(id)), "{list}");
        let text = shell.expect(0, &["presets", "show", id]).out;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("presets/{id}.toml"));
        assert_eq!(text, fs::read_to_string(file).unwrap());
    }
    let json: serde_json::Value = serde_json::from_str(&shell.expect(0, &["presets", "--format", "json"]).out).unwrap();
    assert!(json.as_array().unwrap().iter().any(|preset| preset["id"] == "elan"));
    shell.expect(1, &["presets", "show", "nobody"]);
}

#[test]
fn a_reader_that_goes_away_is_no_defect() {
    let shell = Shell::with("");
    let mut child = shell.command(&["presets"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn every_command_has_help_with_an_example() {
    let shell = Shell::with("");
    let help = shell.expect(0, &["--help"]).out;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        let help = shell.expect(0, &[command, "--help"]).out;
        assert!(help.contains(&format!("hooksieve {command}")) && help.contains("Example"), "{help}");
    }
}

const FORWARD: &str = "200 {\"forward\":1}\n";
const QUEUE: &str = "202 {\"queue\":1}\n";
const ASIDE: &str = "200 {\"quarantine\":1}\n";
const REFUSED: &str = "401 {\"error\":\"unauthenticated\"}\n";
const SCHEMA: &str = "422 {\"error\":\"schema\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn send_plays_every_sender_of_the_example() {
    let gateway = Gateway::start().await;
    let send = |code, source, more: &[&str]| {
        let ran = gateway.shell.expect(code, &[&["send", source], more].concat());
        (ran.out, ran.err)
    };
    for (source, accepted, schema) in [
        ("acme", FORWARD, None),
        ("awork", QUEUE, Some(ASIDE)),
        ("cakewalk", FORWARD, Some(ASIDE)),
        ("elan", FORWARD, Some(SCHEMA)),
        ("skillmine", FORWARD, Some(SCHEMA)),
    ] {
        assert_eq!(send(0, source, &["--count", "2"]).0, accepted.repeat(2), "{source}");
        assert_eq!(send(0, source, &["--to", &gateway.url]).0, accepted, "{source}");
        assert_eq!(send(0, source, &["--break", "signature"]).0, REFUSED, "{source}");
        assert_eq!(send(0, source, &["--break", "json"]).0, "400 {\"error\":\"bad_request\"}\n", "{source}");
        let twice = send(0, source, &["--break", "duplicate"]).0;
        assert_eq!(twice, format!("{accepted}200 {{\"duplicate\":1}}\n"), "{source}");
        match schema {
            Some(answer) => assert_eq!(send(0, source, &["--break", "schema"]).0, answer, "{source}"),
            None => assert!(send(2, source, &["--break", "schema"]).1.contains("--body FILE"), "{source}"),
        }
    }
    assert_eq!(send(0, "shop", &[]).0, "200 ok\n");
    assert_eq!(send(0, "acme", &["--break", "timestamp"]).0, REFUSED);
    assert!(send(2, "elan", &["--break", "timestamp"]).1.contains("no signed time"));
    assert_eq!(send(0, "elan", &["--event", "workflow.failed"]).0, FORWARD);
    assert_eq!(send(0, "elan", &["--event", "workflow.paused"]).0, "200 {\"drop\":1}\n");
    assert_eq!(send(0, "cakewalk", &["--event", "test"]).0, "200 \n");
    assert!(send(2, "nobody", &[]).1.contains("acme, awork, cakewalk, elan, shop, skillmine"));
    assert!(send(1, "elan", &["--to", "http://127.0.0.1:1"]).1.contains("cannot be reached"));

    fs::write(gateway.shell.folder.path().join("order.json"), r#"{"type":"order.paid","id":"it's ${uuid}"}"#).unwrap();
    assert_eq!(send(0, "acme", &["--body", "order.json", "--count", "2"]).0, FORWARD.repeat(2));
    fs::write(gateway.shell.folder.path().join("bad.json"), "[]").unwrap();
    let (out, err) = send(1, "skillmine", &["--body", "bad.json"]);
    assert_eq!(out, SCHEMA);
    assert!(err.contains("expected a 2xx"), "{err}");

    if Command::new("curl").arg("--version").output().is_ok() {
        for (source, more) in [("acme", &["--body", "order.json"][..]), ("skillmine", &["--to", &gateway.url])] {
            let line = send(0, source, &[more, &["--curl"]].concat()).0;
            let ran = Ran::from(Command::new("sh").args(["-c", &line]).output().unwrap());
            assert!(ran.out.starts_with("HTTP/1.1 200") && ran.out.ends_with("{\"forward\":1}"), "{line}{ran:?}");
        }
    }
    let first = gateway.application.seen().await;
    assert!(first.head.contains("webhook-signature: v1,"), "{}", first.head);
    assert_eq!(gateway.served.terminate(), 0, "a signal drains, and that is no failure");
}

#[test]
fn senders_with_private_keys_are_played_with_throw_away_ones() {
    let source = |id: &str| {
        format!(
            "[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n[sources.it]\npath = \"/in\"\nprovider = \"{id}\"\n\
             upstream = \"app\"\nsecrets = [{{ file = \"it.pub\" }}]\n"
        )
    };
    for (id, form) in [("discord", ""), ("sendgrid", "MFkw"), ("plaid", "{"), ("wise", "-----BEGIN PUBLIC KEY-----")] {
        if id == "wise" && Command::new("openssl").arg("version").output().is_err() {
            continue;
        }
        let shell = Shell::with(&source(id));
        let made = shell.expect(0, &["send", "it", "--make-key", "it.key"]);
        assert!(made.out.starts_with(form) && !made.out.contains("PRIVATE"), "{id}: {}", made.out);
        assert!(made.err.contains("hooksieve send it --key it.key"), "{}", made.err);
        assert_eq!(shell.expect(0, &["send", "it", "--make-key", "it.key"]).out, made.out, "it is not made anew");
        fs::write(shell.folder.path().join("it.pub"), &made.out).unwrap();
        let line = shell.expect(0, &["send", "it", "--key", "it.key", "--curl"]).out;
        assert!(line.starts_with("curl "), "{line}");
        let missing = shell.expect(2, &["send", "it", "--curl"]).err;
        assert!(missing.contains("--make-key FILE") && missing.contains("--key FILE"), "{missing}");
        shell.expect(0, &["send", "it", "--make-key", "other.key"]);
        let other = shell.expect(2, &["send", "it", "--key", "other.key", "--curl"]).err;
        assert!(other.contains("belongs to none of the public keys"), "{other}");
        let wrong = shell.expect(2, &["send", "it", "--key", "it.pub", "--curl"]).err;
        assert!(wrong.contains("it.pub cannot be used") && wrong.contains("PKCS #8"), "{wrong}");
    }
    let shell = Shell::with(&source("elan"));
    assert!(shell.expect(2, &["send", "it", "--make-key", "it.key"]).err.contains("signs with its secret"));
}

#[test]
fn explain_names_the_step_and_the_mistake() {
    let shell = Shell::with(EXAMPLE);
    let write = |name: &str, text: &str| fs::write(shell.folder.path().join(name), text).unwrap();
    let body = r#"{"eventType":"task_added","timestamp":"2026-11-21T12:00:00Z","entityId":"1"}"#;
    let request = |token: &str| {
        format!(
            "POST /in/awork HTTP/1.1\r\nHost: gw.test\r\nX-Awork-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}\n",
            body.len()
        )
    };
    let token = SECRETS[2].1;
    write("right.http", &request(token));
    write("wrong.http", &request(&token.to_uppercase()));
    write("none.http", "no request");

    let ran = shell.expect(0, &["explain", "awork", "--request", "right.http"]);
    assert!(ran.out.contains("authenticate  ok") && ran.out.contains("answer        200 accepted"), "{}", ran.out);
    assert!(ran.out.contains("white space"), "{}", ran.out);
    let ran = shell.expect(1, &["explain", "awork", "--request", "wrong.http", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["causes"][0]["mistakes"][0], "credential_case");
    assert_eq!(report["answer"]["status"], 401);
    assert!(!ran.out.to_lowercase().contains(token), "{}", ran.out);
    let ran = shell.expect(2, &["explain", "awork", "--request", "none.http"]);
    assert!(ran.err.contains("none.http cannot be read: it is no HTTP request"), "{}", ran.err);
    assert!(shell.expect(2, &["explain", "nobody", "--request", "right.http"]).err.contains("there are acme, awork"));
    assert!(shell.expect(2, &["explain", "awork", "--request", "nowhere.http"]).err.contains("cannot read"));
}

#[test]
fn the_demo_shows_everything_as_it_should_be() {
    let shell = Shell { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
    let ran = shell.expect(0, &["demo"]);
    assert_eq!(ran.err, "", "the log does not disturb the show");
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert!(!line.starts_with("WRONG"), "{line}");
    }
    for [sent, answered, why] in [
        ["a batch: task, test event, task", "200 forward:2 handshake:1", "mixed"],
        ["a task, signed with RSA", "200 forward:1", "forward"],
        ["an event; the application fails", "202 queue:1", "queue"],
        ["a misshapen event, set aside", "200 quarantine:1", "schema"],
        ["USER_LOGIN until it is too much", "429 rate_limited", "rate_source"],
        ["a guesser, until it is too much", "429 rate_limited", "rate_ip"],
        ["signed too long ago", "401 unauthenticated", "timestamp_stale"],
    ] {
        let is_shown = |line: &str| line.contains(sent) && line.contains(answered) && line.ends_with(why);
        assert!(ran.out.lines().any(is_shown), "{sent}\n{}", ran.out);
    }
    assert!(ran.out.ends_with(" 0 are not.\n"), "{}", ran.out);
}

#[test]
fn a_demo_that_is_kept_serves_until_it_is_told_to_stop() {
    let shell = Shell { folder: tempfile::tempdir().unwrap(), variables: Vec::new() };
    let mut child = shell.command(&["demo", "--keep"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let served = Served(child);
    let line = out.lines().map(Result::unwrap).find(|line| line.starts_with("curl ")).expect("it says what to try");
    if Command::new("curl").arg("--version").output().is_ok() {
        for answer in ["{\"forward\":1}", "{\"duplicate\":1}"] {
            let ran = Ran::from(Command::new("sh").args(["-c", &line]).output().unwrap());
            assert!(ran.out.ends_with(answer), "{line}\n{ran:?}");
        }
    }
    assert_eq!(served.terminate(), 0);
}
