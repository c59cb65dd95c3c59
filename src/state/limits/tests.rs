use futures_util::FutureExt;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, ManualClock};

fn limit(count: u32, per: Period, burst: u32) -> Limit {
    let count = NonZeroU32::new(count).unwrap();
    Limit { rate: Rate { count, per }, burst: NonZeroU32::new(burst).unwrap() }
}

fn clock() -> (ManualClock, Instant) {
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    let now = clock.now().steady;
    (clock, now)
}

fn client(address: &str) -> Client {
    Client { address: Some(address.parse().unwrap()), known: true }
}

fn later(secs: u64) -> Taken {
    Taken::Later(RetryAfter(secs))
}

/// Takes from a source's limit by the manual clock.
fn take(source: &SourceLimit, key: BucketKey, n: u32, now: Instant) -> Taken {
    let taken = source.take(key, NonZeroU32::new(n).unwrap(), now).now_or_never();
    taken.expect("memory answers at once").expect("memory does not fail")
}

#[test]
fn r_26_after_three_failures_the_fourth_is_refused_unread() {
    let (clock, now) = clock();
    let limit = ClientLimit::new(limit(20, Period::Minute, 3), false, now);
    let (guesser, honest) = (client("203.0.113.7"), client("203.0.113.8"));
    for _ in 0..3 {
        assert_eq!(limit.admit(&guesser, now), Ok(()));
        limit.charge(&guesser, now);
    }
    assert_eq!(limit.admit(&guesser, now), Err(RetryAfter(3)));
    assert_eq!(limit.admit(&honest, now), Ok(()));
    // One that raced does not prolong the wait; one that comes when it is over is charged like the others.
    limit.charge(&guesser, now);
    assert_eq!(limit.admit(&guesser, now), Err(RetryAfter(3)));
    clock.advance(Duration::from_millis(2_999));
    assert_eq!(limit.admit(&guesser, clock.now().steady), Err(RetryAfter(1)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(limit.admit(&guesser, clock.now().steady), Ok(()));
    limit.charge(&guesser, clock.now().steady);
    assert_eq!(limit.admit(&guesser, clock.now().steady), Err(RetryAfter(3)));
}

#[test]
fn r_26_i_16_looking_changes_nothing() {
    let (_, now) = clock();
    let limit = ClientLimit::new(limit(1, Period::Hour, 1), false, now);
    for _ in 0..1_000 {
        assert_eq!(limit.admit(&client("203.0.113.7"), now), Ok(()));
    }
    assert_eq!(limit.buckets.known(), 0);
    limit.charge(&client("203.0.113.7"), now);
    for _ in 0..1_000 {
        assert_eq!(limit.admit(&client("203.0.113.7"), now), Err(RetryAfter(3_600)));
    }
}

#[test]
fn r_27_failures_do_not_use_up_the_source() {
    let (_, now) = clock();
    let failures = ClientLimit::new(limit(1, Period::Hour, 5), false, now);
    let source = SourceLimit::new(limit(1, Period::Hour, 10), now);
    for _ in 0..1_000 {
        failures.charge(&client("203.0.113.7"), now);
    }
    for _ in 0..10 {
        assert_eq!(failures.admit(&client("203.0.113.8"), now), Ok(()));
        assert_eq!(take(&source, BucketKey::WHOLE, 1, now), Taken::Granted);
    }
    assert_eq!(take(&source, BucketKey::WHOLE, 1, now), later(3_600));
}

#[test]
fn r_28_one_budget_per_client() {
    let cases = [
        ("203.0.113.7", "203.0.113.7", true),
        ("203.0.113.7", "203.0.113.8", false),
        ("203.0.113.7", "::ffff:203.0.113.7", true),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", false),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("0.0.0.0", "::", false),
        ("203.0.113.7", "cb00:7107::", false),
    ];
    for (guesser, other, same) in cases {
        let (_, now) = clock();
        let limit = ClientLimit::new(limit(1, Period::Hour, 1), false, now);
        limit.charge(&client(guesser), now);
        assert_eq!(limit.admit(&client(other), now).is_err(), same, "{guesser} and {other}");
    }
}

#[test]
fn r_28_an_undeclared_load_balancer_has_no_budget() {
    let addresses = [
        ("10.0.0.1", true),
        ("172.16.0.1", true),
        ("192.168.1.1", true),
        ("127.0.0.1", true),
        ("169.254.1.1", true),
        ("100.64.0.1", true),
        ("100.127.255.255", true),
        ("::1", true),
        ("fd00::1", true),
        ("fe80::1", true),
        ("::ffff:10.0.0.1", true),
        ("100.63.0.1", false),
        ("100.128.0.1", false),
        ("172.32.0.1", false),
        ("203.0.113.7", false),
        ("2001:db8::1", false),
    ];
    let (_, now) = clock();
    let [usual, strict] = [false, true].map(|private| ClientLimit::new(limit(1, Period::Hour, 1), private, now));
    for (address, private) in addresses {
        let declared = client(address);
        let undeclared = Client { known: false, ..declared };
        assert_eq!(usual.applies_to(&undeclared), !private, "{address}");
        assert!(usual.applies_to(&declared) && strict.applies_to(&undeclared), "{address}");
        usual.charge(&undeclared, now);
        assert_eq!(usual.admit(&undeclared, now).is_ok(), private, "{address}");
    }
    let socket = Client { address: None, known: false };
    strict.charge(&socket, now);
    assert_eq!(strict.admit(&socket, now), Ok(()));
}

#[test]
fn r_28_i_18_a_spray_of_addresses_stays_bounded() {
    /// What the cache may be behind with its own housekeeping.
    const BACKLOG: u64 = 2_048;
    let (_, now) = clock();
    let limit = ClientLimit::new(limit(1, Period::Hour, 1), false, now);
    let spray = |n: u32| Client { address: Some(IpAddr::V4(n.reverse_bits().into())), known: true };
    for n in 0..300_000 {
        limit.charge(&spray(n), now);
        assert!(n % 50_000 > 0 || limit.buckets.known() <= CLIENTS_MAX + BACKLOG, "too many at {n}");
    }
    let known = limit.buckets.known();
    assert!((CLIENTS_MAX..=CLIENTS_MAX + BACKLOG).contains(&known), "{known}");
    assert_eq!(limit.admit(&spray(299_999), now), Err(RetryAfter(3_600)), "the last one was forgotten");
    assert_eq!(limit.admit(&spray(0), now), Ok(()), "the first one was kept");
}

#[test]
fn several_at_once_all_or_nothing() {
    let (clock, now) = clock();
    let source = SourceLimit::new(limit(2, Period::Second, 10), now);
    let [a, b] = [b"a", b"b"].map(|part| BucketKey::new([part.as_slice()]));
    assert_eq!(take(&source, a, 8, now), Taken::Granted);
    assert_eq!(take(&source, a, 5, now), later(2));
    assert_eq!(take(&source, a, 2, now), Taken::Granted, "the refused five were charged");
    assert_eq!(take(&source, b, 10, now), Taken::Granted, "the buckets are not apart");
    assert_eq!(take(&source, BucketKey::WHOLE, 10, now), Taken::Granted);
    clock.advance(Duration::from_secs(5));
    assert_eq!(take(&source, a, 10, clock.now().steady), Taken::Granted);
}

#[test]
fn more_than_the_burst_never_fits() {
    let (_, now) = clock();
    let source = SourceLimit::new(limit(1_000, Period::Second, 10), now);
    let never = Taken::Never { burst: NonZeroU32::new(10).unwrap() };
    for n in [11, 1_000, u32::MAX] {
        assert_eq!(take(&source, BucketKey::WHOLE, n, now), never, "{n}");
    }
    assert_eq!(take(&source, BucketKey::WHOLE, 10, now), Taken::Granted, "what never fits was charged");
}

#[test]
fn extremes_do_not_overflow() {
    for per in [Period::Second, Period::Minute, Period::Hour] {
        for count in [1, 7, u32::MAX] {
            for burst in [1, BURST_MAX, u32::MAX] {
                let (clock, now) = clock();
                let source = SourceLimit::new(limit(count, per, burst), now);
                let most = burst.min(BURST_MAX);
                assert_eq!(take(&source, BucketKey::WHOLE, most, now), Taken::Granted);
                assert!(matches!(take(&source, BucketKey::WHOLE, most, now), Taken::Later(_)));
                clock.advance(Duration::from_hours(200 * 365 * 24));
                assert_eq!(take(&source, BucketKey::WHOLE, most, clock.now().steady), Taken::Granted);
                assert!(matches!(take(&source, BucketKey::WHOLE, u32::MAX, now), Taken::Never { .. }));
            }
        }
    }
}

#[test]
fn i_21_time_does_not_go_back() {
    let (clock, early) = clock();
    let source = SourceLimit::new(limit(1, Period::Second, 1), early);
    clock.advance(Duration::from_secs(10));
    assert_eq!(take(&source, BucketKey::WHOLE, 1, clock.now().steady), Taken::Granted);
    assert_eq!(take(&source, BucketKey::WHOLE, 1, early), later(1), "one that was held up waits from its own time");
}

#[test]
fn retry_after_is_rounded_up_and_never_zero() {
    let cases = [(0, 1), (1, 1), (999_999_999, 1), (1_000_000_000, 1), (1_000_000_001, 2), (59_500_000_000, 60)];
    for (nanos, secs) in cases {
        assert_eq!(RetryAfter::from(Duration::from_nanos(nanos)).as_secs(), secs, "{nanos} ns");
    }
}

#[test]
fn a_rate_is_what_it_says() {
    let cases = [(50, Period::Second, 1), (600, Period::Minute, 60), (10, Period::Hour, 3_600)];
    for (count, per, secs) in cases {
        let (clock, now) = clock();
        let source = SourceLimit::new(limit(count, per, count), now);
        assert_eq!(take(&source, BucketKey::WHOLE, count, now), Taken::Granted);
        assert_eq!(take(&source, BucketKey::WHOLE, count, now), later(secs));
        clock.advance(Duration::from_secs(secs));
        assert_eq!(take(&source, BucketKey::WHOLE, count, clock.now().steady), Taken::Granted);
    }
}

proptest! {
    /// Over any time, no more than the burst and what came back is granted; and who waits as told gets in.
    #[test]
    fn the_budget_holds(count in 1_u32..1_000, burst in 1_u32..50, asks in prop::collection::vec((0_u64..3_000, 1_u32..60), 1..50)) {
        let (clock, start) = clock();
        let source = SourceLimit::new(limit(count, Period::Minute, burst), start);
        let mut granted = 0_u128;
        for (pause, n) in asks {
            clock.advance(Duration::from_millis(pause));
            let mut taken = take(&source, BucketKey::WHOLE, n, clock.now().steady);
            if let Taken::Later(wait) = taken && pause % 2 == 0 {
                clock.advance(Duration::from_secs(wait.as_secs()));
                taken = take(&source, BucketKey::WHOLE, n, clock.now().steady);
                prop_assert_eq!(taken, Taken::Granted);
            }
            prop_assert_eq!(matches!(taken, Taken::Never { .. }), n > burst);
            granted += if taken == Taken::Granted { n.into() } else { 0 };
            let elapsed = clock.now().steady.duration_since(start).as_millis();
            // In sixty-thousandths of one, of which a hundred are for rounding.
            prop_assert!(granted * 60_000 <= u128::from(burst) * 60_000 + elapsed * u128::from(count) + 100);
        }
    }
}
