//! Which parts of a text are secrets, and the text without them.
//!
//! Every byte of a secret becomes a `*`, so lines, columns and carets stay where they are. What could be a secret counts
//! as one: a string that stands where a secret belongs is masked even when it should not stand there.

use std::{collections::BTreeSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Masks what `tree` shows to be secret in `text`; `settings` are the names of further secret settings.
pub(crate) fn mask(text: &str, tree: &DeTable<'_>, settings: &BTreeSet<String>) -> String {
    let mut secrets = Vec::new();
    walk_table(tree, false, settings, &mut secrets);
    if let Some(admin) = tree.get("admin") {
        walk(admin, false, &BTreeSet::from(["token".to_owned()]), &mut secrets);
    }
    let mut masked = text.as_bytes().to_vec();
    for span in secrets {
        // The quotes stay.
        cover(&mut masked, span.start + 1..span.end.saturating_sub(1), b"\r\n");
    }
    hide_user_information(&mut masked);
    String::from_utf8(masked).expect("whole strings were covered with ASCII")
}

/// Masks a text that is not TOML: nobody knows which of its strings are secrets, so only the keys stay.
pub(crate) fn mask_malformed(text: &str) -> String {
    let mut masked = text.as_bytes().to_vec();
    let mut begin = 0;
    let mut trusted = true;
    for line in text.split_inclusive('\n') {
        // Inside a string of several lines anything can look like a key.
        trusted &= !line.contains("\"\"\"") && !line.contains("'''");
        let name = line.trim_end();
        let kept = match name.split_once('=') {
            Some((key, _)) if trusted && is_plain(key) => key.len(),
            None if trusted && name.trim_start().starts_with('[') && is_plain(name) => name.len(),
            _ => 0,
        };
        cover(&mut masked, begin + kept..begin + line.len(), b" \t\r\n=[]{},\"'");
        begin += line.len();
    }
    String::from_utf8(masked).expect("the characters of a line were covered whole")
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" \t_-.[]".contains(&byte))
}

/// Whether a value under this path must not be shown.
pub(crate) fn is_secret_path(path: &str) -> bool {
    path.starts_with("admin.token") || path.split(['.', '[']).any(|it| is_secret_key(it) || is_credential_header(it))
}

fn cover(text: &mut [u8], span: Range<usize>, kept: &[u8]) {
    for byte in text.get_mut(span).into_iter().flatten() {
        if !kept.contains(byte) {
            *byte = b'*';
        }
    }
}

fn is_secret_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "value" | "sign" | "require_headers")
        || ["secret", "password", "passwd", "api_key", "apikey", "private_key"].iter().any(|word| name.contains(word))
}

fn is_credential_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "-key", "-token"].iter().any(|word| name.contains(word))
}

fn walk_table(table: &DeTable<'_>, secret: bool, settings: &BTreeSet<String>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let named = is_secret_key(name) || is_credential_header(name) || settings.contains(name);
        // In the place of a secret these say where it is, and are not it.
        let harmless = secret && matches!(name, "env" | "file" | "name" | "until");
        walk(value, (secret || named) && !harmless, settings, spans);
    }
}

fn walk(value: &Spanned<DeValue<'_>>, secret: bool, settings: &BTreeSet<String>, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) if secret => spans.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| walk(item, secret, settings, spans)),
        DeValue::Table(table) => walk_table(table, secret, settings, spans),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Masks `user:password` in `http://user:password@host`.
fn hide_user_information(text: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = text[from..].windows(3).position(|window| window == b"://") {
        from += found + 3;
        let length = text[from..].iter().position(|byte| b"\"'/\r\n \t".contains(byte)).unwrap_or(text.len() - from);
        if let Some(at) = text[from..from + length].iter().rposition(|byte| *byte == b'@') {
            cover(text, from..from + at, b"");
        }
    }
}
