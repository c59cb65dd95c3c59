//! Questions for the delivery log: what is accepted selects what was asked for, and nothing that was asked for is left out.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use jiff::Timestamp;

use crate::{
    admin::query::{LIMIT_MAX, Listing},
    state::journal::State,
};

/// Midnight, so that an age is a round time.
const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The query of `GET /deliveries`.
///
/// # Panics
///
/// When a question is another one after it was written anew, or does not hold what another decoder finds in it.
pub fn listing(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    let Ok(listing) = Listing::parse(&query, NOW) else { return };
    let written = written(&listing);
    assert_eq!(Listing::parse(&written, NOW).as_ref(), Ok(&listing), "{query:?} is written as {written:?}");

    let asked = asked(&query);
    let text = |name: &str| asked.get(name).map(String::as_str);
    let Listing { filter, page } = &listing;
    assert_eq!(filter.source.as_deref(), text("source"));
    assert_eq!(filter.event_type.as_deref(), text("type"));
    assert_eq!(filter.verdict.as_deref(), text("verdict"));
    assert_eq!(filter.state.map(State::as_str), text("state"));
    assert_eq!(filter.webhook_id.as_deref(), text("id"));
    assert_eq!(page.limit, text("limit").map_or(50, |limit| limit.parse().expect("it was read before")));
    assert_eq!(page.offset, text("offset").map_or(0, |offset| offset.parse().expect("it was read before")));
    assert!((1..=LIMIT_MAX).contains(&page.limit) && u32::try_from(page.offset).is_ok(), "{page:?}");
    for (name, moment) in [("since", filter.since), ("until", filter.until)] {
        assert_eq!(moment.is_some(), asked.contains_key(name), "{name}");
        if let (Some(moment), Some(text)) = (moment, text(name)) {
            is_what_it_says(text, moment);
        }
    }
    let known = ["source", "type", "verdict", "state", "id", "since", "until", "limit", "offset"];
    assert!(asked.keys().all(|name| known.contains(&name.as_str())), "{query:?} has another parameter");
}

/// A time has its own digits in it; an age lies in the past; and neither has a zone that was not heeded.
fn is_what_it_says(text: &str, moment: Timestamp) {
    let is_date = text.len() >= 10
        && text.bytes().take(10).enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    // A date without hyphens (ISO 8601, basic format).
    let is_basic = text.len() >= 8 && text.bytes().take(8).all(|byte| byte.is_ascii_digit());
    let is_utc = is_date && !text[10..].contains(['+', '-', '[']);
    if is_utc {
        assert_eq!(text[..10], moment.to_string()[..10], "{text:?} is read as {moment}");
    } else if !is_date && !is_basic && !text.starts_with(['+', '-']) && !text.contains(':') && !text.contains('T') {
        assert!(text.starts_with('P') || text.starts_with('p') || moment <= NOW, "{text:?} is read as {moment}");
    }
    if let Some((before, _)) = text.split_once('[') {
        let offset = before.get(10..).unwrap_or_default();
        assert!(offset.contains(['Z', 'z', '+', '-']), "{text:?} is read as {moment}, its zone unheeded");
    }
}

fn written(listing: &Listing) -> String {
    let Listing { filter, page } = listing;
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let state = filter.state.map(|state| state.as_str().to_owned());
    let all = [
        ("source", filter.source.clone()),
        ("type", filter.event_type.clone()),
        ("verdict", filter.verdict.clone()),
        ("state", state),
        ("id", filter.webhook_id.clone()),
        ("since", text(filter.since)),
        ("until", text(filter.until)),
        ("limit", Some(page.limit.to_string())),
        ("offset", Some(page.offset.to_string())),
    ];
    let present = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Serializer::new(String::new()).extend_pairs(present).finish()
}

/// Names and values by a decoder of its own. What is there twice was refused.
fn asked(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let mut asked = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let earlier = asked.insert(decode(name), decode(value));
        assert_eq!(earlier, None, "{name:?} is there twice in {query:?}");
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::listing;

    #[test]
    fn promises_hold_for_these() {
        for query in [
            "",
            "&&",
            "source=a+b&type=%C3%A9.x&verdict=queue&state=dead&id=evt_1&since=2h&until=1h&limit=7&offset=9",
            "source=%ff&id=",
            "source",
            "limit=%31&offset=+1",
            "limit=0007",
            "since=2026-11-26T08:00:00%2B01:00&until=2026-11-26",
            "since=P1D&until=1d+30m",
            "since=1d+ago",
            "since=2026-11-26T08:00[Europe/Berlin]",
            "since=9999-12-30T22:00:00.9Z&until=-009999-01-02T01:59:59Z",
        ] {
            listing(query.as_bytes());
        }
    }
}
