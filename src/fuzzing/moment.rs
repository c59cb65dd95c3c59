//! Times that others write: those that senders sign, and when an application wants to be asked again.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822};

use crate::{
    stages::{
        receive::{Client, Head, Received},
        schemes::{
            Looked,
            window::{Unit, Window},
        },
        selector::{Facts, Selector},
        words::Refusal,
    },
    upstream::{RetryAfter, retry_after},
};

const HEADER: HeaderName = HeaderName::from_static("x-time");

/// First a byte that says how the time is written, then the time.
///
/// # Panics
///
/// When a time is read that is none, one is not read that is plainly right, or one is another after it was written anew.
pub fn moment(data: &[u8]) {
    let Some((pick, text)) = data.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    match pick % 4 {
        0 => signed(Unit::Seconds, &value),
        1 => signed(Unit::Milliseconds, &value),
        2 => signed(Unit::Rfc3339, &value),
        _ => wished(&value),
    }
}

fn signed(unit: Unit, value: &HeaderValue) {
    let read = read(unit, value);
    let text = value.to_str().unwrap_or_default();
    let expected = match unit {
        Unit::Seconds => number(text).map(|seconds| seconds * 1000),
        Unit::Milliseconds => number(text),
        // It has other spellings, with an offset; this one is the most usual, and must be right.
        Unit::Rfc3339 => plain(text).or(read),
    };
    assert_eq!(read, expected, "{unit:?}: {text:?}");
    let time = read.and_then(|millis| Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok());
    if let Some(time) = time.filter(|time| time.as_second() >= 0) {
        let again = self::read(unit, &HeaderValue::from_str(&unit.write(time)).expect("ASCII"));
        let coarse = if unit == Unit::Milliseconds { 1 } else { 1000 };
        assert_eq!(again.map(|millis| millis / coarse), read.map(|millis| millis / coarse), "{unit:?}: {text:?}");
    }
}

/// What a window without any tolerance finds, which is open at that very moment only.
fn read(unit: Unit, value: &HeaderValue) -> Option<i128> {
    let window =
        Window { from: vec![Selector::header(HEADER)], unit, past: Duration::ZERO, future: Some(Duration::ZERO) };
    let client = Client { address: None, known: false };
    let headers = HeaderMap::from_iter([(HEADER, value.clone())]);
    let head = Head { method: Method::POST, path: "/".to_owned(), query: None, headers, client };
    let received = Received { head, body: Bytes::new(), at: Timestamp::UNIX_EPOCH };
    let document = OnceLock::new();
    let facts = Facts::of(&received, "", &document);
    let millis = window.read(&facts).ok()?;
    if let Some(now) = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()) {
        assert_eq!(window.check(&facts, now, &mut Looked::default()), Ok(()), "{value:?} at {now}");
        let later = now.checked_add(Duration::from_secs(1)).ok();
        let judged = later.map(|later| window.check(&facts, later, &mut Looked::default()));
        assert!(judged.is_none_or(|judged| judged == Err(Refusal::TimestampStale)), "{value:?} after {now}");
    }
    Some(millis)
}

/// Decimal digits in their one spelling, not more than nineteen.
fn number(text: &str) -> Option<i128> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && text.len() <= 19).then_some(i128::from(number))
}

/// `2026-11-26T08:00:00Z`, counted by hand.
fn plain(text: &str) -> Option<i128> {
    let digits = |range: std::ops::Range<usize>| text.get(range)?.parse::<i128>().ok();
    let is_shaped = text.bytes().zip(b"0000-00-00T00:00:00Z").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    });
    if text.len() != 20 || !is_shaped {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i128::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..usize::try_from(month).ok()?.checked_sub(1)?)?;
    if day < 1 || day > *lengths.get(before.len())? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // The year 0 is a leap year, which the first terms do not count.
    let leaps = |year: i128| year / 4 - year / 100 + year / 400 + 1;
    let years = |year: i128| if year == 0 { 0 } else { year * 365 + leaps(year - 1) };
    let days = years(year) - years(1970) + before.iter().sum::<i128>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000)
}

/// `Retry-After` (RFC 9110, section 10.2.3).
fn wished(value: &HeaderValue) {
    let headers = |value: HeaderValue| HeaderMap::from_iter([(RETRY_AFTER, value)]);
    let wish = retry_after(&headers(value.clone()));
    let text = value.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number).map(RetryAfter::Seconds);
    match wish {
        Some(RetryAfter::At(at)) => {
            assert!(!is_number, "{text:?} is no date");
            let written = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
            let written = written.unwrap_or_else(|error| panic!("{text:?} is read as {at}, but {error}"));
            let again = retry_after(&headers(written.parse().expect("ASCII")));
            assert_eq!(again, wish, "{text:?} is written as {written:?}");
            assert!(RetryAfter::At(at).wait(at).is_zero());
        }
        Some(RetryAfter::Seconds(_)) | None => assert_eq!(wish, number, "{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_hold_for_these() {
        for text in [
            "",
            "0",
            "00",
            "1767225600",
            "1767225600000",
            "9999999999999999999",
            "18446744073709551615",
            "99999999999999999999",
            "+1",
            "2026-11-26T08:00:00Z",
            "2026-11-26T08:00:60Z",
            "2026-02-29T08:00:00Z",
            "2026-11-26t08:00:00.123+01:00",
            "-000001-11-26T08:00:00Z",
            "Thu, 01 Jan 2026 00:02:00 GMT",
            "1 Jan 26 00:02 -0100",
            "31 Dec 9999 23:59:60 GMT",
            "\u{e9}",
        ] {
            (0..4).for_each(|pick| moment(&[&[pick], text.as_bytes()].concat()));
        }
    }

    #[test]
    fn days_are_counted_right() {
        let check = |text: &str| {
            let time = text.parse::<Timestamp>().ok().map(|time| i128::from(time.as_millisecond()));
            assert_eq!(plain(text), time, "{text}");
        };
        let years = [
            "0000", "0001", "0004", "0100", "0101", "0401", "1969", "1970", "1972", "2000", "2001", "2026", "2101",
            "9998",
        ];
        for year in years {
            for rest in ["01-01T00:00:00Z", "02-29T23:59:59Z", "03-01T12:30:00Z", "12-31T00:00:01Z", "13-01T00:00:00Z"]
            {
                check(&format!("{year}-{rest}"));
            }
        }
    }
}
