//! The rules of the house that a compiler does not check. `ARCHITECTURE.md` says why they are as they are.
//!
//! A smoke alarm: when an import is right and the table is wrong, change the table and `ARCHITECTURE.md` in the same
//! commit and say why.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each module may import of this crate ("which way imports point" in `ARCHITECTURE.md`).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("fault", &[]),
    ("secret", &[]),
    ("presets", &[]),
    ("stages", &["secret"]),
    ("state", &["clock", "fault", "secret", "stages"]),
    ("upstream", &[]),
    ("fetch", &["stages", "upstream"]),
    ("telemetry", &["stages"]),
    ("server", &["clock", "stages"]),
    ("gateway", &["clock", "fault", "fetch", "secret", "server", "stages", "state", "telemetry", "upstream"]),
    ("admin", &["server", "stages", "state", "telemetry"]),
    ("config", &["admin", "gateway", "secret", "server", "stages", "state", "telemetry", "upstream"]),
    ("fuzzing", &["admin", "app", "gateway", "clock", "config", "secret", "server", "stages", "state", "upstream"]),
    ("app", BELOW_APP),
    ("cli", BELOW_CLI),
];

const BELOW_APP: &[&str] = BELOW_CLI.split_last().expect("`app` is the last").1;
const BELOW_CLI: &[&str] = &[
    "admin",
    "clock",
    "config",
    "fault",
    "fetch",
    "gateway",
    "presets",
    "secret",
    "server",
    "stages",
    "state",
    "telemetry",
    "upstream",
    "app",
];

/// What a stage never names: everything that waits, writes, logs, or knows what time it is.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "hyper_util",
    "tracing",
    "governor",
    "moka",
    "figment",
    "toml",
    "std::env",
    "std::fs",
    "std::thread",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "async fn",
    "async move",
    ".await",
    "println!",
];

/// Files that may be long.
const LONG: &[(&str, &str)] = &[];

/// Who may name a status code, besides `stages/answer.rs`, which decides what a sender is told.
const STATUS: &[(&str, &str)] = &[
    ("src/stages/answer.rs", "decides"),
    ("src/stages/greet.rs", "a handshake's answer is fixed by the sender's documentation"),
    ("src/upstream/", "the application's own statuses, on their way in"),
    ("src/admin/", "what operators and probes are told"),
    ("src/config/values", "`reply`: the operator's own statuses"),
    ("src/cli/demo/", "plays an application, and senders that stop at 429"),
];

/// What must not come into the tree (`deny.toml` gives the reasons, and covers more).
const BANNED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys", "p256", "rsa"];

/// Types that hold keys, or what is made with them: compared by `subtle::ConstantTimeEq`, or not at all.
const SECRET_TYPES: &[&str] = &["Fingerprint", "Key", "Secret", "Tag", "Verifying"];

/// What values are called that nobody can make who does not know a secret.
const SECRET_VALUES: &[&str] =
    &["bytes", "digest", "expose", "fingerprint", "hmac", "mac", "secret", "signature", "tag", "token"];

const LINES_MAX: usize = 500;

#[test]
fn imports_point_where_the_map_says() {
    let mut complaints = Vec::new();
    for file in sources() {
        let from = file.module();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == from) else {
            if !["lib", "main"].contains(&from.as_str()) {
                complaints.push(format!("{}: `{from}` is not in MAY_IMPORT, nor on the map", file.name));
            }
            continue;
        };
        for (line, to) in imports(&file.code()) {
            if to != from && !allowed.contains(&to.as_str()) && MAY_IMPORT.iter().any(|(module, _)| *module == to) {
                complaints.push(format!("{}:{line}: `{from}` may not import `{to}`", file.name));
            }
        }
    }
    finish(&complaints, "which way imports point");
}

#[test]
fn stages_are_pure() {
    let mut complaints = Vec::new();
    for file in sources().into_iter().filter(|file| file.module() == "stages") {
        for (number, line) in file.code().lines().enumerate() {
            for word in IMPURE.iter().filter(|word| names(line, word)) {
                complaints.push(format!("{}:{}: a stage may not name `{word}`", file.name, number + 1));
            }
        }
    }
    finish(&complaints, "what pure means");
}

#[test]
fn files_fit_a_reading() {
    let long =
        |file: &Source| file.text.lines().count() > LINES_MAX && !LONG.iter().any(|(name, _)| file.name == *name);
    let complaints: Vec<_> = sources().iter().filter(|file| long(file)).map(|file| file.name.clone()).collect();
    finish(&complaints, "files over 500 lines are listed in LONG with a reason");
}

#[test]
fn status_codes_are_decided_in_one_place() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !STATUS.iter().any(|(name, _)| file.name.starts_with(name))) {
        for (number, line) in file.code().lines().enumerate().filter(|(_, line)| line.contains("StatusCode::")) {
            complaints.push(format!("{}:{}: {}", file.name, number + 1, line.trim()));
        }
    }
    finish(&complaints, "status codes are decided in stages/answer.rs");
}

#[test]
fn one_crypto_provider() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is part of the repository");
    let banned = |name: &&&str| lock.contains(&format!("\nname = \"{name}\"\n"));
    let complaints: Vec<_> = BANNED.iter().filter(banned).map(|name| format!("Cargo.lock: `{name}`")).collect();
    finish(&complaints, "see deny.toml");
}

