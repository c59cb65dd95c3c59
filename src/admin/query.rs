//! What may stand behind the question mark.

use std::fmt::Display;

use jiff::{Span, Timestamp, civil, tz::TimeZone};

use crate::{
    state::journal::{Filter, Page, State},
    telemetry::Outcome,
};

/// The most entries of one page.
pub const LIMIT_MAX: usize = 1_000;

/// The parameters of a list: name, and what it does.
pub(super) const LIST: &[(&str, &str)] = &[
    ("source", "Only of this source."),
    ("type", "Only of this event type, exactly as it was sent."),
    ("verdict", "Only with this verdict."),
    ("state", "Only in this state."),
    ("id", "Only with this `webhook-id`."),
    ("since", "Received at this time or later: RFC 3339, a date and time in UTC, or an age such as `2h`."),
    ("until", "Received before this time, written likewise."),
    ("limit", "How many at most: 50, or what is asked for, up to 1000."),
    ("offset", "How many of the newest are skipped: none, or what is asked for."),
];

/// The parameters of one delivery.
pub(super) const SHOW: &[(&str, &str)] = &[("body", "`1`: with the bytes, where they are kept.")];

/// The parameters of a replay or a drop.
pub(super) const CHANGE: &[(&str, &str)] = &[
    ("id", "The `webhook-id` that the delivery must have: a number from another journal then changes nothing."),
    ("again", "`1`, of a replay: also when it was delivered already. The application then gets it twice."),
];

/// A question for the delivery log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Which entries.
    pub filter: Filter,
    /// Which part of them.
    pub page: Page,
}

/// What a change is made under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) id: Option<String>,
    pub(super) again: bool,
}

impl Listing {
    /// Reads the parameters of a list.
    pub fn parse(query: &str, now: Timestamp) -> Result<Self, String> {
        let mut listing = Self::default();
        for (name, value) in pairs(query, LIST)? {
            let Self { filter, page } = &mut listing;
            match name {
                "source" => filter.source = Some(value),
                "type" => filter.event_type = Some(value),
                "verdict" => filter.verdict = Some(verdict(&value)?.to_owned()),
                "state" => filter.state = Some(state(&value)?),
                "id" => filter.webhook_id = Some(value),
                "since" => filter.since = Some(time(&value, now)?),
                "until" => filter.until = Some(time(&value, now)?),
                "limit" => page.limit = number(&value, 1, LIMIT_MAX)?,
                _ => page.offset = number(&value, 0, u32::MAX as usize)?,
            }
        }
        Ok(listing)
    }
}

impl Terms {
    /// Reads the parameters of a change.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut terms = Self::default();
        for (name, value) in pairs(query, CHANGE)? {
            match name {
                "id" => terms.id = Some(value),
                _ => terms.again = flag(&value)?,
            }
        }
        Ok(terms)
    }
}

/// Whether one delivery is to be shown with its bytes.
pub(super) fn with_body(query: &str) -> Result<bool, String> {
    pairs(query, SHOW)?.into_iter().try_fold(false, |_, (_, value)| flag(&value))
}

/// Known parameters, each at most once: one that is misspelt must not select everything.
fn pairs<'a>(query: &str, known: &[(&'a str, &str)]) -> Result<Vec<(&'a str, String)>, String> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some((name, _)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(format!(
                "there is no parameter {name:?}; there are {}",
                list(known.iter().map(|(name, _)| name))
            ));
        };
        if pairs.iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("the parameter `{name}` is there twice"));
        }
        pairs.push((name, value.into_owned()));
    }
    Ok(pairs)
}

/// A moment: RFC 3339, a date with or without a time (both in UTC), or how long ago it was.
pub fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let utc = |civil: civil::DateTime| civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let ago = || {
        let span: Span = text.parse().ok().filter(|span: &Span| !span.is_negative())?;
        Some(now.to_zoned(TimeZone::UTC).checked_sub(span).ok()?.timestamp())
    };
    // A time of day in the zone of a place would be read as if it were in UTC.
    let civil = || utc(text.parse().ok().filter(|_| !text.contains('['))?);
    let found = text.parse().ok().or_else(civil).or_else(ago);
    found.ok_or_else(|| {
        format!("{text:?} is no time: write \"2026-11-26T08:00:00Z\", \"2026-11-26 08:00\" or \"2h\" (ago)")
    })
}

