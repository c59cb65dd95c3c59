//! Names with `*` for any run of characters.

use std::cmp::Reverse;

/// A name with `*` for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sorts patterns from the most to the least exact: names written out first, then by length.
    pub fn precedence(&self) -> (usize, Reverse<usize>) {
        (self.0.matches('*').count(), Reverse(self.0.len()))
    }

    /// Whether it is `*`, which every name matches.
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// Whether the whole name matches, byte for byte.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_whole_names() {
        let cases = [
            ("order.*", "order.paid", true),
            ("order.*", "order", false),
            ("order.*", "reorder.paid", false),
            ("*", "anything", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }
}
