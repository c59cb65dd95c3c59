//! What an operator sees: one record per request, and the metrics.
//!
//! Nothing that is said here carries a body, a secret, a header's value, a query or a MAC; a string that came from
//! outside is cut and escaped first ([`printable`]). Label values come from closed lists and from the configuration.

mod access;
mod dedup;
mod journal;
mod log;
mod metrics;
mod words;

use std::{borrow::Cow, fmt::Write as _};

pub use access::{AccessRecord, FIELDS, TRACE_TARGET, Telemetry, Timings};
pub use dedup::{DedupCounts, DedupMetrics};
pub use journal::{JournalCounts, JournalMetrics, QueueMetrics};
pub use log::{Format, count_panics, init, init_with};
pub use metrics::{DECLARED, Declared, FetchMetrics, Metrics, NO_SOURCE, SourceMetrics, UpstreamMetrics};
pub use words::{Counts, Outcome, Reason};

/// The longest string from outside that is logged, in bytes.
const TEXT_MAX: usize = 256;

/// `text` fit for one line of a log: at most 256 bytes of it, and nothing that moves a cursor or turns the writing
/// around.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let cut = &text[..text.floor_char_boundary(TEXT_MAX)];
    if cut.len() == text.len() && !cut.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(cut.len() + 16);
    for character in cut.chars() {
        if is_unprintable(character) {
            let _ = write!(out, "{}", character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    if cut.len() < text.len() {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, and the marks that reorder text.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_18_what_is_logged_stays_on_its_line() {
        let check = |text: &str, want: &str| assert_eq!(printable(text), want);
        check("order.created", "order.created");
        check("äöü €", "äöü €");
        check("a\r\nb", r"a\u{d}\u{a}b");
        check("\u{1b}[2J", r"\u{1b}[2J");
        check("\u{9b}2J", r"\u{9b}2J");
        check("abc\u{202e}def", r"abc\u{202e}def");
        check(&"x".repeat(256), &"x".repeat(256));
        check(&"x".repeat(257), &("x".repeat(256) + "…"));
        check(&"€".repeat(100), &("€".repeat(85) + "…"));
    }
}
