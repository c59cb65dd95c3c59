//! The same JSON as others would have written it: what a body looks like after a program has read it and written it again.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::stages::json::{Document, Kind, Limits, Value};

/// White space between values.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Compact,
    Spaced,
    Lines(&'static str),
}

/// How strings are written.
#[derive(Clone, Copy, Debug)]
enum Strings {
    /// As they are.
    Kept,
    /// With the escapes that JSON demands (RFC 8259, section 7) and no others.
    Plain,
    Escaped {
        slashes: bool,
        unicode: bool,
        html: bool,
    },
}

const LAYOUTS: [(Layout, &str); 6] = [
    (Layout::Compact, "without white space between its values"),
    (Layout::Spaced, "with a blank after every comma and colon, as Python writes it"),
    (Layout::Lines("  "), "indented by two blanks"),
    (Layout::Lines("    "), "indented by four blanks"),
    (Layout::Lines("\t"), "indented by tabs"),
    (Layout::Lines(""), "with a line for each value"),
];

const STRINGS: [(Strings, &str); 6] = [
    (Strings::Kept, ""),
    (Strings::Plain, "with no escapes in its strings but the necessary ones"),
    (Strings::Escaped { slashes: true, unicode: false, html: false }, "with slashes written `\\/`, as PHP does"),
    (Strings::Escaped { slashes: false, unicode: true, html: false }, "with `\\u` escapes for all but ASCII"),
    (
        Strings::Escaped { slashes: true, unicode: true, html: false },
        "with slashes written `\\/` and `\\u` escapes for all but ASCII, as PHP does",
    ),
    (Strings::Escaped { slashes: false, unicode: false, html: true }, "with `<`, `>` and `&` escaped, as Go does"),
];

/// Every way of writing it that is tried, each with its description. Nothing when the body is not JSON.
pub(super) fn rewritten(body: &Bytes) -> Vec<(Bytes, String)> {
    let Ok(document) = Document::parse(body.clone(), &Limits::default()) else { return Vec::new() };
    let mut all: Vec<(Bytes, String)> = Vec::new();
    for sorted in [false, true] {
        for (strings, of_strings) in STRINGS {
            for (layout, of_layout) in LAYOUTS {
                let mut writer = Writer { out: String::new(), layout, strings, sorted };
                if writer.value(document.root(), 0).is_none() {
                    continue;
                }
                let text = Bytes::from(writer.out);
                if text != *body && !all.iter().any(|(known, _)| *known == text) {
                    let sorting = if sorted { "with sorted keys" } else { "" };
                    let parts = [of_layout, of_strings, sorting].into_iter().filter(|part| !part.is_empty());
                    all.push((text, parts.collect::<Vec<_>>().join(", and ")));
                }
            }
        }
    }
    all
}

struct Writer {
    out: String,
    layout: Layout,
    strings: Strings,
    sorted: bool,
}

impl Writer {
    /// The depth of a document is limited, and so is this recursion.
    fn value(&mut self, value: Value<'_>, depth: usize) -> Option<()> {
        match value.kind() {
            Kind::Null | Kind::Bool | Kind::Number => self.out.push_str(std::str::from_utf8(value.raw()).ok()?),
            Kind::String => match self.strings {
                Strings::Kept => self.out.push_str(std::str::from_utf8(value.raw()).ok()?),
                Strings::Plain | Strings::Escaped { .. } => self.string(&value.as_str()?)?,
            },
            Kind::Array => {
                self.out.push('[');
                for (index, element) in value.elements().enumerate() {
                    self.between(index, depth + 1);
                    self.value(element, depth + 1)?;
                }
                self.end(value.is_empty(), depth);
                self.out.push(']');
            }
            Kind::Object => {
                self.out.push('{');
                let mut members: Vec<_> = value.members().collect();
                if self.sorted {
                    members.sort_by(|(one, _), (other, _)| one.cmp(other));
                }
                for (index, (key, member)) in members.into_iter().enumerate() {
                    self.between(index, depth + 1);
                    self.string(&key)?;
                    self.out.push_str(if matches!(self.layout, Layout::Compact) { ":" } else { ": " });
                    self.value(member, depth + 1)?;
                }
                self.end(value.is_empty(), depth);
                self.out.push('}');
            }
        }
        Some(())
    }

    fn between(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push(',');
        }
        match self.layout {
            Layout::Compact => {}
            Layout::Spaced if index == 0 => {}
            Layout::Spaced => self.out.push(' '),
            Layout::Lines(indent) => self.line(indent, depth),
        }
    }

    fn end(&mut self, is_empty: bool, depth: usize) {
        if let Layout::Lines(indent) = self.layout
            && !is_empty
        {
            self.line(indent, depth);
        }
    }

    fn line(&mut self, indent: &str, depth: usize) {
        self.out.push('\n');
        (0..depth).for_each(|_| self.out.push_str(indent));
    }

    fn string(&mut self, text: &str) -> Option<()> {
        let quoted = serde_json::to_string(text).ok()?;
        let Strings::Escaped { slashes, unicode, html } = self.strings else {
            self.out.push_str(&quoted);
            return Some(());
        };
        for character in quoted.chars() {
            match character {
                '/' if slashes => self.out.push_str("\\/"),
                '<' | '>' | '&' if html => write!(self.out, "\\u{:04x}", u32::from(character)).ok()?,
                _ if unicode && !character.is_ascii() => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}").ok()?;
                    }
                }
                _ => self.out.push(character),
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_as_others_write_them() {
        let body = Bytes::from_static("{ \"b\" : [ 1.0, {}, \"é/😀\" ],\n\"a\": \"<\\u00e9\" }".as_bytes());
        let all = rewritten(&body);
        let check = |want: &str| assert!(all.iter().any(|(text, _)| text == want.as_bytes()), "{want}\n{all:?}");
        check("{\"b\":[1.0,{},\"é/😀\"],\"a\":\"<\\u00e9\"}");
        check("{\"b\": [1.0, {}, \"é/😀\"], \"a\": \"<\\u00e9\"}");
        check("{\"b\": [1.0, {}, \"\\u00e9/\\ud83d\\ude00\"], \"a\": \"<\\u00e9\"}");
        check("{\"b\":[1.0,{},\"\\u00e9\\/\\ud83d\\ude00\"],\"a\":\"<\\u00e9\"}");
        check("{\"b\":[1.0,{},\"é/😀\"],\"a\":\"\\u003cé\"}");
        check("{\"a\":\"<é\",\"b\":[1.0,{},\"é/😀\"]}");
        check("{\n  \"b\": [\n    1.0,\n    {},\n    \"é/😀\"\n  ],\n  \"a\": \"<\\u00e9\"\n}");
        assert!(rewritten(&Bytes::from_static(b"a=1&b=2")).is_empty());
    }

    #[test]
    fn what_is_the_same_is_not_tried_twice() {
        let all = rewritten(&Bytes::from_static(b"1"));
        assert!(all.is_empty(), "{all:?}");
    }
}
