//! Writes `docs/config-reference.md` from the declarations of the keys.

use std::fmt::Write;

use crate::config::{
    key::join,
    raw::{Raw, preset::Preset},
    table::{Setting, Shape, Table},
};

/// The page about every table and key of the configuration, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = Page { text: HEAD.to_owned(), sections: Vec::new() };
    for setting in Raw::TABLE.keys {
        page.place(setting.name(), &(setting.shape)());
    }
    page.text.push_str(PRESET_HEAD);
    page.table("", Preset::TABLE);
    page.text
}

const HEAD: &str = "\
# Every key of the configuration

This page is written by a test from the code that reads the keys; edit the comments there.

The file is TOML. A preset comes first, the file goes over it, and variables of the environment over both:
`HOOKSIEVE_SERVER__LISTEN` is `server.listen`, with two underscores between levels, and `MY_SOURCE` for a source named
`my-source`. A variable holds a string as it is, and anything else as TOML: `true`, `12`, `[\"a\", \"b\"]`. Tables are merged
key by key; everything else, lists too, is replaced as a whole.

- A *duration* is `\"300ms\"`, `\"5s\"`, `\"10m\"`, `\"24h\"` or `\"7d\"`.
- A *size* is `\"512B\"`, `\"64KiB\"`, `\"1MiB\"` or `\"1GiB\"`.
- A *rate* is `\"50/s\"`, `\"600/m\"` or `\"10/h\"`.
- Where a list is said to be one *or a list*, brackets around a single value may be left out.
- A *selector* says where in a request a value lies, for example `header:x-signature` or `json:/id`.
- A *path of a file* that is relative starts at the configuration file.
";

const PRESET_HEAD: &str = "
# Presets

A preset says of a sender what a source says, in the same tables, and asks the operator for what it cannot know. A source
that names it with `provider` takes these tables over, and goes over them key by key. Anywhere in it `{setting:NAME}`
stands for what the operator says, be it a header's name, an encoding or a part of a template.
";

struct Page {
    text: String,
    /// The tables that have a section, and its title.
    sections: Vec<(&'static Table, String)>,
}

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a string does not fail");
    }

    /// A section for what stands under `path`, where it is a table that has none yet.
    fn place(&mut self, path: &str, shape: &Shape) {
        match shape {
            Shape::Leaf(_) | Shape::Words(_) => {}
            Shape::Map(inner) => self.place(&format!("{path}.NAME"), inner),
            Shape::Table(table) => self.section(format!("[{path}]"), path, table),
            Shape::List(inner) | Shape::Many(inner) => {
                if let Shape::Table(table) = **inner {
                    self.section(format!("[[{path}]]"), path, table);
                }
            }
        }
    }

    fn section(&mut self, title: String, path: &str, table: &'static Table) {
        if self.title(table).is_none() {
            self.line(format_args!("\n## `{title}`\n\n{}", prose(table.doc)));
            self.sections.push((table, title));
            self.table(path, table);
        }
    }

    fn table(&mut self, path: &str, table: &'static Table) {
        self.line(format_args!("\n| key | value | default | what it is |\n|---|---|---|---|"));
        for setting in table.keys {
            let value = self.value(&(setting.shape)());
            let (value, default, about) = (cell(&value), cell(&default(setting)), cell(&about(setting)));
            self.line(format_args!("| `{}` | {value} | {default} | {about} |", setting.name()));
        }
        for setting in table.keys {
            self.place(&join(path, setting.name()), &(setting.shape)());
        }
    }

    fn title(&self, table: &'static Table) -> Option<&str> {
        self.sections.iter().find(|(known, _)| known.name == table.name).map(|(_, title)| title.as_str())
    }

    /// What is written after the `=`.
    fn value(&self, shape: &Shape) -> String {
        match shape {
            Shape::Leaf(words) => words.clone(),
            Shape::Words(words) => words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
            Shape::Table(table) => {
                self.title(table).map_or_else(|| "a table".to_owned(), |title| format!("a table as `{title}`"))
            }
            Shape::List(inner) => format!("a list: {}", self.value(inner)),
            Shape::Many(inner) => format!("{}, or a list", self.value(inner)),
            Shape::Map(inner) => format!("names, each with {}", self.value(inner)),
        }
    }
}

fn default(setting: &Setting) -> String {
    match setting.default {
        Some("{}") => String::new(),
        Some(default) => format!("`{default}`"),
        None if (setting.required)() => "required".to_owned(),
        None => String::new(),
    }
}

/// The documentation of the key and, for a closed list, of its words.
fn about(setting: &Setting) -> String {
    let mut about = prose(setting.doc);
    if let Shape::Words(words) = (setting.shape)() {
        for (word, meaning) in words {
            write!(about, " `{word}`: {}", meaning.trim()).expect("writing to a string does not fail");
        }
    }
    about
}

fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
