//! Every recorded request in `tests/vectors/` comes out as it says, through the command that users have.

use std::{fs, path::PathBuf, process::Command};

#[test]
fn recorded_requests_come_out_as_they_say() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 100, "nearly all senders have vectors");
    let output = Command::new(env!("CARGO_BIN_EXE_hooksieve")).arg("test").args(&files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let passed: u32 = text.split_whitespace().next().unwrap().parse().unwrap();
    assert!(passed >= 500, "{text}");
}

#[test]
fn a_mismatch_is_named_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.json");
    let vector = |name: &str, provider: &str, expect: &str| {
        serde_json::json!({
            "name": name, "provider": provider, "secrets": ["a-secret-of-some-length"], "now": 1_700_000_000, "expect": expect,
            "request": { "method": "POST", "url": "https://hooks.example.com/x", "headers": {}, "body": "{}" },
        })
    };
    let vectors =
        [vector("unsigned", "elan", "accept"), vector("refused", "elan", "reject"), vector("who", "nobody", "accept")];
    fs::write(&file, serde_json::json!(vectors).to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hooksieve")).arg("test").arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(lines[0].ends_with("elan/unsigned: must be accepted, is refused: auth_missing"), "{text}");
    assert!(lines[1].contains("nobody/who: the configuration is refused: there is no preset"), "{text}");
    assert_eq!(lines[2], "1 passed, 2 failed");

    fs::write(&file, "{").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hooksieve")).arg("test").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a file that cannot be read is no vector that failed");
}
