//! Where a setting stands: its dotted path, and the text, preset or variable it was written in.

use std::{fmt, ops::Deref, ops::Range, sync::Arc};

/// A text that settings are read from: the file, or a preset. Secrets in it are masked when it is made.
pub struct Text {
    /// The name shown: the path as the operator gave it, or `presets/ID.toml`.
    pub name: String,
    /// The preset's id, where the text is a preset.
    pub preset: Option<String>,
    /// The text with every secret replaced by as many bytes of `*`, so that offsets stay true.
    pub(crate) masked: String,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.name)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// A place in the file or in a preset. Both spans are byte ranges of that text.
    Text {
        /// Which text.
        text: Arc<Text>,
        /// The key (or the header of the table).
        key: Range<usize>,
        /// The value; the same as `key` for a table with a header of its own.
        value: Range<usize>,
    },
    /// The environment variable of this name.
    Environment(String),
}

/// The path of a setting, and where it was written. Cheap to clone.
#[derive(Clone)]
pub struct Key(Arc<(String, Origin)>);

impl Key {
    pub(crate) fn new(path: impl Into<String>, origin: Origin) -> Self {
        Self(Arc::new((path.into(), origin)))
    }

    /// The dotted path, for example `sources.cakewalk.auth[0].kind`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.0
    }

    /// Where it was written.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.1
    }

    /// The key `name` of this table, at the place of the table: for a problem with something that is not there.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self::new(join(self.path(), name), self.origin().clone())
    }

    /// Whether nobody wrote the value and it is the built-in default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(self.origin(), Origin::Default)
    }

    /// Whether it was written in the file or in a preset.
    #[must_use]
    pub fn is_written_in_text(&self) -> bool {
        matches!(self.origin(), Origin::Text { .. })
    }

    /// The preset the value was written in, if it was.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        match self.origin() {
            Origin::Text { text, .. } => text.preset.as_deref(),
            Origin::Default | Origin::Environment(_) => None,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path())
    }
}

/// A value with the key it stands under, so that whoever finds fault with it later can point at it.
#[derive(Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub key: Key,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// `name` under `path`, quoted where TOML would quote it.
pub(crate) fn join(path: &str, name: &str) -> String {
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let name = if plain { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
