//! The window around now in which a signed time must lie.

use std::time::Duration;

use jiff::Timestamp;

use super::{Looked, signature::first};
use crate::stages::{
    selector::{Facts, Selector},
    words::Refusal,
};

/// A signed time and how far it may be from now. That it *is* signed is checked when the configuration is read.
#[derive(Clone, Debug)]
pub struct Window {
    /// Places to look, in this order.
    pub from: Vec<Selector>,
    /// How it is written.
    pub unit: Unit,
    /// Older than this is stale.
    pub past: Duration,
    /// Further ahead than this is refused; nothing is, where there is no limit.
    pub future: Option<Duration>,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds since 1970, decimal digits.
    Milliseconds,
    /// RFC 3339.
    Rfc3339,
    /// Seconds since 1970, decimal digits.
    Seconds,
}

impl Window {
    /// Refuses a time that is missing, misspelt or outside. Whose signature covers it is the caller's to know.
    pub fn check(&self, facts: &Facts<'_>, now: Timestamp, looked: &mut Looked) -> Result<(), Refusal> {
        let age = self.unit.truncate(now) - self.read(facts)?;
        looked.age_ms = i64::try_from(age).ok();
        if age > millis(self.past) {
            Err(Refusal::TimestampStale)
        } else if self.future.is_some_and(|future| -age > millis(future)) {
            Err(Refusal::TimestampFuture)
        } else {
            Ok(())
        }
    }

    /// The time, in milliseconds since 1970.
    pub fn read(&self, facts: &Facts<'_>) -> Result<i128, Refusal> {
        let text = first(&self.from, facts)?.ok_or(Refusal::AuthMissing)?;
        self.unit.parse(&text).ok_or(Refusal::AuthMalformed)
    }
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

impl Unit {
    /// The time as a sender writes it: RFC 3339 without a fraction, which could run into what follows a full stop.
    pub fn write(self, time: Timestamp) -> String {
        match self {
            Self::Milliseconds => time.as_millisecond().to_string(),
            Self::Rfc3339 => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Seconds => time.as_second().to_string(),
        }
    }

    /// Milliseconds since 1970. The one spelling of a number is accepted: no sign, no blank, no leading zero.
    fn parse(self, text: &[u8]) -> Option<i128> {
        match self {
            Self::Milliseconds => digits(text),
            Self::Rfc3339 => {
                let time: Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
                Some(i128::from(time.as_millisecond()))
            }
            Self::Seconds => digits(text).map(|seconds| seconds * 1000),
        }
    }

    /// Now, as coarse as the sender's clock is written, so that the edge of the window is the edge.
    fn truncate(self, now: Timestamp) -> i128 {
        match self {
            Self::Milliseconds | Self::Rfc3339 => i128::from(now.as_millisecond()),
            Self::Seconds => i128::from(now.as_second()) * 1000,
        }
    }
}

fn digits(text: &[u8]) -> Option<i128> {
    let plain = matches!(text.len(), 1..=19) && text.iter().all(u8::is_ascii_digit);
    if !plain || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    // Nineteen digits are fewer than an `u64` holds.
    Some(i128::from(text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_04_one_spelling_of_a_number() {
        for wrong in
            ["", "+1767225600", "01767225600", "1767225600.0", "1.767e9", " 1767225600", "0x6955", "-1", "١٧٦٧"]
        {
            assert_eq!(Unit::Seconds.parse(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(Unit::Seconds.parse(&[b'9'; 20]), None, "20 digits");
        assert_eq!(Unit::Seconds.parse(b"1767225600"), Some(1_767_225_600_000));
        assert_eq!(Unit::Milliseconds.parse(b"0"), Some(0));
    }

    #[test]
    fn r_07_extreme_integers_do_not_overflow() {
        for number in [i64::MAX.to_string(), "9999999999999999999".to_owned()] {
            assert!(Unit::Seconds.parse(number.as_bytes()).is_some(), "{number} is spelled right, and far away");
        }
    }
}
