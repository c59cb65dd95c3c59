//! Kinds of text that are looked at again where their settings are made.

use crate::config::values::Leaf;

/// Declares a kind: what it must be, what to write instead, and whether a text can be one.
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
