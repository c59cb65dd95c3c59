//! Fetches secrets from the environment, from files and from the configuration itself, and refuses those that protect
//! nothing. No value is ever shown.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    config::{
        diagnostics::Diagnostics,
        environment::Environment,
        key::{At, Key},
        raw::secret::{SecretPlace, SecretSource},
        table::is_name,
    },
    secret::Secret,
};

/// How many secrets a source may have; every one may cost a signature per request.
const SECRETS_MAX: usize = 8;
/// The shortest secret in bytes, unless the source says `allow_weak_secret`.
const SECRET_BYTES_MIN: usize = 16;
/// The shortest secret in bytes that nobody is warned about.
const SECRET_BYTES_GOOD: usize = 24;
/// The largest file a secret is read from, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A secret with the name it has in logs and headers.
#[derive(Clone, Debug)]
pub struct NamedSecret {
    /// Its name; `1`, `2` … where the operator gave none.
    pub name: String,
    /// When it stops being valid.
    pub until: Option<Timestamp>,
    /// The secret, as it was given: not yet decoded into a key.
    pub secret: Secret,
    /// Where it was written down.
    pub at: Key,
}

/// Fetches secrets.
#[derive(Clone, Copy, Debug)]
pub struct Vault<'a> {
    /// The environment that `env` looks into.
    pub environment: &'a Environment,
    /// Where relative paths of `file` start: the directory of the configuration file.
    pub directory: &'a Path,
    /// Whether secrets shorter than 16 bytes are taken.
    pub allow_weak: bool,
}

