//! Secrets that senders hand over by themselves: the first is kept, nothing is verified with it until an operator has
//! compared it, and no other takes its place.

use std::{fs, path::Path, process::Command};

use data_encoding::HEXLOWER;
use hooksieve::{secret::Secret, state::learned::fingerprint};

use crate::support::{
    gateway::{Gateway, Setup},
    request::Reply,
    senders::hex,
};

/// Asana's own, with its documented example of a secret.
const ASANA: &str = r#"
[learned]
directory = "learned"
[sources.asana]
path = "/in/asana"
provider = "asana"
upstream = "app"
settings = { learn_secret = true }
"#;

const SECRET: &str = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81";
const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

async fn hand_over(gateway: &Gateway, secret: &str) -> Reply {
    gateway.post("/in/asana").header("x-hook-secret", secret).send().await
}

async fn event(gateway: &Gateway, secret: &str) -> Reply {
    let body = format!(r#"{{"events":[{{"action":"changed","resource":{{"gid":"{}"}}}}]}}"#, gateway.sent.get());
    gateway.post("/in/asana").header("x-hook-signature", hex(secret, &[body.as_bytes()])).body(body).send().await
}

/// Runs `hooksieve secrets` with a configuration in this folder.
fn secrets(folder: &Path, text: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let text = format!("[upstreams.app]\nurl = \"http://127.0.0.1:9/\"\n{text}");
    fs::write(folder.join("hooksieve.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hooksieve"));
    let output = command.arg("secrets").args(arguments).current_dir(folder).env_clear().output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn h_10_a_secret_is_learned_once_and_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(ASANA).directory(folder.path()).variable("SECRET", SECRET);
    let gateway = setup.start().await;
    event(&gateway, SECRET).await.is(503, "fail state_store").reaches_nobody();

    let reply = hand_over(&gateway, SECRET).await;
    reply.is(200, "handshake").reaches_nobody();
    assert_eq!(reply.answer.header("x-hook-secret"), Some(SECRET));
    assert_eq!(fs::read_to_string(folder.path().join("learned/asana.pending")).unwrap(), SECRET);
    hand_over(&gateway, SECRET).await.is(200, "handshake");
    hand_over(&gateway, OTHER).await.is_401("auth_mismatch");
    // It waits: neither it nor any other verifies anything, and Asana tries again.
    event(&gateway, SECRET).await.is(503, "fail state_store").reaches_nobody();
    event(&gateway, OTHER).await.is(503, "fail state_store").reaches_nobody();
    gateway.reload(ASANA).unwrap();
    event(&gateway, SECRET).await.is(503, "fail state_store").reaches_nobody();
    gateway.post("/in/asana").body("{}").send().await.is_401("auth_missing");

    let digits = &fingerprint(&Secret::new(SECRET))[..12];
    let (code, text) = secrets(folder.path(), ASANA, &["confirm", "asana", digits]);
    assert_eq!(code, Some(0), "{text}");
    gateway.reload(ASANA).unwrap();
    let seen = event(&gateway, SECRET).await;
    assert_eq!(seen.is(200, "forward").events[0].header("hooksieve-verified"), Some("verified; key=learned"));
    event(&gateway, OTHER).await.is_401("auth_mismatch");
    hand_over(&gateway, OTHER).await.is_401("auth_mismatch");
    hand_over(&gateway, SECRET).await.is(200, "handshake");
}

#[tokio::test]
async fn h_10_what_is_no_secret_is_not_learned() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Setup::new(ASANA).directory(folder.path()).start().await;
    for text in ["", "short", "with a blank in it", &"x".repeat(513)] {
        assert!(hand_over(&gateway, text).await.answer.status >= 400, "{text}");
    }
    assert!(!folder.path().join("learned").exists());
    // What cannot be kept is not acknowledged: the sender would sign with a secret that is lost.
    fs::write(folder.path().join("learned"), "a file").unwrap();
    hand_over(&gateway, SECRET).await.is(503, "fail state_store").reaches_nobody();
}

#[test]
fn h_10_an_operator_compares_and_confirms() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| secrets(folder.path(), ASANA, arguments);
    let check = |arguments: &[&str], code: i32, says: &str| {
        let (got, text) = run(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert!(!text.contains(SECRET), "{text}");
    };
    let digits = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(SECRET));
    check(&[], 0, "none yet");
    check(&["confirm", "asana", &digits], 1, "has handed nothing over yet");
    check(&["confirm", "nobody", &digits], 1, "there is no source `nobody`");
    fs::create_dir(folder.path().join("learned")).unwrap();
    fs::write(folder.path().join("learned/asana.pending"), SECRET).unwrap();
    check(&[], 0, &digits[..16]);
    check(&["--format", "json"], 0, r#""state":"pending""#);
    check(&["confirm", "asana", "0000000000"], 1, "a stranger may have been faster");
    check(&["confirm", "asana", &digits[..7]], 1, "at least 8 digits");
    check(&["confirm", "asana", &digits[..8].to_uppercase()], 0, "SIGHUP");
    check(&[], 0, "confirmed");
    check(&["confirm", "asana", &digits], 1, "confirmed already");
    check(&["forget", "asana"], 0, "forgotten");
    check(&["forget", "asana"], 1, "nothing is kept");
}

#[test]
fn h_10_learning_is_off_by_default_and_never_beside_a_secret() {
    let judge = |text: &str| {
        let (runs, found) = Setup::new(text).judge();
        (runs, found.iter().map(|it| it.message.clone()).collect::<Vec<_>>())
    };
    let off = ASANA.replace("learn_secret = true", "learn_secret = false");
    let (runs, messages) = judge(&off);
    assert!(!runs && messages.iter().any(|it| it.contains("no secret to verify with")), "{messages:?}");
    let both = ASANA.replace("upstream = \"app\"", "upstream = \"app\"\nsecrets = [{ env = \"K1\" }]");
    let (runs, messages) = judge(&both);
    assert!(!runs && messages.iter().any(|it| it.contains("has a secret, and learns one")), "{messages:?}");
    let nowhere = ASANA.replace("[learned]\ndirectory = \"learned\"\n", "");
    let (runs, messages) = judge(&nowhere);
    assert!(!runs && messages.iter().any(|it| it.contains("no place to keep a secret")), "{messages:?}");
}
