//! JSON pointers (RFC 6901), parsed once, when the configuration is read.

use std::{fmt, str::FromStr};

/// The way to a value inside another: `""` is the value itself, `"/a/0"` the first element of its member `a`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer in its plain form (not the URI fragment form that starts with `#`).
    pub fn parse(text: &str) -> Result<Self, PointerFault> {
        let Some(path) = text.strip_prefix('/') else {
            return if text.is_empty() { Ok(Self::default()) } else { Err(PointerFault::NoSlash) };
        };
        let tokens = path.split('/').map(unescape).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pointer as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The keys and indices on the way, decoded.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// Whether this is `""`, the whole value.
    pub fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pointer {
    type Err = PointerFault;

    fn from_str(text: &str) -> Result<Self, PointerFault> {
        Self::parse(text)
    }
}

/// What is wrong with the text of a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerFault {
    /// It is neither empty nor starts with a slash.
    #[error("a JSON pointer is empty or starts with `/`")]
    NoSlash,
    /// A tilde is followed by something else than `0` or `1`.
    #[error("in a JSON pointer `~` is written `~0` and `/` is written `~1`")]
    Escape,
}

fn unescape(token: &str) -> Result<String, PointerFault> {
    let mut decoded = String::with_capacity(token.len());
    let mut parts = token.split('~');
    decoded.extend(parts.next());
    for part in parts {
        if let Some(rest) = part.strip_prefix('0') {
            decoded.push('~');
            decoded.push_str(rest);
        } else if let Some(rest) = part.strip_prefix('1') {
            decoded.push('/');
            decoded.push_str(rest);
        } else {
            return Err(PointerFault::Escape);
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_as_rfc_6901_says() {
        let check = |text: &str, expected: Result<&[&str], PointerFault>| match (Pointer::parse(text), expected) {
            (Ok(pointer), Ok(tokens)) => assert!(pointer.tokens().eq(tokens.iter().copied()), "{text}"),
            (found, expected) => assert_eq!(found.err(), expected.err(), "{text}"),
        };
        check("", Ok(&[]));
        check("/", Ok(&[""]));
        check("/a//0", Ok(&["a", "", "0"]));
        check("/~0~1~01", Ok(&["~/~1"]));
        check("/é/__proto__", Ok(&["é", "__proto__"]));
        check("a", Err(PointerFault::NoSlash));
        check("#/a", Err(PointerFault::NoSlash));
        check("/~", Err(PointerFault::Escape));
        check("/~2", Err(PointerFault::Escape));
        check("/a~/b", Err(PointerFault::Escape));
    }
}