impl Vault<'_> {
    /// Fetches all secrets of a list. One that cannot be used spoils the list: a hole in it could let somebody in.
    pub fn all(&self, sources: &[SecretSource], found: &mut Diagnostics) -> Option<Vec<NamedSecret>> {
        if let Some(first_too_many) = sources.get(SECRETS_MAX) {
            let message = format!("there are {} secrets, and {SECRETS_MAX} are the most", sources.len());
            found.error_at(&first_too_many.key, message, "take out those that are not used any more");
        }
        let before = found.errors();
        let mut names = BTreeSet::new();
        let mut secrets = Vec::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            let name = source.name.as_ref().map_or_else(|| (index + 1).to_string(), |name| name.value.clone());
            let at = source.name.as_ref().map_or(&source.key, |name| &name.key);
            if !is_name(&name) {
                let help = "a name has letters, digits, `-`, `_` and `.`, and at most 64 of them";
                found.error_at(at, format!("{name:?} is not a name"), help);
            } else if !names.insert(name.clone()) {
                found.error_at(at, format!("two secrets have the name {name:?}"), "give each a name of its own");
            }
            if let Some(secret) = self.one(source, found) {
                let until = source.until.as_ref().map(|until| until.value);
                secrets.push(NamedSecret { name, until, secret, at: source.key.clone() });
            }
        }
        (found.errors() == before && sources.len() <= SECRETS_MAX).then_some(secrets)
    }

    /// Fetches one secret.
    pub fn one(&self, source: &SecretSource, found: &mut Diagnostics) -> Option<Secret> {
        let (key, secret) = self.fetch(source, found)?;
        if matches!(source.place, SecretPlace::Value(_)) && key.is_written_in_text() {
            let help = "whoever reads the file can forge events: write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
            found.warn_at(key, "a secret is written into the file", help);
        }
        self.judge(key, secret, found)
    }

    /// Fetches a fixed value of `require_headers`: it stands beside a signature and may be short, but not empty.
    pub fn fixed(&self, source: &SecretSource, found: &mut Diagnostics) -> Option<Secret> {
        let (key, secret) = self.fetch(source, found)?;
        let empty = secret.expose().trim_ascii().is_empty();
        if empty {
            found.error_at(
                key,
                "the value of the header is empty",
                "leave the header out, or write what the sender sends",
            );
        }
        (!empty).then_some(secret)
    }

    fn fetch<'s>(&self, source: &'s SecretSource, found: &mut Diagnostics) -> Option<(&'s Key, Secret)> {
        Some(match &source.place {
            SecretPlace::Env(name) => (&name.key, self.variable(name, found)?),
            SecretPlace::File(path) => (&path.key, self.file(path, found)?),
            SecretPlace::Value(secret) => (&secret.key, secret.value.clone()),
        })
    }

    fn variable(&self, name: &At<String>, found: &mut Diagnostics) -> Option<Secret> {
        let value = self.environment.value(name);
        if value.is_none() {
            let message = format!("the environment variable `{}` is not set", name.value.escape_debug());
            found.error_at(&name.key, message, "set it where the gateway is started");
        }
        value.map(Secret::new)
    }

    fn file(&self, path: &At<PathBuf>, found: &mut Diagnostics) -> Option<Secret> {
        let file = self.directory.join(&path.value);
        match read_file(&file) {
            Ok(mut bytes) => {
                strip_newline(&mut bytes);
                Some(Secret::new(bytes))
            }
            Err(error) => {
                let message = format!("the secret cannot be read from `{}`: {error}", file.display());
                found.error_at(&path.key, message, "a relative path starts at the configuration file");
                None
            }
        }
    }

    /// Refuses what is no secret, and warns of what hardly is one.
    fn judge(&self, key: &Key, secret: Secret, found: &mut Diagnostics) -> Option<Secret> {
        let bytes = secret.expose();
        let length = bytes.len();
        if bytes.iter().all(u8::is_ascii_whitespace) {
            found.error_at(
                key,
                "the secret is empty",
                "an empty secret lets everybody in: fetch the right one from the sender",
            );
            return None;
        }
        if is_placeholder(bytes) {
            let help = "it was never filled in: fetch the secret from the sender";
            found.error_at(key, "the secret is a placeholder", help);
            return None;
        }
        if length < SECRET_BYTES_MIN && !self.allow_weak {
            let message = format!("the secret has {length} bytes, and {SECRET_BYTES_MIN} are the fewest");
            found.error_at(
                key,
                message,
                "make a longer one, or say `allow_weak_secret = true` if the sender has no longer ones",
            );
            return None;
        }
        if length < SECRET_BYTES_GOOD {
            let message = format!("the secret has only {length} bytes");
            found.warn_at(key, message, format!("secrets of {SECRET_BYTES_GOOD} bytes and more cannot be guessed"));
        }
        if bytes.trim_ascii().len() < length && !bytes.starts_with(b"-----BEGIN ") {
            let help = "if the sender does not have it so, nothing will verify: take the blanks or newlines away";
            found.warn_at(key, "the secret begins or ends with a blank", help);
        }
        Some(secret)
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    // With room for all of it, so that no copy of a secret is left behind by growing.
    let size = usize::try_from(metadata.len().min(FILE_BYTES_MAX)).expect("the limit fits");
    let mut bytes = Vec::with_capacity(size + 1);
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// Editors and `echo` end a file with one newline; a second one is the operator's.
fn strip_newline(bytes: &mut Vec<u8>) {
    if bytes.pop_if(|last| *last == b'\n').is_some() {
        bytes.pop_if(|last| *last == b'\r');
    }
}

/// What templates, shells and examples leave behind when nobody filled in the secret.
fn is_placeholder(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("whsec_").unwrap_or(&text);
    let wrapped =
        [("${", "}"), ("$(", ")"), ("{{", "}}"), ("{env.", "}"), ("{env:", "}"), ("<", ">"), ("%", "%"), ("[", "]")];
    let word =
        |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-. :".contains(&it));
    let variable = text.strip_prefix("env:").or_else(|| text.strip_prefix("env.")).or_else(|| text.strip_prefix('$'));
    let crossed_out = text.len() != 1 && (text.bytes().all(|it| it == b'x') || text.bytes().all(|it| it == b'*'));
    matches!(
        text,
        "null" | "nil" | "none" | "undefined" | "todo" | "changeme" | "change-me" | "change_me" | "change me"
    ) || ["your-", "your_", "replace-", "replace_", "insert-", "insert_"].iter().any(|start| text.starts_with(start))
        || wrapped.iter().any(|(start, end)| {
            text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).is_some_and(|inner| word(inner.trim()))
        })
        || variable
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_'))
        || crossed_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::{Input, read};

    /// What a source says about its secrets, and what is found wrong with them: message by message, `ok` at the end when
    /// they can be used.
    fn check(secrets: &str, expected: &[&str]) {
        let environment = Environment::from_iter([
            ("GOOD", "0123456789abcdef01234567"),
            ("EMPTY", ""),
            ("BLANK", " \t "),
            ("SHORT", "12345678"),
            ("SIXTEEN", "0123456789abcdef"),
            ("ENDS", "0123456789abcdef01234567\n"),
        ]);
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
        write("empty", b"");
        write("newline", b"\n");
        write("good", b"0123456789abcdef01234567\n");
        write("nul", b"0123456789ab\0def01234567");
        write("large", &vec![b'a'; 70_000]);
        let text = format!("[sources.a]\npath = \"/a\"\nupstream = \"app\"\nsecrets = {secrets}\n");
        let read = read(&Input { name: "hooksieve.toml", text: &text, presets: &[], environment: &environment });
        let mut found = read.diagnostics;
        let sources = read.raw.unwrap().sources;
        let vault =
            Vault { environment: &environment, directory: directory.path(), allow_weak: secrets.contains("WEAK") };
        let usable = sources.entries.get("a").and_then(|source| vault.all(&source.secrets, &mut found)).is_some();
        let path = format!("{}/", directory.path().display());
        let mut messages: Vec<_> = found.iter().map(|problem| problem.message.replace(&path, "")).collect();
        messages.extend(usable.then(|| "ok".to_owned()));
        assert_eq!(messages, expected, "{secrets}");
    }

    #[test]
    fn w_01_no_place() {
        check("[{}]", &["`sources.a.secrets[0]` says nowhere where the secret is"]);
        check(
            r#"[{ env = "GOOD", file = "good" }]"#,
            &["`sources.a.secrets[0]` says more than once where the secret is"],
        );
        check(r#"["GOOD"]"#, &["`sources.a.secrets[0]` must be a table that says where the secret is"]);
    }

    #[test]
    fn w_02_resolves_to_nothing() {
        check(r#"[{ env = "MISSING" }]"#, &["the environment variable `MISSING` is not set"]);
        check(r#"[{ env = "EMPTY" }]"#, &["the secret is empty"]);
        check(r#"[{ env = "BLANK" }]"#, &["the secret is empty"]);
        check(r#"[{ file = "empty" }]"#, &["the secret is empty"]);
        check(r#"[{ file = "newline" }]"#, &["the secret is empty"]);
        check(
            r#"[{ file = "none" }]"#,
            &["the secret cannot be read from `none`: No such file or directory (os error 2)"],
        );
        check(r#"[{ file = "." }]"#, &["the secret cannot be read from `.`: not a regular file"]);
        check(r#"[{ file = "large" }]"#, &["the secret cannot be read from `large`: larger than 65536 bytes"]);
    }

    #[test]
    fn w_04_placeholders() {
        for text in [
            "env:FOO",
            "${FOO}",
            "{env.FOO}",
            "$FOO",
            "{{ secrets.foo }}",
            "<your secret>",
            "null",
            "undefined",
            "changeme",
            "whsec_",
            "whsec_changeme",
            "your-webhook-secret-here",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "ENV:HOOK_SECRET_OF_THE_APP",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in [
            "x",
            "hookwarden-sample-secret-1",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "s3cr3t-sample",
            "$2y$10$abcdefgh",
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
        check(
            r#"[{ value = "${CAKEWALK_SECRET}" }]"#,
            &["a secret is written into the file", "the secret is a placeholder"],
        );
    }

    #[test]
    fn w_05_weak() {
        check(r#"[{ env = "SHORT" }]"#, &["the secret has 8 bytes, and 16 are the fewest"]);
        check(r#"[{ env = "SHORT", name = "WEAK" }]"#, &["the secret has only 8 bytes", "ok"]);
        check(r#"[{ env = "SIXTEEN" }]"#, &["the secret has only 16 bytes", "ok"]);
        check(r#"[{ env = "GOOD" }]"#, &["ok"]);
    }

    #[test]
    fn w_07_a_hole_spoils_the_list() {
        check(r#"[{ env = "GOOD" }, { env = "EMPTY" }]"#, &["the secret is empty"]);
        check(r#"[{ env = "GOOD" }, ""]"#, &["`sources.a.secrets[1]` must be a table that says where the secret is"]);
    }

    #[test]
    fn w_22_bytes_of_a_file() {
        let mut stripped: Vec<u8> = b"a\0b\r\n".to_vec();
        strip_newline(&mut stripped);
        assert_eq!(stripped, b"a\0b");
        let mut once = b"ab\n\n".to_vec();
        strip_newline(&mut once);
        assert_eq!(once, b"ab\n");
        check(r#"[{ file = "nul" }, { file = "good" }]"#, &["ok"]);
        check(r#"[{ env = "ENDS" }]"#, &["the secret begins or ends with a blank", "ok"]);
    }

    #[test]
    fn w_30_at_most_eight() {
        let nine = [r#"{ env = "GOOD" }"#; 9].join(", ");
        check(&format!("[{nine}]"), &["there are 9 secrets, and 8 are the most"]);
    }

    #[test]
    fn a_fixed_header_may_be_short_but_not_empty() {
        let environment = Environment::default();
        let fixed = |value: &str| {
            let text = format!(
                "[sources.a]\npath = \"/a\"\nupstream = \"app\"\nrequire_headers = {{ x-env = {{ value = {value:?} }} }}\n"
            );
            let read = read(&Input { name: "hooksieve.toml", text: &text, presets: &[], environment: &environment });
            let mut found = read.diagnostics;
            let sources = read.raw.unwrap().sources;
            let source = sources.entries["a"].require_headers.values().next().unwrap();
            let vault = Vault { environment: &environment, directory: Path::new("."), allow_weak: false };
            (vault.fixed(source, &mut found).map(|secret| secret.expose().to_vec()), found.errors())
        };
        assert_eq!(fixed("prod"), (Some(b"prod".to_vec()), 0));
        assert_eq!(fixed(" "), (None, 1));
    }

    #[test]
    fn names_are_unique_and_short() {
        check(r#"[{ env = "GOOD", name = "a" }, { env = "GOOD", name = "a" }]"#, &["two secrets have the name \"a\""]);
        check(r#"[{ env = "GOOD", name = "a; key=b" }]"#, &["\"a; key=b\" is not a name"]);
    }
}