/// A state, by its word.
pub fn state(text: &str) -> Result<State, String> {
    let known = || State::ALL.iter().map(|state| state.as_str());
    let found = State::ALL.iter().copied().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no state: write one of {}", list(known())))
}

/// The word of a verdict that an event can have.
pub fn verdict(text: &str) -> Result<&'static str, String> {
    let known = || Outcome::ALL.iter().filter(|outcome| outcome.is_of_an_event()).map(|outcome| outcome.as_str());
    known().find(|word| *word == text).ok_or_else(|| format!("{text:?} is no verdict: write one of {}", list(known())))
}

fn number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let found = text.parse().ok().filter(|number| (min..=max).contains(number));
    found.ok_or_else(|| format!("{text:?} is not a number from {min} to {max}"))
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(format!("{text:?} is neither `1` nor `0`")),
    }
}

fn list<T: Display>(words: impl Iterator<Item = T>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

    #[test]
    fn times_are_absolute_or_ages() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(time(text, NOW).ok().map(|time| time.to_string()).as_deref(), want, "{text}");
        };
        check("2026-11-26T08:00:00Z", Some("2026-11-26T08:00:00Z"));
        check("2026-11-26T09:00:00+01:00", Some("2026-11-26T08:00:00Z"));
        check("2026-11-26 08:00:00", Some("2026-11-26T08:00:00Z"));
        check("2026-11-26 08:00", Some("2026-11-26T08:00:00Z"));
        check("2026-11-26", Some("2026-11-26T00:00:00Z"));
        check("2026-11-26T09:00:00+01:00[Europe/Berlin]", Some("2026-11-26T08:00:00Z"));
        check("2026-11-26T09:00:00[Europe/Berlin]", None);
        check("2h", Some("2025-12-31T22:00:00Z"));
        check("1d 30m", Some("2025-12-30T23:30:00Z"));
        check("-2h", None);
        check("2", None);
        check("yesterday", None);
        check("999999999h", None);
        check("", None);
    }

    #[test]
    fn a_list_is_asked_for_exactly() {
        let query = "source=a+b&type=%C3%A9.x&verdict=queue&state=dead&id=evt_1&since=2h&until=1h&limit=7&offset=9";
        let Listing { filter, page } = Listing::parse(query, NOW).unwrap();
        assert_eq!((filter.source.as_deref(), filter.event_type.as_deref()), (Some("a b"), Some("é.x")));
        assert_eq!((filter.verdict.as_deref(), filter.state), (Some("queue"), Some(State::Dead)));
        assert_eq!(filter.webhook_id.as_deref(), Some("evt_1"));
        assert_eq!(filter.until.unwrap().as_second() - filter.since.unwrap().as_second(), 3600);
        assert_eq!(page, Page { limit: 7, offset: 9 });
        let empty = Listing::parse("", NOW).unwrap();
        assert_eq!(empty.page, Page { limit: 50, offset: 0 });
    }

    #[test]
    fn a_slip_selects_nothing() {
        let check = |query: &str, want: &str| {
            let said = Listing::parse(query, NOW).unwrap_err();
            assert!(said.contains(want), "{query}: {said}");
        };
        check("sorce=a", "there is no parameter \"sorce\"");
        check("source=a&source=b", "`source` is there twice");
        check("state=deed", "`dead`");
        check("verdict=mixed", "`quarantine`");
        check("limit=0", "from 1 to 1000");
        check("limit=1001", "from 1 to 1000");
        check("offset=-1", "from 0");
        check("since=x", "is no time");
        assert!(Terms::parse("again=yes").is_err() && Terms::parse("force=1").is_err());
        assert_eq!(Terms::parse("again=1&id=evt_1"), Ok(Terms { id: Some("evt_1".into()), again: true }));
        assert_eq!((with_body(""), with_body("body=1")), (Ok(false), Ok(true)));
    }
}
