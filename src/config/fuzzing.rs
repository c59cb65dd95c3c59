//! What must hold for every text that is read as a configuration.

use crate::config::{
    environment::Environment,
    key::Origin,
    read::{Configuration, Input, read, read_preset},
};

const CANARY: &str = "cAnArY7f3a9c51d2e8";

/// Reads any bytes as a configuration: the file, and after a NUL byte the environment, a `NAME=VALUE` per line.
///
/// # Panics
///
/// When a span lies outside of its text, a secret is shown, or the same text is read in two ways.
pub fn config(data: &[u8]) {
    let data = String::from_utf8_lossy(data);
    let (text, variables) = data.split_once('\0').unwrap_or((&data, ""));
    let environment: Environment = variables.lines().filter_map(|line| line.split_once('=')).collect();
    let read = |text: &str| {
        let presets = [("fuzzed", text), ("plain", "name = \"Plain\"\n")];
        read(&Input { name: "hooksieve.toml", text, presets: &presets, environment: &environment })
    };
    let first = read(text);
    shown(&first);
    let second = read(text);
    assert_eq!(first.diagnostics.render(false), second.diagnostics.render(false), "the same problems each time");
    assert_eq!(format!("{:?}", first.raw), format!("{:?}", second.raw), "the same configuration each time");
    assert!(first.raw.is_some() || first.diagnostics.has_errors(), "nothing is refused without a reason");
    let _ = read_preset("fuzzed", text).1.render(true);

    if !data.contains(CANARY) {
        let planted =
            format!("{text}\n[sources.planted]\nsecrets = [{{ value = \"{CANARY}\" }}, {{ valeu = '{CANARY}' }}]\n");
        assert!(!shown(&read(&planted)).contains(CANARY), "a secret is shown");
    }
}

/// Everything that can be shown of a reading; on the way, checks that every span lies in its text.
fn shown(read: &Configuration) -> String {
    for problem in &read.diagnostics {
        if let (Origin::Text { text, .. }, Some(span)) = (problem.key.origin(), problem.span()) {
            assert!(text.masked.get(span.clone()).is_some(), "{span:?} lies in {text:?}: {}", problem.message);
        }
    }
    let json = serde_json::to_string(&read.diagnostics).expect("text and numbers can be written as JSON");
    format!("{}{}{json}{:?}", read.diagnostics.render(false), read.diagnostics.render(true), read.raw)
}

#[cfg(test)]
mod tests {
    use super::{config, read_preset};

    const EXAMPLE: &str = include_str!("read/example.toml");

    #[test]
    fn the_example_cut_and_mended_everywhere() {
        config(EXAMPLE.as_bytes());
        let lines: Vec<&str> = EXAMPLE.split_inclusive('\n').collect();
        for index in (0..lines.len()).step_by(5) {
            config([&lines[..index], &lines[index + 1..]].concat().concat().as_bytes());
            config(lines[..index].concat().as_bytes());
            for (from, to) in [
                ("\"", ""),
                ("=", "= 1 #"),
                ("[", ""),
                ("]", "é"),
                ("= \"", "= \"\"\""),
                ("a", "\u{1}"),
                ("{", "{ value = "),
            ] {
                let changed = lines[index].replacen(from, to, 1);
                config([&lines[..index], &[changed.as_str()], &lines[index + 1..]].concat().concat().as_bytes());
            }
        }
    }

    #[test]
    fn odd_texts() {
        for text in [
            "",
            "\u{feff}[server]\nlisten = 1\n",
            "\u{feff}x",
            "a = \"é\r\n",
            "[sources.\"\"]\n[sources.\"a\\u0000b\"]\n",
            "server = { listen = \"\u{202e}\" }\r\n\tx = 1",
            "[[server]]\n[[server]]\n",
            "sources.a.auth = [[1], [[2]], {}]",
            "sources.a.provider = \"fuzzed\"\nname = \"x\"\nauth = 1",
            "log.level = \"\u{7f}\u{1b}[2J\"",
            "\0HOOKSIEVE_SERVER__LISTEN=[\nHOOKSIEVE_SERVER=1\nHOOKSIEVE_A__B__C=1\nHOOKSIEVE_A__B=2\nHOOKSIEVE___=1",
            "\0HOOKSIEVE_SOURCES__A__SECRETS=[{ value = \"x\" }]\nHOOKSIEVE_SOURCES__A=1",
        ] {
            config(text.as_bytes());
        }
        config(&[0xff; 10]);
    }

    #[test]
    fn deep_nesting_ends_in_an_error_and_not_in_a_crash() {
        for text in [
            format!("a = {}", "[".repeat(20_000)),
            format!("a = {}1{}", "[".repeat(20_000), "]".repeat(20_000)),
            format!("a = {}", "{ a = ".repeat(20_000)),
            format!("{}a = 1", "a.".repeat(20_000)),
            format!("[{}a]\n", "a.".repeat(20_000)),
        ] {
            let (preset, problems) = read_preset("deep", &text);
            assert!(preset.is_none() && problems.has_errors());
        }
    }
}