/// `==` stops at the first byte that differs, and the time it takes says which one that was. `benches/timing.rs` measures.
#[test]
fn w_41_secrets_are_compared_in_constant_time() {
    let mut complaints = Vec::new();
    let of_secrets = |file: &Source| {
        let is_stage = file.name.starts_with("src/stages/") && !file.name.starts_with("src/stages/json/");
        is_stage || file.name == "src/secret.rs"
    };
    for file in sources().iter().filter(|file| of_secrets(file)) {
        for (line, what) in unequal_times(&file.code()) {
            complaints.push(format!("{}:{line}: {what}", file.name));
        }
    }
    finish(&complaints, "a `Secret` has no `==`; keys and what is made with them are compared with `ct_eq`");
}

/// Every line where a type of secrets gets an `==`, or a value of them is compared with one.
fn unequal_times(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut derived = false;
    for (number, line) in code.lines().enumerate() {
        let words: Vec<&str> = line.split(|letter| !is_word(letter)).filter(|word| !word.is_empty()).collect();
        let is_derived = derived;
        derived = line.contains("derive(") && line.contains("PartialEq") || derived && line.starts_with('#');
        let named = words.iter().skip_while(|word| !["struct", "enum", "for"].contains(word)).nth(1);
        if (is_derived || line.contains("impl PartialEq")) && named.is_some_and(|name| SECRET_TYPES.contains(name)) {
            found.push((number + 1, "such a type has no `==`".to_owned()));
        }
        for (at, operator) in line.match_indices(" == ").chain(line.match_indices(" != ")) {
            let left = line[..at].rsplit(char::is_whitespace).next().unwrap_or_default();
            let right = line[at + operator.len()..].split(char::is_whitespace).next().unwrap_or_default();
            for operand in [left, right].into_iter().filter(|operand| !operand.contains('"')) {
                let value = operand.split('[').next().unwrap_or_default();
                let last = value.split(|letter| !is_word(letter)).rfind(|word| !word.is_empty());
                if last.is_some_and(|word| SECRET_VALUES.contains(&word.trim_end_matches('s'))) || last == Some("bytes")
                {
                    found.push((number + 1, format!("`{operand}` is compared with `==`")));
                }
            }
        }
    }
    found
}

#[test]
fn comparisons_of_secrets_are_found_in_every_form() {
    for (code, count) in [
        ("if sent == tag.bytes[..tag.length] {", 1),
        ("signatures.iter().any(|signature| *signature == expected)", 1),
        ("let right = secret.expose() != value;", 1),
        ("if (digests == *known) && token.signature.len() == length {", 1),
        ("#[derive(Clone, PartialEq)]\n#[must_use]\npub struct Fingerprint([u8; 32]);", 1),
        ("impl PartialEq for Secret {", 1),
        ("#[derive(Clone, PartialEq)]\npub struct Window;\npub struct Key;", 0),
        ("named.key.algorithm == token.algorithm && key.is_ok()", 0),
        ("prefix == \"token\"", 0),
    ] {
        assert_eq!(unequal_times(code).len(), count, "{code}: {:?}", unequal_times(code));
    }
}

struct Source {
    /// Relative to the repository, such as `src/stages/split.rs`.
    name: String,
    text: String,
}

impl Source {
    /// The top-level module it belongs to.
    fn module(&self) -> String {
        let path = self.name.trim_start_matches("src/");
        path.split('/').next().unwrap_or(path).trim_end_matches(".rs").to_owned()
    }

    /// The program without its tests and comments, line by line as in the file.
    fn code(&self) -> String {
        if self.name.ends_with("/tests.rs") {
            return String::new();
        }
        let program = self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let visible = |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
        program.lines().map(|line| visible(line) + "\n").collect()
    }
}

/// Every `crate::module`, with its line, also inside the braces of `use crate::{…}`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, prefix) in code.match_indices("crate::") {
        let start = start + prefix.len();
        let mut push = |at: usize| {
            let word: String = code[at..].chars().take_while(|character| is_word(*character)).collect();
            found.push((code[..at].matches('\n').count() + 1, word));
        };
        if !code[start..].starts_with('{') {
            push(start);
            continue;
        }
        let (mut depth, mut expecting) = (0, false);
        for (offset, character) in code[start..].char_indices() {
            match character {
                '{' => (depth, expecting) = (depth + 1, depth == 0),
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' => expecting = depth == 1,
                _ if expecting && is_word(character) => {
                    push(start + offset);
                    expecting = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether the line has this word, and not just as a part of another.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(is_word) && !line[start + word.len()..].starts_with(is_word))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        Source { text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}")), name }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("a folder of the repository").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn finish(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "\n  {}\nARCHITECTURE.md: {rule}\n", complaints.join("\n  "));
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::clock::Now;\nuse crate::{\n    secret::{Secret, Other},\n    state::{key::{A, b}},\n    x,\n};\nlet y = crate::z::W;\n";
    let found: Vec<_> = imports(code).into_iter().map(|(line, module)| format!("{line} {module}")).collect();
    assert_eq!(found, ["1 clock", "3 secret", "4 state", "5 x", "7 z"]);
}
