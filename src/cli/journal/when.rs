//! Times and sizes, for people.

use std::time::Duration;

use jiff::Timestamp;

/// `2026-11-26 08:14:19Z`: the same wherever the operator is (O-28).
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long ago it was, in its largest unit: `45s`, `12m`, `3h`, `5d`. What lies ahead is now: a clock was set.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - at.as_second()).max(0);
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400.. => format!("{}d", seconds / 86_400),
    }
}

/// Both.
pub(super) fn moment_and_age(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({} ago)", moment(at), age(at, now))
}

/// `850 ms` or `8.0 s`.
pub(super) fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// `512 B`, `64.0 KiB`, `1.5 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 1024.0
        && let Some(larger) = units.next()
    {
        (size, unit) = (size / 1024.0, Some(larger));
    }
    format!("{size:.1} {}", unit.expect("there is a first one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let check = |seconds: i64, want: &str| {
            assert_eq!(age(Timestamp::from_second(1_767_225_600 - seconds).unwrap(), now), want);
        };
        check(-5, "0s");
        check(0, "0s");
        check(59, "59s");
        check(60, "1m");
        check(3_599, "59m");
        check(3_600, "1h");
        check(86_399, "23h");
        check(40 * 86_400, "40d");
        assert_eq!(moment_and_age(now, now), "2026-01-01 00:00:00Z (0s ago)");
    }

    #[test]
    fn quantities_are_rounded() {
        assert_eq!(took(Duration::from_micros(8_500)), "8 ms");
        assert_eq!(took(Duration::from_millis(8_040)), "8.0 s");
        let check = |bytes: u64, want: &str| assert_eq!(size(bytes), want);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(3 << 19, "1.5 MiB");
        check(1 << 50, "1024.0 TiB");
    }
}
