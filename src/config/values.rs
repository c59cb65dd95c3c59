//! The single values a key can have: durations, sizes, addresses, words.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use http::{HeaderName, HeaderValue, StatusCode, Uri};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    config::{
        diagnostics::Diagnostics,
        node::{Node, Value},
        table::{FromConfig, Shape},
    },
    secret::Secret,
};

/// A value that is written as a string.
pub(crate) trait Leaf: Sized {
    /// What it must be, with the article: "a duration".
    fn want() -> String;

    /// What to write instead of `text`; of nothing, when what was there is not a string.
    fn help(text: &str) -> String;

    /// Reads it.
    fn parse(text: &str) -> Option<Self>;
}

impl<T: Leaf> FromConfig for T {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let text = if let Value::Text(text) = &node.value { Some(text.as_str()) } else { None };
        let value = text.and_then(T::parse);
        if value.is_none() {
            node.mistyped(&T::want(), T::help(text.unwrap_or_default()), found);
        }
        value
    }

    fn shape() -> Shape {
        Shape::Leaf(T::want())
    }
}

/// `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The nearest of the known words, if one is near enough to be meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = word.chars().count().max(3) / 3;
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

impl Leaf for String {
    fn want() -> String {
        "a string".to_owned()
    }

    fn help(_text: &str) -> String {
        "put it in quotes".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Declares kinds of text that are looked at again where their settings are made.
macro_rules! texts {
    ($( $(#[doc = $doc:literal])+ $name:ident: $want:literal, $help:literal, $good:expr; )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl Leaf for $name {
            fn want() -> String {
                $want.to_owned()
            }

            fn help(_text: &str) -> String {
                $help.to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                let good: fn(&str) -> bool = $good;
                good(text).then(|| Self(text.to_owned()))
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )+ };
}

texts! {
    /// A selector: where in a request a value lies.
    Selector: "a selector", "for example \"header:x-signature\" or \"json:/id\"", |text| !text.trim().is_empty();
    /// A text with selectors in braces.
    Template: "a text with selectors in braces", "for example \"{header:x-timestamp}.{body}\"", |_| true;
    /// A JSON pointer (RFC 6901).
    Pointer: "a JSON pointer", "a pointer is empty or starts with `/`, for example \"/data/id\"", is_pointer;
    /// A name in which `*` stands for any characters.
    Glob: "a name, in which `*` stands for anything", "for example \"order.*\"", |text| !text.is_empty();
    /// A regular expression.
    Pattern: "a regular expression", "for example \"^[0-9]+$\"", |_| true;
    /// A media type, without parameters; `*` may stand for the subtype or a part of it.
    MediaType: "a media type", "for example \"application/json\", without parameters", is_media_type;
    /// A request path, byte for byte as the sender must send it.
    RequestPath: "a path", "a path starts with `/` and is written as it is sent, percent-encoded and without a query", is_path;
    /// A request method; methods are case-sensitive (RFC 9110, section 9.1).
    MethodName: "a request method", "for example \"GET\"", |text| text.parse::<http::Method>().is_ok();
}

fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"!#$&^_.+-*".contains(&it))
    };
    text.split_once('/').is_some_and(|(main, sub)| token(main) && token(sub))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

impl Leaf for PathBuf {
    fn want() -> String {
        "a path of a file".to_owned()
    }

    fn help(_text: &str) -> String {
        "for example \"/run/secrets/app\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }
}

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

/// An absolute `http` or `https` address without user information and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(pub Uri);

impl Leaf for Url {
    fn want() -> String {
        "a URL".to_owned()
    }

    fn help(_text: &str) -> String {
        "scheme, host and path, without user name and fragment: \"http://127.0.0.1:3000/webhooks\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok().filter(|_| !text.contains('#'))?;
        let host = uri.authority().is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
        (matches!(uri.scheme_str(), Some("http" | "https")) && host).then_some(Self(uri))
    }
}

/// A range of addresses; one address alone is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl Leaf for Cidr {
    fn want() -> String {
        "an address or a range of addresses".to_owned()
    }

    fn help(text: &str) -> String {
        match net(text) {
            Some(net) => format!(
                "write {:?} for the range, or {:?} for the address",
                net.trunc().to_string(),
                net.addr().to_string()
            ),
            None => "for example \"203.0.113.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        net(text).filter(|net| *net == net.trunc()).map(Self)
    }
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Where a listener waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Leaf for Listen {
    fn want() -> String {
        "an address to listen on".to_owned()
    }

    fn help(_text: &str) -> String {
        "an IP address and a port, or a socket: \"127.0.0.1:8080\", \"[::]:80\", \"unix:/run/hooksieve.sock\""
            .to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => PathBuf::parse(path).filter(|path| path.is_absolute()).map(Self::Unix),
            None => text.parse().ok().map(Self::Tcp),
        }
    }
}

impl Leaf for HeaderName {
    fn want() -> String {
        "a header name".to_owned()
    }

    fn help(_text: &str) -> String {
        "for example \"x-signature\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Ordered, as the key of a map must be; `HeaderName` is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(pub HeaderName);

impl PartialOrd for Header {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Header {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl Leaf for Header {
    fn want() -> String {
        "a header name".to_owned()
    }

    fn help(text: &str) -> String {
        HeaderName::help(text)
    }

    fn parse(text: &str) -> Option<Self> {
        HeaderName::parse(text).map(Self)
    }
}

impl Leaf for HeaderValue {
    fn want() -> String {
        "a header value".to_owned()
    }

    fn help(_text: &str) -> String {
        "visible ASCII characters, with blanks only between them".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
        text.parse().ok().filter(|_| visible)
    }
}

/// A secret written into the file.
impl Leaf for Secret {
    fn want() -> String {
        "a string".to_owned()
    }

    fn help(_text: &str) -> String {
        "put it in quotes".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

impl FromConfig for bool {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        if let Value::Boolean(value) = node.structured().value {
            return Some(value);
        }
        node.mistyped("true or false", "write `true` or `false`, without quotes", found);
        None
    }

    fn shape() -> Shape {
        Shape::Leaf("`true` or `false`".to_owned())
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
        let number = match node.structured().value {
            Value::Integer(number) => u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number)),
            _ => None,
        };
        if number.is_none() {
            node.mistyped(&Self::want(), "", found);
        }
        number.map(Self)
    }

    fn shape() -> Shape {
        Shape::Leaf(Self::want())
    }
}

impl FromConfig for Timestamp {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let time = match &node.value {
            Value::Text(text) | Value::Datetime(text) => text.parse().ok(),
            Value::Boolean(_) | Value::Integer(_) | Value::Float | Value::List(_) | Value::Table(_) => None,
        };
        if time.is_none() {
            node.mistyped("a time", "date, time and offset (RFC 3339): \"2026-12-01T00:00:00Z\"", found);
        }
        time
    }

    fn shape() -> Shape {
        Shape::Leaf("a time (RFC 3339)".to_owned())
    }
}

/// A plain value of JSON: what a filter or a condition compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
}

impl FromConfig for Plain {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        match &node.structured().value {
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Integer(number) => Some(Self::Integer(*number)),
            Value::Boolean(value) => Some(Self::Boolean(*value)),
            Value::Float | Value::Datetime(_) | Value::List(_) | Value::Table(_) => {
                node.mistyped("a string, a whole number, true or false", "", found);
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Leaf("a string, a whole number, `true` or `false`".to_owned())
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}
