//! What is wrong with a configuration: every problem with its file, line, column and key, and with what to write instead.
//!
//! A text is masked before it gets here (`mask`), so no rendering can show a secret.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Serialize, Serializer};

use crate::config::key::{Key, Origin};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The gateway does not start with it.
    Error,
    /// The gateway starts, but the operator should know.
    Warning,
}

/// Which word the caret stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Key,
    Value,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The setting it is about.
    pub key: Key,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What was there instead of what is wanted, where that needs saying; never a secret.
    pub found: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
    under: Under,
}

impl Diagnostic {
    fn new(severity: Severity, key: &Key, message: impl Into<String>) -> Self {
        Self { severity, key: key.clone(), message: message.into(), found: None, help: None, under: Under::Value }
    }

    /// A problem that keeps the gateway from starting, with the caret under the value.
    #[must_use]
    pub fn error(key: &Key, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, key, message)
    }

    /// A problem the operator should know of, with the caret under the value.
    #[must_use]
    pub fn warning(key: &Key, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, key, message)
    }

    /// Says what was found. Must not be, or contain, a secret.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts the caret under the key rather than the value.
    #[must_use]
    pub fn under_key(mut self) -> Self {
        self.under = Under::Key;
        self
    }

    /// The byte range of the text that the caret stands under; `None` for what was not written in a text.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self.key.origin() {
            Origin::Text { key, value, .. } => Some(if self.under == Under::Key { key } else { value }.clone()),
            Origin::Default | Origin::Environment(_) => None,
        }
    }

    /// Whether it keeps the gateway from starting.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The file or preset it is in.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self.key.origin() {
            Origin::Text { text, .. } => Some(&text.name),
            Origin::Default | Origin::Environment(_) => None,
        }
    }

    /// Line and column, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        self.spot().map(|spot| (spot.line, spot.column()))
    }

    fn spot(&self) -> Option<Spot<'_>> {
        match (self.key.origin(), self.span()) {
            (Origin::Text { text, .. }, Some(span)) => Some(Spot::new(&text.masked, span)),
            _ => None,
        }
    }

    /// The names of the variable, or nothing.
    fn variable(&self) -> Option<&str> {
        match self.key.origin() {
            Origin::Environment(name) => Some(name),
            Origin::Default | Origin::Text { .. } => None,
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let (Some(spot), Some(file)) = (self.spot(), self.file()) {
            let label = self.found.as_ref().map(|found| format!("found {found}"));
            let caret = AnnotationKind::Primary.span(spot.range.clone()).label(label);
            group = if spot.text.is_empty() {
                group.element(annotate_snippets::Origin::path(file))
            } else {
                group.element(Snippet::source(spot.text).path(file).line_start(spot.line).annotation(caret))
            };
        } else {
            if let Some(name) = self.variable() {
                group = group.element(Level::NOTE.message(format!("set by the environment variable {name}")));
            }
            if let Some(found) = &self.found {
                group = group.element(Level::NOTE.message(format!("found {found}")));
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Record<'a> {
            severity: Severity,
            key: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            found: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            line: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            column: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            variable: Option<&'a str>,
        }

        let position = self.position();
        Record {
            severity: self.severity,
            key: self.key.path(),
            message: &self.message,
            found: self.found.as_deref(),
            help: self.help.as_deref(),
            file: self.file(),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            variable: self.variable(),
        }
        .serialize(serializer)
    }
}

/// The first line a span touches, and the part of the span on it.
struct Spot<'a> {
    text: &'a str,
    line: usize,
    range: Range<usize>,
}

impl<'a> Spot<'a> {
    fn new(text: &'a str, span: Range<usize>) -> Self {
        let begin = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[span.start..].find('\n').map_or(text.len(), |newline| span.start + newline);
        let line = text[..begin].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let last = span.end.clamp(span.start, end);
        Self { text: &text[begin..end], line, range: span.start - begin..last - begin }
    }

    fn column(&self) -> usize {
        self.text[..self.range.start].chars().count() + 1
    }
}

/// How many problems are drawn for a person; a machine gets all of them.
const RENDERED_MAX: usize = 100;

/// All problems found so far.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    problems: Vec<Diagnostic>,
    #[serde(skip)]
    errors: usize,
}

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, problem: Diagnostic) {
        self.errors += usize::from(problem.severity == Severity::Error);
        self.problems.push(problem);
    }

    /// Adds an error at the value of `key`, with what to write instead.
    pub fn error_at(&mut self, key: &Key, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::error(key, message).help(help));
    }

    /// Adds a warning at the value of `key`, with what to write instead.
    pub fn warn_at(&mut self, key: &Key, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::warning(key, message).help(help));
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.errors += others.errors;
        self.problems.extend(others.problems);
    }

    /// Whether the gateway must not start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many of them are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.problems.iter()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Puts them in the order of the text: the file, then presets, then what was not written in a text.
    pub fn sort(&mut self) {
        self.problems.sort_by_key(|problem| match problem.key.origin() {
            Origin::Text { text, .. } => {
                (0, text.preset.clone(), problem.span().map_or(0, |span| span.start), problem.key.path().to_owned())
            }
            Origin::Environment(_) => (1, None, 0, problem.key.path().to_owned()),
            Origin::Default => (2, None, 0, problem.key.path().to_owned()),
        });
    }

    /// The picture for a person: the line of each problem with a caret under the word, and what to write instead.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let shown = self.problems.iter().take(RENDERED_MAX).map(|problem| problem.render(&renderer) + "\n");
        let more = self.problems.len().saturating_sub(RENDERED_MAX);
        let more = (more > 0).then(|| format!("and {more} more\n"));
        shown.chain(more).collect::<Vec<_>>().join("\n")
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
