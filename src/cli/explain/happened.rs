//! When events happened (`events.time`): an old one tells of a sender that tries again, or of one that was held back.

use jiff::Timestamp;

use super::hypotheses::demand::apart;
use crate::stages::selector::{Facts, Selector};

/// Numbers from here on are milliseconds: as seconds they would be after the year 5000.
const MILLISECONDS: f64 = 1e11;

/// What is to be said of the times of a request's events.
pub(super) fn note(selector: &Selector, times: &[Option<Timestamp>], now: Timestamp) -> String {
    let (known, unread) = (times.iter().flatten(), times.iter().filter(|time| time.is_none()).count());
    let age = match (known.clone().min(), known.max()) {
        (Some(first), Some(last)) if first == last => apart(*first, now),
        (Some(first), Some(last)) => format!("from {} to {}", apart(*first, now), apart(*last, now)),
        (None, _) | (_, None) => "unknown".to_owned(),
    };
    format!("happened: {age}, by `{selector:?}`; events without it: {unread}")
}

/// The time of an event: a date of RFC 3339, or seconds or milliseconds since 1970.
pub(super) fn time(selector: &Selector, facts: &Facts<'_>) -> Option<Timestamp> {
    let bytes = selector.find(facts).ok()??;
    let text = std::str::from_utf8(&bytes).ok()?;
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    let millis = if number.abs() < MILLISECONDS { number * 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "a time that is no time is refused by `jiff`")]
    Timestamp::from_millisecond(millis as i64).ok()
}
