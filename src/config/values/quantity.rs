//! Numbers and quantities.

use std::time::Duration;

use http::StatusCode;

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    node::{Node, Value},
    table::{FromConfig, Shape},
    values::Leaf,
};

/// The number and the unit of `"300ms"`; no sign, no fraction, no blank.
fn quantity<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit): (&'a str, &'a str) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl Leaf for Duration {
    fn want() -> String {
        "a duration".to_owned()
    }

    fn help(_text: &str) -> String {
        "a whole number and its unit: \"300ms\", \"5s\", \"10m\", \"24h\" or \"7d\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        // A century is more than anybody means, and small enough to be added to any time.
        quantity(text, UNITS).filter(|millis| *millis <= 100 * 366 * 86_400_000).map(Self::from_millis)
    }
}

/// How far ahead of now something may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead(pub Option<Duration>);

impl Leaf for Ahead {
    fn want() -> String {
        "a duration, or \"any\"".to_owned()
    }

    fn help(text: &str) -> String {
        Duration::help(text)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "any" { Some(Self(None)) } else { Duration::parse(text).map(|duration| Self(Some(duration))) }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Leaf for Size {
    fn want() -> String {
        "a size".to_owned()
    }

    fn help(_text: &str) -> String {
        "a whole number and B, KiB, MiB or GiB: \"64KiB\", \"1MiB\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        quantity(text, &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]).map(Self)
    }
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how much time: a second, a minute or an hour.
    pub per: Duration,
}

impl Leaf for Rate {
    fn want() -> String {
        "a rate".to_owned()
    }

    fn help(_text: &str) -> String {
        "a whole number from 1 per second, minute or hour: \"50/s\", \"600/m\", \"10/h\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.rsplit_once('/')?;
        let per = quantity(&format!("1{unit}"), &[("s", 1), ("m", 60), ("h", 3600)])?;
        let count =
            quantity(count, &[("", 1)]).and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0)?;
        Some(Self { count, per: Duration::from_secs(per) })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    fn want() -> String {
        if MAX == u32::MAX {
            format!("a whole number from {MIN}")
        } else {
            format!("a whole number from {MIN} to {MAX}")
        }
    }
}

impl<const MAX: u32> Number<200, MAX> {
    /// The number as a status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        status(self.0)
    }
}

impl<const MAX: u32> Number<400, MAX> {
    /// The number as a status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        status(self.0)
    }
}

fn status(number: u32) -> StatusCode {
    let number = u16::try_from(number).ok();
    number.and_then(|number| StatusCode::from_u16(number).ok()).expect("the range was checked when it was read")
}

impl<const MIN: u32, const MAX: u32> FromConfig for Number<MIN, MAX> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        if let Value::Integer(number) = node.structured().value {
            let fits = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
            if fits.is_none() {
                let message = format!("`{}` must be {}", node.key.path(), Self::want());
                found.push(Diagnostic::error(&node.key, message).found(number.to_string()));
            }
            return fits.map(Self);
        }
        node.mistyped(&Self::want(), "", found);
        None
    }

    fn shape() -> Shape {
        Shape::Leaf(Self::want())
    }
}
